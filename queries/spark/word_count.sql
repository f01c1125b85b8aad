-- How often each word has occurred so far, over lines that never end: the "stateful network word count".
--
--   nc -lk 9999 | tidemill queries/spark/word_count.sql        and type; or
--   tidemill queries/spark/word_count.sql < some.txt
--
-- In Spark Streaming:
--   lines.flatMap(_.split(" ")).map((_, 1)).updateStateByKey(sum)
--
-- The count of a word is state that is kept for ever; each interval gives the words whose count changed.

CREATE TABLE lines (line VARCHAR) WITH ('connector' = 'stdin', 'format' = 'text');

SELECT word, count(*) AS occurrences
FROM (SELECT unnest(string_to_array(lower(line), ' ')) AS word FROM lines) AS words
WHERE word <> ''
GROUP BY word
EMIT CHANGES;
