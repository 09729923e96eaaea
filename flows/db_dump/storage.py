"""A folder on a disk or in an object store, in which a file is either complete or absent."""

import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import BinaryIO
from uuid import uuid4

import fsspec
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from redaction import redacted, shown

# The run that holds a lock in an object store is dead if it has not renewed the lock for this long
LEASE = timedelta(minutes=5)
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class StorageError(Exception):
    """The folder cannot be used."""


class Folder:
    """A folder at a local path or an fsspec address such as `s3://bucket/dumps`; paths are relative to it."""

    def __init__(self, address: str) -> None:
        try:
            # other processes write here too: a cached listing would be wrong
            self._fs, self._base = fsspec.url_to_fs(address, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            reason = redacted(str(error), address)
            raise StorageError(
                f"staging_root: {shown(address)} cannot be opened ({reason}); give a local path, or an address "
                "whose fsspec driver is in the project's requirements.in"
            ) from None
        self._local = isinstance(self._fs, LocalFileSystem)

    def _at(self, path: str) -> str:
        return f"{self._base}/{path}"

    @contextmanager
    def create(self, path: str) -> Iterator[BinaryIO]:
        """A file to write to. It appears under its name when it is complete, in place of an older file."""
        target = self._at(path)
        # an object store shows only complete objects, and would copy an object to rename it
        partial = f"{target}.{uuid4().hex}.part" if self._local else target
        self._fs.makedirs(target.rpartition("/")[0], exist_ok=True)
        try:
            with self._fs.open(partial, "wb") as file:
                yield file
                file.flush()
                if self._local:
                    os.fsync(file.fileno())
            if self._local:
                self._fs.mv(partial, target)
        except BaseException as error:
            if self._fs.exists(partial):
                self._fs.rm_file(partial)
            if isinstance(error, OSError) and error.errno in NO_ROOM:
                message = f"{shown(self._base)}: no room for the files ({error.strerror}); make room, and run again"
                raise StorageError(message) from error
            raise

    def write(self, path: str, content: bytes) -> None:
        if not self._local:
            self._fs.pipe_file(self._at(path), content)
            return
        with self.create(path) as file:
            file.write(content)

    def read(self, path: str) -> bytes | None:
        """The content, or None where the file does not exist."""
        try:
            content: bytes = self._fs.cat_file(self._at(path))
        except FileNotFoundError:
            return None
        return content

    def size(self, path: str) -> int | None:
        """The number of bytes, or None where the file does not exist."""
        try:
            size: int | None = self._fs.size(self._at(path))
        except FileNotFoundError:
            return None
        return size

    def open(self, path: str) -> pa.NativeFile:
        """The file to read from, at any position."""
        if local := self.local(path):
            return pa.OSFile(local)
        return pa.PythonFile(self._fs.open(self._at(path), "rb"), "r")

    def local(self, path: str) -> str | None:
        """The file's path, if the folder is on this machine."""
        return self._at(path) if self._local else None

    def sha256(self, path: str) -> str:
        with self._fs.open(self._at(path), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def folders(self, path: str) -> list[str]:
        """Names of the folders directly below a folder, in order."""
        if not self._fs.exists(self._at(path)):
            return []
        entries = self._fs.ls(self._at(path), detail=True)
        return sorted(entry["name"].rpartition("/")[2] for entry in entries if entry["type"] == "directory")

    def files(self, path: str) -> list[str]:
        """Paths of all the files below a folder."""
        base = self._fs._strip_protocol(self._base).rstrip("/") + "/"
        return sorted(name.removeprefix(base) for name in self._fs.find(self._at(path)))

    def remove(self, path: str) -> None:
        """Remove a file, or a folder with its content."""
        self._fs.rm(self._at(path), recursive=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder's lock. On a disk it ends with the process, in an object store it expires.

        Raises StorageError where another process holds it.
        """
        with self._flock() if self._local else self._lease():
            yield

    @contextmanager
    def _flock(self) -> Iterator[None]:
        try:
            Path(self._base).mkdir(parents=True, exist_ok=True)
            file = Path(self._at(".lock")).open("w")  # noqa: SIM115 - the next line closes it
        except OSError as error:
            raise StorageError(
                f"staging_root: {self._base} cannot be written to ({error.strerror}); "
                "give another folder, or the right to write there"
            ) from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StorageError(
                    f"{shown(self._base)}: another run is writing this table; wait until it ends"
                ) from None
            yield

    @contextmanager
    def _lease(self) -> Iterator[None]:
        """Hold an object with the time of its last renewal; a recent one keeps others out."""
        holder, ended = uuid4().hex, Event()

        def entry() -> bytes:
            return f"{datetime.now(UTC).isoformat()} {holder}".encode()

        def is_held() -> bool:
            return (self.read(".lock") or b"").decode().endswith(holder)

        def renew() -> None:
            while not ended.wait(LEASE.seconds / 5) and is_held():
                self.write(".lock", entry())

        existing = self.read(".lock")
        if existing and datetime.now(UTC) - datetime.fromisoformat(existing.decode().split()[0]) >= LEASE:
            self.remove(".lock")
        try:
            self._fs.pipe_file(self._at(".lock"), entry(), mode="create")
        except FileExistsError:
            raise StorageError(
                f"{shown(self._base)}: another run is writing this table; wait until it ends, "
                f"or {LEASE.seconds // 60} minutes if it was killed"
            ) from None
        renewing = Thread(target=renew, name="renew-lock", daemon=True)
        renewing.start()
        try:
            yield
        finally:
            ended.set()
            renewing.join()
            if is_held():
                self.remove(".lock")
