"""Files by their address, kept in a cache: what is there is whole, and is not downloaded again."""

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

PASSING = {408, 425, 429, 500, 502, 503, 504}
# A server's encoding on the way would make another file of it
HEADERS = {"Accept-Encoding": "identity"}


def fetch(address: str, cache: Path, warn: Callable[[str], None]) -> Path:
    """The file of this address; without a scheme it is a path, relative to the project's folder.

    `warn` is told when nothing says how long the file is.
    """
    if "://" not in address:
        return _local(address)
    # not longer than a name may be, and without what a name may not hold
    ending = re.sub(r"[^\w.-]", "_", shown(address).rpartition("/")[2])[-80:]
    name = hashlib.sha256(address.encode(errors="surrogatepass")).hexdigest()[:12] + "-" + ending
    whole = cache / name
    if whole.exists():
        return whole
    cache.mkdir(parents=True, exist_ok=True)
    # Two runs may want the same file: the second one waits, and finds it. The lock's file stays: who waits for one
    # that is gone would not keep out the next.
    with (cache / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.exists():
            part = cache / f"{name}.part"
            try:
                with part.open("wb") as file:
                    _download(address, file, warn)
                    file.flush()
                    os.fsync(file.fileno())
                part.rename(whole)
            finally:
                part.unlink(missing_ok=True)
    return whole


def forget(path: Path, cache: Path) -> None:
    """Remove a file that turned out to be broken, so that the next run downloads it anew."""
    if path.is_relative_to(cache):
        path.unlink(missing_ok=True)


def _local(address: str) -> Path:
    path = Path(__file__).parent / address
    try:
        there = path.is_file()
    except (OSError, ValueError):  # no name of a file
        there = False
    if not there:
        raise LoadError(f"address: there is no file {shown(str(path))}; correct address, colour, year or months")
    return path


def _download(address: str, file: BinaryIO, warn: Callable[[str], None]) -> None:
    name = shown(address)
    try:
        if (httpx.URL(address).port or 0) > 65535:
            raise httpx.InvalidURL("port")
        with httpx.stream("GET", address, headers=HEADERS, follow_redirects=True, timeout=60) as response:
            if response.status_code != httpx.codes.OK:
                kind = Unavailable if response.status_code in PASSING else LoadError
                raise kind(
                    f"{name}: {response.status_code} {response.reason_phrase}; "
                    "is the month published? If so, correct address, colour, year or months"
                )
            digest = hashlib.md5(usedforsecurity=False)
            for data in response.iter_raw():
                file.write(data)
                digest.update(data)
    # their words hold parts of the address
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError, UnicodeError, OverflowError):
        raise LoadError(
            f"address: {name}: nothing can be asked there; give an http:// or https:// address, with what is special "
            "in a login percent-encoded, or a path"
        ) from None
    except httpx.HTTPError as error:
        raise Unavailable(f"{name}: {redacted(one_line(error), address) or type(error).__name__}") from None
    _check_whole(name, response.headers, digest.digest(), file.tell(), warn)


def _check_whole(name: str, headers: httpx.Headers, md5: bytes, received: int, warn: Callable[[str], None]) -> None:
    """Hold what came against what the server says of it. httpx itself counts where there is a Content-Length."""
    promised = headers.get("Content-MD5")
    if promised and promised != b64encode(md5).decode():
        raise Unavailable(f"{name}: the {received:,} bytes received have another checksum than the server says")
    if not promised and not headers.keys() & {"content-length", "transfer-encoding"}:
        warn(f"{name}: {received:,} bytes were received, and the server does not say whether that is all")
