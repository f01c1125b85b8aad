-- Nexmark q13: bounded side input join: a value from a file for every bid; the file is read first
-- Status: runs now.

CREATE TABLE nexmark (
    event_type INT,               -- 0 person, 1 auction, 2 bid; the other two rows are NULL
    person  ROW<id BIGINT, name VARCHAR, `emailAddress` VARCHAR, `creditCard` VARCHAR, city VARCHAR, state VARCHAR,
                `dateTime` TIMESTAMP(3), extra VARCHAR>,
    auction ROW<id BIGINT, `itemName` VARCHAR, description VARCHAR, `initialBid` BIGINT, reserve BIGINT,
                `dateTime` TIMESTAMP(3), expires TIMESTAMP(3), seller BIGINT, category BIGINT, extra VARCHAR>,
    bid     ROW<auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR,
                `dateTime` TIMESTAMP(3), extra VARCHAR>,
    `dateTime` AS CASE event_type WHEN 0 THEN person.`dateTime` WHEN 1 THEN auction.`dateTime` ELSE bid.`dateTime` END,
    WATERMARK FOR `dateTime` AS `dateTime` - INTERVAL '4' SECOND
) WITH (
    'connector' = 'nexmark', 'events.num' = '10000', 'first-event.rate' = '100'
);

CREATE VIEW bid AS
SELECT bid.auction AS auction, bid.bidder AS bidder, bid.price AS price, bid.channel AS channel, bid.url AS url,
       `dateTime`, bid.extra AS extra
FROM nexmark WHERE event_type = 2;

CREATE TABLE side_input (key BIGINT, value VARCHAR)
WITH ('connector' = 'filesystem', 'path' = 'queries/data/side_input.csv', 'format' = 'csv');

SELECT B.auction, B.bidder, B.price, B.`dateTime`, S.value
FROM (SELECT *, PROCTIME() AS p_time FROM bid) AS B
JOIN side_input FOR SYSTEM_TIME AS OF B.p_time AS S ON MOD(B.auction, 10000) = S.key;
