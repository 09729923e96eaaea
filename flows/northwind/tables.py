"""Tables as PostgreSQL's catalogue describes them, and how to make copies of them."""

from typing import Any

import psycopg
from psycopg import sql
from pydantic import BaseModel

from database import identifiers

# The target's table of the loaded day and its tables
LEDGER = "northwind_loaded"
# A domain is replaced by its base type. Other user-defined types exist in this database only.
CATALOGUE = """
WITH RECURSIVE made_of (attrelid, attnum, type, modifier) AS (
    SELECT attrelid, attnum, atttypid, atttypmod FROM pg_attribute
    UNION ALL
    SELECT attrelid, attnum, typbasetype, CASE modifier WHEN -1 THEN typtypmod ELSE modifier END
    FROM made_of JOIN pg_type ON pg_type.oid = type WHERE typtype = 'd'
),
types AS (
    SELECT
        attrelid, attnum, format_type(type, modifier) AS name,
        typnamespace = 'pg_catalog'::regnamespace AS is_everywhere
    FROM made_of JOIN pg_type ON pg_type.oid = type WHERE typtype <> 'd'
)
SELECT json_build_object(
    'name', c.relname,
    'columns', ARRAY(
        SELECT json_build_object(
            'name', attname, 'not_null', attnotnull,
            'type', CASE WHEN is_everywhere THEN types.name ELSE 'text' END,
            'instead_of', CASE WHEN NOT is_everywhere THEN types.name END)
        FROM pg_attribute AS a JOIN types USING (attrelid, attnum)
        WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum),
    'keys', ARRAY(
        SELECT json_build_object(
            'columns', ARRAY(
                SELECT attname FROM unnest(indkey::int2[]) WITH ORDINALITY AS key (number, position)
                JOIN pg_attribute ON attrelid = indrelid AND attnum = number
                WHERE position <= indnkeyatts ORDER BY position),
            'primary', indisprimary)
        FROM pg_index
        WHERE indrelid = c.oid AND indisunique AND indpred IS NULL AND indexprs IS NULL
        ORDER BY indexrelid),
    'references', ARRAY(
        SELECT json_build_object(
            'columns', ARRAY(
                SELECT attname FROM unnest(conkey) WITH ORDINALITY AS key (number, position)
                JOIN pg_attribute ON attrelid = conrelid AND attnum = number ORDER BY position),
            'table', other.relname,
            'their_columns', ARRAY(
                SELECT attname FROM unnest(confkey) WITH ORDINALITY AS key (number, position)
                JOIN pg_attribute ON attrelid = confrelid AND attnum = number ORDER BY position))
        FROM pg_constraint JOIN pg_class AS other ON other.oid = confrelid
        WHERE conrelid = c.oid AND contype = 'f' AND conparentid = 0 AND other.relnamespace = c.relnamespace
        ORDER BY conname))
FROM pg_class AS c
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
ORDER BY relname
"""


class Column(BaseModel):
    """A column. A text in place of a type that exists in its own database only has that type in `instead_of`."""

    name: str
    type: str
    not_null: bool = False
    instead_of: str | None = None


class Key(BaseModel):
    """A primary key, or a unique constraint or index."""

    columns: list[str]
    primary: bool = False


class Reference(BaseModel):
    """A foreign key."""

    columns: list[str]
    table: str
    their_columns: list[str]


class Table(BaseModel):
    """The parts of a table that a copy gets: no defaults, checks, or indexes without a key."""

    name: str
    columns: list[Column]
    keys: list[Key] = []
    references: list[Reference] = []

    @property
    def column_names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def types(self) -> dict[str, str]:
        return {column.name: column.type for column in self.columns}


def tables_of(connection: psycopg.Connection[Any]) -> list[Table]:
    """All ordinary tables of the schema public."""
    return [Table.model_validate(row) for (row,) in connection.execute(CATALOGUE)]


def create(connection: psycopg.Connection[Any], tables: list[Table]) -> None:
    """Make all tables, then the foreign keys between them."""
    for table in tables:
        columns = [
            sql.SQL("{} {}{}").format(
                sql.Identifier(column.name), sql.SQL(column.type), sql.SQL(" NOT NULL" if column.not_null else "")
            )
            for column in table.columns
        ]
        keys = [
            sql.SQL("{} ({})").format(sql.SQL("PRIMARY KEY" if key.primary else "UNIQUE"), identifiers(key.columns))
            for key in table.keys
        ]
        connection.execute(
            sql.SQL("CREATE TABLE {} ({})").format(sql.Identifier(table.name), sql.SQL(", ").join(columns + keys))
        )
    for table in tables:
        for reference in table.references:
            # checked at the end of the transaction, so that the order of loading does not matter
            connection.execute(
                sql.SQL("ALTER TABLE {} ADD FOREIGN KEY ({}) REFERENCES {} ({}) DEFERRABLE INITIALLY DEFERRED").format(
                    sql.Identifier(table.name),
                    identifiers(reference.columns),
                    sql.Identifier(reference.table),
                    identifiers(reference.their_columns),
                )
            )
