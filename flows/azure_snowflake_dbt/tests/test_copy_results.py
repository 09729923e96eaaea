"""Answers of COPY INTO and VALIDATE, recorded in the shape that Snowflake documents: lost rows are noticed."""

import re

import pytest
from exports import LOGGER, manifest
from snowflake.connector.errors import OperationalError, ProgrammingError

from copy_into import Load, LoadError

COPIED = [
    "file",
    "status",
    "rows_parsed",
    "rows_loaded",
    "errors_seen",
    "first_error",
    "first_error_line",
    "first_error_column_name",
]


class Recorded:
    """A Snowflake that answers COPY INTO and VALIDATE with result rows of the documented shape."""

    def __init__(self, answer, staged=3, invalid=()):
        self.answer, self.staged, self.invalid = answer, staged, invalid
        self.statements, self.rows, self.rowcount, self.sfqid, self.copies = [], [], 0, None, 0
        self.validated = []

    def cursor(self, _):
        return self

    def execute(self, statement, parameters=None):
        if re.search(r"__load_\w+_header\b", statement):
            # the files of these tests have the header that they should
            self.rows = [{"HEADERS": 1}]
            return self
        self.statements.append(statement)
        if statement.startswith("copy"):
            self.copies += 1
            self.sfqid = f"query-{self.copies}"
            self.rows = self.answer(re.search(r"files = \((.*?)\)", statement)[1].replace("'", "").split(", "))
        elif "validate(" in statement:
            self.validated.append(parameters[0])
            if isinstance(self.invalid, Exception):
                raise self.invalid
            self.rows = list(self.invalid)[: int(statement.rpartition(" ")[2])]
        elif statement.startswith("select count"):
            self.rows = [{"STAGED": self.staged}]
        else:
            self.rows = [{"name": name, "type": "VARCHAR"} for name in ("ID", "TOTAL", "NOTE")]
        return self

    def fetchall(self):
        return self.rows

    def fetchone(self):
        return self.rows[0]


def copied(name, status="LOADED", parsed=3, loaded=3, errors=0, first_error=None, line=None, column=None):
    """A row of COPY INTO's result."""
    url = f"azure://account.blob.core.windows.net/exports/orders/e1/{name}"
    return dict(zip(COPIED, (url, status, parsed, loaded, errors, first_error, line, column), strict=True))


NOT_A_NUMBER = copied("a.csv", "PARTIALLY_LOADED", 3, 2, 1, "Numeric value 'x' is\n not recognized", 3, '"T"["ID":1]')
WRONG_WIDTH = copied("a.csv", "LOAD_FAILED", 1, 0, 1, "Number of columns in file (4) does not match", 2)


def invalid(line, error="Numeric value 'x' is\n not recognized"):
    """A row of VALIDATE's result."""
    return {
        "ERROR": error,
        "FILE": "orders/e1/a.csv",
        "LINE": line,
        "CHARACTER": 1,
        "BYTE_OFFSET": 20,
        "CATEGORY": "conversion",
        "CODE": 100038,
        "SQL_STATE": "22018",
        "COLUMN_NAME": '"T"["ID":1]',
        "ROW_NUMBER": line - 1,
        "ROW_START_LINE": line,
        "REJECTED_RECORD": "x,ann@example.com",
    }


def recorded(snowflake, files=None, form="csv", **policy):
    """A load of three rows against recorded answers."""
    return Load(
        snowflake,
        manifest(files or {"a.csv": 3}, form=form),
        LOGGER,
        target="RAW.ORDERS",
        stage="RAW.EXPORTS",
        **policy,
    )


def test_a_thousand_files_per_statement():
    snowflake = Recorded(lambda names: [copied(name, parsed=1, loaded=1) for name in names])
    load = Load(
        snowflake, manifest({f"{n}.csv": 1 for n in range(2500)}), LOGGER, target="RAW.ORDERS", stage="RAW.EXPORTS"
    )
    assert [result.file for result in load.copy()] == [f"{n}.csv" for n in range(2500)]
    copies = [statement for statement in snowflake.statements if statement.startswith("copy")]
    assert [statement.count(".csv'") for statement in copies] == [1000, 1000, 500]
    assert not any("force" in statement or "pattern" in statement for statement in copies)
    assert all("on_error = abort_statement" in statement for statement in copies)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([NOT_A_NUMBER], r"PARTIALLY_LOADED with 2 of 3 rows, first error: Numeric value 'x' is not .* \(line 3\)$"),
        ([WRONG_WIDTH], "LOAD_FAILED with 0 of 3"),
        ([copied("a.csv", errors=1)], "a.csv is LOADED with 3 of 3"),
        ([copied("a.csv", parsed=4)], "a.csv is LOADED"),
        ([copied("b.csv", parsed=0, loaded=0)], "a.csv was not processed"),
    ],
)
def test_lost_rows_fail_the_load(rows, message):
    load = Load(Recorded(lambda _: rows), manifest({"a.csv": 3}), LOGGER, target="RAW.ORDERS", stage="RAW.EXPORTS")
    with pytest.raises(LoadError, match=message):
        load.reconcile(load.copy())


@pytest.mark.parametrize(
    ("row", "policy", "staged", "rejected"), [(NOT_A_NUMBER, "continue", 2, 1), (WRONG_WIDTH, "skip_file", 0, 3)]
)
def test_lost_rows_are_counted_where_they_are_allowed(row, policy, staged, rejected):
    snowflake = Recorded(lambda _: [row], staged=staged)
    load = recorded(snowflake, on_error=policy)
    counts = load.reconcile(load.copy(), allow_rejected=True)
    assert (counts.staged, counts.rejected) == (staged, rejected)
    assert f"on_error = {policy}" in next(statement for statement in snowflake.statements if "copy" in statement)


@pytest.mark.parametrize(
    ("row", "staged", "message"),
    [
        (copied("a.csv", "PARTIALLY_LOADED", 2, 1, 1), 1, "PARTIALLY_LOADED with 1 of 3"),  # a row was never parsed
        (NOT_A_NUMBER, 3, "3 rows were staged and 1 rejected, the manifest has 3"),
        (copied("b.csv", parsed=0, loaded=0), 0, "a.csv was not processed"),
    ],
)
def test_missing_rows_that_were_not_rejected_fail_the_load(row, staged, message):
    load = recorded(Recorded(lambda _: [row], staged=staged), on_error="continue")
    with pytest.raises(LoadError, match=message):
        load.reconcile(load.copy(), allow_rejected=True)


def test_rejected_rows_are_located_without_showing_them():
    snowflake = Recorded(lambda _: [NOT_A_NUMBER], invalid=[invalid(3)])
    load = recorded(snowflake, on_error="continue")
    load.copy()
    assert load.rejected_rows() == [
        {"file": "a.csv", "line": 3, "column": '"T"["ID":1]', "error": "Numeric value 'x' is not recognized"}
    ]
    assert snowflake.validated == ["query-1"]


def test_only_statements_that_lost_rows_are_validated_and_only_the_first_rows_shown():
    files = {f"{number}.csv": 3 for number in range(3500)}
    lossy = {"1000.csv", "2000.csv", "3000.csv"}
    snowflake = Recorded(
        lambda names: [copied(name, *(("PARTIALLY_LOADED", 3, 2, 1) if name in lossy else ())) for name in names],
        invalid=[invalid(number) for number in range(2, 62)],
    )
    load = recorded(snowflake, files, on_error="continue")
    load.copy()
    assert len(load.rejected_rows()) == 100
    assert snowflake.validated == ["query-2", "query-3"]


def test_rejected_rows_of_parquet_are_not_queried():
    row = copied("a.parquet", "PARTIALLY_LOADED", 3, 2, 1, "Failed to cast", 2)
    snowflake = Recorded(lambda _: [row])
    load = recorded(snowflake, {"a.parquet": 3}, form="parquet", on_error="continue")
    load.copy()
    assert load.rejected_rows() == []
    assert snowflake.validated == []


def test_a_failing_list_of_rejected_rows_does_not_hide_the_loss(caplog):
    load = recorded(Recorded(lambda _: [NOT_A_NUMBER], invalid=ProgrammingError("no job")), on_error="continue")
    results = load.copy()
    assert load.rejected_rows() == []
    assert "cannot be listed" in caplog.text
    with pytest.raises(LoadError, match=r"a\.csv is PARTIALLY_LOADED"):
        load.reconcile(results)


def test_a_snowflake_error_is_one_line_without_its_advice():
    class Refusing(Recorded):
        def execute(self, statement, parameters=None):
            if statement.startswith("copy"):
                raise ProgrammingError(
                    "Numeric value 'x' is not recognized\n  File 'orders/e1/a.csv', line 3, character 1\n"
                    '  Row 2, column "T"["ID":1]\n  If you would like to continue loading when an error is '
                    "encountered, use other values such as 'SKIP_FILE' or 'CONTINUE' for the ON_ERROR option.",
                    sfqid="01b2",
                )
            return super().execute(statement, parameters)

    with pytest.raises(LoadError) as refused:
        recorded(Refusing(None)).copy()
    assert str(refused.value) == (
        "RAW.ORDERS is unchanged: Snowflake refused `copy into …` on the export orders/e1/: Numeric value 'x' is not "
        'recognized File \'orders/e1/a.csv\', line 3, character 1 Row 2, column "T"["ID":1] (query 01b2)'
    )


@pytest.mark.parametrize("inserted", [0, 2, 4])
def test_staged_rows_that_are_not_inserted_roll_back(inserted):
    snowflake = Recorded(None)
    load = recorded(snowflake)
    snowflake.rowcount = inserted
    with pytest.raises(LoadError, match=rf"RAW\.ORDERS is unchanged: {inserted} rows to insert, 3 were staged"):
        load.replace_partition(3)
    assert snowflake.statements[-1] == "rollback"


def test_a_commit_without_an_answer_reports_an_unknown_state():
    class Lost(Recorded):
        def execute(self, statement, parameters=None):
            if statement == "commit":
                raise OperationalError("no answer")
            return super().execute(statement, parameters)

    with pytest.raises(LoadError, match=r"^RAW\.ORDERS may have changed, run again: "):
        recorded(Lost(None)).replace_partition(0)


def test_no_file_processed():
    none = [{"status": "Copy executed with 0 files processed."}]
    load = Load(Recorded(lambda _: none), manifest({"a.csv": 3}), LOGGER, target="RAW.ORDERS", stage="RAW.EXPORTS")
    with pytest.raises(LoadError, match="processed none of 1 files"):
        load.copy()


def test_a_skipped_file_is_no_error_if_its_rows_are_staged():
    skipped = [copied("a.csv", "LOAD_SKIPPED", 0, 0, 1, "File was loaded before.")]
    load = Load(Recorded(lambda _: skipped), manifest({"a.csv": 3}), LOGGER, target="RAW.ORDERS", stage="RAW.EXPORTS")
    load.reconcile(load.copy())
    load = Load(Recorded(lambda _: skipped), manifest({"a.csv": 4}), LOGGER, target="RAW.ORDERS", stage="RAW.EXPORTS")
    with pytest.raises(LoadError, match=r"3 rows were staged and 0 rejected, .* has 4 \(1 files were skipped\)"):
        load.reconcile(load.copy())
