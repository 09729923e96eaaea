"""Rows arrive as they left, for the day that was asked."""

import csv
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from databases import connect, contents, execute

import flow
import source
from errors import StepError

SAMPLE = Path(flow.__file__).parent / "sample/order_details.csv"


def loaded_day(database):
    with connect(database) as connection:
        return [str(day) for (day,) in connection.execute("SELECT day FROM northwind_loaded")]


def report(run, day="2026-11-19"):
    with (run.root / "report" / day / "orders_and_details.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_sample(run, sample, target):
    run.to(sample, target)
    run.go(order_details_csv="sample/order_details.csv")
    rows = contents(target)
    details = rows.pop("order_details")
    assert rows == contents(sample)
    assert {name: len(rows[name]) for name in ("orders", "customer_demographics")} == {
        "orders": 60,
        "customer_demographics": 0,
    }
    assert len(rows) == 13
    assert sorted(line.strip("()") for line in details) == sorted(SAMPLE.read_text().splitlines()[1:])
    assert len(report(run)) == 150

    first = contents(target), report(run)
    run.go(order_details_csv="sample/order_details.csv")
    assert (contents(target), report(run)) == first


# what a server may be told, and what changes how it writes
SETTINGS = """
DO $$ DECLARE setting text; BEGIN
    FOREACH setting IN ARRAY ARRAY['extra_float_digits = -3', 'bytea_output = escape', 'DateStyle = "German, DMY"',
        'IntervalStyle = sql_standard', 'TimeZone = "Asia/Kolkata"', 'search_path = pg_catalog',
        'client_encoding = LATIN1']
    LOOP EXECUTE format('ALTER DATABASE %I SET %s', current_database(), setting); END LOOP;
END $$
"""


def test_types_nulls_and_texts(run, shop, target):
    before = contents(shop)
    execute(shop, SETTINGS)
    run.go()
    rows = contents(target)
    assert rows.pop("order_details") == ["(1,1,9.80,3,0)", "(1,2,0.1,1,0.05)", "(2,1,9.8,2,0)"]
    assert rows == before
    assert [(row["order_id"], row["product_id"], row["unit_price"]) for row in report(run)] == [
        ("1", "1", "9.80"),
        ("1", "2", "0.1"),
        ("2", "1", "9.8"),
    ]
    files = [str(path.relative_to(run.root)) for path in run.root.rglob("*.csv")]
    assert "postgres/orders/2026-11-19/orders.csv" in files
    assert "csv/2026-11-19/order_details.csv" in files
    assert list(run.root.rglob("*.part")) == []


def test_types_and_keys(run, shop, target):
    run.go()
    query = """
        SELECT relname, attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
        JOIN pg_class ON pg_class.oid = attrelid
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition AND attnum > 0
          AND relname NOT IN ('order_details', 'northwind_loaded') ORDER BY 1, attnum"""
    keys = """
        SELECT conrelid::regclass::text, contype, conkey, confrelid::regclass::text, confkey FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND contype IN ('p', 'u', 'f')
          AND conrelid::regclass::text NOT IN ('order_details', 'northwind_loaded') ORDER BY 1, 2, 3"""
    with connect(shop) as source_session, connect(target) as target_session:
        assert target_session.execute(query).fetchall() == source_session.execute(query).fetchall()
        assert target_session.execute(keys).fetchall() == source_session.execute(keys).fetchall()


def test_a_past_day_replaces_a_newer_day(run, shop, target):
    run.go(day="2026-11-18")
    past = contents(target)
    execute(
        shop, "CREATE TABLE reviews (id int); INSERT INTO reviews VALUES (1); DELETE FROM orders WHERE order_id = 3"
    )
    run.go(day="2026-11-19")
    assert (len(contents(target)["reviews"]), len(contents(target)["orders"])) == (1, 2)
    run.go(day="2026-11-18", steps=["report", "load"])
    assert contents(target) == past | {"reviews": []}
    assert loaded_day(target) == ["2026-11-18"]
    with pytest.raises(StepError, match=r'^report: .* holds 2026-11-18, not 2026-11-19; run .*"steps": \["load"\]'):
        run.go(day="2026-11-19", steps=["report"])


def test_a_report_before_any_load(run):
    with pytest.raises(StepError, match=r"^report: .* holds nothing yet, not 2026-11-19; run"):
        run.go(steps=["report"])
    assert not (run.root / "report").exists()


def test_readers_see_the_old_day_until_the_new_day_is_complete(run, shop, target):
    run.go(day="2026-11-18")
    execute(shop, "DELETE FROM one_column")
    with connect(target) as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        reader.execute("SELECT 1")
        run.go(day="2026-11-19")
        assert reader.execute("SELECT count(*) FROM one_column").fetchone() == (8,)
    assert contents(target)["one_column"] == []


def test_all_tables_show_one_state_of_the_source(run, shop, target, monkeypatch):
    before, copy = contents(shop), source.copy_out

    def change_meanwhile(*args):
        execute(shop, "DELETE FROM measures; DELETE FROM one_column; INSERT INTO nothing VALUES (1)")
        return copy(*args)

    monkeypatch.setattr(source, "copy_out", change_meanwhile)
    run.go()
    rows = contents(target)
    del rows["order_details"]
    assert rows == before


OWN_TYPES = """
CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE DOMAIN price AS numeric(8,2); CREATE DOMAIN discount AS price;
CREATE TYPE size AS (width int, note text); CREATE TYPE span AS RANGE (subtype = float8);
CREATE TABLE moods (
    mood mood PRIMARY KEY, moods mood[], price price, discount discount NOT NULL, prices price[], size size, span span,
    place point, word varchar(7)
);
CREATE TABLE feelings (mood mood REFERENCES moods);
INSERT INTO moods VALUES ('good', '{good,NULL}', 1.50, 0.25, '{1.5}', '(1,"a, b")', '[1,2)', '(1,2)', 'é'),
    ('bad', NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL);
INSERT INTO feelings VALUES ('bad'), (NULL);
"""


def test_user_defined_types_arrive_as_text_with_a_warning(run, shop, target, caplog):
    execute(shop, OWN_TYPES)
    run.go()
    arrived, left = contents(target), contents(shop)
    assert (arrived["moods"], arrived["feelings"]) == (sorted(left["moods"]), left["feelings"])
    with connect(target) as connection:
        types = connection.execute(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
            "WHERE attrelid = 'moods'::regclass AND attnum > 0"
        ).fetchall()
    assert dict(types) == {
        **dict.fromkeys(("mood", "moods", "prices", "size", "span"), "text"),
        **dict.fromkeys(("price", "discount"), "numeric(8,2)"),
        "place": "point",
        "word": "character varying(7)",
    }
    assert "mood of the table feelings arrives as text: the type mood exists in that database only" in caplog.text
    assert "price of the table" not in caplog.text


def test_tables_that_cannot_be_made_are_left_out_with_a_warning(run, shop, target, caplog):
    execute(shop, "CREATE TABLE bare (); INSERT INTO bare DEFAULT VALUES; CREATE TABLE northwind_loaded (id int)")
    run.go()
    arrived = contents(target)
    assert arrived["orders"] == contents(shop)["orders"]
    assert "bare" not in arrived
    assert "the table bare is left out: it has no columns" in caplog.text
    assert "the table northwind_loaded is left out: the target has its own table of that name" in caplog.text
    assert loaded_day(target) == ["2026-11-19"]


@pytest.mark.parametrize("read_only", [True, False])
def test_a_session_behind_a_pooler_keeps_its_settings(target, monkeypatch, read_only):
    kept = []
    with monkeypatch.context() as patched:
        patched.setattr(psycopg.Connection, "close", lambda session: kept.append(session))
        with target.transaction(read_only=read_only) as connection:
            assert connection.execute("SHOW DateStyle").fetchone() == ("ISO, MDY",)
    [session] = kept
    with closing(session):
        session.autocommit = True  # psycopg would begin a transaction like the one before
        assert session.execute("SELECT name FROM pg_settings WHERE source = 'session'").fetchall() == []
