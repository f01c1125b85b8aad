-- Lesson 5: answers that are kept up to date, and several queries at once.
--
--   tidemill queries/tour/05_views.sql
--
-- So far every row that came out was final. "Bids per channel, so far" is never final: it changes with every bid. There are two ways
-- to have it:
--
--   * CREATE MATERIALIZED VIEW keeps the answer as a table, always current. Ask it like any table (in the shell, or from a program):
--     SELECT * FROM channels WHERE bids > 20;
--   * EMIT CHANGES gives the changes themselves: a row that leaves (-) and the one that takes its place (+).

CREATE TABLE bids (
    auction BIGINT,
    bidder  BIGINT,
    price   BIGINT,
    channel VARCHAR,
    ts      TIMESTAMP(3),
    WATERMARK FOR ts AS ts - INTERVAL '2' SECOND
) WITH (
    'connector' = 'filesystem',
    'path'      = 'queries/data/bids.jsonl',
    'format'    = 'json'
);

CREATE MATERIALIZED VIEW channels AS
SELECT channel, count(*) AS bids, max(price) AS best
FROM bids
WHERE channel NOT LIKE 'channel-%'
GROUP BY channel;

-- INSERT INTO sends an answer on: to files, sockets, or (print) to the terminal. Each INSERT is a query of its own, and they all run
-- side by side.

CREATE TABLE alarms (ts TIMESTAMP(3), auction BIGINT, price BIGINT)
WITH ('connector' = 'print', 'print-identifier' = 'alarm');

CREATE TABLE totals (window_end TIMESTAMP(3), bids BIGINT)
WITH ('connector' = 'print', 'print-identifier' = 'total');

INSERT INTO alarms SELECT ts, auction, price FROM bids WHERE price > 90000000;

INSERT INTO totals
SELECT window_end, count(*) FROM TUMBLE(TABLE bids, DESCRIPTOR(ts), INTERVAL '20' SECOND)
GROUP BY window_start, window_end;

-- A view can be the input of a query like any table. This one prints what changes in it.

SELECT channel, bids, best FROM channels
EMIT CHANGES;
