-- Values as PostgreSQL writes them.
SELECT true AS yes, 1 = 2 AS no, NULL AS nothing, 12.50 AS price, 'it''s' AS word;
SELECT TIMESTAMP '2026-01-01 00:00:10' AS at, DATE '2026-01-01' AS day, INTERVAL '1 day 2 hours' AS span;
SELECT make_array(1, 2, NULL) AS numbers, make_array('a b', 'c') AS words, X'00ff' AS bytes;
SELECT count(*), max(k) FROM (VALUES (1), (2)) t(k);

-- Views.
CREATE MATERIALIZED VIEW sales AS SELECT * FROM (VALUES (1, 'tea', 2.50), (2, 'cake', 4.00), (3, 'tea', 3.00)) t(id, item, price);
CREATE VIEW cheap AS SELECT id, item FROM sales WHERE price < 4;
SELECT item, sum(price) AS total FROM sales GROUP BY item ORDER BY item;
SELECT * FROM cheap ORDER BY id;
SHOW TABLES;

-- What psql shows of them.
\d
\dt
\dv
\dm
\d sales
\d+ cheap
\d nosuch
\dn
\du
\l
\df

-- A mistake is shown at its place, and the session goes on.
SELECT pric FROM sales;
SELECT id
FROM salse;
SELECT 1 / 0;
CREATE TABLE t WITH (connector = 'filesystem', path = '/etc/passwd');
SELECT * FROM '/etc/passwd';
SELECT 'still here' AS word;

-- Settings and transactions.
SET client_min_messages TO warning;
SET application_name = 'transcript';
SHOW application_name;
SHOW transaction_isolation;
SHOW server_encoding;
SET intervall = '1s';
SELECT current_database(), current_schema(), current_user;
BEGIN;
SELECT 1 AS inside;
COMMIT;
BEGIN;
SELECT nosuch;
SELECT 1;
ROLLBACK;
BEGIN;
CREATE VIEW made AS SELECT 1 AS k;
ROLLBACK;
SELECT * FROM made;
DROP VIEW made;
SAVEPOINT s;

-- Several statements in one message.
SELECT 1 AS a \; SELECT 2 AS b;

-- Rows as lines.
COPY (SELECT * FROM sales ORDER BY id) TO STDOUT;
COPY cheap TO STDOUT WITH (FORMAT csv, HEADER);

-- How it would run.
EXPLAIN SELECT item FROM sales;
DROP MATERIALIZED VIEW sales;
DROP MATERIALIZED VIEW sales CASCADE;
\d
