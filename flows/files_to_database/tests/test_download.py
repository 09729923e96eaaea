from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from download import fetch, forget
from errors import LoadError, Unavailable

BYTES = bytes(range(256)) * 4000


def test_a_file_is_downloaded_once_and_is_whole(web, tmp_path):
    web.files["/a.csv"] = BYTES
    first, again = (fetch(f"{web.address}/a.csv", tmp_path) for _ in range(2))
    assert first == again
    assert first.read_bytes() == BYTES
    assert web.asked["/a.csv"] == 1
    assert list(tmp_path.iterdir()) == [first]


def test_files_of_the_same_name_do_not_meet(web, tmp_path):
    web.files |= {"/one/a.csv": b"1", "/other/a.csv": b"2"}
    assert [fetch(f"{web.address}/{place}/a.csv", tmp_path).read_bytes() for place in ("one", "other")] == [b"1", b"2"]


def test_a_download_that_breaks_off_leaves_nothing_and_can_be_tried_again(web, tmp_path):
    web.files["/a.csv"], web.cut = BYTES, {"/a.csv"}
    with pytest.raises(Unavailable, match=r"^http://127\.0\.0\.1:\d+/a\.csv: .+$"):
        fetch(f"{web.address}/a.csv", tmp_path)
    assert list(tmp_path.iterdir()) == []
    web.cut = set()
    assert fetch(f"{web.address}/a.csv", tmp_path).read_bytes() == BYTES


def test_what_a_killed_run_left_is_not_part_of_the_file(web, tmp_path):
    web.files["/a.csv"] = BYTES
    whole = fetch(f"{web.address}/a.csv", tmp_path)
    whole.rename(f"{whole}.part")
    assert fetch(f"{web.address}/a.csv", tmp_path).read_bytes() == BYTES
    assert list(tmp_path.iterdir()) == [whole]


def test_two_runs_that_want_the_same_file_download_it_once(web, tmp_path):
    web.files["/a.csv"] = BYTES
    with ThreadPoolExecutor(8) as threads:
        paths = set(threads.map(fetch, [f"{web.address}/a.csv"] * 8, [tmp_path] * 8))
    assert web.asked["/a.csv"] == 1
    assert set(tmp_path.iterdir()) == paths
    assert [path.read_bytes() for path in paths] == [BYTES]


@pytest.mark.parametrize(("status", "passing"), [(404, False), (403, False), (503, True), (429, True)])
def test_a_refusal_names_the_file_without_what_may_be_secret(web, tmp_path, status, passing):
    web.files["/a.csv"] = status
    with pytest.raises(LoadError, match=rf"^http://127\.0\.0\.1:\d+/a\.csv: {status} .*correct address") as caught:
        fetch(f"{web.address.replace('//', '//user:topsecret@')}/a.csv?sig=topsecret", tmp_path)
    assert isinstance(caught.value, Unavailable) == passing
    assert "topsecret" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there_can_be_tried_again(tmp_path):
    with pytest.raises(Unavailable, match=r"^http://127\.0\.0\.1:1/a\.csv: .+$"):
        fetch("http://127.0.0.1:1/a.csv", tmp_path)


def test_an_address_of_another_kind(tmp_path):
    with pytest.raises(LoadError, match=r"^address: ftp://example\.org/a\.csv: .*give an http:// or https:// address"):
        fetch("ftp://example.org/a.csv", tmp_path)


def test_a_path_begins_in_the_project(tmp_path):
    sample = fetch("sample/yellow_tripdata_2024-01.csv", tmp_path)
    assert sample == Path(__file__).parents[1] / "sample/yellow_tripdata_2024-01.csv"
    with pytest.raises(LoadError, match=r"^address: there is no file .*/sample/nothing\.csv"):
        fetch("sample/nothing.csv", tmp_path)


def test_only_what_was_downloaded_is_forgotten(tmp_path):
    inside, outside = tmp_path / "cache" / "a.csv", tmp_path / "b.csv"
    inside.parent.mkdir()
    for path in (inside, outside):
        path.touch()
        forget(path, inside.parent)
    assert not inside.exists()
    assert outside.exists()
