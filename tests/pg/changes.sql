-- A table with rows of its own, a view over it, and a view over the view.
CREATE TABLE orders (id BIGINT PRIMARY KEY, item VARCHAR, price DECIMAL(10, 2));
CREATE MATERIALIZED VIEW totals AS SELECT item, count(*) AS n, sum(price) AS total FROM orders GROUP BY item;
CREATE MATERIALIZED VIEW best AS SELECT item FROM totals WHERE total >= 5;
INSERT INTO orders VALUES (1, 'tea', 2.50), (2, 'cake', 4.00);
FLUSH;
SELECT * FROM totals ORDER BY item;
SELECT * FROM best;
INSERT INTO orders VALUES (3, 'tea', 3.00);
SELECT * FROM totals ORDER BY item;
SELECT * FROM best;
UPDATE orders SET price = price + 1 WHERE item = 'cake';
SELECT * FROM best ORDER BY item;
DELETE FROM orders WHERE id = 1;
SELECT * FROM totals ORDER BY item;
SELECT * FROM best ORDER BY item;
INSERT INTO orders VALUES (9, 'tea');
DELETE FROM totals;
\d
\d orders
DROP TABLE orders;
DROP TABLE orders CASCADE;
\dt
