//! Bad records: each is counted with its place and reason, and its neighbours come out whole.

use arrow::datatypes::TimeUnit;

use super::*;

fn bids() -> SchemaRef {
    schema(&[
        ("id", DataType::Int32),
        ("price", DataType::Decimal128(6, 2)),
        ("rate", DataType::Float64),
        ("name", DataType::Utf8),
        ("ts", DataType::Timestamp(TimeUnit::Millisecond, None)),
        ("ok", DataType::Boolean),
        ("tags", DataType::new_list(DataType::Int64, true)),
    ])
}

/// A good line before and behind each bad one: whatever the bad one is, exactly it is missing.
#[test]
fn json_matrix() {
    let cases: &[(&[u8], &str)] = &[
        (br#"{"id":1"#, "the record ends within a JSON value"),
        (br#"{"id":1,"name":"x"#, "the record ends within a JSON value"),
        (br#"{"id":1,"name":"x\"#, "the record ends within a JSON value"),
        (br#"{"id":"#, "the record ends within a JSON value"),
        (br#"{"#, "the record ends within a JSON value"),
        (br#"{"id":1,"tags":[1,2"#, "the record ends within a JSON value"),
        (br#"{"id":-"#, "the record ends within a JSON value"),
        (br#"{"id":"one"}"#, "column 'id': 'one' is not a INT"),
        (br#"{"id":true}"#, "column 'id': 'true' is not a INT"),
        (br#"{"id":[1]}"#, "column 'id': '[1]' is not a INT"),
        (br#"{"id":{"a":1}}"#, r#"column 'id': '{"a":1}' is not a INT"#),
        (br#"{"id":1.5}"#, "column 'id': '1.5' is not a INT"),
        (br#"{"id":2147483648}"#, "column 'id': '2147483648' is not a INT"),
        (br#"{"id":99999999999999999999999999}"#, "column 'id': '99999999999999999999999999' is not a INT"),
        (br#"{"id":1e999}"#, "column 'id': '1e999' is not a INT"),
        (br#"{"rate":1e999}"#, "column 'rate': '1e999' is not a DOUBLE"),
        (br#"{"price":10000}"#, "column 'price': '10000' is not a DECIMAL(6, 2)"),
        (br#"{"price":"1,5"}"#, "column 'price': '1,5' is not a DECIMAL(6, 2)"),
        (br#"{"ts":"yesterday"}"#, "column 'ts': 'yesterday' is not a TIMESTAMP(3)"),
        (br#"{"ts":"2026-02-30T00:00:00"}"#, "column 'ts': '2026-02-30T00:00:00' is not a TIMESTAMP(3)"),
        (br#"{"ts":true}"#, "column 'ts': 'true' is not a TIMESTAMP(3)"),
        (br#"{"ok":1}"#, "column 'ok': '1' is not a BOOLEAN"),
        (br#"{"tags":7}"#, "column 'tags': '7' is not a ARRAY"),
        (br#"{"tags":[1,"x"]}"#, "column 'item': 'x' is not a BIGINT"),
        (br#"{"tags":{"a":1}}"#, r#"column 'tags': '{"a":1}' is not a ARRAY"#),
        (br#"{"id":1}}"#, "unexpected '}' after the object"),
        (br#"{"id":1}{"id":2}"#, r#"unexpected '{"id":2}' after the object"#),
        (br#"{"id":1,}"#, "expected a key in quotes, found '}'"),
        (br#"{"id" 1}"#, "expected ':' after the key, found '1}'"),
        (br#"{"id":1 "name":"x"}"#, r#"expected ',' or '}', found '"name":"x"}'"#),
        (br#"{id:1}"#, "expected a key in quotes, found 'id:1}'"),
        (br#"{"id":01}"#, "expected a number, found '01}'"),
        (br#"{"id":NaN}"#, "expected a value, found 'NaN}'"),
        (br#"{"other":nul}"#, "expected a value, found 'nul}'"),
        (br#"{"other":[1,{"a":]}"#, "expected a value, found ']}'"),
        (br#"{"name":"\q"}"#, r#"'\q"}' is not an escape"#),
        (br#"{"name":"\ud800"}"#, r#"'\ud800"}' is not an escape"#),
        (br#"[{"id":1}]"#, "expected a JSON object, found an array"),
        (b"7", "expected a JSON object, found '7'"),
        (b"not json", "expected a JSON object, found 'not json'"),
        (b"{\"name\":\"a\xff\"}", "not UTF-8 at byte 10"),
        (b"\x00", "expected a JSON object, found '\x00'"),
    ];
    for (line, reason) in cases {
        let mut block = br#"{"id":1,"name":"before"}"#.to_vec();
        block.extend_from_slice(b"\n");
        block.extend_from_slice(line);
        block.extend_from_slice(b"\n{\"id\":2,\"name\":\"behind\"}\n");
        let shown = String::from_utf8_lossy(line).into_owned();
        let decoded = decode(&spec(&[("format", "json")]), &bids(), &block);
        assert_eq!(decoded.records, 3, "{shown}");
        assert_eq!(rows(&decoded.batch), ["1|||before|||", "2|||behind|||"], "{shown}");
        assert_eq!(bads(&decoded), [(2, *reason)], "{shown}");
        assert_eq!(decoded.bad[0].bytes, *line, "{shown}");
    }
}

#[test]
fn json_deep_nesting_is_refused_without_recursion() {
    for line in ["[".repeat(100_000), "{\"a\":".repeat(100_000)] {
        let text = format!("{{\"x\":{line}\n{{\"id\":3}}\n");
        let decoded = decode(&spec(&[("format", "json")]), &bids(), &text);
        assert_eq!(bads(&decoded), [(1, "nested deeper than 64 levels")]);
        assert_eq!(decoded.bad[0].bytes.len(), 4096);
        assert_eq!(rows(&decoded.batch), ["3||||||"]);
    }
}

#[test]
fn json_that_is_odd_but_right() {
    let cases = [
        // Extra and missing keys, nulls.
        (r#"{"id":1,"extra":{"a":[1,{"b":"}"}]},"name":null}"#, "1||||||"),
        ("{}", "||||||"),
        // Of a key that comes twice the last value counts; even when the first was of another type… which is bad elsewhere.
        (r#"{"id":1,"id":2,"tags":[1,2,3],"tags":[4]}"#, "2||||||[4]"),
        // White space and CRLF.
        ("  { \"id\" : 1 ,\t\"ok\" : true }  \r", "1|||||true|"),
        // Numbers as text and text as numbers; whole floats.
        (r#"{"id":"7","price":"1.005","rate":"1e3","name":12.50}"#, "7|1.01|1000.0|12.50|||"),
        (r#"{"id":5.0,"price":1e2,"rate":1}"#, "5|100.00|1.0||||"),
        // Objects in a VARCHAR column stay as they are.
        (r#"{"name":{"a": [1]}}"#, r#"|||{"a": [1]}|||"#),
        // Escapes, beyond the BMP too.
        (r#"{"na\u006de":"\u00e9\ud83d\ude00\/\"\\\n"}"#, "|||é😀/\"\\"),
        (r#"{"id":-0,"tags":[]}"#, "0||||||[]"),
    ];
    for (line, row) in cases {
        let decoded = decode(&spec(&[("format", "json")]), &bids(), line);
        assert_eq!(bads(&decoded), [], "{line}");
        assert_eq!(decoded.records, 1);
        assert!(rows(&decoded.batch)[0].starts_with(row), "{line}: {:?}", rows(&decoded.batch));
    }
}

#[test]
fn blank_lines_are_no_records_but_count_as_lines() {
    let text = "\u{feff}{\"id\":1}\n\n \t \r\n{\"id\":2}\r\n{\"id\":x}\n\r\n{\"id\":3}";
    let decoded = decode(&spec(&[("format", "json")]), &bids(), text);
    assert_eq!(decoded.records, 4);
    assert_eq!(bads(&decoded), [(5, "expected a value, found 'x}'")]);
    assert_eq!(rows(&decoded.batch).len(), 3);
}

#[test]
fn a_bad_record_leaves_nothing_in_the_next_block() {
    let nested = DataType::Struct(vec![Field::new("a", DataType::Int64, true)].into());
    let schema = schema(&[("s", nested.clone()), ("l", DataType::new_list(nested, true)), ("t", DataType::Utf8)]);
    let mut decoder = spec(&[("format", "json")]).decoder(&schema, &[0, 1, 2]).unwrap();
    let place = |record| Place { origin: "test".into(), record };
    let bad = br#"{"t":"lost","s":{"a":1},"l":[{"a":1},{"a":2},{"a":"x"}]}"#;
    let first = decoder.decode(bad, &place(1)).unwrap();
    assert_eq!((first.batch.num_rows(), first.bad.len()), (0, 1));
    let second = decoder.decode(br#"{"t":"kept","s":{"a":3},"l":[{"a":4}]}"#, &place(2)).unwrap();
    assert_eq!(rows(&second.batch), ["{a: 3}|[{a: 4}]|kept"]);
    let mixed = [&bad[..], b"\n", br#"{"s":null,"l":null}"#, b"\n", bad, b"\n{\"l\":[null]}\n"].concat();
    let third = decoder.decode(&mixed, &place(3)).unwrap();
    assert_eq!(rows(&third.batch), ["||", "|[]|"]);
    assert_eq!(bads(&third).iter().map(|b| b.0).collect::<Vec<_>>(), [3, 5]);
}

#[test]
fn not_null_columns() {
    let inner = DataType::Struct(vec![Field::new("b", DataType::Int64, false)].into());
    let schema: SchemaRef =
        Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, false), Field::new("s", inner, true)]));
    let text = "{\"a\":1}\n{\"a\":null}\n{}\n{\"a\":2,\"s\":{}}\n{\"a\":3,\"s\":{\"b\":1}}\n{\"a\":4,\"s\":null}\n";
    let decoded = decode(&spec(&[("format", "json")]), &schema, text);
    assert_eq!(
        bads(&decoded),
        [
            (2, "column 'a' is NOT NULL and has no value"),
            (3, "column 'a' is NOT NULL and has no value"),
            (4, "column 'b' is NOT NULL and has no value")
        ]
    );
    assert_eq!(rows(&decoded.batch), ["1|", "3|{b: 1}", "4|"]);
}

#[test]
fn csv_matrix() {
    let schema = schema(&[("id", DataType::Int32), ("name", DataType::Utf8), ("rate", DataType::Float64)]);
    let cases: &[(&[u8], &str)] = &[
        (b"1,a", "the record has 2 fields, expected 3"),
        (b"1,a,2,b", "the record has 4 fields, expected 3"),
        (b"x,a,1", "column 'id': 'x' is not a INT"),
        (b"2147483648,a,1", "column 'id': '2147483648' is not a INT"),
        (b"1,a,1e999", "column 'rate': '1e999' is not a DOUBLE"),
        (b"1,a\xff,1", "not UTF-8 at byte 3"),
        (b"1\rx,a,1", "column 'id': '1\rx' is not a INT"),
    ];
    for (line, reason) in cases {
        for end in ["\n", "\r\n"] {
            let mut block = format!("0,before,0.5{end}").into_bytes();
            block.extend_from_slice(line);
            block.extend_from_slice(format!("{end}2,behind,{end}").as_bytes());
            let decoded = decode(&spec(&[("format", "csv")]), &schema, &block);
            assert_eq!(decoded.records, 3);
            assert_eq!(rows(&decoded.batch), ["0|before|0.5", "2|behind|"], "{line:?}");
            assert_eq!(bads(&decoded), [(2, *reason)]);
        }
    }
}
