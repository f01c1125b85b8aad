//! What is written → what is understood, as data.

use super::statement::{EmitMode, FunctionBody, RelationKind, Show, Statement};
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
