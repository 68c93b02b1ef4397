import socket
from urllib.parse import urlsplit

import httpx
import pytest

from phasepilot.agent.archive.tiled_server import embedded_tiled_server


def test_listens_on_the_loopback_interface_only(tiled_server):
    address = urlsplit(tiled_server.uri)

    assert address.hostname == "127.0.0.1"
    with socket.socket() as probe:
        probe.settimeout(2)
        # Another address of this machine: the whole of 127/8 is the loopback interface on Linux.
        with pytest.raises(OSError, match=r"refused|unreachable|timed out|assign"):
            probe.connect(("127.0.0.2", address.port))


@pytest.mark.parametrize("path", ["/metadata/", "/search/", "/array/full/x", "/documents/x"])
@pytest.mark.parametrize("key", [None, "wrong"])
def test_answers_nobody_without_its_key(tiled_server, path, key):
    headers = {} if key is None else {"Authorization": f"Apikey {key}"}

    with httpx.Client(trust_env=False) as client:
        response = client.get(tiled_server.uri + path, headers=headers)

    assert response.status_code in (401, 404)
    if path in ("/metadata/", "/search/"):
        assert response.status_code == 401


def test_answers_who_has_the_key_and_does_not_log_it(tiled_server):
    with httpx.Client(trust_env=False) as client:
        response = client.get(
            f"{tiled_server.uri}/metadata/",
            headers={"Authorization": f"Apikey {tiled_server.api_key}"},
        )

    assert response.status_code == 200
    assert tiled_server.api_key not in tiled_server.uri
    assert tiled_server.api_key not in repr(tiled_server)
    for log in tiled_server.directory.glob("*.log"):
        assert tiled_server.api_key not in log.read_text()


@pytest.mark.slow
def test_a_second_server_does_not_lock_out_the_clients_of_the_first(tiled_server):
    with embedded_tiled_server() as second:
        assert list(second.client) == []
        assert tiled_server.client.context.http_client.get(f"{tiled_server.uri}/").is_success
    headers = {"Authorization": f"Apikey {tiled_server.api_key}"}
    with httpx.Client(trust_env=False) as client:
        assert client.get(f"{tiled_server.uri}/metadata/", headers=headers).status_code == 200
