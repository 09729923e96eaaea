-- The first statements of each transaction: whoever has the lock is alone, and all tables are there.
SELECT pg_advisory_xact_lock(hashtext('{{ cookiecutter.project }}'));
CREATE SCHEMA IF NOT EXISTS "{{ cookiecutter.project }}";
SET LOCAL search_path = "{{ cookiecutter.project }}";

CREATE TABLE IF NOT EXISTS staging_orders (
    day date NOT NULL,
    id int NOT NULL,
    customer_id int,
    ordered_at timestamptz NOT NULL,
    status text,
    total numeric,
    PRIMARY KEY (day, id)
);

CREATE TABLE IF NOT EXISTS daily_sales (
    day date NOT NULL,
    status text NOT NULL,
    orders bigint NOT NULL,
    customers bigint NOT NULL,
    total numeric NOT NULL,
    PRIMARY KEY (day, status)
);
