"""What PostgreSQL's catalogue knows of a table."""

import pyarrow as pa
from adbc_driver_manager.dbapi import Cursor

from drift import Column
from postgres_types import ARROW_TYPES, SQL_TYPES

from .dialect import Dialect

DIALECT = Dialect("PostgreSQL", SQL_TYPES, "numeric", decimal_bits=256)

COLUMNS = """
SELECT attname, typname, atttypmod, format_type(atttypid, atttypmod), atthasdef OR attidentity <> '',
    typnamespace = 'pg_catalog'::regnamespace
FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid
WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""

# Whether the table has nothing that CREATE TABLE … LIKE would lose: views, triggers, foreign keys, policies,
# publications, sequences, functions, children; settings of its own; rights on single columns; another owner than the
# login
SWAPPABLE = """
SELECT relkind = 'r' AND relpersistence = 'p' AND relreplident = 'd' AND reltablespace = 0 AND reloptions IS NULL
    AND NOT relrowsecurity AND NOT relispartition AND pg_has_role(relowner, 'USAGE')
    AND obj_description(pg_class.oid, 'pg_class') IS NULL
    AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = pg_class.oid)
    AND NOT EXISTS (SELECT FROM pg_attribute
        WHERE attrelid = pg_class.oid AND (attidentity <> '' OR attacl IS NOT NULL))
    AND NOT EXISTS (SELECT FROM pg_depend
        WHERE refclassid = 'pg_class'::regclass AND refobjid = pg_class.oid AND deptype <> 'i'
        AND classid NOT IN ('pg_attrdef'::regclass, 'pg_statistic_ext'::regclass)
        AND NOT EXISTS (SELECT FROM pg_index WHERE indexrelid = objid AND classid = 'pg_class'::regclass)
        AND NOT EXISTS (SELECT FROM pg_constraint
            WHERE oid = objid AND classid = 'pg_constraint'::regclass AND contype <> 'f'))
FROM pg_class WHERE oid = to_regclass($1)
"""

# Statements that give the new table ($1) the rights and the owner of the old one ($2)
GRANTS = """
SELECT format('REVOKE ALL ON %s FROM %s', $1, grantee)
FROM (SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END AS grantee
    FROM pg_class, aclexplode(relacl) WHERE pg_class.oid = to_regclass($1) AND grantee <> relowner) AS others
UNION ALL
SELECT format('GRANT %s ON %s TO %s%s', privilege_type, $1,
    CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END,
    CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
FROM pg_class, aclexplode(relacl) WHERE pg_class.oid = to_regclass($2) AND grantee <> relowner
UNION ALL
SELECT format('ALTER TABLE %s OWNER TO %s', $1, relowner::regrole) FROM pg_class WHERE oid = to_regclass($2)
"""

# The indexes of a table and of its copy come in the same order
INDEXES = """
SELECT indexrelid::regclass::text, relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
WHERE indrelid = to_regclass($1)
ORDER BY relam, indkey::text, indclass::text, indcollation::text, indoption::text, indisunique, indisprimary,
    pg_get_expr(indexprs, indrelid), pg_get_expr(indpred, indrelid)
"""

MAY_DROP_ROWS = "SELECT relhastriggers OR relhasrules FROM pg_class WHERE oid = to_regclass($1)"


def columns_of(cursor: Cursor, table: str) -> dict[str, Column]:
    """The columns of the table; none where it does not exist."""
    cursor.execute(COLUMNS, [table])
    return {
        name: Column(_arrow_type(type_, modifier) if builtin else None, filled, sql_type)
        for name, type_, modifier, sql_type, filled, builtin in cursor.fetchall()
    }


def _arrow_type(type_: str, modifier: int) -> pa.DataType | None:
    if type_ != "numeric":
        return ARROW_TYPES.get(type_)
    # a numeric without a precision
    if modifier < 0:
        return None
    # the scale has eleven bits, and may be negative; of the precision, which may be 1000, as much as Arrow has
    precision, scale = min((modifier - 4) >> 16 & 0xFFFF, 76), ((modifier - 4 & 0x7FF) ^ 0x400) - 0x400
    return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)
