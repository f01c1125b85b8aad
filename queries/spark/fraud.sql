-- Three simple rules of fraud over card payments, all at once:
--   1. a single payment that is very large            (no memory: known at once)
--   2. more than three payments with a card in a minute, looked at every 15 seconds
--   3. payments from more than one country with a card within ten minutes
--
--   tidemill queries/spark/fraud.sql

CREATE TABLE payments (
    card    BIGINT,
    amount  DECIMAL(10, 2),
    country VARCHAR,
    ts      TIMESTAMP(3),
    WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
) WITH (
    'connector' = 'filesystem',
    'path'      = 'queries/data/payments.jsonl',
    'format'    = 'json'
);

CREATE TABLE large (ts TIMESTAMP(3), card BIGINT, amount DECIMAL(10, 2))
WITH ('connector' = 'print', 'print-identifier' = 'large');

CREATE TABLE often (window_end TIMESTAMP(3), card BIGINT, payments BIGINT, total DECIMAL(20, 2))
WITH ('connector' = 'print', 'print-identifier' = 'often');

CREATE TABLE roaming (window_end TIMESTAMP(3), card BIGINT, countries BIGINT)
WITH ('connector' = 'print', 'print-identifier' = 'roaming');

EXECUTE STATEMENT SET BEGIN
    INSERT INTO large
    SELECT ts, card, amount FROM payments WHERE amount > 9000;

    INSERT INTO often
    SELECT window_end, card, count(*), sum(amount)
    FROM HOP(TABLE payments, DESCRIPTOR(ts), INTERVAL '15' SECOND, INTERVAL '1' MINUTE)
    GROUP BY window_start, window_end, card
    HAVING count(*) > 3;

    INSERT INTO roaming
    SELECT window_end, card, count(DISTINCT country)
    FROM TUMBLE(TABLE payments, DESCRIPTOR(ts), INTERVAL '10' MINUTE)
    GROUP BY window_start, window_end, card
    HAVING count(DISTINCT country) > 1;
END;
