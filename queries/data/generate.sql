-- Makes the sample data beside this file, the same on every run: both connectors draw their rows from a seed.
--
--   tidemill queries/data/generate.sql        (from the root of the repository; it writes over what is there)

-- Bids in an auction house: one minute, ten events a second. -> bids.jsonl
CREATE TABLE made_bids (auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, "dateTime" TIMESTAMP(3))
WITH (connector = 'nexmark', 'table' = 'bid', 'events.num' = '700', 'first-event.rate' = '10');

CREATE TABLE bids (auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, ts TIMESTAMP(3))
WITH (connector = 'filesystem', path = 'queries/data/bids.jsonl', format = 'json');

INSERT INTO bids SELECT auction, bidder, price, channel, "dateTime" AS ts FROM made_bids;

-- Thermometers whose radio is slow: a reading comes up to 20 seconds after it was taken. -> sensors.csv
CREATE TABLE made_sensors (sensor VARCHAR, temperature DOUBLE, ts TIMESTAMP(3))
WITH (connector = 'datagen', 'number-of-rows' = '300', seed = '3',
      'fields.sensor.values' = 'attic, cellar, kitchen',
      'fields.temperature.min' = '15', 'fields.temperature.max' = '25',
      'fields.ts.step' = '1s', 'fields.ts.max-past' = '20s');

CREATE TABLE sensors (sensor VARCHAR, temperature DECIMAL(4, 1), ts TIMESTAMP(3))
WITH (connector = 'filesystem', path = 'queries/data/sensors.csv', format = 'csv');

INSERT INTO sensors
SELECT sensor, CAST(temperature AS DECIMAL(4, 1)) AS temperature, date_trunc('second', ts) AS ts FROM made_sensors;

-- Visitors of a shop. -> clicks.jsonl
CREATE TABLE made_clicks ("user" VARCHAR, url VARCHAR, ts TIMESTAMP(3))
WITH (connector = 'datagen', 'number-of-rows' = '300', seed = '4',
      'fields.user.values' = 'alice, bob, carol, dave, erin, frank',
      'fields.url.values' = '/, /search, /search, /item/1, /item/2, /item/3, /cart, /checkout',
      'fields.ts.step' = '10s');

CREATE TABLE clicks ("user" VARCHAR, url VARCHAR, ts TIMESTAMP(3))
WITH (connector = 'filesystem', path = 'queries/data/clicks.jsonl', format = 'json');

INSERT INTO clicks SELECT "user", url, ts FROM made_clicks;

-- What a web server writes, half an hour to a file. -> logs/web-1.log, logs/web-2.log
CREATE TABLE made_log (ts TIMESTAMP(3), level VARCHAR, page VARCHAR, status INT, millis INT, n BIGINT)
WITH (connector = 'datagen', 'number-of-rows' = '720', seed = '5',
      'fields.ts.step' = '5s',
      'fields.level.values' = 'INFO, INFO, INFO, INFO, INFO, INFO, INFO, WARN, ERROR',
      'fields.page.values' = '/, /search, /item, /cart, /checkout',
      'fields.status.values' = '200, 200, 200, 404',
      'fields.millis.min' = '1', 'fields.millis.max' = '900',
      'fields.n.kind' = 'sequence');

CREATE TABLE log_1 (line VARCHAR) WITH (connector = 'filesystem', path = 'queries/data/logs/web-1.log', format = 'text');
CREATE TABLE log_2 (line VARCHAR) WITH (connector = 'filesystem', path = 'queries/data/logs/web-2.log', format = 'text');

CREATE VIEW lines AS
SELECT n, date_format(ts, 'yyyy-MM-dd''T''HH:mm:ss') || ' ' || level || ' GET ' || page || ' '
          || CASE WHEN level = 'ERROR' THEN '500' ELSE CAST(status AS VARCHAR) END || ' ' || CAST(millis AS VARCHAR) || 'ms' AS line
FROM made_log;

INSERT INTO log_1 SELECT line FROM lines WHERE n < 360;
INSERT INTO log_2 SELECT line FROM lines WHERE n >= 360;

-- Load of three servers, a reading every second. -> servers.csv
CREATE TABLE made_servers (host VARCHAR, cpu INT, ts TIMESTAMP(3))
WITH (connector = 'datagen', 'number-of-rows' = '600', seed = '6',
      'fields.host.values' = 'web-1, web-2, db-1', 'fields.cpu.min' = '20', 'fields.cpu.max' = '100',
      'fields.ts.step' = '1s');

CREATE TABLE servers (host VARCHAR, cpu INT, ts TIMESTAMP(3))
WITH (connector = 'filesystem', path = 'queries/data/servers.csv', format = 'csv');

INSERT INTO servers SELECT host, cpu, ts FROM made_servers;

-- Advertisements that were shown and clicked. -> ads.jsonl
CREATE TABLE made_ads (ad VARCHAR, action VARCHAR, ts TIMESTAMP(3))
WITH (connector = 'datagen', 'number-of-rows' = '600', seed = '7',
      'fields.ad.values' = 'shoes, hats, bikes', 'fields.action.values' = 'view, view, view, view, click',
      'fields.ts.step' = '1s');

CREATE TABLE ads (ad VARCHAR, action VARCHAR, ts TIMESTAMP(3))
WITH (connector = 'filesystem', path = 'queries/data/ads.jsonl', format = 'json');

INSERT INTO ads SELECT ad, action, ts FROM made_ads;

-- Payments by card; one in fifty is large. -> payments.jsonl
CREATE TABLE made_payments (card BIGINT, cents BIGINT, large BIGINT, country VARCHAR, ts TIMESTAMP(3))
WITH (connector = 'datagen', 'number-of-rows' = '500', seed = '8',
      'fields.card.min' = '4001', 'fields.card.max' = '4012',
      'fields.cents.min' = '100', 'fields.cents.max' = '20000', 'fields.large.min' = '1', 'fields.large.max' = '50',
      'fields.country.values' = 'DE, DE, DE, DE, DE, DE, DE, DE, FR, US',
      'fields.ts.step' = '4s');

CREATE TABLE payments (card BIGINT, amount DECIMAL(10, 2), country VARCHAR, ts TIMESTAMP(3))
WITH (connector = 'filesystem', path = 'queries/data/payments.jsonl', format = 'json');

INSERT INTO payments
SELECT card,
       CAST(CAST(CASE WHEN large = 1 THEN cents + 900000 ELSE cents END AS DECIMAL(12, 2)) / 100 AS DECIMAL(10, 2)) AS amount,
       country, ts
FROM made_payments;

-- Nexmark's side input: a value for each of ten thousand keys. -> side_input.csv
CREATE TABLE made_side_input (key BIGINT, value VARCHAR)
WITH (connector = 'datagen', 'number-of-rows' = '10000', 'fields.key.kind' = 'sequence', 'fields.value.kind' = 'sequence');

CREATE TABLE side_input (key BIGINT, value VARCHAR)
WITH (connector = 'filesystem', path = 'queries/data/side_input.csv', format = 'csv');

INSERT INTO side_input SELECT key, value FROM made_side_input;
