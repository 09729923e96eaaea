-- The target PostgreSQL: an empty database `warehouse`, which belongs to the login `loader`.
-- Run once by a superuser, on an empty server; the password comes from the environment variable LOADER_PASSWORD.
\getenv loader_password LOADER_PASSWORD

-- The tests of the flow make databases of their own, hence CREATEDB.
CREATE ROLE loader LOGIN CREATEDB PASSWORD :'loader_password';
CREATE DATABASE warehouse OWNER loader TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8';
