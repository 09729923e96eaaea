from datetime import date

from report import Summary, fields


def test_values_are_logfmt_pairs():
    got = fields(files=3, day=date(2026, 1, 2), seconds=1.26, name='two words, "one" = 1', line="a\nb", missing=None)
    assert got == r'files=3 day=2026-01-02 seconds=1.3 name="two words, \"one\" = 1" line="a\nb"'


def test_the_summary_shows_steps_durations_and_warnings():
    summary = Summary("orders, 2026-01-02")
    summary.step("COPY INTO", "3 rows")
    summary.warnings.append("1 row was rejected")
    lines = summary.markdown().splitlines()
    assert lines[0] == "# orders, 2026-01-02"
    assert "- ⚠️ 1 row was rejected" in lines
    assert "| COPY INTO | 3 rows | 0.0 |" in lines
