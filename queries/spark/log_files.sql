-- What a web server writes into a folder: how often each page was asked for, every five minutes, and every line with an error.
--
--   tidemill queries/spark/log_files.sql
--
-- The lines are plain text:   2026-01-01T00:00:05 INFO GET /item 200 504ms
-- To go on for ever and take up files that are put into the folder later, add 'source.monitor-interval' = '1s'.
--
-- In Spark Streaming:
--   val lines = ssc.textFileStream("logs/")
--   lines.filter(_.contains("ERROR")).print()
--   lines.map(page).countByValueAndWindow(Minutes(5), Minutes(5)).print()

CREATE TABLE log (
    line   VARCHAR,
    ts     AS CAST(split_index(line, ' ', 0) AS TIMESTAMP(3)),
    level  AS split_index(line, ' ', 1),
    page   AS split_index(line, ' ', 3),
    status AS CAST(split_index(line, ' ', 4) AS INT),
    WATERMARK FOR ts AS ts - INTERVAL '10' SECOND
) WITH (
    'connector' = 'filesystem',
    'path'      = 'queries/data/logs/*.log',
    'format'    = 'text'
);

CREATE TABLE pages (window_start TIMESTAMP(3), page VARCHAR, hits BIGINT, missing BIGINT)
WITH ('connector' = 'print', 'print-identifier' = 'page');

CREATE TABLE errors (line VARCHAR) WITH ('connector' = 'print', 'print-identifier' = 'error');

EXECUTE STATEMENT SET BEGIN
    INSERT INTO pages
    SELECT window_start, page, count(*), count(*) FILTER (WHERE status = 404)
    FROM TUMBLE(TABLE log, DESCRIPTOR(ts), INTERVAL '5' MINUTE)
    GROUP BY window_start, window_end, page;

    INSERT INTO errors SELECT line FROM log WHERE level = 'ERROR';
END;
