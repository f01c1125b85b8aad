-- Click-through rate: of the times that an advertisement was shown, how often was it clicked? By minute.
--
--   tidemill queries/spark/ads.sql
--
-- Views and clicks come in one stream here, so that FILTER can tell them apart; no join is needed.

CREATE TABLE ads (
    ad     VARCHAR,
    action VARCHAR,               -- view or click
    ts     TIMESTAMP(3),
    WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
) WITH (
    'connector' = 'filesystem',
    'path'      = 'queries/data/ads.jsonl',
    'format'    = 'json'
);

SELECT
    window_start,
    ad,
    count(*) FILTER (WHERE action = 'view')  AS views,
    count(*) FILTER (WHERE action = 'click') AS clicks,
    round(100.0 * count(*) FILTER (WHERE action = 'click')
          / nullif(count(*) FILTER (WHERE action = 'view'), 0), 1) AS percent
FROM TUMBLE(TABLE ads, DESCRIPTOR(ts), INTERVAL '1' MINUTE)
GROUP BY window_start, window_end, ad
EMIT ON WINDOW CLOSE;
