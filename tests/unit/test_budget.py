"""What a run with a deadline leaves out, and what a run ends with."""

import json
import subprocess
import sys
import time
from pathlib import Path

import budget
import order
import pytest
import summary

pytest_plugins = ["pytester"]
TESTS = "def test_first(): pass\ndef test_second(): pass\n"


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A short file and a long one, on a machine twice as slow as the reference."""
    known = pytester.path / "seconds.json"
    known.write_text(json.dumps({"test_short.py": 10, "test_long.py": 1000}))
    pytester.makepyfile(test_short=TESTS, test_long=TESTS)
    monkeypatch.setattr(order, "LAST_KNOWN", known)
    monkeypatch.setattr(budget, "REPORT", pytester.path / "report/seconds.json")
    monkeypatch.setattr(budget, "speed", lambda: 2.0)
    return pytester


def test_without_a_deadline_all_is_run(suite: pytest.Pytester) -> None:
    suite.runpytest_inprocess("-p", "budget").assert_outcomes(passed=4)


def test_a_file_that_does_not_fit_is_left_out_and_named(suite: pytest.Pytester) -> None:
    result = suite.runpytest_inprocess("-p", "budget", "-ra", f"--deadline={time.time() + 1500}")
    result.assert_outcomes(passed=2, skipped=2)
    result.stdout.fnmatch_lines(["*: test_long.py is left out: it takes about 33 min here, and 25 min are left"])


def test_a_file_that_fails_makes_the_run_fail_whatever_is_left_out(suite: pytest.Pytester) -> None:
    suite.makepyfile(test_short="def test_it(): assert False")
    result = suite.runpytest_inprocess("-p", "budget", f"--deadline={time.time() + 1500}")
    result.assert_outcomes(failed=1, skipped=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_the_longest_file_is_begun_first(suite: pytest.Pytester) -> None:
    files = ["test_short.py", "test_new.py", "test_long.py"]
    assert order.longest_first(files) == ["test_long.py", "test_new.py", "test_short.py"]


def test_the_order_changes_with_the_commit_when_some_files_do_not_fit() -> None:
    files = ["test_short.py", "test_long.py"]
    assert {tuple(order.by_commit(files, commit)) for commit in "abcdefgh"} == {tuple(files), tuple(reversed(files))}


@pytest.mark.parametrize(("minutes", "fit"), [(10, False), (12, True)])
def test_files_fit_by_their_last_known_time_on_this_machine(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, minutes: int, fit: bool
) -> None:
    monkeypatch.setattr(order, "speed", lambda: 2.0)
    files = ["test_short.py", "test_long.py"]  # 1010 s on the reference machine, three at a time
    assert order.all_fit(files, time.time() + minutes * 60) is fit


def test_files_that_are_run_side_by_side_are_all_measured(suite: pytest.Pytester, monkeypatch) -> None:
    monkeypatch.setattr(budget, "SHORT", -1)
    for file in ("test_short.py", "test_long.py"):
        suite.runpytest_inprocess("-p", "budget", file)
    assert set(json.loads(budget.REPORT.read_text())) == {"test_short.py", "test_long.py"}


def test_a_run_ends_with_its_failures_and_the_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "test_some.py").write_text(
        "import pytest\n"
        "def test_good(): pass\n"
        "def test_bad(): assert 1 == 2, 'the reason'\n"
        "@pytest.fixture\ndef broken(): raise OSError('no lab')\n"
        "def test_worse(broken): pass\n"
        "def test_later(): pytest.skip('no time')\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--junitxml={tmp_path}/some.xml", tmp_path]
    subprocess.run(command, cwd=tmp_path, capture_output=True)
    (tmp_path / "output.log").write_text(
        "TASK\nfailed: host: Install: no such package\n"
        "  \x1b[2m\x1b[31m│\x1b[0m \x1b[0;31mfailed: host: Run: no unit\x1b[0m\n"
    )
    (tmp_path / "interrupted.txt").write_text("test_long.py: the deadline came before its end\n")
    summary.main(tmp_path)
    output = capsys.readouterr().out
    for line in (
        "=== some: test_some::test_bad",
        "=== some: test_some::test_worse",
        "failed: host: Install: no such package",
        "failed: host: Run: no unit",
        "test_some (1 tests): no time",
        "test_long.py: the deadline came before its end",
    ):
        assert line in output.splitlines()
    assert "the reason" in output
    assert output.splitlines()[-1] == "1 passed, 2 failed, 1 skipped"


def test_the_journal_of_a_failure_is_shown_beside_its_last_lines() -> None:
    report = "\n".join(f"line {number}" for number in range(50))
    lines = summary.last_lines(f"{report}\n---- Journal of the host ----\nprefect-server: no database")
    assert lines[:1] == ["line 20"]
    assert lines[-3:] == ["line 49", "Journal of the host", "prefect-server: no database"]
