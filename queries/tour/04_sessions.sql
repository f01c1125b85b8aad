-- Lesson 4: sessions. How long does a visit to the shop last, and does it end at the checkout?
--
--   tidemill queries/tour/04_sessions.sql
--
-- A visit has no fixed length: it lasts until nothing was heard of the visitor for a while, here two minutes. SESSION makes a window
-- of each visit. PARTITION BY says whose: without it, one busy visitor would keep the visits of all others open.
--
-- window_start is the first click; window_end is two minutes after the last one.

CREATE TABLE clicks (
    `user` VARCHAR,              -- a word of SQL, so it stands in quotes
    url    VARCHAR,
    ts     TIMESTAMP(3),
    WATERMARK FOR ts AS ts - INTERVAL '10' SECOND
) WITH (
    'connector' = 'filesystem',
    'path'      = 'queries/data/clicks.jsonl',
    'format'    = 'json'
);

SELECT
    `user`,
    window_start                                  AS came,
    window_end - INTERVAL '2' MINUTE              AS left_at,
    count(*)                                      AS clicks,
    count(*) FILTER (WHERE url = '/checkout') > 0 AS bought
FROM SESSION(TABLE clicks PARTITION BY `user`, DESCRIPTOR(ts), INTERVAL '2' MINUTE)
GROUP BY window_start, window_end, `user`
EMIT ON WINDOW CLOSE;
