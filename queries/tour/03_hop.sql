-- Lesson 3: windows that overlap, and rows that come too late.
--
--   tidemill queries/tour/03_hop.sql
--
-- Thermometers with a slow radio: a reading comes up to 20 seconds after it was taken (look at queries/data/sensors.csv: the times
-- jump back and forth). What was the average of the last minute, every 20 seconds?
--
-- HOP takes first how often (20 seconds), then how long (1 minute). A reading is in three windows here.

CREATE TABLE sensors (
    sensor      VARCHAR,
    temperature DECIMAL(4, 1),
    ts          TIMESTAMP(3),
    -- Waiting 10 seconds lets most readings in. A reading that is later than that is not lost for all windows: lateness is judged
    -- window by window, and only those that have closed are missed. Make it 20 SECOND and nothing is late; make it 0 and see.
    WATERMARK FOR ts AS ts - INTERVAL '10' SECOND
) WITH (
    'connector' = 'filesystem',
    'path'      = 'queries/data/sensors.csv',
    'format'    = 'csv'
);

SELECT window_start, window_end, sensor, count(*) AS readings, round(avg(CAST(temperature AS DOUBLE)), 2) AS average
FROM HOP(TABLE sensors, DESCRIPTOR(ts), INTERVAL '20' SECOND, INTERVAL '1' MINUTE)
GROUP BY window_start, window_end, sensor
EMIT ON WINDOW CLOSE;

-- The summary at the end counts late rows: none vanishes in silence.
