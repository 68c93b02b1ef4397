"""From the addresses in documents to paths on this machine."""

import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from phasepilot.agent.errors import AssetError

_OLD_NUMBER = re.compile(r"%([-+ 0#]*)(\d*)(?:\.(\d+))?d")
_DRIVE = re.compile(r"/[A-Za-z]:/")


def path_of_uri(uri: str, root_map: Mapping[str, str]) -> Path:
    """Return the path of a `file:` address; the host in it is that of whoever wrote the file.

    Raises
    ------
    AssetError
        If the address is of another kind.

    Examples
    --------
    >>> str(path_of_uri("file://localhost/data/a%20b.h5", {"/data": "/mnt/beamline"}))
    '/mnt/beamline/a b.h5'
    """
    parts = urlsplit(uri)
    if parts.scheme != "file":
        raise AssetError(
            f"the file must be given by an address like file://localhost/data/x.h5, but came as"
            f" {uri!r}; only files that this machine can open are read."
        )
    path = unquote(parts.path)
    return mapped(path[1:] if _DRIVE.match(path) else path, root_map)


def mapped(path: str, root_map: Mapping[str, str]) -> Path:
    """Return a path with the longest root that the map names replaced by its own.

    Examples
    --------
    >>> str(mapped("/nsls2/data/x/1.h5", {"/nsls2": "/a", "/nsls2/data": "/b"}))
    '/b/x/1.h5'
    """
    for root in sorted(root_map, key=len, reverse=True):
        stem = root.rstrip("/\\")
        if path == stem or path.startswith((stem + "/", stem + "\\")):
            rest = path[len(stem) :].replace("\\", "/").lstrip("/")
            return Path(root_map[root]) / PurePosixPath(rest)
    return Path(os.fspath(path))


def file_name(template: str, filename: str, number: int) -> str:
    """Return the name of a file in a series, from an old-style or a new-style template.

    Examples
    --------
    >>> file_name("%s%s_%6.6d.tiff", "scan", 7)
    'scan_000007.tiff'
    >>> file_name("scan_{:06d}.tiff", "", 7)
    'scan_000007.tiff'
    """

    def new_style(match: re.Match[str]) -> str:
        flags, width, digits = match.groups()
        is_padded = digits is not None or "0" in flags
        n_digits = max(int(width or 0), int(digits or 0))
        return f"{{:{'0' if is_padded and n_digits else ''}{n_digits or ''}d}}"

    # The first %s of area detectors is the folder, which stands in the address.
    n_texts = template.count("%s")
    texts = [*([""] * (n_texts - 1)), filename]
    plain = template
    for text in texts[:n_texts]:
        plain = plain.replace("%s", text.replace("{", "{{").replace("}", "}}"), 1)
    return _OLD_NUMBER.sub(new_style, plain).format(number, filename=filename)
