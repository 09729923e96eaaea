-- Sample data of the source PostgreSQL: database `northwind`, in the shape of Microsoft's Northwind with rows of our own,
-- the same on every machine. The details of the orders are not here: they come as a file,
-- flows/northwind/sample/order_details.csv. Run after postgres.sql, which makes the login `reader`.
CREATE DATABASE northwind TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8';
\connect northwind
BEGIN;

CREATE TABLE categories (
    category_id smallint PRIMARY KEY,
    category_name varchar(15) NOT NULL,
    description text,
    picture bytea
);

CREATE TABLE customers (
    customer_id bpchar PRIMARY KEY,
    company_name varchar(40) NOT NULL,
    contact_name varchar(30),
    contact_title varchar(30),
    address varchar(60),
    city varchar(15),
    region varchar(15),
    postal_code varchar(10),
    country varchar(15),
    phone varchar(24),
    fax varchar(24)
);

CREATE TABLE customer_demographics (
    customer_type_id bpchar PRIMARY KEY,
    customer_desc text
);

CREATE TABLE customer_customer_demo (
    customer_id bpchar REFERENCES customers,
    customer_type_id bpchar REFERENCES customer_demographics,
    PRIMARY KEY (customer_id, customer_type_id)
);

CREATE TABLE employees (
    employee_id smallint PRIMARY KEY,
    last_name varchar(20) NOT NULL,
    first_name varchar(10) NOT NULL,
    title varchar(30),
    title_of_courtesy varchar(25),
    birth_date date,
    hire_date date,
    address varchar(60),
    city varchar(15),
    region varchar(15),
    postal_code varchar(10),
    country varchar(15),
    home_phone varchar(24),
    extension varchar(4),
    photo bytea,
    notes text,
    reports_to smallint REFERENCES employees,
    photo_path varchar(255)
);

CREATE TABLE region (
    region_id smallint PRIMARY KEY,
    region_description bpchar NOT NULL
);

CREATE TABLE territories (
    territory_id varchar(20) PRIMARY KEY,
    territory_description bpchar NOT NULL,
    region_id smallint NOT NULL REFERENCES region
);

CREATE TABLE employee_territories (
    employee_id smallint REFERENCES employees,
    territory_id varchar(20) REFERENCES territories,
    PRIMARY KEY (employee_id, territory_id)
);

CREATE TABLE shippers (
    shipper_id smallint PRIMARY KEY,
    company_name varchar(40) NOT NULL,
    phone varchar(24)
);

CREATE TABLE suppliers (
    supplier_id smallint PRIMARY KEY,
    company_name varchar(40) NOT NULL,
    contact_name varchar(30),
    contact_title varchar(30),
    address varchar(60),
    city varchar(15),
    region varchar(15),
    postal_code varchar(10),
    country varchar(15),
    phone varchar(24),
    fax varchar(24),
    homepage text
);

CREATE TABLE products (
    product_id smallint PRIMARY KEY,
    product_name varchar(40) NOT NULL,
    supplier_id smallint REFERENCES suppliers,
    category_id smallint REFERENCES categories,
    quantity_per_unit varchar(20),
    unit_price real,
    units_in_stock smallint,
    units_on_order smallint,
    reorder_level smallint,
    discontinued integer NOT NULL
);

CREATE TABLE orders (
    order_id smallint PRIMARY KEY,
    customer_id bpchar REFERENCES customers,
    employee_id smallint REFERENCES employees,
    order_date date,
    required_date date,
    shipped_date date,
    ship_via smallint REFERENCES shippers,
    freight real,
    ship_name varchar(40),
    ship_address varchar(60),
    ship_city varchar(15),
    ship_region varchar(15),
    ship_postal_code varchar(10),
    ship_country varchar(15)
);

CREATE TABLE us_states (
    state_id smallint PRIMARY KEY,
    state_name varchar(100),
    state_abbr varchar(2),
    state_region varchar(50)
);

-- Rows with what a copy may lose: nulls beside empty texts, line breaks, quotes, bytes, trailing blanks, real numbers
INSERT INTO categories
SELECT seq, concat('Category ', seq),
    CASE seq % 4 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN concat('Sweet, sour', chr(10), 'and "salty"') ELSE '\N' END,
    CASE seq % 3 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE decode(repeat(lpad(to_hex(seq), 2, '0') || '00ff0a22', 40), 'hex') END
FROM generate_series(1, 8) AS sequence (seq);

INSERT INTO customers
SELECT concat('CUST', chr(64 + seq)), concat('Company ', seq, CASE seq WHEN 3 THEN ' "Zoë & Søn", Åbo' ELSE '' END),
    concat('Contact ', seq), 'Buyer', concat(seq, ' Main Street', CASE seq % 5 WHEN 0 THEN chr(13) || chr(10) || 'Back yard' ELSE '' END),
    concat('City ', seq % 7), CASE seq % 3 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE 'North' END, lpad((seq * 37)::text, 5, '0'),
    CASE seq % 4 WHEN 0 THEN 'Brazil' WHEN 1 THEN 'France' WHEN 2 THEN 'Norway' ELSE 'Portugal' END,
    concat('555-', lpad(seq::text, 4, '0')), NULL
FROM generate_series(1, 20) AS sequence (seq);

INSERT INTO employees
SELECT seq, concat('Last name ', seq), concat('First ', seq), CASE seq WHEN 1 THEN 'Head of Sales' ELSE 'Sales' END, NULL,
    date '1970-01-01' + seq * 400, date '2015-01-01' + seq * 100, concat(seq, ' Side Street'), concat('City ', seq), NULL,
    lpad(seq::text, 5, '0'), 'France', concat('555-01', lpad(seq::text, 2, '0')), seq::text, NULL,
    CASE seq % 2 WHEN 0 THEN concat('line one', chr(10), chr(10), '\.', chr(10), 'line four') ELSE '' END,
    CASE seq WHEN 1 THEN NULL ELSE 1 END, concat('C:\photos\', seq, '.bmp')
FROM generate_series(1, 6) AS sequence (seq);

INSERT INTO region
SELECT seq, rpad((ARRAY['East', 'West', 'North', 'South'])[seq], 50)
FROM generate_series(1, 4) AS sequence (seq);

INSERT INTO territories
SELECT lpad((seq * 311)::text, 5, '0'), concat('Territory ', seq), 1 + seq % 4
FROM generate_series(1, 12) AS sequence (seq);

INSERT INTO employee_territories
SELECT 1 + seq % 6, lpad((seq * 311)::text, 5, '0')
FROM generate_series(1, 12) AS sequence (seq);

INSERT INTO shippers
SELECT seq, concat('Shipper ', seq), concat('555-02', lpad(seq::text, 2, '0'))
FROM generate_series(1, 3) AS sequence (seq);

INSERT INTO suppliers
SELECT seq, concat('Supplier ', seq), concat('Contact ', seq), 'Seller', concat(seq, ' Dock Road'), concat('City ', seq), NULL,
    lpad((seq * 53)::text, 5, '0'), 'Norway', concat('555-03', lpad(seq::text, 2, '0')), '',
    CASE seq % 2 WHEN 0 THEN concat('#https://supplier', seq, '.example.com#') END
FROM generate_series(1, 5) AS sequence (seq);

INSERT INTO products
SELECT seq, concat('Product ', seq), 1 + seq % 5, 1 + seq % 8, concat(seq, ' boxes x ', 10 + seq, ' bags'),
    seq * 13 % 90 + seq % 4 * 0.35::real, seq * 7 % 120, seq * 3 % 40, seq % 5 * 5, (seq % 10 = 0)::int
FROM generate_series(1, 20) AS sequence (seq);

INSERT INTO orders
SELECT 10247 + seq, concat('CUST', chr(65 + seq * 7 % 20)), 1 + seq % 6, date '2026-01-01' + seq, date '2026-01-29' + seq,
    CASE seq % 9 WHEN 0 THEN NULL ELSE date '2026-01-05' + seq END, 1 + seq % 3,
    CASE seq % 5 WHEN 0 THEN 1.0::real / 3 WHEN 1 THEN 0.1::real WHEN 2 THEN 32.38 WHEN 3 THEN 1234.5678 ELSE seq * 1.7 END,
    concat('Company ', 1 + seq * 7 % 20), concat(seq, ' Main Street'), concat('City ', seq % 7),
    CASE seq % 3 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE 'North' END, lpad((seq * 37)::text, 5, '0'), 'France'
FROM generate_series(1, 60) AS sequence (seq);

INSERT INTO us_states
SELECT seq, concat('State ', seq), chr(64 + seq) || chr(90 - seq), CASE seq % 2 WHEN 0 THEN 'north' ELSE 'south' END
FROM generate_series(1, 10) AS sequence (seq);

GRANT USAGE ON SCHEMA public TO reader;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;

COMMIT;
ANALYZE;
