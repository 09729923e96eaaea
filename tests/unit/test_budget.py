"""What a run with a deadline leaves out, and what a run ends with."""

import json
import subprocess
import sys
import time
from pathlib import Path

import budget
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
    monkeypatch.setattr(budget, "LAST_KNOWN", known)
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


def test_the_order_of_the_files_changes_with_the_commit(suite: pytest.Pytester, monkeypatch) -> None:
    def order(commit: str) -> list[str]:
        commit_of_head = subprocess.CompletedProcess([], 0, commit.encode())
        monkeypatch.setattr(budget.subprocess, "run", lambda *_arguments, **_options: commit_of_head)
        result = suite.runpytest_inprocess("-p", "budget", "--deadline=1", "--collect-only", "-q")
        return [line for line in result.outlines if "::" in line]

    orders = {tuple(order(commit)) for commit in "abcd"}
    assert orders == {
        tuple(f"{file}::{test}" for file in files for test in ("test_first", "test_second"))
        for files in (("test_short.py", "test_long.py"), ("test_long.py", "test_short.py"))
    }


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
    (tmp_path / "output.log").write_text("TASK\nfailed: host: Install: no such package\n")
    summary.main(tmp_path)
    output = capsys.readouterr().out
    for line in (
        "=== test_some::test_bad",
        "=== test_some::test_worse",
        "failed: host: Install: no such package",
        "test_some (1 tests): no time",
    ):
        assert line in output.splitlines()
    assert "the reason" in output
    assert output.splitlines()[-1] == "1 passed, 2 failed, 1 skipped"


def test_the_journal_of_a_failure_is_shown_beside_its_last_lines() -> None:
    report = "\n".join(f"line {number}" for number in range(50))
    lines = summary.last_lines(f"{report}\n---- Journal of the host ----\nprefect-server: no database")
    assert lines[:1] == ["line 20"]
    assert lines[-3:] == ["line 49", "Journal of the host", "prefect-server: no database"]
