//! What is written → what is understood, as data.

use super::statement::{ConflictAction, EmitMode, FunctionBody, RelationKind, Show, Statement};
use super::*;

fn one(sql: &str) -> Statement {
    let mut parsed = parse(sql).unwrap_or_else(|e| panic!("{sql}\n{e}"));
    assert_eq!(parsed.len(), 1, "{sql}");
    parsed.remove(0).statement
}

/// The canonical text of a query.
fn canonical(sql: &str) -> String {
    match one(sql) {
        Statement::Query(query) => query.query.to_string(),
        other => panic!("{sql}: {other:?}"),
    }
}

fn check(sql: &str, expected: &str) {
    assert_eq!(canonical(sql), expected, "{sql}");
}

fn error(sql: &str) -> crate::error::Error {
    match parse(sql) {
        Err(error) => error,
        Ok(parsed) => panic!("{sql}: {parsed:?}"),
    }
}

#[test]
fn windowing_calls_have_one_form() {
    let one_minute = "SELECT * FROM tumble((SELECT * FROM bid), ts, INTERVAL '1' MINUTE)";
    for sql in [
        "SELECT * FROM TUMBLE(TABLE bid, DESCRIPTOR(ts), INTERVAL '1' MINUTE)",
        "SELECT * FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(ts), INTERVAL '1' MINUTE))",
        "SELECT * FROM TABLE(TUMBLE(bid, DESCRIPTOR(ts), INTERVAL '1' MINUTE))",
        "SELECT * FROM TUMBLE(bid, ts, INTERVAL '1' MINUTE)",
        "SELECT * FROM TUMBLE((SELECT * FROM bid), ts, INTERVAL '1' MINUTE)",
        "SELECT * FROM TUMBLE(TABLE (SELECT * FROM bid), ts, INTERVAL '1' MINUTE)",
        "SELECT * FROM TUMBLE(TABLE(bid), COLUMNS(ts), INTERVAL '1' MINUTE)",
        "SELECT * FROM TUMBLE(DATA => TABLE bid, TIMECOL => DESCRIPTOR(ts), SIZE => INTERVAL '1' MINUTE)",
        "SELECT * FROM TABLE(TUMBLE(SIZE => INTERVAL '1' MINUTE, DATA => TABLE bid, TIMECOL => DESCRIPTOR(ts)))",
        "SELECT * FROM Tumble(TABLE bid PARTITION BY k, DESCRIPTOR(ts), INTERVAL '1' MINUTE)",
        "TABLE bid",
    ] {
        let expected = if sql == "TABLE bid" { "SELECT * FROM bid" } else { one_minute };
        check(sql, expected);
    }
    for (sql, expected) in [
        (
            "SELECT * FROM HOP(TABLE bid, DESCRIPTOR(ts), INTERVAL '1' SECOND, INTERVAL '10' SECONDS, INTERVAL '1' SECOND) AS h",
            "SELECT * FROM hop((SELECT * FROM bid), ts, INTERVAL '1' SECOND, INTERVAL '10' SECONDS, INTERVAL '1' SECOND) AS h",
        ),
        (
            "SELECT * FROM HOP(DATA => bid, TIMECOL => ts, SIZE => '10s', SLIDE => '1s')",
            "SELECT * FROM hop((SELECT * FROM bid), ts, INTERVAL '1s', INTERVAL '10s')",
        ),
        (
            "SELECT * FROM CUMULATE(TABLE bid, DESCRIPTOR(ts), INTERVAL '1' HOUR, INTERVAL '1' DAY)",
            "SELECT * FROM cumulate((SELECT * FROM bid), ts, INTERVAL '1' HOUR, INTERVAL '1' DAY)",
        ),
        (
            "SELECT * FROM SESSION(TABLE bid PARTITION BY bidder, DESCRIPTOR(ts), INTERVAL '5' MINUTES)",
            "SELECT * FROM session((SELECT * FROM bid), ts, INTERVAL '5' MINUTES, bidder)",
        ),
        (
            "SELECT * FROM SESSION(TABLE bid PARTITION BY (a, b), DESCRIPTOR(ts), GAP => INTERVAL '5' MINUTES)",
            "SELECT * FROM session((SELECT * FROM bid), ts, INTERVAL '5' MINUTES, a, b)",
        ),
        (
            "SELECT * FROM SESSION(bid PARTITION BY a, b, DESCRIPTOR(ts), INTERVAL '5' MINUTES)",
            "SELECT * FROM session((SELECT * FROM bid), ts, INTERVAL '5' MINUTES, a, b)",
        ),
        (
            "SELECT * FROM TUMBLE('dir/*.jsonl', ts, INTERVAL '1 MINUTE') JOIN 'tcp://:9999' AS t ON true",
            "SELECT * FROM tumble((SELECT * FROM 'dir/*.jsonl'), ts, INTERVAL '1 MINUTE') JOIN 'tcp://:9999' AS t ON true",
        ),
        (
            "SELECT * FROM TUMBLE(bid, ts, '1m') a JOIN TUMBLE(ask, ts, '1m') b ON a.window_start = b.window_start",
            "SELECT * FROM tumble((SELECT * FROM bid), ts, INTERVAL '1m') a JOIN tumble((SELECT * FROM ask), ts, INTERVAL '1m') b ON a.window_start = b.window_start",
        ),
        (
            "WITH w AS (SELECT * FROM TUMBLE(bid, ts, '1m')) SELECT * FROM w UNION ALL SELECT * FROM (SELECT * FROM TABLE(TUMBLE(TABLE w, DESCRIPTOR(window_time), '2m')))",
            "WITH w AS (SELECT * FROM tumble((SELECT * FROM bid), ts, INTERVAL '1m')) SELECT * FROM w UNION ALL SELECT * FROM (SELECT * FROM tumble((SELECT * FROM w), window_time, INTERVAL '2m'))",
        ),
        (
            "SELECT windowstart, t.windowend FROM TUMBLE(HOP(bid, ts, '1m', '2m'), window_time, '4m') t",
            "SELECT window_start AS windowstart, t.window_end AS windowend FROM tumble((SELECT * FROM hop((SELECT * FROM bid), ts, INTERVAL '1m', INTERVAL '2m')), window_time, INTERVAL '4m') t",
        ),
        (
            "SELECT window.start, window.end FROM TUMBLE(bid, ts, '1m')",
            "SELECT window_start AS start, window_end AS end FROM tumble((SELECT * FROM bid), ts, INTERVAL '1m')",
        ),
    ] {
        check(sql, expected);
    }
}

#[test]
fn windowing_calls_with_wrong_arguments() {
    for (sql, what) in [
        ("SELECT * FROM TUMBLE(bid, ts)", "wrong arguments of TUMBLE"),
        ("SELECT * FROM HOP(bid, ts, '1m')", "wrong arguments of HOP"),
        ("SELECT * FROM HOP(bid, ts, '1m', '1m', '1m', '1m')", "wrong arguments of HOP"),
        ("SELECT * FROM SESSION(bid, ts, '1m', '1m')", "wrong arguments of SESSION"),
        ("SELECT * FROM TUMBLE()", "wrong arguments of TUMBLE"),
        ("SELECT * FROM TUMBLE(*, ts, '1m')", "'*' is no argument"),
        ("SELECT * FROM TUMBLE(1, ts, '1m')", "no table to window"),
        ("SELECT * FROM TUMBLE(bid, DESCRIPTOR(a, b), '1m')", "DESCRIPTOR takes one column"),
        ("SELECT * FROM TUMBLE(DATA => bid, TIME => ts, SIZE => '1m')", "no argument 'TIME'"),
        ("SELECT * FROM TUMBLE(DATA => bid, SIZE => '1m')", "lacks its argument TIMECOL"),
        ("SELECT a PARTITION BY b FROM t", "PARTITION BY stands outside"),
    ] {
        let error = error(sql);
        assert!(error.message().contains(what), "{sql}: {error}");
    }
    let error = error("SELECT *\nFROM HOP(bid, ts, '1m')");
    assert_eq!(error.span().unwrap().start, crate::error::Location { line: 2, column: 6 });
    assert!(error.helps()[0].contains("HOP takes"), "{error}");
}

#[test]
fn emit_clauses() {
    for (clause, mode) in [
        ("EMIT CHANGES", EmitMode::Changes),
        ("EMIT CHANGELOG", EmitMode::Changes),
        ("emit on update", EmitMode::Changes),
        ("EMIT ON WINDOW CLOSE", EmitMode::OnWindowClose),
        ("EMIT FINAL", EmitMode::OnWindowClose),
        ("EMIT AFTER WINDOW CLOSE", EmitMode::OnWindowClose),
        ("EMIT AFTER WATERMARK", EmitMode::OnWindowClose),
        ("EMIT STREAM AFTER WATERMARK", EmitMode::OnWindowClose),
        ("EMIT COMPLETE", EmitMode::Complete),
    ] {
        for head in [
            "SELECT a FROM bid b",
            "SELECT a FROM bid",
            "SELECT a FROM bid WHERE a > 1 GROUP BY a LIMIT 3",
            "SUBSCRIBE TO bid",
            "SUBSCRIBE (SELECT a FROM bid)",
        ] {
            let sql = format!("{head} {clause}");
            let (Statement::Query(query) | Statement::Subscribe(query)) = one(&sql) else { panic!("{sql}") };
            let emit = query.emit.unwrap();
            assert_eq!(emit.mode, mode, "{sql}");
            assert_eq!(emit.span.start.column as usize, head.len() + 2, "{sql}");
        }
    }
    check("SELECT a FROM t EMIT CHANGES LIMIT 5", "SELECT a FROM t LIMIT 5");
    check("SELECT emit FROM t emit", "SELECT emit FROM t emit");
    check("SELECT a FROM t JOIN u emit ON emit.a = t.a", "SELECT a FROM t JOIN u emit ON emit.a = t.a");
    for (clause, help) in [
        ("EMIT CHNAGES", "did you mean CHANGES?"),
        ("EMIT PERIODIC 5s", "SET interval"),
        ("EMIT CHANGES WITH DELAY 5s", "WATERMARK FOR"),
        ("EMIT ON WINDOW", "EMIT ON WINDOW CLOSE"),
        ("EMIT FINAL x", ""),
    ] {
        let sql = format!("SELECT a FROM t {clause}");
        let error = error(&sql);
        assert!(error.span().is_some(), "{sql}: {error}");
        assert!(error.helps().iter().any(|h| h.contains(help)) || help.is_empty(), "{sql}: {error}");
    }
    assert!(error("SELECT * FROM (SELECT a FROM t EMIT CHANGES)").message().contains("parentheses"));
}

#[test]
fn group_windows_become_windowing_calls() {
    for (sql, expected) in [
        (
            "SELECT k, count(*) FROM bid GROUP BY k, TUMBLE(ts, INTERVAL '10' SECOND)",
            "SELECT k, count(*) FROM tumble((SELECT * FROM bid), ts, INTERVAL '10' SECOND) AS bid GROUP BY k, window_start, window_end",
        ),
        (
            "SELECT B.bidder, SESSION_START(B.dt, INTERVAL '10' SECOND) AS s, SESSION_END(B.dt, INTERVAL '10' SECOND) AS e FROM bid B WHERE B.price > 1 GROUP BY B.bidder, SESSION(B.dt, INTERVAL '10' SECOND)",
            "SELECT B.bidder, window_start AS s, window_end AS e FROM session((SELECT * FROM bid B WHERE B.price > 1), dt, INTERVAL '10' SECOND, bidder) B GROUP BY B.bidder, window_start, window_end",
        ),
        (
            "SELECT HOP_ROWTIME(ts, '1s', '2s') AS r, HOP_PROCTIME(ts, '1s', '2s') FROM (SELECT * FROM t) x GROUP BY HOP(ts, '1s', '2s') HAVING HOP_END(ts, '1s', '2s') > now() ORDER BY HOP_START(ts, '1s', '2s')",
            "SELECT window_time AS r, PROCTIME() FROM hop((SELECT * FROM (SELECT * FROM t) x), ts, INTERVAL '1s', INTERVAL '2s') x GROUP BY window_start, window_end, window_time HAVING window_end > now() ORDER BY window_start",
        ),
        (
            "SELECT tumble(interval '1 minute') AS window, count(*) FROM t GROUP BY window",
            "SELECT named_struct('start', window_start, 'end', window_end) AS window, count(*) FROM tumble((SELECT * FROM t), __watermark_column(), INTERVAL '1 minute') AS t GROUP BY window_start, window_end",
        ),
        (
            "SELECT hop(interval '1 minute', interval '2 minutes') AS w, count(*) FROM t GROUP BY 1, k",
            "SELECT named_struct('start', window_start, 'end', window_end) AS w, count(*) FROM hop((SELECT * FROM t), __watermark_column(), INTERVAL '1 minute', INTERVAL '2 minutes') AS t GROUP BY window_start, window_end, k",
        ),
        (
            "SELECT k, count(*) FROM 'a.jsonl' GROUP BY k, session(interval '1 minute')",
            "SELECT k, count(*) FROM session((SELECT * FROM 'a.jsonl'), __watermark_column(), INTERVAL '1 minute', k) GROUP BY k, window_start, window_end",
        ),
        (
            "SELECT window.start, window.end AS e, count(*) FROM t GROUP BY window(ts, '10 minutes', '5 minutes', '1 minute')",
            "SELECT window_start AS start, window_end AS e, count(*) FROM hop((SELECT * FROM t), ts, INTERVAL '5 minutes', INTERVAL '10 minutes', INTERVAL '1 minute') AS t GROUP BY window_start, window_end",
        ),
        (
            "SELECT window, w.start FROM (SELECT window(ts, '1 minute') AS w, window(ts, '1 minute'), count(*) AS window FROM t GROUP BY window(ts, '1 minute')) AS s",
            "SELECT window, w.start FROM (SELECT named_struct('start', window_start, 'end', window_end) AS w, named_struct('start', window_start, 'end', window_end) AS window, count(*) AS window FROM tumble((SELECT * FROM t), ts, INTERVAL '1 minute') AS t GROUP BY window_start, window_end) AS s",
        ),
        (
            "SELECT count(*) FROM t JOIN u ON t.a = u.a GROUP BY TUMBLE(t.ts, '1m') UNION ALL SELECT count(*) FROM v GROUP BY session_window(ts, '1m')",
            "SELECT count(*) FROM tumble((SELECT * FROM t JOIN u ON t.a = u.a), t.ts, INTERVAL '1m') GROUP BY window_start, window_end UNION ALL SELECT count(*) FROM session((SELECT * FROM v), ts, INTERVAL '1m') AS v GROUP BY window_start, window_end",
        ),
        (
            "SELECT TUMBLE_START(ts, '1m') FROM TUMBLE(t, ts, '1m')",
            "SELECT window_start FROM tumble((SELECT * FROM t), ts, INTERVAL '1m')",
        ),
        (
            "SELECT lower(k) AS g, count(*) FROM t GROUP BY g, SESSION(ts, '1m')",
            "SELECT lower(k) AS g, count(*) FROM session((SELECT * FROM t), ts, INTERVAL '1m', lower(k)) AS t GROUP BY g, window_start, window_end",
        ),
        (
            "SELECT window.start, hop(1), session FROM t GROUP BY 1",
            "SELECT window.start, hop(1), session FROM t GROUP BY 1",
        ),
    ] {
        check(sql, expected);
    }
    for (sql, what) in [
        ("SELECT TUMBLE_START(ts, '1m') FROM t", "TUMBLE_START without TUMBLE"),
        ("SELECT TUMBLE_END(ts, '2m') FROM t GROUP BY TUMBLE(ts, '1m')", "is not the bound"),
        ("SELECT HOP_END(ts, '1m') FROM t GROUP BY TUMBLE(ts, '1m')", "is not the bound"),
        ("SELECT 1 FROM t GROUP BY TUMBLE(ts, '1m'), TUMBLE(ts, '2m')", "one window"),
        ("SELECT 1 FROM t GROUP BY HOP(ts, '1m')", "wrong arguments of HOP"),
        ("SELECT 1 FROM t GROUP BY TUMBLE(ts)", "wrong arguments of TUMBLE"),
        ("SELECT 1 FROM t GROUP BY window(ts)", "wrong arguments of WINDOW"),
        ("SELECT TUMBLE(ts, '1m') FROM t", "stands neither"),
        ("SELECT 1 GROUP BY TUMBLE(ts, '1m')", "needs something in FROM"),
    ] {
        let error = error(sql);
        assert!(error.message().contains(what), "{sql}: {error}");
        assert!(error.span().is_some(), "{sql}: {error}");
    }
}

#[test]
fn spans_survive_rewriting() {
    let Statement::Query(query) = one("SELECT count(*)\nFROM bid\nGROUP BY TUMBLE(tss, INTERVAL '1' MINUTE)") else {
        panic!()
    };
    let text = format!("{:?}", query.query);
    assert!(text.contains("value: \"tss\", quote_style: None, span: Span(Location(3,17)..Location(3,20))"), "{text}");
    let Statement::Query(query) = one("SELECT *\nFROM TUMBLE(TABLE bidd, DESCRIPTOR(ts), '1m')") else { panic!() };
    let text = format!("{:?}", query.query);
    assert!(text.contains("value: \"bidd\", quote_style: None, span: Span(Location(2,19)..Location(2,23))"), "{text}");
}

fn table(sql: &str) -> statement::CreateTable {
    match one(sql) {
        Statement::CreateTable(table) => *table,
        other => panic!("{sql}: {other:?}"),
    }
}

/// The columns of a DDL, as text.
fn columns(sql: &str) -> Vec<String> {
    let shown = |c: &statement::ColumnSpec| {
        let mut text = c.name.value.clone();
        if let Some(t) = &c.data_type {
            text += &format!(" {t}");
        }
        if c.not_null {
            text += " NOT NULL";
        }
        if let Some(e) = &c.computed {
            text += &format!(" AS {e}");
        }
        if let Some(m) = &c.metadata {
            text += &format!(" METADATA {m}");
        }
        if let Some(d) = &c.default {
            text += &format!(" DEFAULT {d}");
        }
        text
    };
    table(sql).columns.iter().map(shown).collect()
}

fn options(sql: &str) -> Vec<(String, String)> {
    let options = match one(sql) {
        Statement::CreateTable(table) => table.options,
        Statement::CreateSink(sink) => sink.options,
        other => panic!("{sql}: {other:?}"),
    };
    options.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

#[test]
fn tables() {
    let sql = "CREATE TEMPORARY TABLE IF NOT EXISTS Orders (
        id BIGINT NOT NULL PRIMARY KEY NOT ENFORCED,
        `itemName` VARCHAR(20) COMMENT 'a, b',
        price DECIMAL(10, 2) DEFAULT 0 + 1,
        total AS price * 2, -- computed
        t2 BIGINT AS (id * 2) STORED,
        t3 BIGINT GENERATED ALWAYS AS (id < 3) VIRTUAL,
        m TIMESTAMP(3) METADATA FROM 'timestamp' VIRTUAL,
        Off BIGINT METADATA,
        ts TIMESTAMP, tz TIMESTAMP_LTZ(3), tl TIMESTAMP(3) WITH LOCAL TIME ZONE NOT NULL,
        s STRING, b BYTES, d DATETIME, ti TIME(3), l LONG,
        p AS PROCTIME(),
        WATERMARK FOR ts AS ts - INTERVAL '5' SECOND WITH TTL
    ) COMMENT 'orders' PARTITIONED BY (id, \"Day\") WITH ('connector' = 'kafka', 'a.B-c' = 'd', x.y = 3, \"q\" = true, w = 10s);";
    let sql = &sql.replace("\\\"", "\"");
    assert_eq!(
        columns(sql),
        [
            "id BIGINT NOT NULL",
            "itemName VARCHAR(20)",
            "price DECIMAL(10,2) DEFAULT 0 + 1",
            "total AS price * 2",
            "t2 BIGINT AS id * 2",
            "t3 BIGINT AS id < 3",
            "m TIMESTAMP(3) METADATA timestamp",
            "off BIGINT METADATA Off",
            "ts TIMESTAMP(6)",
            "tz TIMESTAMP(3) WITH TIME ZONE",
            "tl TIMESTAMP(3) WITH TIME ZONE NOT NULL",
            "s STRING",
            "b BYTEA",
            "d TIMESTAMP(6)",
            "ti TIME",
            "l BIGINT",
            "p AS PROCTIME()",
        ]
    );
    let table = table(sql);
    assert_eq!((table.name.value.as_str(), table.name.spelled.as_str()), ("orders", "Orders"));
    assert!(table.temporary && table.if_not_exists && !table.or_replace);
    assert_eq!(table.kind, RelationKind::Table);
    assert_eq!(table.primary_key[0].value, "id");
    assert_eq!(table.partitioned_by.iter().map(|n| n.value.as_str()).collect::<Vec<_>>(), ["id", "Day"]);
    let watermark = table.watermark.unwrap();
    assert_eq!(
        (watermark.column.value.as_str(), watermark.expr.unwrap().to_string().as_str()),
        ("ts", "ts - INTERVAL '5' SECOND")
    );
    let expected = [("a.b_c", "d"), ("connector", "kafka"), ("q", "true"), ("w", "10s"), ("x.y", "3")];
    assert_eq!(options(sql), expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
}

#[test]
fn nested_types() {
    for (written, expected) in [
        ("ROW<a INT, b ROW<c VARCHAR, `dT` TIMESTAMP(3)>>", "STRUCT<a INT, b STRUCT<c VARCHAR, `dT` TIMESTAMP(3)>>"),
        ("ROW<a INT NOT NULL, b ARRAY<ROW<c TIMESTAMP>> NULL>", "STRUCT<a INT, b ARRAY<STRUCT<c TIMESTAMP(6)>>>"),
        ("ROW(a INT, b ROW(c INT))", "STRUCT<a INT, b STRUCT<c INT>>"),
        ("STRUCT<a: INT, b: MAP<STRING, ARRAY<INT>>>", "STRUCT<a INT, b Map(STRING, ARRAY<INT>)>"),
        ("MAP<VARCHAR, MAP<INT, BYTES>>", "Map(VARCHAR, Map(INT, BYTEA))"),
        ("MAP<VARCHAR, ROW<a INT>>", "Map(VARCHAR, STRUCT<a INT>)"),
        ("ARRAY<ARRAY<ARRAY<INT>>>", "ARRAY<ARRAY<ARRAY<INT>>>"),
        ("MULTISET<INT>", "ARRAY<INT>"),
        ("INT[]", "INT[]"),
        ("ROW<a DECIMAL(10, 2)>", "STRUCT<a DECIMAL(10,2)>"),
    ] {
        assert_eq!(
            columns(&format!("CREATE TABLE t (x {written}, y INT)")),
            [format!("x {expected}"), "y INT".to_owned()],
            "{written}"
        );
        let cast = format!("SELECT CAST(x AS {written}), a < b, c > d FROM t");
        assert_eq!(canonical(&cast), format!("SELECT CAST(x AS {expected}), a < b, c > d FROM t"), "{written}");
    }
    check("SELECT row < b, map < c, a >> b FROM t", "SELECT row < b, map < c, a >> b FROM t");
    check("SELECT ROW(a, b), TIMESTAMP '2020-01-01' FROM t", "SELECT ROW(a, b), TIMESTAMP(6) '2020-01-01' FROM t");
}

#[test]
fn ddl_of_other_engines() {
    let source = table(
        "CREATE SOURCE IF NOT EXISTS s (v INT, WATERMARK FOR v AS v - INTERVAL '1 second') APPEND ONLY WITH (connector='kafka', topic = 't', scan.startup.mode='earliest') FORMAT PLAIN ENCODE JSON (timestamptz.handling.mode = 'utc')",
    );
    assert_eq!(source.kind, RelationKind::Source);
    assert_eq!(source.options.get("format"), Some("json"));
    assert_eq!(source.options.get("timestamptz.handling.mode"), Some("utc"));
    let ksql = table("CREATE STREAM s (v INT) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON', TIMESTAMP='v');");
    assert_eq!(ksql.options.get("connector"), Some("kafka"));
    assert_eq!(ksql.options.get("topic"), Some("t"));
    assert_eq!(ksql.options.get("format"), Some("json"));
    assert_eq!(ksql.options.get("event_time"), Some("v"));
    assert_eq!(options("CREATE TABLE t WITH (connector = 'x') FORMAT DEBEZIUM ENCODE JSON")[1].1, "debezium-json");
    assert_eq!(table("CREATE TABLE t (WATERMARK FOR v)").watermark.unwrap().expr, None);
    assert_eq!(table("CREATE TABLE t LIKE u").like.unwrap().value, "u");
    assert_eq!(table("CREATE TABLE t (LIKE u)").like.unwrap().value, "u");
    assert_eq!(
        table("CREATE TABLE t (a INT, b INT, CONSTRAINT pk PRIMARY KEY (a, b) NOT ENFORCED)").primary_key.len(),
        2
    );
    let ctas = table("CREATE TABLE t WITH (a = '1') AS SELECT k FROM u EMIT CHANGES WITH (b = '2')");
    assert!(ctas.query.unwrap().emit.is_some());
    assert_eq!(ctas.options.get("b"), Some("2"));
    let Statement::CreateSink(sink) = one("CREATE SINK s FROM mv WITH (connector = 'print')") else { panic!() };
    assert_eq!(sink.query.unwrap().query.to_string(), "SELECT * FROM mv");
    let Statement::CreateSink(sink) = one(
        "CREATE SINK s AS WITH c AS (SELECT 1) SELECT * FROM c GROUP BY a EMIT ON WINDOW CLOSE WITH (connector = 'print') FORMAT UPSERT ENCODE JSON",
    ) else {
        panic!()
    };
    let query = sink.query.unwrap();
    assert_eq!(query.query.to_string(), "WITH c AS (SELECT 1) SELECT * FROM c GROUP BY a");
    assert_eq!(query.emit.unwrap().mode, EmitMode::OnWindowClose);
    assert_eq!(sink.options.get("format"), Some("upsert-json"));
    let Statement::CreateSink(sink) = one("CREATE SINK s INTO t AS SELECT 1") else { panic!() };
    assert_eq!(sink.into.unwrap().value, "t");
    let Statement::CreateSink(sink) = one("CREATE SINK s (a INT) WITH (connector = 'print')") else { panic!() };
    assert!(sink.query.is_none() && sink.columns.len() == 1);
    let Statement::CreateView(view) = one("CREATE OR REPLACE MATERIALIZED VIEW v (a, B) AS SELECT 1, 2 EMIT CHANGES")
    else {
        panic!()
    };
    assert!(view.materialized && view.or_replace && view.columns[1].value == "b" && view.query.emit.is_some());
}

#[test]
fn functions() {
    let function = |sql: &str| match one(sql) {
        Statement::CreateFunction(function) => *function,
        other => panic!("{sql}: {other:?}"),
    };
    let body = |sql: &str| match function(sql).body {
        FunctionBody::Sql(expr) => expr.to_string(),
        FunctionBody::Class(class) => format!("class {class}"),
    };
    for (sql, expected) in [
        ("CREATE FUNCTION f(x INT, y INT) RETURNS INT RETURN x + y", "x + y"),
        ("CREATE OR REPLACE FUNCTION f(x INT) RETURNS INT LANGUAGE SQL IMMUTABLE AS $$ SELECT x + 1; $$", "x + 1"),
        ("CREATE FUNCTION f(INT) RETURNS INT AS 'SELECT $1 + 1' LANGUAGE SQL", "$1 + 1"),
        ("CREATE FUNCTION f(x INT) RETURNS INT AS x * 2", "x * 2"),
        (
            "CREATE TEMPORARY SYSTEM FUNCTION IF NOT EXISTS count_char AS 'com.github.nexmark.flink.udf.CountChar'",
            "class com.github.nexmark.flink.udf.CountChar",
        ),
        ("CREATE FUNCTION f AS 'a.B' LANGUAGE JAVA", "class a.B"),
    ] {
        assert_eq!(body(sql), expected, "{sql}");
    }
    let f = function("CREATE FUNCTION f(x INT, DOUBLE PRECISION) RETURNS ROW<a INT> RETURN x");
    assert_eq!(f.parameters[0].0.as_ref().unwrap().value, "x");
    assert!(f.parameters[1].0.is_none());
    assert_eq!(f.returns.unwrap().to_string(), "STRUCT<a INT>");
    assert!(matches!(
        one("CREATE FUNCTION f(x INT) RETURNS INT LANGUAGE python AS $$ return x $$"),
        Statement::NotYet { .. }
    ));
    let error = error("CREATE FUNCTION f(x INT) RETURNS INT AS $$\n x + + $$");
    assert_eq!(error.span().unwrap().start.line, 2, "{error}");
}

#[test]
fn inserts_and_statement_sets() {
    let Statement::Insert(insert) = one("INSERT INTO Sink (a, \"B\") SELECT a, b FROM t EMIT ON WINDOW CLOSE") else {
        panic!()
    };
    assert_eq!((insert.target.value.as_str(), insert.columns[1].value.as_str()), ("sink", "B"));
    assert!(insert.query.emit.is_some());
    for sql in [
        "INSERT INTO t VALUES (1, 'a;b'), (2, NULL)",
        "INSERT INTO t (SELECT 1)",
        "INSERT INTO TABLE t WITH x AS (SELECT 1) SELECT * FROM x",
        "INSERT INTO default_catalog.default_database.t SELECT 1",
    ] {
        let Statement::Insert(insert) = one(sql) else { panic!("{sql}") };
        assert_eq!(insert.target.value, "t");
        assert!(insert.columns.is_empty(), "{sql}");
    }
    for sql in [
        "EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT CASE WHEN x THEN 1 END FROM t; INSERT INTO b SELECT 2 EMIT CHANGES; END;",
        "BEGIN STATEMENT SET; INSERT INTO a SELECT 1; INSERT INTO b SELECT 2; END",
    ] {
        let Statement::StatementSet(inserts) = one(sql) else { panic!("{sql}") };
        assert_eq!(inserts.len(), 2, "{sql}");
    }
    for sql in [
        "EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1;",
        "BEGIN STATEMENT SET; END;",
        "EXECUTE STATEMENT SET BEGIN SELECT 1; END;",
    ] {
        assert!(error(sql).span().is_some(), "{sql}");
    }
}

#[test]
fn scripts() {
    let parsed = parse("-- first\nSELECT ';' ;;\n/* ; */ SET x = 'a;b' ; SELECT 2").unwrap();
    let texts: Vec<&str> = parsed.iter().map(|p| p.text.as_str()).collect();
    assert_eq!(texts, ["SELECT ';'", "SET x = 'a;b'", "SELECT 2"]);
    assert_eq!(parsed[1].span.start, crate::error::Location { line: 3, column: 9 });
    assert!(parse(" \n -- nothing\n").unwrap().is_empty());
    assert_eq!(parse("SELECT 'ö', a -- x\n, b FROM t;").unwrap()[0].text, "SELECT 'ö', a -- x\n, b FROM t");
}

#[test]
fn settings_and_show() {
    for (sql, name, value) in [
        ("SET 'a.b-c' = 'x y'", "a.b-c", "x y"),
        ("SET interval = 5s", "interval", "5s"),
        ("SET interval TO '1 second'", "interval", "1 second"),
        ("SET table.exec.mini-batch.enabled = true", "table.exec.mini-batch.enabled", "true"),
        ("SET x = 64 MiB", "x", "64 MiB"),
        ("SET x = -1", "x", "-1"),
        ("SET TIME ZONE 'UTC'", "time_zone", "UTC"),
    ] {
        let Statement::Set { name: n, value: v, .. } = one(sql) else { panic!("{sql}") };
        assert_eq!((n.as_str(), v.as_str()), (name, value), "{sql}");
    }
    assert!(matches!(one("RESET 'a.b'"), Statement::Reset(Some(name)) if name == "a.b"));
    assert!(matches!(one("RESET ALL"), Statement::Reset(None)));
    assert!(matches!(one("SET x = DEFAULT"), Statement::Reset(Some(_))));
    for (sql, show) in [
        ("SHOW TABLES", Show::Tables),
        ("show sinks", Show::Tables),
        ("SHOW MATERIALIZED VIEWS", Show::Views),
        ("SHOW JOBS", Show::Queries),
        ("SHOW STATE", Show::State),
        ("SHOW ALL", Show::Settings),
        ("SET", Show::Settings),
        ("SHOW interval", Show::Setting("interval".to_owned())),
        ("SET interval", Show::Setting("interval".to_owned())),
    ] {
        let Statement::Show(found) = one(sql) else { panic!("{sql}") };
        assert_eq!(found, show, "{sql}");
    }
    assert!(matches!(one("SHOW CREATE MATERIALIZED VIEW V"), Statement::Show(Show::Create(name)) if name.value == "v"));
    assert!(matches!(one("SHOW COLUMNS FROM t"), Statement::Show(Show::Columns(name)) if name.value == "t"));
    assert!(matches!(one("DESC TABLE t"), Statement::Describe(name) if name.value == "t"));
    assert!(matches!(one("DESCRIBE 'a/*.csv'"), Statement::Describe(name) if name.value == "a/*.csv"));
    assert!(matches!(
        one("DROP MATERIALIZED VIEW IF EXISTS a, \"B\" CASCADE"),
        Statement::Drop { kind: RelationKind::MaterializedView, if_exists: true, names, cascade: true } if names[1].value == "B"
    ));
    for sql in [
        "EXPLAIN SELECT 1",
        "EXPLAIN PLAN FOR SELECT 1",
        "EXPLAIN VERBOSE SELECT 1",
        "EXPLAIN (VERBOSE) INSERT INTO a SELECT 1",
        "EXPLAIN CHANGELOG_MODE, ESTIMATED_COST CREATE VIEW v AS SELECT 1",
    ] {
        assert!(matches!(one(sql), Statement::Explain { .. }), "{sql}");
    }
}

#[test]
fn rows_are_changed() {
    let Statement::Update(update) = one("UPDATE t AS x SET (a, b) = (1, x.b + 1), c = DEFAULT FROM u WHERE x.a = u.a")
    else {
        panic!("no UPDATE")
    };
    let columns: Vec<_> = update.assignments.iter().map(|(c, e)| format!("{} = {e}", c.value)).collect();
    assert_eq!(columns, ["a = 1", "b = x.b + 1", "c = DEFAULT"]);
    assert_eq!((update.alias.unwrap().value.as_str(), update.from.len()), ("x", 1));
    let Statement::Update(update) = one("UPDATE t SET a = CASE WHEN b IS NOT DISTINCT FROM c THEN 1 END FROM u") else {
        panic!("no UPDATE")
    };
    assert_eq!((update.assignments.len(), update.from.len()), (1, 1));
    let Statement::Delete(delete) = one("DELETE FROM t x USING u, v WHERE extract(year FROM x.d) = 1") else {
        panic!("no DELETE")
    };
    assert_eq!((delete.from.len(), delete.selection.is_some()), (2, true));
    let Statement::Insert(insert) =
        one("INSERT INTO t (a) SELECT 1 ON CONFLICT (a) DO UPDATE SET b = excluded.b WHERE t.b > 1")
    else {
        panic!("no INSERT")
    };
    assert!(matches!(insert.on_conflict.unwrap().action, ConflictAction::Update { selection: Some(_), .. }));
    assert!(matches!(one("FLUSH"), Statement::Flush));
    for wrong in [
        "UPDATE t SET a = 1, a = 2",
        "UPDATE t SET (a, b) = (1)",
        "UPDATE t a = 1",
        "DELETE t",
        "INSERT INTO t VALUES (1) ON CONFLICT DO",
        "DELETE FROM t RETURNING a",
        "UPDATE t SET a = 1 2",
        "CREATE INDEX i ON",
    ] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn parsed_but_not_run() {
    for sql in [
        "MERGE INTO t USING u ON a = b WHEN MATCHED THEN DELETE",
        "ALTER TABLE t ADD c INT",
        "USE x",
        "CREATE CATALOG c WITH ('type' = 'jdbc')",
        "CREATE DATABASE d",
        "COPY t FROM STDIN",
        "EXPLAIN ANALYZE SELECT 1",
        "INSERT OVERWRITE t SELECT 1",
        "INSERT INTO t PARTITION (a = 1) SELECT 1",
        "ADD JAR 'x.jar'",
        "SHOW DATABASES",
        "SELECT * FROM t MATCH_RECOGNIZE (PARTITION BY a ORDER BY b MEASURES A.x AS y PATTERN (A B) WITHIN INTERVAL '1' HOUR DEFINE A AS x > 1)",
        "SELECT * FROM a GLOBAL LEFT JOIN b ON a.x = b.x AND a.t >= b.t",
        "SELECT count(*) FROM s WINDOW TUMBLING (SIZE 1 MINUTE) GROUP BY k EMIT CHANGES",
        "CREATE VIEW v AS SELECT * FROM t MATCH_RECOGNIZE (PATTERN (A))",
    ] {
        match one(sql) {
            Statement::NotYet { what, help, span } => {
                assert!(!what.is_empty() && !help.is_empty() && span.start.line == 1, "{sql}");
            }
            other => panic!("{sql}: {other:?}"),
        }
    }
}

#[test]
fn mistakes_are_named_where_they_are() {
    let mut wrong = Vec::new();
    for (sql, line, column, help) in [
        ("SELCT 1", 1, 1, "did you mean SELECT?"),
        ("SELECT a FORM bid", 1, 10, "did you mean FROM"),
        ("SELECT a FROM bid\nGRUOP BY a", 2, 1, "did you mean GROUP"),
        ("SELECT a FROM bid WEHRE a > 1", 1, 19, "did you mean WHERE"),
        ("CREATE TABEL t (a INT)", 1, 8, "did you mean TABLE?"),
        ("CREATE TABLE t (a INT, WATERMRK FOR a)", 1, 24, "did you mean WATERMARK?"),
        ("CREATE TABLE t (a INT NOT NUL)", 1, 23, ""),
        ("CREATE TABLE t (a INT b INT)", 1, 23, "comma"),
        ("CREATE TABLE t (a INT,)", 1, 22, "comma"),
        ("CREATE TABLE t (a)", 1, 17, "type"),
        ("CREATE TABLE t (a INT, a INT)", 1, 24, ""),
        ("CREATE TABLE t (a INT) WIHT ('x' = 'y')", 1, 24, "WITH"),
        ("CREATE TABLE t (a INT) WITH ('x' 'y')", 1, 30, "'name' = 'value'"),
        ("CREATE TABLE t (a INT) WITH ('x' = 'y' 'z' = 'w')", 1, 30, "comma"),
        ("CREATE TABLE t (a INT) FORMAT PLAN ENCODE JSON", 1, 31, "PLAIN"),
        ("SELECT (1 + 2", 1, 8, ""),
        ("SELECT 1)", 1, 9, ""),
        ("SELECT [1)", 1, 10, ""),
        ("SELECT 'abc", 1, 8, "close it"),
        ("SELECT * FROM t WHERE", 1, 17, ""),
        ("SELECT a, FROM t", 1, 11, ""),
        ("SHOW TABELS", 1, 6, "did you mean TABLES?"),
        ("INSERT INTO SELECT 1", 1, 20, ""),
        ("INSERT INTO a.b SELECT 1", 1, 13, "one word"),
        ("DROP TABEL x", 1, 6, "TABLE"),
        ("CREATE VIEW v SELECT 1", 1, 15, ""),
        ("EXPLAIN EXPLAIN SELECT 1", 1, 9, ""),
    ] {
        let error = error(sql);
        let at = error.span().map(|span| (span.start.line, span.start.column));
        if at != Some((line, column)) || !error.to_string().contains(help) {
            wrong.push(format!("{sql}\n   wanted ({line}, {column}) {help}\n   {error}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn hostile_text_is_refused_and_never_overflows() {
    let long = |n: usize, sep: &str| vec!["a = 1"; n].join(sep);
    let refused = [
        format!("SELECT {}", vec!["1"; 20_000].join(" + ")),
        format!("SELECT * FROM t WHERE {}", long(20_000, " OR ")),
        format!("SELECT {}1{}", "(".repeat(1_000), ")".repeat(1_000)),
        "SELECT ".to_owned() + &"(".repeat(100_000),
        "SELECT ".to_owned() + &"NOT ".repeat(100_000) + "a",
        "SELECT ".to_owned() + &"- ".repeat(100_000) + "1",
        "SELECT a".to_owned() + &"[1]".repeat(10_000),
        "SELECT a".to_owned() + &"::INT".repeat(10_000),
        "SELECT a".to_owned() + &" IS NULL".repeat(10_000),
        vec!["SELECT 1"; 2_000].join(" UNION ALL "),
        format!("CREATE TABLE t (a {}INT{})", "ARRAY<".repeat(1_000), ">".repeat(1_000)),
        format!("CREATE TABLE t (a INT{})", "[]".repeat(10_000)),
        format!("SELECT {}", " ".repeat(2 << 20)),
        "SELECT ".to_owned() + &"CASE WHEN ".repeat(10_000),
        "SELECT ".to_owned() + &"a.".repeat(20_000),
        "EXPLAIN ".repeat(50_000),
        // sqlparser would take minutes over these.
        format!("SELECT {}1 +{}", "POSITION(".repeat(30), " IN 'a')".repeat(30)),
        format!("SELECT {}1 +{}", "NOT (".repeat(30), ")".repeat(30)),
        format!("SELECT {} PARTITION BY a", vec!["1"; 3_900].join(" + ")),
        format!("SELECT * FROM SESSION((SELECT {}) PARTITION BY a, b, '1m')", vec!["1"; 3_900].join(" + ")),
        format!("SELECT * FROM TUMBLE(t, DESCRIPTOR({}), '1m')", vec!["1"; 3_900].join(" + ")),
        format!("CREATE TABLE t (a AS {})", vec!["1"; 2_000].join(" + ")),
    ];
    for sql in refused {
        let error = parse(&sql).expect_err(&sql[..40]);
        assert!(error.message().len() < 500, "{error}");
    }
    for sql in [
        format!("SELECT {}", vec!["1"; 150].join(" + ")),
        format!("SELECT * FROM t WHERE {}", long(1_900, " OR ")),
        format!("SELECT * FROM t WHERE a IN ({})", vec!["1"; 50_000].join(", ")),
        format!("INSERT INTO t VALUES {}", vec!["(1, 'a')"; 20_000].join(", ")),
        format!("SELECT {}1{}", "(".repeat(90), ")".repeat(90)),
        vec!["SELECT 1"; 60].join(" UNION ALL "),
        format!("{}SELECT * FROM t{}", "SELECT * FROM (".repeat(14), ")".repeat(14)),
        format!("{}SELECT * FROM t{}", "SELECT * FROM TUMBLE((".repeat(12), "), ts, INTERVAL '1' SECOND)".repeat(12)),
        format!("SELECT {}1{}", "f(".repeat(100), ")".repeat(100)),
        format!("SELECT CAST(a AS {}INT{})", "ARRAY<".repeat(49), ">".repeat(49)),
        format!("SELECT CASE {} END", "WHEN a = 1 THEN 2 ".repeat(5_000)),
        format!("CREATE TABLE t ({})", (0..2_000).map(|n| format!("c{n} INT")).collect::<Vec<_>>().join(", ")),
    ] {
        let parsed = parse(&sql).unwrap_or_else(|e| panic!("{}: {e}", &sql[..40]));
        drop(parsed.clone());
    }
}

/// Flink's own Nexmark text: tables, views, functions and queries.
const NEXMARK: &str = include_str!("nexmark_test.sql");

#[test]
fn nexmark_parses_unmodified() {
    let parsed = parse(NEXMARK).unwrap_or_else(|e| panic!("{e}"));
    let table = |name: &str| {
        parsed
            .iter()
            .find_map(|p| match &p.statement {
                Statement::CreateTable(t) if t.name.value == name => Some(t),
                _ => None,
            })
            .unwrap()
    };
    let datagen = table("datagen");
    assert_eq!(datagen.columns.len(), 5);
    assert_eq!(datagen.watermark.as_ref().unwrap().column.value, "dateTime");
    assert!(
        datagen.columns[4]
            .computed
            .as_ref()
            .unwrap()
            .to_string()
            .contains("WHEN event_type = 0 THEN person.`dateTime`")
    );
    assert_eq!(datagen.options.get("first-event.rate"), Some("10000"));
    assert_eq!(table("nexmark_q10").partitioned_by.len(), 2);
    let queries: Vec<(String, String)> = parsed
        .iter()
        .filter_map(|p| match &p.statement {
            Statement::Insert(insert) => Some((insert.target.value.clone(), insert.query.query.to_string())),
            Statement::NotYet { what, .. } => Some((String::new(), what.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(queries.len(), 24);
    let not_yet: Vec<&str> =
        queries.iter().filter(|(name, _)| name.is_empty()).map(|(_, what)| what.as_str()).collect();
    assert_eq!(not_yet, [""; 0]);
    let query = |name: &str| &queries.iter().find(|(n, _)| n == name).unwrap().1;
    assert!(
        query("nexmark_q5")
            .contains("FROM hop((SELECT * FROM bid), `dateTime`, INTERVAL '2' SECOND, INTERVAL '10' SECOND)"),
        "{}",
        query("nexmark_q5")
    );
    assert!(query("nexmark_q8").contains("JOIN (SELECT A.seller"), "{}", query("nexmark_q8"));
    assert!(
        query("nexmark_q11").contains("session((SELECT * FROM bid B), `dateTime`, INTERVAL '10' SECOND, bidder) B"),
        "{}",
        query("nexmark_q11")
    );
}
