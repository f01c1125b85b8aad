-- Lesson 1: a query over a file, as in any database.
--
--   tidemill queries/tour/01_select.sql          (from the root of the repository)
--
-- queries/data/bids.jsonl holds one minute of bids in an auction house, one JSON object to a line:
--
--   {"auction":1000,"bidder":1001,"price":499920,"channel":"Apple","ts":"2026-01-01T00:00:00.500"}
--
-- CREATE TABLE says where rows come from and what their columns are. Nothing is copied: the file is read when a query runs.

CREATE TABLE bids (
    auction BIGINT,
    bidder  BIGINT,
    price   BIGINT,           -- in cents
    channel VARCHAR,
    ts      TIMESTAMP(3)      -- when it happened, in milliseconds: the "event time"
) WITH (
    'connector' = 'filesystem',
    'path'      = 'queries/data/bids.jsonl',
    'format'    = 'json'
);

-- The big bids that came through one of the four large channels. A query like this needs no memory: each row is looked at once, passed
-- on or dropped. Over a file it ends with the file; over a socket or a pipe the very same text would go on for ever.

SELECT ts, auction, price / 100 AS euros, channel
FROM bids
WHERE price > 10000000
  AND channel IN ('Google', 'Facebook', 'Baidu', 'Apple');

-- Try next:
--   * SELECT * FROM 'queries/data/bids.jsonl' LIMIT 5;     needs no CREATE TABLE: the columns are seen from the file
--   * tail -f some.jsonl | tidemill -c "SELECT * FROM stdin"
