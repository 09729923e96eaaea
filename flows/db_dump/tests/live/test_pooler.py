"""Nothing that a dump or a load sets outlives its transaction: a pooler gives the session to another client then."""

import os
from contextlib import closing
from dataclasses import replace

import psycopg
import pymysql
import pytest
from publishing import SCHEMA, Published, rows

from sources import open_source
from targets import open_target

QUERY = "SELECT id, note FROM orders"
# These tell the time, or count
VOLATILE = {"timestamp", "pseudo_thread_id", "rand_seed1", "rand_seed2", "last_insert_id", "identity"}


@pytest.fixture
def kept(monkeypatch):
    """The sessions of this process, which stay open although they are closed."""
    sessions = []
    with monkeypatch.context() as patched:
        for driver in psycopg, pymysql:
            patched.setattr(driver.Connection, "close", lambda session: sessions.append(session))
        yield sessions
    for session in sessions:
        session.close()


def read(source):
    source.columns(QUERY)
    assert sum(batch.num_rows for batch in source.batches(QUERY, 1000)) == 5000


def test_a_postgres_session_keeps_its_settings(postgres, kept):
    read(postgres)
    assert len(kept) == 2
    for session in kept:
        assert session.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        assert session.execute("SELECT name FROM pg_settings WHERE source = 'session'").fetchall() == []


def test_a_mariadb_session_keeps_its_settings(mariadb, mariadb_login, kept):
    read(mariadb)
    login = mariadb_login
    arguments = {"host": login.host, "port": login.port, "user": login.user, "password": login.password}
    fresh = pymysql.connect(**arguments, database=login.database, charset="utf8mb4")
    expected, *others = [settings_of(session) for session in [fresh, *kept]]
    assert others == [expected, expected]


def settings_of(session):
    with session.cursor() as cursor:
        cursor.execute("SHOW SESSION VARIABLES")
        settings = dict(cursor.fetchall())
    return {name: value for name, value in settings.items() if name not in VOLATILE}


@pytest.fixture
def pooled():
    """The port of a PgBouncer in front of both databases: one session each, handed on after each transaction."""
    if "POOLER_PORT" not in os.environ:
        pytest.fail("POOLER_PORT is not set; give the port of a PgBouncer on 127.0.0.1 that pools transactions")
    return int(os.environ["POOLER_PORT"])


def test_others_may_write_after_a_dump_through_pgbouncer(postgres_login, pooled):
    login = replace(postgres_login, host="127.0.0.1", port=pooled)
    read(open_source("postgres", login))
    assert left_behind(login.host, login.port, login.database, login.user) == ("off", [])


def test_a_load_through_pgbouncer_leaves_nothing_behind(target_login, pooled, warehouse, tmp_path):
    to = target_login | {"host": "127.0.0.1", "port": pooled}
    dump = Published(tmp_path, open_target("postgres", to), "db_dump_test")
    for ids in [1, 2], [3]:
        dump.check(SCHEMA)
        dump.load("overwrite", (None, rows(*ids)))
    assert warehouse.execute("SELECT id FROM db_dump_test.orders").fetchall() == [(3,)]
    assert left_behind(to["host"], to["port"], to["dbname"], to["user"]) == ("off", [])


def left_behind(host, port, dbname, user):
    """Whether the next client may write, and which settings it finds changed."""
    with closing(psycopg.connect(host=host, port=port, dbname=dbname, user=user, autocommit=True)) as other:
        [(read_only,)] = other.execute("SHOW default_transaction_read_only").fetchall()
        changed = other.execute("SELECT name, setting FROM pg_settings WHERE source = 'session'").fetchall()
    # PgBouncer itself hands these on, from each client to the session
    passed_on = {"application_name", "client_encoding", "DateStyle", "TimeZone", "standard_conforming_strings"}
    return read_only, [setting for setting in changed if setting[0] not in passed_on]
