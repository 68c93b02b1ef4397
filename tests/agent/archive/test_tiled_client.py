import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from phasepilot.agent.archive.tiled_client import connect, find_node
from phasepilot.agent.errors import ArchiveError


class SomethingElse(BaseHTTPRequestHandler):
    """A web server that knows nothing of Tiled."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>It works!</html>")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def other_server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), SomethingElse) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_gives_the_root_or_the_container_of_the_uri(tiled_server, container):
    container.create_container("within")
    for uri, name in ((tiled_server.uri, container.path_parts[-1]), (container.uri, "within")):
        client = connect(uri, api_key=tiled_server.api_key)
        assert find_node(client, name) is not None
        client.context.http_client.close()


@pytest.mark.usefixtures("patient_for_a_second")
@pytest.mark.parametrize(
    ("uri", "came"),
    [
        ("http://127.0.0.1:9", "ConnectError: .*refused"),
        ("127.0.0.1:9", "UnsupportedProtocol"),
        ("nonsense", "UnsupportedProtocol"),
        ("", "UnsupportedProtocol"),
    ],
)
def test_where_nobody_answers_a_sentence_says_so(uri, came):
    with pytest.raises(
        ArchiveError, match=rf"must answer at '{uri}', but there came {came}.*check"
    ):
        connect(uri, api_key="secret")


def test_a_server_that_is_not_tiled_is_told(other_server):
    with pytest.raises(ArchiveError, match="a Tiled server must answer at"):
        connect(other_server, api_key="secret")


@pytest.mark.parametrize("key", ["wrong", None])
def test_a_key_that_is_not_the_servers_is_told(tiled_server, key):
    with pytest.raises(ArchiveError, match=r"(Invalid API key|requires API key).*check the URI"):
        connect(tiled_server.uri, api_key=key)


def test_a_key_in_the_uri_is_not_shown(tiled_server):
    with pytest.raises(ArchiveError, match="must answer at") as caught:
        connect(f"{tiled_server.uri}?api_key=not-the-key")
    assert "not-the-key" not in str(caught.value)


def test_a_place_that_holds_no_runs_is_told(tiled_server, container):
    array = container.write_array(np.arange(3), key="numbers")
    with pytest.raises(ArchiveError, match=r"must stand at .*, but Tiled holds a ArrayClient"):
        connect(array.uri, api_key=tiled_server.api_key)
    with pytest.raises(ArchiveError, match="404: No such entry"):
        connect(f"{container.uri}/nothing", api_key=tiled_server.api_key)
