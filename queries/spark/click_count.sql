-- Clicks per user in the last minute, brought up to date every second.
--
-- Terminal 1, where you type (or a program sends) lines such as {"user":"ann","url":"/cart","ts":"2026-01-01T00:00:00"}:
--   nc -lk 9999
-- Terminal 2:
--   tidemill queries/spark/click_count.sql
--
-- In Spark Streaming:
--   val clicks = ssc.socketTextStream("localhost", 9999).map(parse)
--   clicks.map(c => (c.user, 1L)).reduceByKeyAndWindow(_ + _, _ - _, Minutes(1), Seconds(1)).print()

CREATE TABLE clicks (
    `user` VARCHAR,
    url    VARCHAR,
    ts     TIMESTAMP(3),
    WATERMARK FOR ts AS ts - INTERVAL '1' SECOND
) WITH (
    'connector' = 'socket',
    'hostname'  = 'localhost',
    'port'      = '9999',
    'format'    = 'json',
    'on_error'  = 'skip'          -- a line that is no JSON is counted and passed over
);

SELECT window_end, `user`, count(*) AS clicks
FROM HOP(TABLE clicks, DESCRIPTOR(ts), INTERVAL '1' SECOND, INTERVAL '1' MINUTE)
GROUP BY window_start, window_end, `user`
EMIT ON WINDOW CLOSE;
