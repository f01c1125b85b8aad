"""A session of psycopg, as a program has it: python session.py PORT prints what it finds."""

import sys
import threading
from datetime import date, datetime, timedelta
from decimal import Decimal

import psycopg
from psycopg.rows import dict_row

where = f"host=127.0.0.1 port={sys.argv[1]} user=ann dbname=shop"


def show(title, value):
    print(f"{title}: {value!r}", flush=True)


def refused(session, sql, *values):
    try:
        session.execute(sql, *values)
    except psycopg.Error as error:
        show(sql, (type(error).__name__, error.sqlstate, str(error).splitlines()[0]))


with psycopg.connect(where, autocommit=True) as session:
    show("values", session.execute("SELECT true, NULL, 12.50, 'ä', make_array(1, 2), X'00ff'").fetchone())
    show("times", session.execute("SELECT TIMESTAMP '2026-01-01 00:00:10', DATE '2026-01-01', INTERVAL '1 day'").fetchone())
    session.execute(
        "CREATE MATERIALIZED VIEW sales AS SELECT * FROM"
        " (VALUES (1, 'tea', 2.50), (2, 'cake', 4.00), (3, 'tea', 3.00)) t(id, item, price)"
    )
    # Parameters of the server, of every type that Python has a name for.
    find = "SELECT id, price FROM sales WHERE item = %s AND price > %s ORDER BY id"
    show("found", session.execute(find, ("tea", Decimal("2.75"))).fetchall())
    show("found", session.execute(find, ("tea'; DROP VIEW sales; --", 0)).fetchall())
    echo = "SELECT %s::int, %s::text, %s::boolean, %s::double precision, %s::timestamp, %s::date, %s::bytea"
    values = (1, "a", True, 1.5, datetime(2026, 1, 1, 12), date(2026, 1, 1), b"\x00\xff")
    show("echo", session.execute(echo, values).fetchone() == values)
    show("echo in binary", session.execute(echo, values, binary=True).fetchone() == values)
    show("NULL", session.execute("SELECT %s::int, %s::text", (None, None)).fetchone())
    show("interval", session.execute("SELECT %s::interval", (timedelta(days=1, seconds=1),)).fetchone())
    show("limit", session.execute("SELECT id FROM sales ORDER BY id LIMIT %s OFFSET %s", (1, 1)).fetchall())
    with session.cursor(row_factory=dict_row) as cursor:
        cursor.execute("SELECT count(*), sum(price) AS total FROM sales")
        show("named", cursor.fetchone())
        show("columns", [(column.name, column.type_code) for column in cursor.description])
    # Prepared by the driver once it has run a few times.
    show("often", [session.execute("SELECT item FROM sales WHERE id = %s", (i,)).fetchone() for i in range(1, 8)])
    with session.cursor() as cursor:
        cursor.executemany("SELECT %s::int + 1", [(1,), (2,)], returning=True)
        show("many", cursor.fetchone())

    refused(session, "SELECT nosuch FROM sales")
    refused(session, "SELECT 1 / %s", (0,))
    refused(session, "SELECT * FROM '/etc/passwd'")
    refused(session, "SELECT id FROM sales WHERE id = %s", ("x",))
    show("and on", session.execute("SELECT 1").fetchone())

with psycopg.connect(where) as session:
    show("in a transaction", session.execute("SELECT count(*) FROM sales").fetchone())
    refused(session, "SELECT nosuch")
    refused(session, "SELECT 1")
    session.rollback()
    show("after rollback", session.execute("SELECT 1").fetchone())

# A live query, one row at a time, until another thread cancels it.
with psycopg.connect(where, autocommit=True) as session, session.cursor() as cursor:
    seen = []
    try:
        for row in cursor.stream("SUBSCRIBE (SELECT n FROM ticks)"):
            seen.append(row)
            if len(seen) == 3:
                threading.Thread(target=session.cancel).start()
    except psycopg.errors.QueryCanceled as error:
        show("cancelled", str(error))
    show("seen", seen[:3])
    show("and on", session.execute("SELECT 1").fetchone())
