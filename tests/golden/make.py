"""Computes the golden files of the queries in queries/ with DuckDB: another engine, and other SQL.

    pip install duckdb && cargo build && python tests/golden/make.py [--check]      (from the root of the repository)

With --check nothing is written: it fails when a golden file is not what DuckDB answers. The built binary only writes down
the events that queries/nexmark read (TIDEMILL names another one); the answers over them are DuckDB's.

Each golden file has a line per row: the relation it goes to (`select` for a bare SELECT), and its columns, apart by tabs, in
the order of the text. `wm` is the row watermark: the newest event time of the rows before, less the delay; a row is late for a
window that ended at or before it, and for a session, or a join that bounds times, when it is itself older.
"""

import datetime
import decimal
import os
import pathlib
import subprocess
import sys
import tempfile

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
    path, text = HERE / f"{name}.tsv", "\n".join(sorted(lines)) + "\n"
    if "--check" not in sys.argv:
        path.write_text(text)
    elif path.read_text() != text:
        sys.exit(f"{path} is not what DuckDB answers")
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
    # Halves up: DuckDB's round() has changed its mind about them between versions.
    select=f"""SELECT window_start, window_end, sensor, count(*), floor(avg(temperature::DOUBLE) * 100 + 0.5) / 100
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

# Nexmark. The events come out of order, some of them later than the watermark allows; see nexmark.options.
ddl = pathlib.Path("queries/nexmark/q0.sql").read_text().split("\n);")[0]
written = "'events.num' = '10000', 'first-event.rate' = '100'"
assert written in ddl
ddl = ddl.replace(written, (HERE / "nexmark.options").read_text().strip())
with tempfile.TemporaryDirectory() as folder:
    events = f"{folder}/events.jsonl"
    sql = ddl + "\n); SELECT event_type, person, auction, bid, `dateTime` AS ts FROM nexmark"
    binary = os.environ.get("TIDEMILL", "target/debug/tidemill")
    subprocess.run([binary, "--quiet", "--format", "json", "-o", events, f"--command={sql}"], check=True)
    person = "STRUCT(id BIGINT, name VARCHAR, emailAddress VARCHAR, creditCard VARCHAR, city VARCHAR, state VARCHAR, extra VARCHAR)"
    auction = """STRUCT(id BIGINT, itemName VARCHAR, description VARCHAR, initialBid BIGINT, reserve BIGINT, expires TIMESTAMP,
                        seller BIGINT, category BIGINT, extra VARCHAR)"""
    bid = "STRUCT(auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR, extra VARCHAR)"
    columns = {"event_type": "INT", "person": person, "auction": auction, "bid": bid, "ts": "TIMESTAMP"}
    listed = ", ".join(f"{k}: '{v}'" for k, v in columns.items())
    table("nexmark", f"read_json('{events}', format = 'newline_delimited', columns = {{{listed}}})", 4)
for kind, event_type in [("person", 0), ("auction", 1), ("bid", 2)]:
    con.execute(f"CREATE TABLE {kind} AS SELECT unnest({kind}), ts, t, wm, n FROM nexmark WHERE event_type = {event_type}")


def nexmark(name, sql):
    golden(f"nexmark_{name}", select=sql)


def alone(sql):
    """That ties do not decide which row is taken."""
    assert not con.execute(sql).fetchall(), sql


EUROS = "(0.908::DECIMAL(4, 3) * price::DECIMAL(19, 0))"
DAY = "strftime(ts, '%Y-%m-%d')"
RANKS = ["true", "price < 10000", "price >= 10000 AND price < 1000000", "price >= 1000000"]
COUNTS = ", ".join(f"count(*) FILTER (WHERE {rank})" for rank in RANKS)
REPORT = ", ".join([COUNTS] + [f"count(DISTINCT {of}) FILTER (WHERE {rank})" for of in ["bidder", "auction"] for rank in RANKS])
ON_TIME = "(wm IS NULL OR t >= wm)"
ON_BIDS = f"""SELECT a.*, b.auction, b.bidder, b.price, b.ts AS bid_ts, b.extra AS bid_extra FROM (FROM auction WHERE {ON_TIME}) a
              JOIN (FROM bid WHERE {ON_TIME}) b ON a.id = b.auction AND b.ts BETWEEN a.ts AND a.expires"""

assert con.execute("SELECT count(*) FROM nexmark WHERE t < wm").fetchone()[0] > 0, "some events should be late"
nexmark("q0", "SELECT auction, bidder, price, ts, extra FROM bid")
nexmark("q1", f"SELECT auction, bidder, {EUROS}, ts, extra FROM bid")
nexmark("q2", "SELECT auction, price FROM bid WHERE auction % 123 = 0")
nexmark("q3", "SELECT p.name, p.city, p.state, a.id FROM auction a, person p WHERE a.seller = p.id AND category = 10 AND state IN ('OR', 'ID', 'CA')")
nexmark("q4", f"SELECT category, avg(final) FROM (SELECT category, max(price) AS final FROM ({ON_BIDS}) GROUP BY id, category) GROUP BY category")
counts = f"(SELECT auction, count(*) AS num, window_start, window_end FROM {windows('bid', 2, 10)} GROUP BY ALL)"
nexmark("q5", f"SELECT auction, num FROM {counts} QUALIFY rank() OVER (PARTITION BY window_end ORDER BY num DESC) = 1")
nexmark("q5_inner", f"SELECT * FROM {counts}")
alone(f"SELECT id FROM (FROM ({ON_BIDS}) QUALIFY rank() OVER (PARTITION BY id ORDER BY price DESC) = 1) GROUP BY id HAVING count(*) > 1")
winners = f"(SELECT DISTINCT ON (id) * FROM ({ON_BIDS}) ORDER BY id, price DESC, bid_ts)"
nexmark("q6", f"SELECT seller, avg(price) OVER (PARTITION BY seller ORDER BY bid_ts ROWS BETWEEN 10 PRECEDING AND CURRENT ROW) FROM {winners}")
highest = f"(SELECT window_start, window_end, max(price) AS best FROM {windows('bid', 10, 10)} GROUP BY ALL)"
nexmark("q7_inner", f"SELECT best, window_start, window_end FROM {highest}")
nexmark("q7", f"SELECT auction, price, bidder, ts, extra FROM bid, {highest} WHERE {ON_TIME} AND price = best AND ts >= window_start AND ts < window_end")
nexmark("q8", f"""SELECT DISTINCT p.id, p.name, p.window_start FROM {windows('person', 10, 10)} p
                  WHERE EXISTS (FROM {windows('auction', 10, 10)} a WHERE a.seller = p.id AND a.window_start = p.window_start)""")
nexmark("q9", f"""SELECT id, itemName, description, initialBid, reserve, ts, expires, seller, category, extra,
                         auction, bidder, price, bid_ts, bid_extra FROM {winners}""")
nexmark("q10", f"SELECT auction, bidder, price, ts, extra, {DAY}, strftime(ts, '%H:%M') FROM bid")
nexmark("q11", """
    WITH on_time AS (SELECT * FROM bid WHERE wm IS NULL OR t >= wm),
         gaps AS (SELECT *, t - lag(t) OVER (PARTITION BY bidder ORDER BY t) AS gap FROM on_time),
         islands AS (SELECT *, sum(CASE WHEN gap IS NULL OR gap > 10000 THEN 1 ELSE 0 END)
                               OVER (PARTITION BY bidder ORDER BY t ROWS UNBOUNDED PRECEDING) AS island FROM gaps)
    SELECT bidder, count(*), min(ts), max(ts) + INTERVAL 10 SECOND FROM islands GROUP BY bidder, island""")
# The clock of the test stands still.
nexmark("q12", "SELECT bidder, count(*), TIMESTAMP '2026-01-01 00:00:00', TIMESTAMP '2026-01-01 00:00:10' FROM bid GROUP BY bidder")
nexmark("q13", "SELECT auction, bidder, price, ts, (auction % 10000)::VARCHAR FROM bid")
nexmark("q14", f"""SELECT auction, bidder, {EUROS}, CASE WHEN hour(ts) BETWEEN 8 AND 18 THEN 'dayTime'
                       WHEN hour(ts) <= 6 OR hour(ts) >= 20 THEN 'nightTime' ELSE 'otherTime' END, ts, extra,
                       len(extra) - len(replace(extra, 'c', '')) FROM bid WHERE {EUROS} > 1000000 AND {EUROS} < 50000000""")
nexmark("q15", f"SELECT {DAY}, {REPORT} FROM bid GROUP BY {DAY}")
nexmark("q16", f"SELECT channel, {DAY}, max(strftime(ts, '%H:%M')), {REPORT} FROM bid GROUP BY channel, {DAY}")
nexmark("q17", f"SELECT auction, {DAY}, {COUNTS}, min(price), max(price), avg(price), sum(price) FROM bid GROUP BY auction, {DAY}")
alone("SELECT bidder, auction, ts FROM bid GROUP BY ALL HAVING count(*) > 1")
nexmark("q18", "SELECT DISTINCT ON (bidder, auction) auction, bidder, price, channel, url, ts, extra FROM bid ORDER BY bidder, auction, ts DESC")
alone("""SELECT auction, price FROM (FROM bid QUALIFY rank() OVER (PARTITION BY auction ORDER BY price DESC) <= 10)
         GROUP BY ALL HAVING count(*) > 1""")
nexmark("q19", """SELECT auction, bidder, price, channel, url, ts, extra, rank() OVER (PARTITION BY auction ORDER BY price DESC) AS place
                  FROM bid QUALIFY place <= 10""")
nexmark("q20", """SELECT b.auction, b.bidder, b.price, b.channel, b.url, b.ts, b.extra, a.itemName, a.description, a.initialBid, a.reserve,
                         a.ts, a.expires, a.seller, a.category, a.extra FROM bid b, auction a WHERE b.auction = a.id AND category = 10""")
nexmark("q21", """SELECT * FROM (SELECT auction, bidder, price, channel, coalesce(
                      map {'apple': '0', 'google': '1', 'facebook': '2', 'baidu': '3'}[lower(channel)],
                      nullif(regexp_extract(url, '(&|^)channel_id=([^&]*)', 2), '')) AS channel_id FROM bid)
                  WHERE channel_id IS NOT NULL""")
parts = ", ".join(f"string_split(url, '/')[{i}]" for i in [4, 5, 6])
nexmark("q22", f"SELECT auction, bidder, price, channel, {parts} FROM bid")
nexmark("q23", """SELECT b.bidder, b.price, b.channel, b.url, b.extra, p.id, p.name, p.emailAddress, p.creditCard, p.city, p.state, p.extra,
                         a.itemName, a.description, a.initialBid, a.reserve, a.ts, a.expires, a.seller, a.category, a.extra
                  FROM bid b, person p, auction a WHERE p.id = b.bidder AND a.seller = b.bidder""")
