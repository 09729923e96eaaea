"""Files by their address, kept in a cache: its files are complete, and are not downloaded again."""

import fcntl
import hashlib
import os
import re
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import httpx

from errors import LoadError, Unavailable, one_line
from redaction import redacted, shown

TRANSIENT = {408, 425, 429, 500, 502, 503, 504}
# A content encoding of the server would change the file
HEADERS = {"Accept-Encoding": "identity"}


def fetch(address: str, cache: Path, warn: Callable[[str], None]) -> Path:
    """The file of this address; an address without a scheme is a path, relative to the project's folder.

    `warn` receives a message when the server does not say how long the file is. Raises LoadError for an address that
    has no file, and Unavailable where another try may help.
    """
    if "://" not in address:
        return _local(address)
    # as long, and of such characters, as a file's name allows
    ending = re.sub(r"[^\w.-]", "_", shown(address).rpartition("/")[2])[-80:]
    name = hashlib.sha256(address.encode(errors="surrogatepass")).hexdigest()[:12] + "-" + ending
    complete = cache / name
    if complete.exists():
        return complete
    cache.mkdir(parents=True, exist_ok=True)
    # A second run that needs the same file waits for the first. The lock's file stays: if it were removed, a run that
    # waits for it and a later run would hold different locks.
    with (cache / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            part = cache / f"{name}.part"
            try:
                with part.open("wb") as file:
                    _download(address, file, warn)
                    file.flush()
                    os.fsync(file.fileno())
                part.rename(complete)
            finally:
                part.unlink(missing_ok=True)
    return complete


def forget(path: Path, cache: Path) -> None:
    """Remove a broken file from the cache, so that the next run downloads it again."""
    if path.is_relative_to(cache):
        path.unlink(missing_ok=True)


def _local(address: str) -> Path:
    path = Path(__file__).parent / address
    try:
        exists = path.is_file()
    except (OSError, ValueError):  # not a valid file name
        exists = False
    if not exists:
        raise LoadError(f"address: there is no file {shown(str(path))}; correct address, colour, year or months")
    return path


def _download(address: str, file: BinaryIO, warn: Callable[[str], None]) -> None:
    name = shown(address)
    try:
        if (httpx.URL(address).port or 0) > 65535:
            raise httpx.InvalidURL("port")
        with httpx.stream("GET", address, headers=HEADERS, follow_redirects=True, timeout=60) as response:
            if response.status_code != httpx.codes.OK:
                kind = Unavailable if response.status_code in TRANSIENT else LoadError
                raise kind(
                    f"{name}: {response.status_code} {response.reason_phrase}; "
                    "is the month published? If so, correct address, colour, year or months"
                )
            digest = hashlib.md5(usedforsecurity=False)
            for data in response.iter_raw():
                file.write(data)
                digest.update(data)
    # the messages contain parts of the address
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError, UnicodeError, OverflowError):
        raise LoadError(
            f"address: {name}: not a valid address; give an http:// or https:// address, with special characters of "
            "a login percent-encoded, or a path"
        ) from None
    except httpx.HTTPError as error:
        raise Unavailable(f"{name}: {redacted(one_line(error), address) or type(error).__name__}") from None
    _check_complete(name, response.headers, digest.digest(), file.tell(), warn)


def _check_complete(name: str, headers: httpx.Headers, md5: bytes, received: int, warn: Callable[[str], None]) -> None:
    """Compare the received bytes with the server's checksum. httpx itself checks the Content-Length."""
    expected = headers.get("Content-MD5")
    if expected and expected != b64encode(md5).decode():
        raise Unavailable(f"{name}: the {received:,} bytes received have another checksum than the server says")
    if not expected and not headers.keys() & {"content-length", "transfer-encoding"}:
        warn(f"{name}: {received:,} bytes were received, and the server does not say whether that is all")
