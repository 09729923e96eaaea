"""A folder on a disk or in an object store, in which a file is either whole or not there."""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

import fsspec
from fsspec.implementations.local import LocalFileSystem


class StorageError(Exception):
    """The folder cannot be used."""


class Folder:
    """A folder at a local path or an fsspec address such as `s3://bucket/dumps`; paths are relative to it."""

    def __init__(self, address: str) -> None:
        try:
            self._fs, self._base = fsspec.url_to_fs(address)
        except (ImportError, ValueError) as error:
            raise StorageError(
                f"staging_root: {address} cannot be opened ({error}); give a local path, or an address "
                "whose fsspec driver is in the project's requirements.in"
            ) from error
        self._local = isinstance(self._fs, LocalFileSystem)

    def _at(self, path: str) -> str:
        return f"{self._base}/{path}"

    @contextmanager
    def create(self, path: str) -> Iterator[BinaryIO]:
        """A file to write to. It appears under its name when it is whole, replacing what was there."""
        target, partial = self._at(path), self._at(f"{path}.{uuid4().hex}.part")
        self._fs.makedirs(target.rpartition("/")[0], exist_ok=True)
        try:
            with self._fs.open(partial, "wb") as file:
                yield file
                file.flush()
                if self._local:
                    os.fsync(file.fileno())
            self._fs.mv(partial, target)
        except BaseException:
            if self._fs.exists(partial):
                self._fs.rm_file(partial)
            raise

    def write(self, path: str, content: bytes) -> None:
        with self.create(path) as file:
            file.write(content)

    def read(self, path: str) -> bytes | None:
        """The content, or None where there is no such file."""
        try:
            return self._fs.cat_file(self._at(path))
        except FileNotFoundError:
            return None

    def size(self, path: str) -> int | None:
        """The number of bytes, or None where there is no such file."""
        try:
            return self._fs.size(self._at(path))
        except FileNotFoundError:
            return None

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
        """Remove a file, or a folder with all that is in it."""
        self._fs.rm(self._at(path), recursive=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Only one process at a time; the lock goes with the process. An object store has no such thing."""
        if not self._local:
            yield
            return
        Path(self._base).mkdir(parents=True, exist_ok=True)
        with Path(self._at(".lock")).open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StorageError(f"{self._base}: another run is writing this table; wait until it ends") from None
            yield
