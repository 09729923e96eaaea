-- The table `events` of the benchmarks: 13 columns of mixed types, the same on every machine. @rows says how many.
CREATE DATABASE IF NOT EXISTS bench CHARACTER SET utf8mb4;
USE bench;
SET time_zone = '+00:00';
CREATE TABLE IF NOT EXISTS events (
    id bigint PRIMARY KEY,
    customer_id bigint,
    happened_at datetime(6),
    day date,
    amount decimal(12,2),
    ratio double,
    quantity int,
    paid tinyint(1),
    status varchar(10),
    country char(2),
    note varchar(200),
    reference char(36),
    parent_id bigint
);
INSERT INTO events
SELECT
    seq,
    (seq * 7919) % 1000003,
    timestamp'2024-01-01 00:00:00' + INTERVAL seq * 7123456 MICROSECOND,
    date'2020-01-01' + INTERVAL seq % 2000 DAY,
    (seq * 7919 % 10000000) / 100.0,
    seq * 0.001e0 + 0.1e0,
    seq % 1000,
    seq % 3 = 0,
    ELT(seq % 5 + 1, 'new', 'paid', 'sent', 'returned', 'closed'),
    CONCAT(CHAR(65 + seq % 26), CHAR(65 + seq DIV 26 % 26)),
    CASE WHEN seq % 10 = 0 THEN NULL
         WHEN seq % 97 = 0 THEN CONCAT('a "quoted" note\non two lines, number ', seq)
         ELSE CONCAT('note ', LEFT(MD5(seq), 12)) END,
    REGEXP_REPLACE(MD5(seq * 31), '(.{8})(.{4})(.{4})(.{4})(.{12})', '\\1-\\2-\\3-\\4-\\5'),
    CASE WHEN seq % 4 = 0 THEN NULL ELSE seq * 13 END
FROM seq_1_to_100000000
WHERE seq <= @rows AND NOT EXISTS (SELECT 1 FROM events);
GRANT SELECT ON bench.* TO reader;
