-- Sample data of the source PostgreSQL: database `shop`. The same rows as mariadb.sql, the same on every machine.
-- Run once by a superuser, on an empty server; the password of the login `reader` comes from the environment:
--   READER_PASSWORD=… psql --no-psqlrc --set ON_ERROR_STOP=1 --dbname postgres --file postgres.sql
\getenv reader_password READER_PASSWORD

CREATE DATABASE shop TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8';
\connect shop
SET TimeZone = 'UTC';
BEGIN;

CREATE TABLE customers (
    id int PRIMARY KEY,
    name text,
    email text,
    country text,
    created_at timestamptz
);

CREATE TABLE orders (
    id int PRIMARY KEY,
    customer_id int REFERENCES customers,
    ordered_at timestamptz,
    status text,
    total numeric(12,2),
    note text NULL
);

CREATE TABLE order_items (
    order_id int REFERENCES orders,
    line int,
    product text,
    quantity int,
    unit_price numeric(10,2),
    PRIMARY KEY (order_id, line)
);

INSERT INTO customers
SELECT seq,
    CASE seq % 20
        WHEN 0 THEN 'None'
        WHEN 1 THEN 'Seán O''Brien, "Jr"'
        WHEN 2 THEN 'Zoë Ærøskøbing'
        WHEN 3 THEN '李小龍'
        WHEN 4 THEN concat('Two', chr(10), 'lines')
        WHEN 5 THEN 'back\slash\n'
        WHEN 6 THEN '👩‍🚀 🚀'
        WHEN 7 THEN 'NULL'
        WHEN 8 THEN '  spaces around  '
        ELSE concat('Customer ', seq)
    END,
    CASE seq % 10 WHEN 0 THEN NULL WHEN 5 THEN '' ELSE concat('customer', seq, '@example.com') END,
    CASE seq % 8 WHEN 0 THEN 'FR' WHEN 1 THEN 'BR' WHEN 2 THEN 'NA' WHEN 3 THEN 'NO' WHEN 4 THEN 'DE' WHEN 5 THEN '' WHEN 6 THEN NULL ELSE 'PT' END,
    timestamptz '2024-01-01 00:00:00+00' + (seq * 7919 % 365) * interval '1 day' + (seq * 104729 % 86400) * interval '1 second'
FROM generate_series(1, 500) AS sequence (seq);

INSERT INTO orders
SELECT seq,
    1 + seq * 31 % 500,
    CASE seq
        -- around midnight, month, year and daylight saving time; the others are spread over 2025-01-01 .. 2026-06-30
        WHEN 1 THEN timestamptz '2025-01-01 00:00:00+00'
        WHEN 2 THEN timestamptz '2025-01-31 23:59:59.999999+00'
        WHEN 3 THEN timestamptz '2025-02-01 00:00:00+00'
        WHEN 4 THEN timestamptz '2025-02-28 23:59:59.999999+00'
        WHEN 5 THEN timestamptz '2025-03-30 00:59:59.999999+00'
        WHEN 6 THEN timestamptz '2025-03-30 01:00:00+00'
        WHEN 7 THEN timestamptz '2025-10-26 00:30:00+00'
        WHEN 8 THEN timestamptz '2025-10-26 01:30:00+00'
        WHEN 9 THEN timestamptz '2025-11-02 06:30:00+00'
        WHEN 10 THEN timestamptz '2025-12-31 23:59:59.999999+00'
        WHEN 11 THEN timestamptz '2026-01-01 00:00:00+00'
        WHEN 12 THEN timestamptz '2026-06-30 23:59:59.999999+00'
        ELSE timestamptz '2025-01-01 00:00:00+00' + (seq * 7919 % 546) * interval '1 day'
            + (seq * 104729 % 86400) * interval '1 second' + (seq % 4 * 250001) * interval '1 microsecond'
    END,
    CASE seq % 7 WHEN 0 THEN 'new' WHEN 1 THEN 'paid' WHEN 2 THEN 'shipped' WHEN 3 THEN 'delivered' WHEN 4 THEN 'cancelled' WHEN 5 THEN '' ELSE 'None' END,
    CASE
        WHEN seq % 1000 = 1 THEN 9999999999.99
        WHEN seq % 1000 = 2 THEN -9999999999.99
        WHEN seq % 1000 = 3 THEN 0
        WHEN seq % 1000 = 4 THEN NULL
        WHEN seq % 37 = 0 THEN -(seq * 7877 % 100000) / 100.0
        ELSE (seq * 7877 % 100000) / 100.0
    END,
    CASE seq % 15
        WHEN 0 THEN NULL
        WHEN 1 THEN ''
        WHEN 2 THEN 'None'
        WHEN 3 THEN concat('line one', chr(10), 'line two')
        WHEN 4 THEN concat('carriage', chr(13), chr(10), 'return')
        WHEN 5 THEN 'she said "yes", twice'
        WHEN 6 THEN 'it''s; fine'
        WHEN 7 THEN 'C:\new\table\'
        WHEN 8 THEN 'ça coûte 3 € — 高い 😀'
        WHEN 9 THEN 'NULL'
        WHEN 10 THEN '\N'
        WHEN 11 THEN concat('tab', chr(9), 'between')
        WHEN 12 THEN '"'
        WHEN 13 THEN ' '
        ELSE md5(concat('note ', seq))
    END
FROM generate_series(1, 5000) AS sequence (seq);

INSERT INTO order_items
SELECT 1 + (seq - 1) % 5000,
    1 + (seq - 1) / 5000,
    concat('Product ', left(md5(concat('product ', seq % 250)), 8)),
    CASE WHEN seq % 97 = 0 THEN -1 ELSE 1 + seq * 7 % 20 END,
    (seq * 271 % 1000000) / 100.0
FROM generate_series(1, 12000) AS sequence (seq);

CREATE INDEX orders_ordered_at ON orders (ordered_at);

CREATE ROLE reader LOGIN PASSWORD :'reader_password';
GRANT USAGE ON SCHEMA public TO reader;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO reader;

COMMIT;
ANALYZE;
