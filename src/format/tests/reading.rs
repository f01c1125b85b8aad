//! Reading good records: names, timestamps, CSV in its many forms, text.

use arrow::datatypes::TimeUnit;

use super::*;

fn spelled(name: &str, spelling: &str) -> Field {
    Field::new(name, DataType::Int64, true).with_metadata([(SPELLING.to_owned(), spelling.to_owned())].into())
}

#[test]
fn keys_by_spelling_exactly_then_without_case() {
    let inner = DataType::Struct(vec![spelled("itemid", "itemId")].into());
    let schema: SchemaRef = Arc::new(Schema::new(vec![
        spelled("usercount", "userCount"),
        Field::new("order", inner, true).with_metadata([(SPELLING.to_owned(), "Order".to_owned())].into()),
    ]));
    let text = r#"{"userCount":1,"Order":{"itemId":10}}
{"usercount":2,"ORDER":{"ITEMID":20}}
{"usercount":9,"userCount":3,"itemId":0}
{"userCount":4,"USERCOUNT":9,"order":{"other":1}}"#;
    let json = spec(&[("format", "json")]);
    let decoded = decode(&json, &schema, text);
    assert_eq!(bads(&decoded), []);
    assert_eq!(rows(&decoded.batch), ["1|{itemid: 10}", "2|{itemid: 20}", "3|", "4|{itemid: }"]);
    assert_eq!(decoded.batch.schema(), schema);
    // And back again, as spelled.
    let out = encode(&json, None, &[Change::append(decoded.batch.slice(0, 1))]);
    assert_eq!(String::from_utf8(out).unwrap(), "{\"userCount\":1,\"Order\":{\"itemId\":10}}\n");
}

#[test]
fn projection_and_no_columns() {
    let schema = schema(&[("a", DataType::Int64), ("b", DataType::Utf8)]);
    for (format, text) in [("json", "{\"a\":1,\"b\":\"x\"}\n{\"a\":2}\n"), ("csv", "a,b\n1,x\n2,\n")] {
        let format = spec(&[("format", format)]);
        let place = Place { origin: "test".into(), record: 1 };
        let decoded = format.decoder(&schema, &[1, 0]).unwrap().decode(text.as_bytes(), &place).unwrap();
        assert_eq!(rows(&decoded.batch), ["x|1", "|2"]);
        let decoded = format.decoder(&schema, &[]).unwrap().decode(text.as_bytes(), &place).unwrap();
        assert_eq!((decoded.batch.num_rows(), decoded.batch.num_columns(), decoded.records), (2, 0, 2));
    }
}

#[test]
fn timestamps() {
    let zone = Some("+02:00".into());
    let schema = schema(&[
        ("s", DataType::Timestamp(TimeUnit::Second, None)),
        ("ms", DataType::Timestamp(TimeUnit::Millisecond, None)),
        ("us", DataType::Timestamp(TimeUnit::Microsecond, None)),
        ("ns", DataType::Timestamp(TimeUnit::Nanosecond, None)),
        ("utc", DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))),
        ("zoned", DataType::Timestamp(TimeUnit::Millisecond, zone)),
    ]);
    let all = |value: &str| {
        let keys = ["s", "ms", "us", "ns", "utc", "zoned"];
        let members: Vec<String> = keys.iter().map(|key| format!("\"{key}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    };
    let values = |decoded: &Decoded| -> Vec<i64> {
        assert_eq!(bads(decoded), []);
        let cast = |column: &arrow::array::ArrayRef| arrow::compute::cast(column, &DataType::Int64).unwrap();
        use arrow::array::AsArray;
        let value =
            |column: &arrow::array::ArrayRef| cast(column).as_primitive::<arrow::datatypes::Int64Type>().value(0);
        decoded.batch.columns().iter().map(value).collect()
    };
    let json = spec(&[("format", "json")]);
    let noon = 1_772_366_400_i64;
    for text in ["\"2026-03-01T14:00:00.1234567+02:00\"", "\"2026-03-01 12:00:00.1234567Z\""] {
        let expected = [noon, noon * 1000 + 123, noon * 1_000_000 + 123_456, noon * 1_000_000_000 + 123_456_700];
        let found = values(&decode(&json, &schema, all(text)));
        assert_eq!(found[..4], expected, "{text}");
        assert_eq!(found[4..], [expected[1], expected[1]], "{text}");
    }
    // Without a zone, the column's own counts.
    let found = values(&decode(&json, &schema, all("\"2026-03-01 12:00\"")));
    assert_eq!(found[3..], [noon * 1_000_000_000, noon * 1000, (noon - 7200) * 1000]);
    // A number is in the column's unit, unless the option says otherwise; as a string too, and with a fraction.
    assert_eq!(values(&decode(&json, &schema, all("7")))[..4], [7, 7, 7, 7]);
    let seconds = spec(&[("format", "json"), ("timestamp_unit", "s")]);
    for text in ["1772366400.25", "\"1772366400.25\"", "1.77236640025e9"] {
        let found = values(&decode(&seconds, &schema, all(text)));
        assert_eq!(
            found[..4],
            [noon, noon * 1000 + 250, noon * 1_000_000 + 250_000, noon * 1_000_000_000 + 250_000_000]
        );
    }
    let found = values(&decode(&spec(&[("format", "json"), ("timestamp_unit", "ns")]), &schema, all("-1")));
    assert_eq!(found[..4], [-1, -1, -1, -1]);
    // Beyond nanoseconds.
    let far = decode(&json, &schema, r#"{"ns":"2300-01-01T00:00:00"}"#);
    assert_eq!(bads(&far), [(1, "column 'ns': '2300-01-01T00:00:00' is not a TIMESTAMP(9)")]);
    // The same from CSV.
    let csv = spec(&[("format", "csv"), ("timestamp_unit", "ms")]);
    let found = values(&decode(&csv, &schema, "1500,1500,2026-03-01T12:00:00Z,1500,1500,1500\n"));
    assert_eq!(found, [1, 1500, noon * 1_000_000, 1_500_000_000, 1500, 1500]);
}

#[test]
fn every_type_there_and_back() {
    let map = Field::new(
        "entries",
        DataType::Struct(
            vec![Field::new("keys", DataType::Utf8, false), Field::new("values", DataType::Int64, true)].into(),
        ),
        false,
    );
    let schema = schema(&[
        ("i8", DataType::Int8),
        ("u64", DataType::UInt64),
        ("f32", DataType::Float32),
        ("dec", DataType::Decimal128(10, 3)),
        ("view", DataType::Utf8View),
        ("large", DataType::LargeUtf8),
        ("date", DataType::Date32),
        ("time", DataType::Time64(TimeUnit::Microsecond)),
        ("time32", DataType::Time32(TimeUnit::Second)),
        ("map", DataType::Map(Arc::new(map), false)),
        ("dict", DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))),
        ("none", DataType::Null),
        ("nan", DataType::Float64),
    ]);
    let line = concat!(
        r#"{"i8":-128,"u64":18446744073709551615,"f32":0.1,"dec":-1.500,"view":"a longer string than twelve","large":"x","#,
        r#""date":"2026-03-01","time":"12:00:00.000001","time32":"23:59:59","map":{"a":1,"b":null},"dict":"d","none":null,"#,
        "\"nan\":\"NaN\"}\n"
    );
    let json = spec(&[("format", "json")]);
    let decoded = decode(&json, &schema, line);
    assert_eq!(bads(&decoded), []);
    assert_eq!(String::from_utf8(encode(&json, None, &[Change::append(decoded.batch)])).unwrap(), line);
}

#[test]
fn csv_forms() {
    let schema = schema(&[("id", DataType::Int64), ("name", DataType::Utf8)]);
    let read = |options: &[(&str, &str)], text: &str| {
        let decoded = decode(&spec(options), &schema, text);
        assert_eq!(bads(&decoded), [], "{text}");
        rows(&decoded.batch)
    };
    let csv = &[("format", "csv")];
    // A header is seen by its names, in any order and case, with columns that nobody asked for, behind a BOM.
    assert_eq!(read(csv, "\u{feff}Name,x,ID\r\na,9,1\r\n"), ["1|a"]);
    assert_eq!(read(csv, "id,name\n"), [""; 0]);
    assert_eq!(read(csv, "1,a\n2,b"), ["1|a", "2|b"]);
    // Quotes, doubled quotes, delimiters and newlines within; a quote within a bare field is itself.
    assert_eq!(read(csv, "1,\"a,\"\"b\"\"\"\n2,5\" pipe\n"), ["1|a,\"b\"", "2|5\" pipe"]);
    let lines = decode(&spec(csv), &schema, "1,\"two\nlines\"\n2,b\n");
    assert_eq!((lines.records, lines.batch.num_rows()), (2, 2));
    // An empty field is NULL, an empty text in quotes is a text.
    let nulls = decode(&spec(csv), &schema, "1,\n2,\"\"\n,c\n\n");
    assert_eq!(nulls.records, 3);
    use arrow::array::Array;
    assert_eq!(nulls.batch.column(1).null_count(), 1);
    assert_eq!(nulls.batch.column(0).null_count(), 1);
    let literal = decode(&spec(&[("format", "csv"), ("csv.null-literal", "\\N")]), &schema, "\\N,\\N\n1,\n");
    assert_eq!((literal.batch.column(0).null_count(), literal.batch.column(1).null_count()), (1, 1));
    // Other delimiters and quotes, said or seen.
    assert_eq!(read(&[("format", "tsv")], "1\ta,b\n"), ["1|a,b"]);
    assert_eq!(read(&[("format", "csv"), ("csv.field-delimiter", ";")], "1;a\n"), ["1|a"]);
    assert_eq!(read(&[("format", "csv"), ("delimiter", "\\t"), ("quote", "'")], "1\t'a\tb'\n"), ["1|a\tb"]);
    assert_eq!(read(&[("format", "csv"), ("quote", "")], "1,\"a\n"), ["1|\"a"]);
    assert_eq!(decode(&spec(csv), &schema, "id;name\n1;\"a\nb\"\n").batch.num_rows(), 1);
    assert_eq!(read(csv, "1|a\n"), ["1|a"]);
    // Said, not seen.
    assert_eq!(read(&[("format", "csv"), ("header", "true")], "name,id\na,1\n"), ["1|a"]);
    assert_eq!(decode(&spec(&[("format", "csv"), ("csv.header", "false")]), &schema, "id,name\n1,a\n").bad.len(), 1);
}

#[test]
fn csv_headers_that_lack_a_column() {
    let schema = schema(&[("id", DataType::Int64), ("price", DataType::Int64)]);
    let mut decoder = spec(&[("format", "csv"), ("header", "true")]).decoder(&schema, &[0, 1]).unwrap();
    let error = decoder.decode(b"id,prise\n1,2\n", &Place { origin: "t".into(), record: 1 }).unwrap_err();
    assert_eq!(error.message(), "the CSV header has no column 'price'");
    assert_eq!(error.helps(), ["did you mean 'prise'?"]);
}

#[test]
fn csv_from_the_middle_of_a_file() {
    let schema = schema(&[("id", DataType::Int64), ("name", DataType::Utf8)]);
    let format = spec(&[("format", "csv")]);
    assert!(format.has_header());
    let mut decoder = format.decoder(&schema, &[0, 1]).unwrap();
    decoder.header(b"name,id\n").unwrap();
    let place = Place { origin: "t".into(), record: 7 };
    assert_eq!(rows(&decoder.decode(b"a,1\nx,y\n", &place).unwrap().batch), ["1|a"]);
}

#[test]
fn text_and_access_logs() {
    let lines = decode(&spec(&[("format", "raw")]), &schema(&[("said", DataType::Utf8)]), "a,b\r\n\n  \nc");
    assert_eq!((lines.records, rows(&lines.batch)), (3, vec!["a,b".to_owned(), String::new(), "c".to_owned()]));
    assert!(
        spec(&[("format", "text")]).decoder(&schema(&[("a", DataType::Utf8), ("b", DataType::Utf8)]), &[0]).is_err()
    );
    let log = spec(&[("format", "combined")]);
    let schema = log.fixed_schema().unwrap();
    let text = concat!(
        "10.0.0.1 - bob [01/Mar/2026:12:00:00 +0100] \"GET /x HTTP/1.1\" 200 12 \"-\" \"curl\"\n",
        "oops\n10.0.0.2 - - [01/Mar/2026:12:00:00 +0000] \"GET / HTTP/2\" 404 -\n"
    );
    let decoded = decode(&log, &schema, text);
    assert_eq!(decoded.bad.len(), 1);
    assert_eq!(
        rows(&decoded.batch),
        [
            "10.0.0.1||bob|2026-03-01T11:00:00|GET|/x|HTTP/1.1|200|12||curl",
            "10.0.0.2|||2026-03-01T12:00:00|GET|/|HTTP/2|404|||"
        ]
    );
}

#[test]
fn options_are_understood_or_refused() {
    let from = |pairs: &[(&str, &str)], path| FormatSpec::from_options(&options(pairs), path);
    for name in ["JSON", "jsonl", "ndjson", "json_lines", "json-lines", "JSONEachRow"] {
        assert_eq!(from(&[("format", name)], None).unwrap().map(|f| f.name()), Some("json"), "{name}");
    }
    for (name, own) in [("debezium_json", "debezium-json"), ("line", "text"), ("TSV", "tsv"), ("Parquet", "parquet")] {
        assert_eq!(from(&[("format", name)], None).unwrap().map(|f| f.name()), Some(own));
    }
    for (path, own) in [
        ("a.jsonl.gz", Some("json")),
        ("a.CSV.zst", Some("csv")),
        ("a.tsv", Some("tsv")),
        ("d/a.feather", Some("arrow")),
        ("a.log", None),
        ("a", None),
    ] {
        assert_eq!(from(&[], Some(path)).unwrap().map(|f| f.name()), own, "{path}");
    }
    let error = from(&[("format", "jsno")], None).unwrap_err();
    assert_eq!(error.helps(), ["did you mean 'json'?"]);
    for wrong in [
        ("delimiter", "ab"),
        ("timestamp_unit", "h"),
        ("header", "perhaps"),
        ("on_error", "explode"),
        ("json.fail-on-missing-field", "true"),
        ("csv.allow-comments", "true"),
    ] {
        assert!(from(&[("format", "csv"), wrong], None).is_err(), "{wrong:?}");
    }
    assert_eq!(on_error(&options(&[])).unwrap(), None);
    assert_eq!(on_error(&options(&[("bad_data", "drop")])).unwrap(), Some(OnError::Skip));
    assert_eq!(on_error(&options(&[("on_error", "dead-letter")])).unwrap(), Some(OnError::DeadLetter));
    assert_eq!(on_error(&options(&[("json.ignore-parse-errors", "true")])).unwrap(), Some(OnError::Skip));
}
