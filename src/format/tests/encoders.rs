//! What is written, byte for byte.

use std::slice::from_ref;

use arrow::array::{ArrayRef, Decimal128Array, Float64Array, Int64Array, StringArray, TimestampMillisecondArray};

use super::*;

fn batch() -> RecordBatch {
    let ts = TimestampMillisecondArray::from(vec![Some(1_772_366_400_000), Some(1_772_366_400_120), None]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from(vec![1, -20, 3]))),
        ("name", Arc::new(StringArray::from(vec![Some("a\"b\n"), Some(""), None]))),
        ("ts", Arc::new(ts)),
        ("x", Arc::new(Float64Array::from(vec![1.0, 1e300, f64::NAN]))),
        (
            "d",
            Arc::new(Decimal128Array::from(vec![Some(150), Some(-5), None]).with_precision_and_scale(10, 2).unwrap()),
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap()
}

fn changing() -> Change {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("k", Arc::new(StringArray::from(vec!["a", "a", "b", "c", "d"]))),
        ("n", Arc::new(Int64Array::from(vec![1, 2, 1, 1, 9]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    Change { batch, weights: Some(vec![-1, 1, -1, 1, 2].into()) }
}

fn written(format: &str, key: Option<&[usize]>, changes: &[Change]) -> String {
    String::from_utf8(encode(&spec(&[("format", format)]), key, changes)).unwrap()
}

#[test]
fn appended_rows() {
    let change = Change::append(batch());
    assert_eq!(
        written("json", None, from_ref(&change)),
        r#"{"id":1,"name":"a\"b\n","ts":"2026-03-01T12:00:00","x":1.0,"d":1.50}
{"id":-20,"name":"","ts":"2026-03-01T12:00:00.120","x":1e300,"d":-0.05}
{"id":3,"name":null,"ts":null,"x":"NaN","d":null}
"#
    );
    assert_eq!(
        written("csv", None, &[change.clone(), change.clone()]),
        "id,name,ts,x,d
1,\"a\"\"b\n\",2026-03-01T12:00:00,1.0,1.50
-20,\"\",2026-03-01T12:00:00.120,1e300,-0.05
3,,,NaN,
1,\"a\"\"b\n\",2026-03-01T12:00:00,1.0,1.50
-20,\"\",2026-03-01T12:00:00.120,1e300,-0.05
3,,,NaN,
"
    );
    assert_eq!(
        written("changelog", None, from_ref(&change)),
        "+I[1, a\"b\n, 2026-03-01T12:00:00, 1.0, 1.50]
+I[-20, , 2026-03-01T12:00:00.120, 1e300, -0.05]
+I[3, null, null, NaN, null]
"
    );
    let table = [
        "  id │ name   │ ts                      │     x │     d",
        "─────┼────────┼─────────────────────────┼───────┼───────",
        "   1 │ a\\\"b\\n │ 2026-03-01T12:00:00     │   1.0 │  1.50",
        " -20 │        │ 2026-03-01T12:00:00.120 │ 1e300 │ -0.05",
        "   3 │ NULL   │ NULL                    │   NaN │  NULL",
        "",
    ];
    assert_eq!(written("table", None, from_ref(&change)), table.join("\n"));
}

#[test]
fn rows_that_leave() {
    assert_eq!(
        written("json", Some(&[0]), &[changing()]),
        r#"{"op":"-U","k":"a","n":1}
{"op":"+U","k":"a","n":2}
{"op":"-D","k":"b","n":1}
{"op":"+I","k":"c","n":1}
{"op":"+I","k":"d","n":9}
{"op":"+I","k":"d","n":9}
"#
    );
    assert_eq!(
        written("changelog", None, &[changing()]),
        "-D[a, 1]\n+I[a, 2]\n-D[b, 1]\n+I[c, 1]\n+I[d, 9]\n+I[d, 9]\n"
    );
    // An empty key: the relation has one row at most, so every pair is an update.
    assert!(written("changelog", Some(&[]), &[changing()]).starts_with("-U[a, 1]\n+U[a, 2]\n-U[b, 1]\n+U[c, 1]\n"));
    assert_eq!(
        written("debezium-json", Some(&[0]), &[changing()]),
        r#"{"before":{"k":"a","n":1},"after":{"k":"a","n":2},"op":"u"}
{"before":{"k":"b","n":1},"after":null,"op":"d"}
{"before":null,"after":{"k":"c","n":1},"op":"c"}
{"before":null,"after":{"k":"d","n":9},"op":"c"}
{"before":null,"after":{"k":"d","n":9},"op":"c"}
"#
    );
    assert_eq!(
        written("table", Some(&[0]), &[changing()]),
        " op │ k │ n\n────┼───┼───\n -U │ a │ 1\n +U │ a │ 2\n -D │ b │ 1\n +I │ c │ 1\n +I │ d │ 9\n +I │ d │ 9\n"
    );
    for format in ["csv", "text", "parquet", "arrow"] {
        let format = spec(&[("format", format)]);
        assert!(!format.holds_changes());
        let mut change = changing();
        change.batch = change.batch.project(&[0]).unwrap();
        let mut encoder = format.encoder(&change.batch.schema(), None).unwrap();
        let error = encoder.encode(&change, &mut Vec::new()).unwrap_err();
        assert!(error.message().ends_with("can't hold rows that leave again"), "{error}");
    }
    for format in ["json", "changelog", "debezium-json"] {
        assert!(spec(&[("format", format)]).holds_changes());
    }
}

#[test]
fn nothing_and_text() {
    let none = Change::append(batch().slice(0, 0));
    assert_eq!(written("csv", None, from_ref(&none)), "id,name,ts,x,d\n");
    assert_eq!(written("json", None, from_ref(&none)), "");
    assert!(written("table", None, &[none]).starts_with(" id │ name"));
    let lines = Change::append(batch().project(&[2]).unwrap());
    assert_eq!(written("text", None, &[lines]), "2026-03-01T12:00:00\n2026-03-01T12:00:00.120\n\n");
    assert!(spec(&[("format", "text")]).encoder(&batch().schema(), None).is_err());
    assert!(spec(&[("format", "combined")]).encoder(&batch().schema(), None).is_err());
}

#[test]
fn csv_writes_what_it_reads() {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("a", Arc::new(StringArray::from(vec![Some("x"), Some(""), None, Some("N"), Some("p,q\r\n\"")]))),
        ("b", Arc::new(Int64Array::from(vec![Some(1), None, Some(3), Some(4), Some(5)]))),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap();
    for pairs in [&[("format", "csv")][..], &[("format", "csv"), ("null", "N"), ("delimiter", ";")]] {
        let format = spec(pairs);
        let out = encode(&format, None, &[Change::append(batch.clone())]);
        assert_eq!(decode(&format, &batch.schema(), &out).batch, batch, "{}", String::from_utf8_lossy(&out));
    }
}
