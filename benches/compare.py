#!/usr/bin/env python3
"""tidemill beside the batch engines DuckDB and DataFusion: the same files, the same queries, one table.

    python3 benches/compare.py                      # 20 million Nexmark events, JSON lines, CSV and Parquet
    python3 benches/compare.py --events 2m --formats jsonl --queries t1,h1 --runs 5

Builds tidemill (release), makes the seeded data with its own `nexmark` connector under target/compare/, installs DuckDB and
DataFusion from PyPI into an environment of its own there, runs every query with every engine on two cores, checks that all
answers are the same rows, and writes a Markdown table: wall and CPU seconds, peak memory, and the ratio of tidemill's wall
time to the faster batch engine (below 1: tidemill is faster). Runs are paired: the engines take turns, and the table shows medians.

What is measured is from a file to a file: every engine reads the input and writes its whole answer. tidemill's wall time is
that of its process from start to exit; that of the others is the query alone, without the start of Python and its imports.
The batch engines get the fastest form of a query that we know for them (HOP by panes). Continuous answers that change with
every interval (g1, w1) are written by tidemill as the changes that they are, and folded for the comparison.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
HOME = ROOT / "target" / "compare"
CORES = 2

BID = """auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR, "dateTime" TIMESTAMP(3), extra VARCHAR"""
AUCTION = """id BIGINT, "itemName" VARCHAR, description VARCHAR, "initialBid" BIGINT, reserve BIGINT, "dateTime" TIMESTAMP(3),
 expires TIMESTAMP(3), seller BIGINT, category BIGINT, extra VARCHAR"""
PERSON = """id BIGINT, name VARCHAR, "emailAddress" VARCHAR, "creditCard" VARCHAR, city VARCHAR, state VARCHAR,
 "dateTime" TIMESTAMP(3), extra VARCHAR"""
TABLES = {"bid": BID, "auction": AUCTION, "person": PERSON}

WATERMARK = """, WATERMARK FOR "dateTime" AS "dateTime" - INTERVAL '1' SECOND"""

# A HOP by panes, as SQL for batch: two seconds each, every one in five windows.
PANES = """(SELECT auction, p.pane - i.i AS window_start, {merged}
  FROM (SELECT auction, {bin2} AS pane, {partial} FROM bid GROUP BY 1, 2) p CROSS JOIN {five} AS i(i) GROUP BY 1, 2)""".replace(
    "{five}", "(VALUES " + ", ".join(f"(INTERVAL '{2 * i} seconds')" for i in range(5)) + ")"
)


class Query:
    """A query: its columns, the tables it reads, its text for tidemill and for batch."""

    def __init__(self, columns, tidemill, batch=None, tables=("bid",), changes=False, formats=("jsonl", "csv", "parquet")):
        self.columns = dict(c.split(":") for c in columns.split())
        self.tidemill, self.batch = tidemill, batch or tidemill
        self.tables, self.changes, self.formats = tables, changes, formats


TUMBLE = """TUMBLE(TABLE {0}, DESCRIPTOR("dateTime"), INTERVAL '10' SECOND)"""
HOP = """HOP(TABLE bid, DESCRIPTOR("dateTime"), INTERVAL '2' SECOND, INTERVAL '10' SECOND)"""

QUERIES = {
    "q0": Query(
        "auction:BIGINT bidder:BIGINT price:BIGINT dateTime:TIMESTAMP extra:VARCHAR",
        """SELECT auction, bidder, price, "dateTime", extra FROM bid""",
    ),
    "q1": Query(
        "auction:BIGINT bidder:BIGINT price:DECIMAL(20,3) dateTime:TIMESTAMP extra:VARCHAR",
        """SELECT auction, bidder, CAST(0.908 * price AS DECIMAL(20, 3)) AS price, "dateTime", extra FROM bid""",
        """SELECT auction, bidder, CAST(CAST(0.908 AS DECIMAL(4, 3)) * price AS DECIMAL(20, 3)) AS price, "dateTime", extra FROM bid""",
    ),
    "q2": Query("auction:BIGINT price:BIGINT", "SELECT auction, price FROM bid WHERE auction % 123 = 0"),
    "q5": Query(
        "auction:BIGINT num:BIGINT window_start:TIMESTAMP",
        f"""SELECT c.auction, c.num, c.window_start
 FROM (SELECT auction, count(*) AS num, window_start, window_end FROM {HOP} GROUP BY auction, window_start, window_end) c
 JOIN (SELECT max(num) AS most, window_start, window_end
   FROM (SELECT count(*) AS num, window_start, window_end FROM {HOP} GROUP BY auction, window_start, window_end) x
   GROUP BY window_start, window_end) m
 ON c.window_start = m.window_start AND c.window_end = m.window_end AND c.num >= m.most""",
        "WITH c AS " + PANES.replace("{partial}", "count(*) AS n").replace("{merged}", "CAST(sum(p.n) AS BIGINT) AS num")
        + """ SELECT c.auction, c.num, c.window_start FROM c
 JOIN (SELECT window_start, max(num) AS most FROM c GROUP BY 1) m ON c.window_start = m.window_start AND c.num >= m.most""",
    ),
    "q7": Query(
        "auction:BIGINT price:BIGINT bidder:BIGINT dateTime:TIMESTAMP",
        f"""SELECT b.auction, b.price, b.bidder, b."dateTime"
 FROM (SELECT auction, price, bidder, "dateTime", window_start, window_end FROM {TUMBLE.format('bid')}) b
 JOIN (SELECT max(price) AS most, window_start, window_end FROM {TUMBLE.format('bid')} GROUP BY window_start, window_end) m
 ON b.window_start = m.window_start AND b.window_end = m.window_end AND b.price = m.most""",
        """SELECT b.auction, b.price, b.bidder, b."dateTime" FROM bid b
 JOIN (SELECT max(price) AS most, {bin10} AS w FROM bid GROUP BY 2) m ON {b_bin10} = m.w AND b.price = m.most""",
    ),
    "q8": Query(
        "id:BIGINT name:VARCHAR window_start:TIMESTAMP",
        f"""SELECT p.id, p.name, p.window_start
 FROM (SELECT id, name, window_start, window_end FROM {TUMBLE.format('person')} GROUP BY id, name, window_start, window_end) p
 JOIN (SELECT seller, window_start, window_end FROM {TUMBLE.format('auction')} GROUP BY seller, window_start, window_end) a
 ON p.id = a.seller AND p.window_start = a.window_start AND p.window_end = a.window_end""",
        """SELECT p.id, p.name, p.w FROM (SELECT DISTINCT id, name, {bin10} AS w FROM person) p
 JOIN (SELECT DISTINCT seller, {bin10} AS w FROM auction) a ON p.id = a.seller AND p.w = a.w""",
        tables=("person", "auction"),
    ),
    "q11": Query(
        "bidder:BIGINT n:BIGINT starttime:TIMESTAMP endtime:TIMESTAMP",
        """SELECT bidder, count(*) AS n, window_start, window_end
 FROM SESSION(TABLE bid PARTITION BY bidder, DESCRIPTOR("dateTime"), INTERVAL '10' SECOND) GROUP BY bidder, window_start, window_end""",
        """SELECT bidder, count(*) AS n, min("dateTime") AS s, max("dateTime") + INTERVAL '10 seconds' AS e
 FROM (SELECT bidder, "dateTime", sum(fresh) OVER (PARTITION BY bidder ORDER BY "dateTime" ROWS UNBOUNDED PRECEDING) AS session
   FROM (SELECT bidder, "dateTime", CASE WHEN "dateTime" - lag("dateTime") OVER (PARTITION BY bidder ORDER BY "dateTime")
       <= INTERVAL '10 seconds' THEN 0 ELSE 1 END AS fresh FROM bid) x) y
 GROUP BY bidder, session""",
    ),
    # By event time: by wall time it has no answer that two engines could agree on.
    "q12": Query(
        "bidder:BIGINT n:BIGINT window_start:TIMESTAMP",
        f"SELECT bidder, count(*) AS n, window_start FROM {TUMBLE.format('bid')} GROUP BY bidder, window_start, window_end",
        "SELECT bidder, count(*) AS n, {bin10} AS w FROM bid GROUP BY 1, 3",
    ),
    "t1": Query(
        "window_start:TIMESTAMP auction:BIGINT n:BIGINT mean:DOUBLE most:BIGINT",
        f"""SELECT window_start, auction, count(*) AS n, avg(price) AS mean, max(price) AS most
 FROM {TUMBLE.format('bid')} GROUP BY window_start, window_end, auction""",
        "SELECT {bin10} AS w, auction, count(*) AS n, avg(price) AS mean, max(price) AS most FROM bid GROUP BY 1, 2",
    ),
    "h1": Query(
        "window_start:TIMESTAMP auction:BIGINT n:BIGINT mean:DOUBLE most:BIGINT",
        f"""SELECT window_start, auction, count(*) AS n, avg(price) AS mean, max(price) AS most
 FROM {HOP} GROUP BY window_start, window_end, auction""",
        "SELECT window_start, auction, n, mean, most FROM "
        + PANES.replace("{partial}", "count(*) AS n, sum(price) AS total, max(price) AS most").replace(
            "{merged}",
            "CAST(sum(p.n) AS BIGINT) AS n, CAST(sum(p.total) AS DOUBLE) / CAST(sum(p.n) AS DOUBLE) AS mean, max(p.most) AS most",
        ) + " y",
    ),
    "d1": Query(
        "window_start:TIMESTAMP bidders:BIGINT",
        f"SELECT window_start, count(DISTINCT bidder) AS bidders FROM {TUMBLE.format('bid')} GROUP BY window_start, window_end",
        "SELECT {bin10} AS w, count(DISTINCT bidder) AS bidders FROM bid GROUP BY 1",
    ),
    "g1": Query(
        "auction:BIGINT n:BIGINT total:BIGINT",
        "SELECT auction, count(*) AS n, sum(price) AS total FROM bid GROUP BY auction",
        "SELECT auction, count(*) AS n, CAST(sum(price) AS BIGINT) AS total FROM bid GROUP BY auction",
        changes=True,
    ),
    "j1": Query(
        "auction:BIGINT bidder:BIGINT price:BIGINT category:BIGINT",
        """SELECT b.auction, b.bidder, b.price, a.category FROM bid b JOIN auction a ON b.auction = a.id
 AND b."dateTime" BETWEEN a."dateTime" AND a."dateTime" + INTERVAL '10' SECOND""",
        """SELECT b.auction, b.bidder, b.price, a.category FROM bid b JOIN auction a ON b.auction = a.id
 AND b."dateTime" BETWEEN a."dateTime" AND a."dateTime" + INTERVAL '10 seconds'""",
        tables=("bid", "auction"),
    ),
    "w1": Query(
        "word:VARCHAR n:BIGINT",
        "SELECT word, count(*) AS n FROM (SELECT unnest(string_to_array(line, ' ')) AS word FROM lines) w GROUP BY word",
        "SELECT word, count(*) AS n FROM (SELECT unnest({split}(line, ' ')) AS word FROM lines) w GROUP BY word",
        tables=("lines",), changes=True, formats=("txt",),
    ),
}

BINS = {
    "duckdb": {"bin": "time_bucket(INTERVAL '{0} seconds', {1})", "split": "string_split"},
    "datafusion": {
        "bin": "date_bin(INTERVAL '{0} seconds', {1}, TIMESTAMP '1970-01-01T00:00:00')",
        "split": "string_to_array",
    },
}


def batch_sql(query, engine):
    form = BINS[engine]
    text = query.batch
    fill = {
        "bin2": form["bin"].format(2, '"dateTime"'),
        "bin10": form["bin"].format(10, '"dateTime"'),
        "b_bin10": form["bin"].format(10, 'b."dateTime"'),
        "split": form["split"],
    }
    for name, value in fill.items():
        text = text.replace("{" + name + "}", value)
    names = ", ".join(f'"{name}"' for name in query.columns)
    return f"SELECT * FROM ({text}) AS answer({names})"


def in_format(query, fmt):
    """The format of the answer: that of the input, but changes need one that holds them."""
    return "jsonl" if query.changes else {"txt": "jsonl"}.get(fmt, fmt)


def tidemill_script(query, fmt, data, out):
    script = []
    for table in query.tables:
        path = data / f"{table}.{fmt}"
        if table == "lines":
            script.append(f"CREATE TABLE lines (line VARCHAR) WITH (connector = 'filesystem', path = '{path}', format = 'text');")
        else:
            script.append(f"CREATE TABLE {table} ({TABLES[table]}{WATERMARK}) WITH (connector = 'filesystem', path = '{path}');")
    types = {"TIMESTAMP": "TIMESTAMP(3)"}
    columns = ", ".join(f'"{name}" {types.get(kind, kind)}' for name, kind in query.columns.items())
    script.append(f"CREATE TABLE answer ({columns}) WITH (connector = 'filesystem', path = '{out}');")
    script.append(f"INSERT INTO answer {query.tidemill};")
    return "\n".join(script)


def run_batch(engine, name, fmt, data, out):
    """In a process of its own: prints the seconds that the query took."""
    query = QUERIES[name]
    sql = batch_sql(query, engine)
    target = in_format(query, fmt)
    if engine == "duckdb":
        import duckdb

        con = duckdb.connect()
        con.execute(f"SET threads = {CORES}; SET preserve_insertion_order = false")
        for table in query.tables:
            path = data / f"{table}.{fmt}"
            if table == "lines":
                source = f"read_csv('{path}', columns = {{'line': 'VARCHAR'}}, header = false, delim = '\x01', quote = '', escape = '')"
            else:
                columns = "{" + ", ".join(
                    f"'{c.split()[0].strip(chr(34))}': '{'TIMESTAMP' if 'TIMESTAMP' in c else c.split()[1]}'"
                    for c in TABLES[table].split(",")
                ) + "}"
                source = {
                    "jsonl": f"read_json('{path}', format = 'newline_delimited', columns = {columns})",
                    "csv": f"read_csv('{path}', header = true, columns = {columns})",
                    "parquet": f"read_parquet('{path}')",
                }[fmt]
            con.execute(f"CREATE VIEW {table} AS SELECT * FROM {source}")
        kind = {"jsonl": "FORMAT json", "csv": "FORMAT csv, HEADER", "parquet": "FORMAT parquet"}[target]
        began = time.perf_counter()
        con.execute(f"COPY ({sql}) TO '{out}' ({kind})")
    else:
        import datafusion
        import pyarrow

        config = datafusion.SessionConfig().with_target_partitions(CORES).set("datafusion.sql_parser.enable_ident_normalization", "false")
        con = datafusion.SessionContext(config)
        for table in query.tables:
            path = str(data / f"{table}.{fmt}")
            if table == "lines":
                schema = pyarrow.schema([("line", pyarrow.string())])
                con.register_csv(table, path, schema=schema, has_header=False, delimiter="\x01", file_extension=".txt")
                continue
            types = {"BIGINT": pyarrow.int64(), "VARCHAR": pyarrow.string()}
            fields = [c.split() for c in TABLES[table].split(",")]
            schema = pyarrow.schema([(f[0].strip('"'), types.get(f[1], pyarrow.timestamp("ms"))) for f in fields])
            if fmt == "jsonl":
                con.register_json(table, path, schema=schema, file_extension=".jsonl")
            elif fmt == "csv":
                con.register_csv(table, path, schema=schema, has_header=True)
            else:
                con.register_parquet(table, path)
        kind = {"jsonl": "JSON", "csv": "CSV", "parquet": "PARQUET"}[target]
        began = time.perf_counter()
        con.sql(f"COPY ({sql}) TO '{out}' STORED AS {kind}").collect()
    print(time.perf_counter() - began)


class Run:
    """What one run of an engine took."""

    def __init__(self, engine, query, fmt, args, data):
        self.out = HOME / f"answer-{engine}.{in_format(QUERIES[query], fmt)}"
        if self.out.is_dir():
            shutil.rmtree(self.out)
        self.out.unlink(missing_ok=True)
        if engine == "tidemill":
            command = [str(args.tidemill), "-q", "-c", tidemill_script(QUERIES[query], fmt, data, self.out)]
        else:
            command = [sys.executable, __file__, "--one", engine, query, fmt, str(data), str(self.out)]
        cpus = sorted(os.sched_getaffinity(0))[:CORES]
        began = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=lambda: os.sched_setaffinity(0, cpus)
        )
        killer = subprocess.Popen(["sh", "-c", f"sleep {args.timeout}; kill {process.pid} 2>/dev/null"])
        self.text = process.stdout.read().decode()
        self.error = process.stderr.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        killer.kill()
        killer.wait()
        self.wall = time.perf_counter() - began
        self.late = os.waitstatus_to_exitcode(status) == -15
        self.failed = status != 0
        if not self.failed and engine != "tidemill":
            self.wall = float(self.text.split()[-1])
        self.cpu = usage.ru_utime + usage.ru_stime
        self.peak = usage.ru_maxrss / 1024
        if self.failed and not self.late:
            print(f"{engine} {query} {fmt}: {self.error.strip()[-2000:]}", file=sys.stderr)


def answer(con, name, query, run, engine):
    """Loads an answer as a table of rows that can be compared."""
    columns = "{" + ", ".join(f"'{c}': '{k}'" for c, k in query.columns.items()) + "}"
    path = run.out if run.out.is_file() else f"{run.out}/*"
    if query.changes and engine == "tidemill":
        columns = columns[:-1] + ", 'op': 'VARCHAR'}"
    source = {
        ".jsonl": f"read_json('{path}', format = 'newline_delimited', columns = {columns})",
        ".csv": f"read_csv('{path}', header = true, columns = {columns})",
        ".parquet": f"read_parquet('{path}')",
    }[run.out.suffix]

    def shown(position, kind):
        # By position: the engines call computed columns what they like.
        cell = f"#{position}"
        return f"round(CAST({cell} AS DOUBLE), 3)" if kind == "DOUBLE" else f"CAST({cell} AS {kind})"

    names = list(query.columns)
    cells = ", ".join(f"{shown(i + 1, k)} AS c{i}" for i, k in enumerate(query.columns.values()))
    if query.changes and engine == "tidemill":
        key, *values = [f'"{n}"' for n in names]
        # The last row of a key is what holds: counts only grow here, so that it is the one with the most.
        source = f"(SELECT {key}, {', '.join(f'max({v}) AS {v}' for v in values)} FROM {source} GROUP BY 1)"
    con.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT {cells} FROM {source}")
    return con.execute(f"SELECT count(*) FROM {name}").fetchone()[0]


def agree(query, runs):
    """Whether all answers are the same rows, and how many; what differs is printed."""
    import duckdb

    con = duckdb.connect()
    counts = {}
    for engine, run in runs.items():
        counts[engine] = answer(con, engine, query, run, engine)
    first, *others = runs
    same = True
    for other in others:
        for left, right in ((first, other), (other, first)):
            rows = con.execute(f"SELECT * FROM (SELECT * FROM {left} EXCEPT ALL SELECT * FROM {right}) LIMIT 3").fetchall()
            if rows:
                same = False
                print(f"  in {left} but not in {right}: {rows}", file=sys.stderr)
    return same, counts[first]


def make_data(args):
    data = HOME / f"data-{args.events}"
    formats = [f for f in ("jsonl", "csv", "parquet", "txt") if f in args.formats or f == "txt"]
    needed = {t for q in args.queries for t in QUERIES[q].tables}
    data.mkdir(parents=True, exist_ok=True)
    for fmt in formats:
        for table in sorted(needed):
            if (table == "lines") != (fmt == "txt"):
                continue
            path = data / f"{table}.{fmt}"
            if path.exists():
                continue
            print(f"making {path.relative_to(ROOT)}", file=sys.stderr)
            kind = "bid" if table == "lines" else table
            part = data / f"part-{table}.{fmt}"
            script = f"""CREATE TABLE made ({TABLES[kind]}) WITH (connector = 'nexmark', 'table' = '{kind}',
 'events.num' = '{args.events}', 'first-event.rate' = '100000', 'next-event.rate' = '100000');"""
            if table == "lines":
                script += f"""CREATE TABLE file (line VARCHAR) WITH (connector = 'filesystem', path = '{part}', format = 'text');
 INSERT INTO file SELECT concat('bidder ', bidder, ' bids ', price % 1000, ' on auction ', auction, ' through ', channel) FROM made;"""
            else:
                script += f"""CREATE TABLE file ({TABLES[kind]}) WITH (connector = 'filesystem', path = '{part}');
 INSERT INTO file SELECT * FROM made;"""
            subprocess.run([str(args.tidemill), "-q", "-c", script], check=True)
            part.rename(path)
    return data


def machine():
    model = "unknown processor"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores of {model}, {memory:.0f} GiB"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", default="20m", help="Nexmark events, 92 %% of them bids: 20m, 500k (default 20m)")
    parser.add_argument("--formats", default="jsonl,csv,parquet")
    parser.add_argument("--queries", default=",".join(QUERIES))
    parser.add_argument("--engines", default="tidemill,duckdb,datafusion")
    parser.add_argument("--runs", type=int, default=3, help="paired runs, of which the table shows the median (default 3)")
    parser.add_argument("--timeout", type=int, default=300, help="seconds after which a run is given up (default 300)")
    parser.add_argument("--tidemill", type=pathlib.Path, help="the binary (default: it is built)")
    parser.add_argument("--out", type=pathlib.Path, default=HOME / "table.md")
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        engine, query, fmt, data, out = args.one
        return run_batch(engine, query, fmt, pathlib.Path(data), pathlib.Path(out))
    HOME.mkdir(parents=True, exist_ok=True)
    try:
        import datafusion  # noqa: F401
        import duckdb  # noqa: F401
        import pyarrow  # noqa: F401
    except ImportError:
        venv = HOME / "venv"
        if pathlib.Path(sys.prefix) == venv:
            raise
        if not (venv / "bin" / "python").exists():
            subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        subprocess.run([str(venv / "bin" / "pip"), "install", "-q", "duckdb", "datafusion", "pyarrow"], check=True)
        os.execv(str(venv / "bin" / "python"), [str(venv / "bin" / "python"), *sys.argv])
    scale = {"k": 1_000, "m": 1_000_000}.get(args.events[-1].lower())
    args.events = int(args.events[:-1]) * scale if scale else int(args.events)
    args.queries = args.queries.split(",")
    args.formats = args.formats.split(",")
    if args.tidemill is None:
        subprocess.run(["cargo", "build", "--release"], cwd=ROOT, check=True)
        args.tidemill = ROOT / "target" / "release" / "tidemill"
    args.tidemill = args.tidemill.resolve()
    data = make_data(args)
    engines = args.engines.split(",")
    batch = [e for e in engines if e != "tidemill"]

    import datafusion
    import duckdb

    head = ["query", "input"] + [f"{e} s" for e in engines] + [f"{e} CPU s" for e in engines] + [f"{e} MiB" for e in engines]
    head += ["ratio", "rows", "same"]
    lines = [
        f"{time.strftime('%Y-%m-%d')}, {machine()}; {args.events:,} events; DuckDB {duckdb.__version__}, "
        f"DataFusion {datafusion.__version__}, {CORES} threads each; medians of {args.runs} paired runs. "
        f"`python3 benches/compare.py {' '.join(sys.argv[1:])}`",
        "",
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
    ]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    wrong = False
    for name in args.queries:
        query = QUERIES[name]
        for fmt in query.formats:
            if fmt not in args.formats and fmt != "txt":
                continue
            runs = {engine: [] for engine in engines}
            for turn in range(args.runs):
                order = engines if turn % 2 == 0 else engines[::-1]
                for engine in order:
                    if runs[engine] and runs[engine][-1].failed:
                        continue
                    runs[engine].append(Run(engine, name, fmt, args, data))
            good = {e: r for e, r in runs.items() if not r[-1].failed}
            same, count = agree(query, {e: r[-1] for e, r in good.items()}) if good else (False, 0)
            wrong |= not same or any(r[-1].failed and not r[-1].late for r in runs.values())

            def cell(engine, of, digits):
                if engine in good:
                    return f"{statistics.median(of(r) for r in good[engine]):.{digits}f}"
                return f"> {args.timeout}" if runs[engine][-1].late and digits == 2 else "failed" if digits == 2 else "–"

            row = [name, fmt] + [cell(e, lambda r: r.wall, 2) for e in engines]
            row += [cell(e, lambda r: r.cpu, 1) for e in engines] + [cell(e, lambda r: r.peak, 0) for e in engines]
            best = min((statistics.median(r.wall for r in good[e]) for e in batch if e in good), default=None)
            ratio = "–"
            if best and "tidemill" in good:
                ratio = f"{statistics.median(r.wall for r in good['tidemill']) / best:.2f}"
            row += [ratio, f"{count:,}", "yes" if same else "NO"]
            lines.append("| " + " | ".join(row) + " |")
            print(lines[-1], flush=True)
            args.out.write_text("\n".join(lines) + "\n")
    print(f"\n{args.out}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
