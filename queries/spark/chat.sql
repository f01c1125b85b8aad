-- A chat room: prints every message as it comes, and counts the messages of each person.
--
-- Terminal 1 (it listens; any number of people may connect):
--   tidemill queries/spark/chat.sql
-- Terminals 2, 3, …, who type lines such as {"name":"ann","text":"hello"}:
--   nc localhost 9998
--
-- Two queries over one stream: the source is opened once.

CREATE TABLE messages (name VARCHAR, text VARCHAR)
WITH ('connector' = 'socket', 'address' = 'tcp://:9998', 'format' = 'json', 'on_error' = 'skip');

CREATE TABLE room (name VARCHAR, text VARCHAR) WITH ('connector' = 'print', 'print-identifier' = 'room');
CREATE TABLE counts (name VARCHAR, messages BIGINT) WITH ('connector' = 'print', 'print-identifier' = 'count');

EXECUTE STATEMENT SET BEGIN
    INSERT INTO room SELECT name, text FROM messages WHERE name IS NOT NULL;
    INSERT INTO counts SELECT name, count(*) FROM messages WHERE name IS NOT NULL GROUP BY name;
END;
