"""Computes the golden files of the queries in queries/tour and queries/spark with DuckDB: another engine, and other SQL.

    pip install duckdb && python tests/golden/make.py        (from the root of the repository)

Each golden file has a line per row: the relation it goes to (`select` for a bare SELECT), and its columns, apart by tabs, in
the order of the text. `wm` is the row watermark: the newest event time of the rows before, less the delay; a row is late for a
window that ended at or before it, and for a session when it is itself older.
"""

import datetime
import decimal
import pathlib

import duckdb

HERE = pathlib.Path(__file__).parent
con = duckdb.connect()
con.execute("SET threads = 1; SET preserve_insertion_order = true; SET TimeZone = 'UTC'")


def cell(value):
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime.datetime):
        text = value.isoformat(timespec="milliseconds")
        return text[:-4] if text.endswith(".000") else text
    if isinstance(value, float):
        return repr(float(f"{value:.8e}")).replace("e+", "e")
    if isinstance(value, decimal.Decimal):
        return str(value)
    return str(value)


def golden(name, **relations):
    lines = []
    for relation, sql in relations.items():
        for row in con.execute(sql).fetchall():
            lines.append("\t".join([relation, *map(cell, row)]))
    (HERE / f"{name}.tsv").write_text("\n".join(sorted(lines)) + "\n")
    print(name, len(lines))


def table(name, read, seconds):
    con.execute(f"""
        CREATE TABLE {name} AS
        SELECT *, epoch_ms(ts) AS t,
               max(epoch_ms(ts)) OVER (ORDER BY n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) - {seconds} * 1000 AS wm
        FROM (SELECT *, row_number() OVER () AS n FROM {read})""")


def windows(name, slide, size):
    """The rows of a table, once for each window that they are in on time; windows are aligned to 1970."""
    return f"""(
        SELECT *, make_timestamp(ws * 1000) AS window_start, make_timestamp((ws + {size} * 1000) * 1000) AS window_end
        FROM (SELECT *, (t // ({slide} * 1000)) * {slide} * 1000 - i * {slide} * 1000 AS ws
              FROM {name}, range(0, {size // slide}) AS r(i))
        WHERE ws + {size} * 1000 > t AND (wm IS NULL OR ws + {size} * 1000 > wm))"""


def json(path, columns):
    listed = ", ".join(f"{k}: '{v}'" for k, v in columns.items())
    return f"read_json('queries/data/{path}', format = 'newline_delimited', columns = {{{listed}}})"


table("bids", json("bids.jsonl", {"auction": "BIGINT", "bidder": "BIGINT", "price": "BIGINT", "channel": "VARCHAR", "ts": "TIMESTAMP"}), 2)
golden(
    "tour_01_select",
    select="""SELECT ts, auction, price // 100, channel FROM bids
              WHERE price > 10000000 AND channel IN ('Google', 'Facebook', 'Baidu', 'Apple')""",
)
golden("tour_02_tumble", select=f"SELECT window_start, window_end, count(*), max(price) FROM {windows('bids', 10, 10)} GROUP BY ALL")

table("sensors", "read_csv('queries/data/sensors.csv', columns = {sensor: 'VARCHAR', temperature: 'DECIMAL(4, 1)', ts: 'TIMESTAMP'}, header = true)", 10)
golden(
    "tour_03_hop",
    select=f"""SELECT window_start, window_end, sensor, count(*), round(avg(temperature::DOUBLE), 2)
               FROM {windows('sensors', 20, 60)} GROUP BY ALL""",
)

table("clicks", json("clicks.jsonl", {"user": "VARCHAR", "url": "VARCHAR", "ts": "TIMESTAMP"}), 10)
golden(
    "tour_04_sessions",
    select="""
        WITH on_time AS (SELECT * FROM clicks WHERE wm IS NULL OR t >= wm),
             gaps AS (SELECT *, t - lag(t) OVER (PARTITION BY "user" ORDER BY t) AS gap FROM on_time),
             islands AS (SELECT *, sum(CASE WHEN gap IS NULL OR gap > 120000 THEN 1 ELSE 0 END)
                                   OVER (PARTITION BY "user" ORDER BY t ROWS UNBOUNDED PRECEDING) AS island FROM gaps)
        SELECT "user", min(ts), max(ts), count(*), count(*) FILTER (WHERE url = '/checkout') > 0
        FROM islands GROUP BY "user", island""",
)
golden(
    "tour_05_views",
    alarms="SELECT ts, auction, price FROM bids WHERE price > 90000000",
    totals=f"SELECT window_end, count(*) FROM {windows('bids', 20, 20)} GROUP BY window_start, window_end",
    select="SELECT channel, count(*), max(price) FROM bids WHERE channel NOT LIKE 'channel-%' GROUP BY channel",
)

table("ads", json("ads.jsonl", {"ad": "VARCHAR", "action": "VARCHAR", "ts": "TIMESTAMP"}), 5)
golden(
    "spark_ads",
    select=f"""SELECT window_start, ad, count(*) FILTER (WHERE action = 'view') AS v, count(*) FILTER (WHERE action = 'click') AS c,
                      round(100.0::DOUBLE * count(*) FILTER (WHERE action = 'click') / nullif(count(*) FILTER (WHERE action = 'view'), 0), 1)
               FROM {windows('ads', 60, 60)} GROUP BY window_start, ad""",
)

# The first twenty clicks are what the test sends through the socket.
table("live_clicks", "(SELECT * FROM " + json("clicks.jsonl", {"user": "VARCHAR", "url": "VARCHAR", "ts": "TIMESTAMP"}) + " LIMIT 20)", 1)
golden("spark_click_count", select=f"""SELECT window_end, "user", count(*) FROM {windows('live_clicks', 1, 60)} GROUP BY ALL""")

table("payments", json("payments.jsonl", {"card": "BIGINT", "amount": "DECIMAL(10, 2)", "country": "VARCHAR", "ts": "TIMESTAMP"}), 5)
golden(
    "spark_fraud",
    large="SELECT ts, card, amount FROM payments WHERE amount > 9000",
    often=f"SELECT window_end, card, count(*), sum(amount) FROM {windows('payments', 15, 60)} GROUP BY window_end, card HAVING count(*) > 3",
    roaming=f"""SELECT window_end, card, count(DISTINCT country) FROM {windows('payments', 600, 600)}
                GROUP BY window_end, card HAVING count(DISTINCT country) > 1""",
)

table("servers", "read_csv('queries/data/servers.csv', columns = {host: 'VARCHAR', cpu: 'INT', ts: 'TIMESTAMP'}, header = true)", 5)
golden(
    "spark_monitoring",
    select=f"""SELECT window_end, host, count(*), avg(cpu), max(cpu) FROM {windows('servers', 10, 60)}
               GROUP BY window_end, host HAVING avg(cpu) > 65 AND count(*) >= 10""",
)

con.execute("""
    CREATE TABLE lines AS
    SELECT line, str_split(line, ' ')[1]::TIMESTAMP AS ts, str_split(line, ' ')[2] AS level, str_split(line, ' ')[4] AS page,
           str_split(line, ' ')[5]::INT AS status
    FROM (SELECT unnest(str_split(rtrim(content, chr(10)), chr(10))) AS line, filename
          FROM read_text('queries/data/logs/*.log') ORDER BY filename)""")
table("log", "lines", 10)
golden(
    "spark_log_files",
    pages=f"SELECT window_start, page, count(*), count(*) FILTER (WHERE status = 404) FROM {windows('log', 300, 300)} GROUP BY window_start, page",
    errors="SELECT line FROM log WHERE level = 'ERROR'",
)

# What the test sends through stdin and the socket, see tests/it/queries.rs.
con.execute("CREATE TABLE text AS SELECT unnest(['To be  or not', 'to be', '', 'that is THE question', 'to']) AS line")
golden("spark_word_count", select="SELECT w, count(*) FROM (SELECT unnest(str_split(lower(line), ' ')) AS w FROM text) WHERE w <> '' GROUP BY w")
con.execute("CREATE TABLE messages AS SELECT * FROM (VALUES ('ann', 'hello'), ('bob', 'hi ann'), ('ann', NULL), (NULL, 'who?'), ('ann', 'bye')) AS m(name, text)")
golden(
    "spark_chat",
    room="SELECT name, text FROM messages WHERE name IS NOT NULL",
    counts="SELECT name, count(*) FROM messages WHERE name IS NOT NULL GROUP BY name",
)
