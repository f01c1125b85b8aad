-- Alerts: servers whose processors were busy for a whole minute (average over 65 %, and at least ten readings), looked at every ten
-- seconds.
--
--   tidemill queries/spark/monitoring.sql
--
-- HAVING filters what comes out of a window, as WHERE filters what goes in.

CREATE TABLE servers (
    host VARCHAR,
    cpu  INT,                     -- percent
    ts   TIMESTAMP(3),
    WATERMARK FOR ts AS ts - INTERVAL '5' SECOND
) WITH (
    'connector' = 'filesystem',
    'path'      = 'queries/data/servers.csv',
    'format'    = 'csv'
);

SELECT window_end AS at_time, host, count(*) AS readings, avg(cpu) AS average, max(cpu) AS peak
FROM HOP(TABLE servers, DESCRIPTOR(ts), INTERVAL '10' SECOND, INTERVAL '1' MINUTE)
GROUP BY window_start, window_end, host
HAVING avg(cpu) > 65 AND count(*) >= 10
EMIT ON WINDOW CLOSE;
