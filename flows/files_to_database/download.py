"""Files by their address, kept in a cache: what is there is whole, and is not downloaded again."""

import fcntl
import hashlib
import os
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from errors import LoadError, Unavailable, one_line

PASSING = {408, 425, 429, 500, 502, 503, 504}
# A server's encoding on the way would make another file of it
HEADERS = {"Accept-Encoding": "identity"}


def fetch(address: str, cache: Path) -> Path:
    """The file of this address; without a scheme it is a path, relative to the project's folder."""
    if "://" not in address:
        return _local(address)
    url = urlsplit(address)
    name = hashlib.sha256(address.encode()).hexdigest()[:12] + "-" + url.path.rpartition("/")[2]
    whole, part = cache / name, cache / f"{name}.part"
    if whole.exists():
        return whole
    cache.mkdir(parents=True, exist_ok=True)
    with part.open("ab") as file:
        # Two runs may want the same file: the second one waits, and finds it
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            if not whole.exists():
                # what a run that was killed left here is begun anew
                file.truncate(0)
                _download(address, shown(address), file)
                os.fsync(file.fileno())
                part.rename(whole)
        finally:
            part.unlink(missing_ok=True)
    return whole


def shown(address: str) -> str:
    """The address without what may be secret in it."""
    url = urlsplit(address)
    return url._replace(netloc=url.netloc.rpartition("@")[2], query="", fragment="").geturl()


def forget(path: Path, cache: Path) -> None:
    """Remove a file that turned out to be broken, so that the next run downloads it anew."""
    if path.is_relative_to(cache):
        path.unlink(missing_ok=True)


def _local(address: str) -> Path:
    path = Path(__file__).parent / address
    if not path.is_file():
        raise LoadError(f"address: there is no file {path}; correct address, colour, year or months")
    return path


def _download(address: str, name: str, file) -> None:
    try:
        with httpx.stream("GET", address, headers=HEADERS, follow_redirects=True, timeout=60) as response:
            if response.status_code != httpx.codes.OK:
                kind = Unavailable if response.status_code in PASSING else LoadError
                raise kind(
                    f"{name}: {response.status_code} {response.reason_phrase}; "
                    "is the month published? If so, correct address, colour, year or months"
                )
            for data in response.iter_raw():
                file.write(data)
            file.flush()
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise LoadError(f"address: {name}: {one_line(error)}; give an http:// or https:// address, or a path") from None
    except httpx.HTTPError as error:
        raise Unavailable(f"{name}: {one_line(error) or type(error).__name__}") from None
