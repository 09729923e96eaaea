-- Sample data of the source MariaDB: database `shop`. The same rows as postgres.sql, the same on every machine.
-- Run once by an administrator, on an empty server; the password of the login `reader` goes in front, by standard input:
--   { printf "SET @reader_password = '%s';\n" "$READER_PASSWORD"; cat mariadb.sql; } | mariadb --default-character-set=utf8mb4
SET NAMES utf8mb4;
SET time_zone = '+00:00';
-- backslashes in text are what they are, as in standard SQL
SET sql_mode = concat(@@sql_mode, ',NO_BACKSLASH_ESCAPES');

CREATE DATABASE shop CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
USE shop;

CREATE TABLE customers (
    id int PRIMARY KEY,
    name text,
    email text,
    country text,
    created_at timestamp(6) NULL
);

CREATE TABLE orders (
    id int PRIMARY KEY,
    customer_id int REFERENCES customers (id),
    ordered_at timestamp(6) NULL,
    status text,
    total decimal(12,2),
    note text NULL,
    INDEX orders_ordered_at (ordered_at)
);

CREATE TABLE order_items (
    order_id int REFERENCES orders (id),
    line int,
    product text,
    quantity int,
    unit_price decimal(10,2),
    PRIMARY KEY (order_id, line)
);

START TRANSACTION;

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
    timestamp '2024-01-01 00:00:00' + INTERVAL (seq * 7919 % 365) DAY + INTERVAL (seq * 104729 % 86400) SECOND
FROM seq_1_to_500;

INSERT INTO orders
SELECT seq,
    1 + seq * 31 % 500,
    CASE seq
        -- around midnight, month, year and daylight saving time; the others are spread over 2025-01-01 .. 2026-06-30
        WHEN 1 THEN timestamp '2025-01-01 00:00:00'
        WHEN 2 THEN timestamp '2025-01-31 23:59:59.999999'
        WHEN 3 THEN timestamp '2025-02-01 00:00:00'
        WHEN 4 THEN timestamp '2025-02-28 23:59:59.999999'
        WHEN 5 THEN timestamp '2025-03-30 00:59:59.999999'
        WHEN 6 THEN timestamp '2025-03-30 01:00:00'
        WHEN 7 THEN timestamp '2025-10-26 00:30:00'
        WHEN 8 THEN timestamp '2025-10-26 01:30:00'
        WHEN 9 THEN timestamp '2025-11-02 06:30:00'
        WHEN 10 THEN timestamp '2025-12-31 23:59:59.999999'
        WHEN 11 THEN timestamp '2026-01-01 00:00:00'
        WHEN 12 THEN timestamp '2026-06-30 23:59:59.999999'
        ELSE timestamp '2025-01-01 00:00:00' + INTERVAL (seq * 7919 % 546) DAY
            + INTERVAL (seq * 104729 % 86400) SECOND + INTERVAL (seq % 4 * 250001) MICROSECOND
    END,
    CASE seq % 7 WHEN 0 THEN 'new' WHEN 1 THEN 'paid' WHEN 2 THEN 'shipped' WHEN 3 THEN 'delivered' WHEN 4 THEN 'cancelled' WHEN 5 THEN '' ELSE 'None' END,
    CASE
        WHEN seq % 1000 = 1 THEN 9999999999.99
        WHEN seq % 1000 = 2 THEN -9999999999.99
        WHEN seq % 1000 = 3 THEN 0
        WHEN seq % 1000 = 4 THEN NULL
        -- seq is unsigned: no minus in front of it
        WHEN seq % 37 = 0 THEN (seq * 7877 % 100000) / -100.0
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
FROM seq_1_to_5000;

INSERT INTO order_items
SELECT 1 + (seq - 1) % 5000,
    1 + (seq - 1) DIV 5000,
    concat('Product ', left(md5(concat('product ', seq % 250)), 8)),
    CASE WHEN seq % 97 = 0 THEN -1 ELSE 1 + seq * 7 % 20 END,
    (seq * 271 % 1000000) / 100.0
FROM seq_1_to_12000;

COMMIT;

-- without a password in front this is a syntax error: no login is made without one
EXECUTE IMMEDIATE concat('CREATE USER reader@''%'' IDENTIFIED BY ''', replace(@reader_password, '''', ''''''), '''');
GRANT SELECT ON shop.* TO reader@'%';
