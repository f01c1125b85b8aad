//! What is seen in the first bytes of an input.

use super::*;

/// `format: name TYPE, …`, names as spelled.
fn seen(path: Option<&str>, text: &str) -> String {
    let inferred = match infer(None, path, text.as_bytes()) {
        Ok(inferred) => inferred,
        Err(error) => return format!("error: {}", error.message()),
    };
    let column = |field: &Arc<Field>| {
        let spelled = spelling(field);
        let name = if spelled == field.name() { spelled.to_owned() } else { format!("{}={spelled}", field.name()) };
        format!("{name} {}", field.data_type())
    };
    let columns: Vec<String> = inferred.schema.fields().iter().map(column).collect();
    let header = inferred.format.options().iter().find(|o| o.0 == "header").map_or("", |o| match o.1.as_str() {
        "true" => "+header",
        _ => "",
    });
    format!("{}{header}: {}", inferred.format.name(), columns.join(", "))
}

#[test]
fn formats() {
    for (path, text, expected) in [
        (None, "{\"a\":1}\n", "json: a Int64"),
        (None, "\u{feff}\n {\"a\":1}\n", "json: a Int64"),
        (None, "hello world\nagain\n", "text: line Utf8"),
        (None, "1,a\n2,b\n", "csv: column1 Int64, column2 Utf8"),
        (None, "id,name\n1,a\n", "csv+header: id Int64, name Utf8"),
        (None, "id\tname\n1\ta b, c\n", "tsv+header: id Int64, name Utf8"),
        (None, "id;name\n1;a\n2;b\n", "csv+header: id Int64, name Utf8"),
        (None, "id|x\n1|a\n2|b\n", "csv+header: id Int64, x Utf8"),
        (Some("a.csv"), "id;price\n1;1,5\n2;2,5\n", "csv+header: id Int64, price Utf8"),
        (Some("a.csv"), "name\nbob\n", "csv+header: name Utf8"),
        (Some("a.txt"), "{\"a\":1}\n", "text: line Utf8"),
        (Some("x.log"), "Jan 01 a, b\nJan 02 c\n", "text: line Utf8"),
        (
            Some("access.log"),
            "1.1.1.1 - - [01/Mar/2026:12:00:00 +0100] \"GET /x HTTP/1.1\" 200 12\n",
            "combined: host Utf8, ident Utf8, user Utf8, ts Timestamp(s), method Utf8, path Utf8, protocol Utf8, status Int32, bytes Int64, referer Utf8, agent Utf8",
        ),
        (None, "[{\"a\":1},\n{\"a\":2}]", "error: the input is a JSON array, not one JSON object per line"),
        (Some("a.json"), "[\n  1]", "error: the input is a JSON array, not one JSON object per line"),
        (None, "", "error: the input is empty, so there are no columns to see in it"),
    ] {
        assert_eq!(seen(path, text), expected, "{text}");
    }
}

#[test]
fn json_columns() {
    for (text, expected) in [
        ("{\"a\":1}\n{\"a\":1.5}\n", "a Float64"),
        ("{\"a\":null,\"b\":true}\n", "a Utf8, b Boolean"),
        ("{\"a\":1}\n{\"a\":\"x\"}\n", "a Utf8"),
        ("{\"a\":1}\nbroken\n{\"b\":2}\n", "a Int64, b Int64"),
        ("{\"a\":1}\n{\"a\":2,\"b", "a Int64"),
        ("{\"a\":18446744073709551615}\n{\"a\":1}\n", "a Decimal128(20, 0)"),
        ("{\"userId\":1,\"x\":2}\n", "userid=userId Int64, x Int64"),
        ("{\"userId\":1,\"USERID\":2,\"B\":3}\n", "userId Int64, USERID Int64, b=B Int64"),
        ("{\"ts\":\"2026-03-01T12:00:00Z\"}\n", "ts Timestamp(ms)"),
        ("{\"ts\":\"2026-03-01 12:00:00.123\"}\n{\"ts\":\"2026-03-01 12:00:00.123456\"}\n", "ts Timestamp(µs)"),
        ("{\"ts\":\"2026-03-01T12:00:00\"}\n{\"ts\":\"soon\"}\n", "ts Utf8"),
        ("{\"d\":\"2026-03-01\"}\n", "d Date32"),
        ("{\"d\":\"2026-03-01\"}\n{\"d\":\"2026-03-01T12:00:00\"}\n", "d Timestamp(ms)"),
        ("{\"l\":[1,2.5],\"e\":{}}\n", "l List(Float64), e Utf8"),
    ] {
        assert_eq!(seen(None, text), format!("json: {expected}"), "{text}");
    }
    let nested = infer(None, None, b"{\"s\":{\"A\":1}}\n{\"s\":{\"b\":\"x\"}}\n").unwrap();
    let DataType::Struct(fields) = nested.schema.field(0).data_type() else { panic!("{:?}", nested.schema) };
    assert_eq!((fields[0].name().as_str(), spelling(&fields[0]), fields[1].name().as_str()), ("a", "A", "b"));
}

#[test]
fn csv_columns() {
    for (text, expected) in [
        ("a,b,c\n1,x,2026-03-01T00:00:00\n2.5,,2026-03-01T00:00:01.5\n", "+header: a Float64, b Utf8, c Timestamp(ms)"),
        ("zip,ok\n01234,true\n94105,false\n", "+header: zip Utf8, ok Boolean"),
        ("First Name,City\nbob,rome\n", "+header: first name=First Name Utf8, city=City Utf8"),
        ("a,\n1,2\n", ": column1 Utf8, column2 Int64"),
        ("a,b\n1,\"x\ny\"\n", "+header: a Int64, b Utf8"),
    ] {
        assert_eq!(seen(None, text), format!("csv{expected}"), "{text}");
    }
    assert_eq!(seen(None, "a,a\n1,2\n"), "csv: column1 Utf8, column2 Utf8");
}

/// What is inferred can be read with what was inferred.
#[test]
fn inferred_is_readable() {
    for text in ["A;b\n1;\n2;x\n", "{\"A\":1,\"b\":null}\n{\"A\":2,\"b\":\"x\"}\n", "1,\n2,x\n"] {
        let Inferred { format, schema } = infer(None, None, text.as_bytes()).unwrap();
        let decoded = decode(&format, &schema, text);
        assert_eq!((bads(&decoded), rows(&decoded.batch)), (vec![], vec!["1|".to_owned(), "2|x".to_owned()]), "{text}");
    }
}
