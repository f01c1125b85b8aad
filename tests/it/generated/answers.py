"""Answers cases in DuckDB: a line of JSON in, a line of JSON out.

In: {"ddl": [...], "intervals": [[statement, ...], ...], "query": "SELECT ..."}.
Out: {"answers": [[[cell, ...], ...], ...]}, an answer per interval, or {"error": "..."}.
A cell is text; one that begins with "f:" is a floating-point number.
"""

import json
import sys

import duckdb


def cell(value):
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return "f:" + repr(value)
    return str(value)


def answer(case):
    connection = duckdb.connect(":memory:")
    connection.execute("SET threads = 1")
    for statement in case["ddl"]:
        connection.execute(statement)
    answers = []
    for interval in case["intervals"]:
        for statement in interval:
            connection.execute(statement)
        rows = connection.execute(case["query"]).fetchall()
        answers.append([[cell(value) for value in row] for row in rows])
    connection.close()
    return {"answers": answers}


for line in sys.stdin:
    try:
        answered = answer(json.loads(line))
    except duckdb.Error as error:
        answered = {"error": str(error)}
    print(json.dumps(answered), flush=True)
