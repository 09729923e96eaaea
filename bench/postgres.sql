-- The table `events` of the benchmarks: 13 columns of mixed types, the same on every machine.
-- psql --set=rows=5000000 --file=postgres.sql
SELECT 'CREATE DATABASE bench TEMPLATE template0 ENCODING ''UTF8'' LOCALE ''C.UTF-8'' OWNER reader'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'bench') \gexec
\connect bench
SET TimeZone = 'UTC';
CREATE TABLE IF NOT EXISTS events AS SELECT
    i AS id,
    (i * 7919) % 1000003 AS customer_id,
    timestamptz '2024-01-01 00:00:00+00' + i * interval '7.123456 seconds' AS happened_at,
    date '2020-01-01' + (i % 2000)::int AS day,
    ((i * 7919 % 10000000) / 100.0)::numeric(12,2) AS amount,
    i * 0.001::float8 + 0.1 AS ratio,
    (i % 1000)::int AS quantity,
    i % 3 = 0 AS paid,
    (array['new', 'paid', 'sent', 'returned', 'closed'])[i % 5 + 1] AS status,
    chr(65 + (i % 26)::int) || chr(65 + (i / 26 % 26)::int) AS country,
    CASE WHEN i % 10 = 0 THEN NULL
         WHEN i % 97 = 0 THEN 'a "quoted" note' || chr(10) || 'on two lines, number ' || i
         ELSE 'note ' || left(md5(i::text), 12) END AS note,
    md5((i * 31)::text)::uuid AS reference,
    CASE WHEN i % 4 = 0 THEN NULL ELSE i * 13 END AS parent_id
FROM generate_series(1::bigint, :rows) AS i;
VACUUM ANALYZE events;
GRANT SELECT ON events TO reader;
GRANT ALL ON SCHEMA public TO reader;
GRANT pg_checkpoint TO reader;
