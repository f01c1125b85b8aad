"""Rows that change, as a program of psycopg has them: python changes.py PORT prints what it finds."""

import sys
import threading

import psycopg

where = f"host=127.0.0.1 port={sys.argv[1]} user=ann dbname=shop"


def show(title, value):
    print(f"{title}: {value!r}", flush=True)


with psycopg.connect(where, autocommit=True) as session:
    session.execute("CREATE TABLE orders (id BIGINT PRIMARY KEY, item VARCHAR)")
    session.execute("CREATE MATERIALIZED VIEW counts AS SELECT item, count(*) AS n FROM orders GROUP BY item")
    with session.cursor() as cursor:
        cursor.executemany("INSERT INTO orders VALUES (%s, %s)", [(1, "tea"), (2, "cake"), (3, "tea")])
        show("inserted", cursor.rowcount)
    session.execute("FLUSH")
    show("counts", session.execute("SELECT item, n FROM counts ORDER BY item").fetchall())
    show("updated", session.execute("UPDATE orders SET item = %s WHERE id = %s", ("cake", 1)).rowcount)
    show("counts", session.execute("SELECT item, n FROM counts ORDER BY item").fetchall())
    show("deleted", session.execute("DELETE FROM orders WHERE item = %s", ("tea",)).rowcount)
    show("counts", session.execute("SELECT item, n FROM counts ORDER BY item").fetchall())

    # Changes as they come, in another session, until it is cancelled.
    watching = threading.Event()

    def write():
        watching.wait()
        session.execute("INSERT INTO orders VALUES (4, 'pie')")
        session.execute("DELETE FROM orders WHERE id = 4")

    writer = threading.Thread(target=write)
    writer.start()
    with psycopg.connect(where, autocommit=True) as watcher, watcher.cursor() as cursor:
        seen = []
        try:
            for row in cursor.stream("SUBSCRIBE TO counts"):
                seen.append(row)
                watching.set()
                if row[:2] == ("-D", "pie"):
                    threading.Thread(target=watcher.cancel).start()
        except psycopg.errors.QueryCanceled:
            show("cancelled after", seen)
    writer.join()
