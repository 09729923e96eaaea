-- Names and values that are easily lost on the way
CREATE TABLE shippers (shipper_id smallint PRIMARY KEY, code text UNIQUE, "Company ""Name"", full" varchar(40) NOT NULL);
CREATE TABLE products (product_id smallint PRIMARY KEY, product_name text, unit_price real, doubled real GENERATED ALWAYS AS (unit_price * 2) STORED);
CREATE TABLE orders (
    order_id smallint PRIMARY KEY, customer_id bpchar, freight real, weight double precision, total numeric,
    ordered_at timestamptz, took interval, picture bytea, tags text[], document jsonb, note text,
    shipper text REFERENCES shippers (code)
);
CREATE TABLE employees (employee_id int PRIMARY KEY, reports_to int REFERENCES employees);
-- each needs the other
CREATE TABLE chicken (id int PRIMARY KEY, egg int);
CREATE TABLE egg (id int PRIMARY KEY, chicken int REFERENCES chicken);
ALTER TABLE chicken ADD FOREIGN KEY (egg) REFERENCES egg DEFERRABLE INITIALLY DEFERRED;
CREATE TABLE "Or.der/../Notes ""x""" ("a b" text, "select" text);
CREATE TABLE one_column (value text);
CREATE TABLE nothing (id int);
CREATE TABLE measures (day date, value int) PARTITION BY RANGE (day);
CREATE TABLE measures_2026 PARTITION OF measures FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE VIEW no_table AS SELECT 1 AS id;

INSERT INTO shippers VALUES (1, 'FAST', 'Fast & "Sons", Åbo'), (2, NULL, '');
INSERT INTO products VALUES (1, 'Chai', 18.1), (2, NULL, 'NaN');
INSERT INTO orders VALUES
    (1, 'VINET  ', 32.38, 0.1::float8 + 0.2, 1.10, '2025-10-26 02:30:00.000001+02', '1 mon -1 day 2 hours', '\x00ff0a22',
     ARRAY['a,b', NULL, 'NULL', ''], '{"a": [1, null, "é"]}', '', 'FAST'),
    (2, NULL, 1::real / 3, 'Infinity', 123456789012345678901234567890.000000001, 'infinity', NULL, '',
     NULL, NULL, NULL, NULL),
    (3, '', 3.4e38, 5e-324, 'NaN', '0044-03-15 00:00:00+00 BC', '-00:00:00.000001', NULL,
     '{}', 'null', E'two\nlines\r\nand "quotes", \t tab, \\N, NULL', NULL);
INSERT INTO employees VALUES (1, 2), (2, NULL), (3, 1);
INSERT INTO chicken VALUES (1, NULL);
INSERT INTO egg VALUES (1, 1);
UPDATE chicken SET egg = 1;
INSERT INTO "Or.der/../Notes ""x""" VALUES (NULL, ''), ('', NULL), ('😀', '"');
INSERT INTO one_column VALUES (NULL), (''), ('\.'), (E'\n'), (' '), ('NULL'), (E'a\n\\.\nb'), (E'\ufeff');
INSERT INTO measures VALUES ('2026-05-01', 1), ('2026-06-01', NULL);
