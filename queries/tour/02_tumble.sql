-- Lesson 2: windows. How many bids in every ten seconds, and what was the best?
--
--   tidemill queries/tour/02_tumble.sql
--
-- A stream has no end, so "how many bids" has no answer. "How many between 00:00:10 and 00:00:20" has one, as soon as nothing more
-- can come for that time. Two things are needed:
--
--   * a window: TUMBLE cuts event time (the ts in the row, not the clock on the wall) into pieces of ten seconds that don't overlap
--   * a watermark: the promise that rows come at most two seconds late. Once a row of 00:00:22 has been seen, the window that ends
--     at 00:00:20 is closed, and its row comes out, once and for all.
--
-- Because both depend on the rows alone, the answer is the same however fast or slow the rows come: today, or when you replay the file.

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

-- TUMBLE gives every row the window it is in, as the columns window_start and window_end; GROUP BY does the rest.

SELECT window_start, window_end, count(*) AS bids, max(price) AS best
FROM TUMBLE(TABLE bids, DESCRIPTOR(ts), INTERVAL '10' SECOND)
GROUP BY window_start, window_end
EMIT ON WINDOW CLOSE;

-- EMIT ON WINDOW CLOSE says "final rows only", which is also what a query with windows does when it doesn't say.
--
-- Try next:
--   * add channel to SELECT and GROUP BY: a row per window and channel
--   * INTERVAL '1' MINUTE
--   * EMIT CHANGES instead: see the counts grow while the window is open
