#!/usr/bin/env python3
"""Rows through a TCP socket: how long one takes from the socket to stdout, and how fast a client is read.

    python3 benches/socket.py latency                 # 50,000 rows/s for ten seconds, `interval = 0`
    python3 benches/socket.py ingest bids.jsonl       # the same aggregate over a file and over a client that sends it

`latency` sends rows with the time of their sending in small bursts and prints p50, p99 and the most of (time at which the line
was read from stdout - that time). `ingest` prints the wall seconds of both (medians of paired runs) and their ratio; the
file is one of Nexmark bids, such as target/compare/data-*/bid.jsonl after benches/compare.py.
"""

import argparse
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def listen():
    server = socket.create_server(("127.0.0.1", 0))
    return server, server.getsockname()[1]


def latency(args):
    server, port = listen()
    sender = os.fork()
    if sender == 0:
        client, _ = server.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        burst = max(1, args.rate // 1000)
        began = time.monotonic()
        for number in range(args.rate * args.seconds // burst):
            wait = began + number * burst / args.rate - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            now = time.monotonic_ns()
            client.sendall(b"".join(b'{"n":%d,"sent":%d}\n' % (number * burst + i, now) for i in range(burst)))
        client.close()
        os._exit(0)
    server.close()
    query = f"""SET interval = '0s';
 CREATE TABLE rows_in (n BIGINT, sent BIGINT) WITH (connector = 'socket', address = 'tcp://127.0.0.1:{port}', format = 'json', reconnect = 'false');
 SELECT n, sent FROM rows_in WHERE n >= 0"""
    process = subprocess.Popen([str(args.tidemill), "-q", "--format", "json", "-c", query], stdout=subprocess.PIPE)
    took = []
    pending = b""
    while piece := os.read(process.stdout.fileno(), 1 << 16):
        now = time.monotonic_ns()
        *lines, pending = (pending + piece).split(b"\n")
        took += [now - int(line[line.rindex(b":") + 1 : -1]) for line in lines]
    process.wait()
    os.waitpid(sender, 0)
    # The first second is the start of the process, with what came before it.
    took = sorted(took[args.rate :])
    at = lambda share: took[min(len(took) - 1, int(len(took) * share))] / 1e6  # noqa: E731
    print(f"{len(took)} rows at {args.rate}/s: p50 {at(0.5):.2f} ms, p99 {at(0.99):.2f} ms, most {took[-1] / 1e6:.2f} ms")


QUERY = """CREATE TABLE bid (auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR, "dateTime" TIMESTAMP(3),
 extra VARCHAR, WATERMARK FOR "dateTime" AS "dateTime" - INTERVAL '1' SECOND) WITH ({});
 CREATE TABLE out (w TIMESTAMP(3), auction BIGINT, n BIGINT, mean DOUBLE, most BIGINT) WITH (connector = 'blackhole');
 INSERT INTO out SELECT window_start, auction, count(*), avg(price), max(price)
 FROM TUMBLE(TABLE bid, DESCRIPTOR("dateTime"), INTERVAL '10' SECOND) GROUP BY window_start, window_end, auction"""


def ingest(args):
    walls = {"file": [], "socket": []}
    for _ in range(args.runs):
        began = time.perf_counter()
        options = f"connector = 'filesystem', path = '{args.file}', format = 'json'"
        subprocess.run([str(args.tidemill), "-q", "-c", QUERY.format(options)], check=True)
        walls["file"].append(time.perf_counter() - began)
        server, port = listen()
        sender = os.fork()
        if sender == 0:
            client, _ = server.accept()
            with open(args.file, "rb") as file:
                client.sendfile(file)
            client.close()
            os._exit(0)
        server.close()
        began = time.perf_counter()
        options = f"connector = 'socket', address = 'tcp://127.0.0.1:{port}', format = 'json', reconnect = 'false'"
        subprocess.run([str(args.tidemill), "-q", "-c", QUERY.format(options)], check=True)
        walls["socket"].append(time.perf_counter() - began)
        os.waitpid(sender, 0)
    file, sent = (statistics.median(walls[name]) for name in ("file", "socket"))
    print(f"file {file:.2f} s, socket {sent:.2f} s, ratio {sent / file:.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tidemill", type=pathlib.Path, default=ROOT / "target" / "release" / "tidemill")
    modes = parser.add_subparsers(dest="mode", required=True)
    mode = modes.add_parser("latency")
    mode.add_argument("--rate", type=int, default=50_000)
    mode.add_argument("--seconds", type=int, default=10)
    mode = modes.add_parser("ingest")
    mode.add_argument("file", type=pathlib.Path)
    mode.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    if not args.tidemill.exists():
        sys.exit(f"there is no {args.tidemill}: cargo build --release")
    return latency(args) if args.mode == "latency" else ingest(args)


if __name__ == "__main__":
    sys.exit(main())
