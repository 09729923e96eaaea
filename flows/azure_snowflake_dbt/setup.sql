-- An administrator runs this once on a Snowflake account, to make the objects that the flow needs:
--   snow sql -f setup.sql -D storage_account=… -D tenant_id=… -D public_key=…
-- You may run it again. The lab's stand-in runs the same file at its start.

use role accountadmin;

create warehouse if not exists shop_wh
    warehouse_size = xsmall auto_suspend = 60 initially_suspended = true
    statement_timeout_in_seconds = 3600;  -- by default you pay for a hanging statement of dbt for two days

create database if not exists shop;
create schema if not exists shop.raw;
create schema if not exists shop.raw_test;

-- The flow signs in with a key pair: Snowflake blocks passwords for service users.
create role if not exists shop_etl;
create user if not exists shop_etl
    type = service default_role = shop_etl default_warehouse = shop_wh rsa_public_key = '<% public_key %>';

-- After this, `desc storage integration shop_exports` shows the consent address for the Azure administrator, who gives
-- the application "Storage Blob Data Reader" on the container.
create storage integration if not exists shop_exports
    type = external_stage
    storage_provider = 'AZURE'
    enabled = true
    azure_tenant_id = '<% tenant_id %>'
    storage_allowed_locations = ('azure://<% storage_account %>.blob.core.windows.net/exports/');

create stage if not exists shop.raw.exports
    url = 'azure://<% storage_account %>.blob.core.windows.net/exports/'
    storage_integration = shop_exports;

-- Daily snapshots of the shop's orders: a load replaces the rows of one _logical_date together.
create table if not exists shop.raw.orders (
    id number(38, 0) not null,
    customer_id number(38, 0),
    ordered_at timestamp_tz,
    status varchar,
    total number(12, 2),
    note varchar,
    _logical_date date not null,
    _export_id varchar not null,
    _loaded_at timestamp_tz not null
);
create table if not exists shop.raw_test.orders like shop.raw.orders;

grant role shop_etl to user shop_etl;
grant usage on warehouse shop_wh to role shop_etl;
grant usage on integration shop_exports to role shop_etl;
grant usage, create schema on database shop to role shop_etl;
grant usage, create table on schema shop.raw to role shop_etl;
grant usage, create table on schema shop.raw_test to role shop_etl;
grant usage on stage shop.raw.exports to role shop_etl;
grant select, insert, delete on table shop.raw.orders to role shop_etl;
grant select, insert, delete on table shop.raw_test.orders to role shop_etl;
