-- Nexmark q6: average selling price by seller: of the winning bids of a seller's last ten closed auctions
-- Status: runs now.
--
-- The bid that wins an auction is the highest so far, of those within its time: while an auction runs it changes, and with it
-- the averages that it is in. Each winning bid has the average of itself and up to ten before it, in the order of their times:
-- that is eleven, as ROWS BETWEEN 10 PRECEDING AND CURRENT ROW says. The text that ships with the benchmark for Flink (which
-- cannot run it, for want of OVER over rows that change) asks for the place in the SELECT that makes it; here it is asked outside.

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

CREATE VIEW auction AS
SELECT auction.id AS id, auction.`itemName` AS `itemName`, auction.description AS description,
       auction.`initialBid` AS `initialBid`, auction.reserve AS reserve, `dateTime`, auction.expires AS expires,
       auction.seller AS seller, auction.category AS category, auction.extra AS extra
FROM nexmark WHERE event_type = 1;

CREATE VIEW bid AS
SELECT bid.auction AS auction, bid.bidder AS bidder, bid.price AS price, bid.channel AS channel, bid.url AS url,
       `dateTime`, bid.extra AS extra
FROM nexmark WHERE event_type = 2;

SELECT seller, AVG(final) OVER (PARTITION BY seller ORDER BY `dateTime` ROWS BETWEEN 10 PRECEDING AND CURRENT ROW) AS average
FROM (
    SELECT A.id, A.seller, B.price AS final, B.`dateTime`,
           ROW_NUMBER() OVER (PARTITION BY A.id, A.seller ORDER BY B.price DESC) AS place
    FROM auction AS A
    JOIN bid AS B ON A.id = B.auction AND B.`dateTime` BETWEEN A.`dateTime` AND A.expires
) AS Q
WHERE place = 1;
