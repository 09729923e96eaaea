"""What a run of the whole suite ends with: its failures, the tests that did not run, and the count of all.

Reads the reports (JUnit XML) and the output of the run in a folder: `python3 tests/summary.py .cache/reports`.
"""

import re
import sys
import xml.etree.ElementTree as xml
from collections import Counter
from pathlib import Path

LINES = 30


def main(folder: Path) -> None:
    """Print it; the last line is for those who count."""
    cases = []
    for report in sorted(folder.glob("*.xml")):
        for case in xml.parse(report).iter("testcase"):  # noqa: S314, written by pytest
            cases.append(case)
            for problem in [*case.iter("failure"), *case.iter("error")]:
                title(f"{report.stem}: {case.get('classname')}::{case.get('name')}")
                print(*last_lines(problem.text or problem.get("message", "")), sep="\n")
    # Parts of the suite run side by side: what Ansible or make failed on may be far above the end of the output.
    # Molecule puts colours and a frame around what Ansible prints.
    output = re.sub(r"\x1b\[[0-9;]*m", "", (folder / "output.log").read_text(errors="replace"))
    output = [line.removeprefix("  │ ") for line in output.splitlines()]
    if outside := [line for line in output if re.match(r"failed: |unreachable: |make.*\*\*\*", line)]:
        title("Failed outside of pytest")
        print(*(line[:1500] for line in outside[-LINES:]), sep="\n")
    not_run = Counter((case.get("classname"), skip.get("message")) for case in cases for skip in case.iter("skipped"))
    interrupted = folder / "interrupted.txt"
    lines = [f"{file} ({tests} tests): {reason}" for (file, reason), tests in not_run.items()]
    if lines := lines + (interrupted.read_text().splitlines() if interrupted.exists() else []):
        title("Not run")
        print(*lines, sep="\n")
    count = Counter(outcome(case) for case in cases)
    print(f"\n{count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped")


def title(text: str) -> None:
    """The heading of a part."""
    print(f"\n=== {text}")


def outcome(case: xml.Element) -> str:
    """What counts of a test: a failure, also that of its set-up or clean-up; else whether it ran."""
    kinds = {element.tag for element in case}
    return "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"


def last_lines(text: str) -> list[str]:
    """The end of what pytest says of a failure, and the journal below it."""
    report, heading, journal = text.partition("Journal of the host")
    return report.rstrip("- \n").splitlines()[-LINES:] + ([heading, *journal.splitlines()[1:]] if heading else [])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
