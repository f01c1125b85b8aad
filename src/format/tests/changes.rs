//! Records that change rows.

use std::collections::HashMap;

use super::*;
use crate::change::WEIGHT_COLUMN;

/// A key, a column that must have a value and one that need not, and the weight.
fn columns() -> SchemaRef {
    let key = HashMap::from([(KEY.to_owned(), String::new())]);
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true).with_metadata(key),
        Field::new("must", DataType::Int32, false),
        Field::new("may", DataType::Utf8, true),
        Field::new(WEIGHT_COLUMN, DataType::Int64, false),
    ]))
}

#[test]
fn messages_of_debezium_are_rows_that_come_and_go() {
    let text = r#"{"before":null,"after":{"id":1,"must":2,"may":"x"},"op":"c","source":{"table":"t"}}
{"op":"u","before":{"id":1},"after":{"id":1,"must":3}}

{"payload":{"op":"d","before":{"id":1,"may":"y"},"after":null}}
{"payload":{"op":"u","before":{"id":null},"after":{"id":4,"must":4}}}
"#;
    let decoded = decode(&spec(&[("format", "debezium-json")]), &columns(), text);
    assert_eq!(bads(&decoded), []);
    assert_eq!(decoded.records, 4);
    // Of a row that goes only the key counts; what must have a value has some.
    assert_eq!(rows(&decoded.batch), ["1|2|x|1", "1|0||-1", "1|3||1", "1|0|y|-1", "4|4||1"]);
}

#[test]
fn messages_that_say_nothing_are_bad() {
    let text = r#"{"after":{"id":1,"must":1},"op":"c"}
{"after":{"id":1,"must":1}}
nothing
{"after":{"id":1,"must":1},"op":"truncate"}
{"op":"t"}
{"op":"u","before":{"id":1}}
{"op":"d","after":{"id":1,"must":1}}
{"op":"d","before":{"must":1}}
{"op":"c","after":{"must":1}}
{"op":"c","after":{"id":1}}
{"after":{"id":9,"must":9},"op":"c"}"#;
    let decoded = decode(&spec(&[("format", "debezium")]), &columns(), text);
    assert_eq!(
        bads(&decoded),
        [
            (2, "no 'op' in the message"),
            (3, "expected a JSON object, found 'nothing'"),
            (4, "'truncate' is no 'op' that is known"),
            (5, "a truncation (op 't') can't be followed"),
            (6, "no 'after' in the message"),
            (7, "no 'before' in the message that deletes a row"),
            (8, "the key column 'id' has no value"),
            (9, "the key column 'id' has no value"),
            (10, "column 'must' is NOT NULL and has no value"),
        ]
    );
    assert_eq!(decoded.bad[0].bytes, br#"{"after":{"id":1,"must":1}}"#);
    assert_eq!(decoded.records, 11);
    assert_eq!(rows(&decoded.batch), ["1|1||1", "9|9||1"]);
}

#[test]
fn rows_with_an_op_are_rows_that_come_and_go() {
    let text = r#"{"id":1,"must":1}
{"op":"-D","id":1}
{"op":"+U","id":2,"must":2,"may":"z"}
{"op":"?","id":3,"must":3}
{"must":3}"#;
    let decoded = decode(&spec(&[("format", "upsert-json")]), &columns(), text);
    assert_eq!(bads(&decoded), [(4, "'?' is no 'op' that is known"), (5, "the key column 'id' has no value")]);
    assert_eq!(rows(&decoded.batch), ["1|1||1", "1|0||-1", "2|2|z|1"]);
}

#[test]
fn what_is_written_is_read_again() {
    let rows_of = |ids: &[i64]| {
        let ids: arrow::array::ArrayRef = Arc::new(arrow::array::Int64Array::from(ids.to_vec()));
        let must: arrow::array::ArrayRef = Arc::new(arrow::array::Int32Array::from(vec![7; ids.len()]));
        let may: arrow::array::ArrayRef = Arc::new(arrow::array::StringArray::from(vec![Some("w"); ids.len()]));
        let fields = columns().project(&[0, 1, 2]).unwrap();
        RecordBatch::try_new(Arc::new(fields), vec![ids, must, may]).unwrap()
    };
    let change = Change { batch: rows_of(&[1, 2, 2, 3]), weights: Some(vec![1, -1, 1, -1].into()) };
    for format in ["upsert-json", "debezium-json"] {
        let written = encode(&spec(&[("format", format)]), Some(&[0]), std::slice::from_ref(&change));
        let read = decode(&spec(&[("format", format)]), &columns(), &written);
        assert_eq!(bads(&read), [], "{format}");
        let (first, last) = (rows(&read.batch)[0].clone(), rows(&read.batch).pop());
        assert_eq!((first.as_str(), last.as_deref()), ("1|7|w|1", Some("3|7|w|-1")), "{format}");
    }
}
