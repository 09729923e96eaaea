import hashlib
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Event
from urllib.parse import quote

import pytest

import download
from download import forget
from errors import LoadError, Unavailable

BYTES = bytes(range(256)) * 4000

# A server that tells the length leaves nothing to warn of
fetch = partial(download.fetch, warn=pytest.fail)


def files(cache):
    """What is in the cache beside the locks, which stay."""
    return {path for path in cache.iterdir() if not path.name.endswith(".lock")}


def test_a_file_is_downloaded_once_and_completely(web, tmp_path):
    web.files["/a.csv"] = BYTES
    first, again = (fetch(f"{web.address}/a.csv", tmp_path) for _ in range(2))
    assert first == again
    assert first.read_bytes() == BYTES
    assert web.asked["/a.csv"] == 1
    assert files(tmp_path) == {first}


def test_files_of_the_same_name_are_kept_apart(web, tmp_path):
    web.files |= {"/one/a.csv": b"1", "/other/a.csv": b"2"}
    assert [fetch(f"{web.address}/{place}/a.csv", tmp_path).read_bytes() for place in ("one", "other")] == [b"1", b"2"]


def test_an_interrupted_download_leaves_nothing_and_can_be_retried(web, tmp_path):
    web.files["/a.csv"], web.cut = BYTES, {"/a.csv"}
    with pytest.raises(Unavailable, match=r"^http://127\.0\.0\.1:\d+/a\.csv: .+$"):
        fetch(f"{web.address}/a.csv", tmp_path)
    assert files(tmp_path) == set()
    web.cut = set()
    assert fetch(f"{web.address}/a.csv", tmp_path).read_bytes() == BYTES


def test_the_partial_file_of_a_killed_run_is_not_used(web, tmp_path):
    web.files["/a.csv"] = BYTES
    whole = fetch(f"{web.address}/a.csv", tmp_path)
    whole.rename(f"{whole}.part")
    assert fetch(f"{web.address}/a.csv", tmp_path).read_bytes() == BYTES
    assert files(tmp_path) == {whole}


def test_two_runs_that_need_the_same_file_download_it_once(web, tmp_path):
    web.files["/a.csv"] = BYTES
    with ThreadPoolExecutor(8) as threads:
        paths = set(threads.map(fetch, [f"{web.address}/a.csv"] * 8, [tmp_path] * 8))
    assert web.asked["/a.csv"] == 1
    assert files(tmp_path) == paths
    assert [path.read_bytes() for path in paths] == [BYTES]


def until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.01)


def waits_for_a_lock(cache):
    """Whether somebody waits for a lock on a file of the cache."""
    numbers = {str(path.stat().st_ino) for path in cache.iterdir()}
    blocked = [line.split() for line in Path("/proc/locks").read_text().splitlines() if "->" in line]
    return any(word.rpartition(":")[2] in numbers for line in blocked for word in line)


def test_a_retried_download_does_not_block_another_run(web, tmp_path):
    address, path = f"{web.address}/a.csv", "/a.csv"
    first, second = Event(), Event()
    web.files[path], web.cut, web.held[path] = BYTES, {path}, first
    with ThreadPoolExecutor(3) as threads:
        broken = threads.submit(fetch, address, tmp_path)
        until(lambda: web.asked[path] == 1 and path not in web.held)
        other = threads.submit(fetch, address, tmp_path)
        until(lambda: waits_for_a_lock(tmp_path))
        web.held[path] = second
        first.set()
        with pytest.raises(Unavailable):
            broken.result()
        until(lambda: web.asked[path] == 2 and path not in web.held)
        again = threads.submit(fetch, address, tmp_path)
        until(lambda: waits_for_a_lock(tmp_path) or web.asked[path] == 3)
        web.cut = set()
        second.set()
        assert other.result() == again.result()
    assert other.result().read_bytes() == BYTES
    assert web.asked[path] == 2


@pytest.mark.parametrize("content", [BYTES[1:], BYTES])
def test_a_file_must_match_its_checksum(web, tmp_path, content):
    web.files["/a.csv"], web.unmeasured = content, {"/a.csv"}
    web.headers["Content-MD5"] = b64encode(hashlib.md5(BYTES, usedforsecurity=False).digest()).decode()
    if content == BYTES:
        assert fetch(f"{web.address}/a.csv", tmp_path).read_bytes() == BYTES
        return
    with pytest.raises(Unavailable, match=r"/a\.csv: the 1,023,999 bytes received have another checksum than"):
        fetch(f"{web.address}/a.csv", tmp_path)
    assert files(tmp_path) == set()


def test_a_file_of_unknown_length_gives_a_warning_with_the_received_bytes(web, tmp_path):
    web.files["/a.csv"], web.unmeasured, web.cut = BYTES, {"/a.csv"}, {"/a.csv"}
    warnings = []
    download.fetch(f"{web.address}/a.csv?sig=topsecret", tmp_path, warnings.append)
    assert warnings == [
        f"{web.address}/a.csv: 512,000 bytes were received, and the server does not say whether that is all"
    ]


@pytest.mark.parametrize(("status", "passing"), [(404, False), (403, False), (503, True), (429, True)])
def test_an_error_status_names_the_file_without_secrets(web, tmp_path, status, passing):
    web.files["/a.csv"] = status
    with pytest.raises(LoadError, match=rf"^http://127\.0\.0\.1:\d+/a\.csv: {status} .*correct address") as caught:
        fetch(f"{web.address.replace('//', '//user:topsecret@')}/a.csv?sig=topsecret", tmp_path)
    assert isinstance(caught.value, Unavailable) == passing
    assert "topsecret" not in str(caught.value)
    assert files(tmp_path) == set()


def test_an_unreachable_server_can_be_retried(tmp_path):
    with pytest.raises(Unavailable, match=r"^http://127\.0\.0\.1:1/a\.csv: .+$"):
        fetch("http://127.0.0.1:1/a.csv", tmp_path)


def test_an_unsupported_address(tmp_path):
    for address in (
        "ftp://me:topsecret@example.org/a.csv?sig=topsecret",
        "http://me:top/secret@example.org/a.csv",
        "http://me:topsecret@example.org:99999/a.csv",
        "http://me:topsecret@example.org:port/a.csv",
    ):
        with pytest.raises(
            LoadError, match=r"^address: \w+://example\.org\S*: .*an http:// or https:// address"
        ) as caught:
            fetch(address, tmp_path)
        assert not isinstance(caught.value, Unavailable)
        assert "top" not in str(caught.value)


@pytest.mark.parametrize("path", ["a" * 300 + ".csv", "\0.csv", "%2e%2e%2f.csv"])
def test_any_path_of_a_url_is_a_file_in_the_cache(web, tmp_path, path):
    web.files[f"/{quote(path)}"] = BYTES
    [file] = [fetch(f"{web.address}/{quote(path)}", tmp_path / "cache")]
    assert file.parent == tmp_path / "cache"
    assert file.read_bytes() == BYTES


def test_a_path_begins_in_the_project(tmp_path):
    sample = fetch("sample/yellow_tripdata_2024-01.csv", tmp_path)
    assert sample == Path(__file__).parents[1] / "sample/yellow_tripdata_2024-01.csv"
    for address in ("sample/nothing.csv", "sample/" + "a" * 300, "sample/\0"):
        with pytest.raises(LoadError, match=r"^address: there is no file .*/sample/"):
            fetch(address, tmp_path)


def test_only_downloaded_files_are_removed(tmp_path):
    inside, outside = tmp_path / "cache" / "a.csv", tmp_path / "b.csv"
    inside.parent.mkdir()
    for path in (inside, outside):
        path.touch()
        forget(path, inside.parent)
    assert not inside.exists()
    assert outside.exists()
