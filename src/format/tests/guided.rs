//! The quick paths against the exact ones and against arrow-json, on random records: same rows, same bad records.

use std::sync::Arc;

use arrow::datatypes::TimeUnit;
use arrow::json::ReaderBuilder;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::format::decode::json::JsonDecoder;

/// Blocks per test; `FUZZ_BLOCKS` makes it more.
fn blocks() -> u64 {
    std::env::var("FUZZ_BLOCKS").ok().and_then(|n| n.parse().ok()).unwrap_or(400)
}

fn columns() -> SchemaRef {
    let mut fields: Vec<Field> = schema(&[
        ("id", DataType::Int64),
        ("small", DataType::Int16),
        ("u", DataType::UInt64),
        ("price", DataType::Decimal128(12, 2)),
        ("rate", DataType::Float64),
        ("half", DataType::Float32),
        ("name", DataType::Utf8),
        ("a_rather_long_name", DataType::Utf8View),
        ("ms", DataType::Timestamp(TimeUnit::Millisecond, None)),
        ("us", DataType::Timestamp(TimeUnit::Microsecond, None)),
        ("ns", DataType::Timestamp(TimeUnit::Nanosecond, None)),
        ("ok", DataType::Boolean),
        ("day", DataType::Date32),
    ])
    .fields()
    .iter()
    .map(|f| f.as_ref().clone())
    .collect();
    fields.push(Field::new("must", DataType::Int64, false));
    Arc::new(Schema::new(fields))
}

fn nested(columns: &SchemaRef) -> SchemaRef {
    let inner =
        DataType::Struct(vec![Field::new("x", DataType::Int64, true), Field::new("y", DataType::Utf8, true)].into());
    let mut fields: Vec<Field> = columns.fields().iter().map(|f| f.as_ref().clone()).collect();
    fields.push(Field::new("tags", DataType::new_list(DataType::Int64, true), true));
    fields.push(Field::new("who", inner, true));
    Arc::new(Schema::new(fields))
}

struct Fuzz(SmallRng);

impl Fuzz {
    fn one_in(&mut self, n: u32) -> bool {
        self.0.random_range(0..n) == 0
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.0.random_range(0..from.len())]
    }

    fn digits(&mut self, most: u32) -> String {
        let length = self.0.random_range(1..=most);
        let number: String = (0..length).map(|_| char::from(self.0.random_range(b'0'..=b'9'))).collect();
        let number = number.trim_start_matches('0');
        if number.is_empty() { "0".to_owned() } else { number.to_owned() }
    }

    fn sign(&mut self) -> &'static str {
        if self.one_in(4) { "-" } else { "" }
    }

    fn text(&mut self, length: usize) -> String {
        (0..self.0.random_range(0..=length))
            .map(|_| self.pick(&["a", "b", "z", " ", "é", "日", "😀", ",", "}", ":"]))
            .collect()
    }

    fn instant(&mut self) -> String {
        let minute = self.0.random_range(0..3);
        let second = self.0.random_range(0..60);
        let day = if self.one_in(20) { self.0.random_range(0..40) } else { 1 };
        let mut text = format!("2026-03-{day:02}{}12:{minute:02}:{second:02}", if self.one_in(5) { " " } else { "T" });
        if !self.one_in(4) {
            text.push('.');
            text.push_str(&format!("{:09}", self.0.random_range(0..1_000_000_000))[..self.0.random_range(1..=9)]);
        }
        text.push_str(match self.0.random_range(0..12) {
            0 | 1 => "Z",
            2 => "+01:00",
            3 => "0",
            _ => "",
        });
        text
    }

    /// A value of the type, in the form that its column mostly has, as JSON.
    fn plain(&mut self, data_type: &DataType) -> String {
        match data_type {
            DataType::Int16 => format!("{}{}", self.sign(), self.digits(4)),
            DataType::UInt64 => self.digits(18),
            DataType::Int64 => format!("{}{}", self.sign(), self.digits(18)),
            DataType::Decimal128(..) => format!("{}{}.{}", self.sign(), self.digits(8), self.0.random_range(10..100)),
            DataType::Float64 | DataType::Float32 => {
                let fraction = format!("{:06}", self.0.random_range(0..1_000_000));
                format!("{}{}.{}", self.sign(), self.digits(9), &fraction[..self.0.random_range(1..=6)])
            }
            DataType::Utf8 | DataType::Utf8View => format!("\"{}\"", self.text(30)),
            DataType::Boolean => self.pick(&["true", "false"]).to_owned(),
            DataType::Date32 => format!("\"2026-03-{:02}\"", self.0.random_range(1..=31)),
            DataType::List(_) => format!("[{},{}]", self.digits(3), self.digits(3)),
            DataType::Struct(_) => format!("{{\"x\":{},\"y\":\"{}\"}}", self.digits(3), self.text(5)),
            _ => format!("\"{}\"", self.instant()),
        }
    }

    /// Any value.
    fn odd(&mut self) -> String {
        let odd = [
            "null",
            "true",
            "false",
            "nul",
            "truex",
            "0",
            "-0",
            "-0.0",
            "00",
            "01",
            "-",
            "1.",
            ".5",
            "1.5",
            "1e3",
            "1E-2",
            "5.0",
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775808",
            "123456789012345678",
            "1234567890123456789",
            "18446744073709551615",
            "99999999999999999999999999",
            "1e400",
            "0.1",
            "123456789.125",
            "9007199254740993",
            "\"\"",
            "\"5\"",
            "\" 5 \"",
            "\"1.5\"",
            "\"NaN\"",
            "\"x\\ny\"",
            "\"\\u00e9\\ud83d\\ude00\"",
            "\"\\ud800\"",
            "\"\\q\"",
            "\"tab\there\"",
            "\"2026-03-01\"",
            "\"2026-02-30T00:00:00\"",
            "\"2026-03-01T12:00\"",
            "\"2026-03-01T12:00:00.5+02:00\"",
            "\"0001-01-01T00:00:00\"",
            "\"9999-12-31T23:59:59.999\"",
            "1772366400",
            "1772366400000",
            "1772366400.25",
            "{}",
            "[]",
            "{\"a\":[1,{\"b\":null}]}",
            "[1,\"]\",[[]]]",
            "{\"a\":",
            "[1,]",
            "\"a quite long text that takes more than one load\"",
            "\"unclosed",
        ];
        self.pick(&odd).to_owned()
    }

    fn space(&mut self) -> &'static str {
        if self.one_in(60) { self.pick(&["  ", "\t", " \r", "\u{a0}"]) } else { "" }
    }

    /// A record as JSON. `strict`: such that arrow-json means the same by it.
    fn json(&mut self, schema: &Schema, order: &[usize], spaced: bool, strict: bool) -> String {
        let mut keys: Vec<usize> = order.to_vec();
        if self.one_in(30) {
            keys.swap(0, order.len() - 1);
        }
        let gap = if spaced { " " } else { "" };
        let mut members = Vec::new();
        for index in keys {
            let field = schema.field(index);
            if self.one_in(12) && field.is_nullable() {
                continue;
            }
            let mut name = field.name().clone();
            if !strict {
                match self.0.random_range(0..400) {
                    0 => name = name.to_uppercase(),
                    1 => name.push('x'),
                    2 => name = format!("\\u{:04x}{}", u32::from(name.as_bytes()[0]), &name[1..]),
                    3 => members.push(format!("\"{}\":{gap}{}", name.to_uppercase(), self.plain(field.data_type()))),
                    4 => members.push(format!("\"{name}\":{gap}{}", self.plain(field.data_type()))),
                    _ => {}
                }
            }
            let value = match self.0.random_range(0..40) {
                0 if field.is_nullable() => "null".to_owned(),
                1 if !strict => self.odd(),
                _ => self.plain(field.data_type()),
            };
            if strict {
                members.push(format!("\"{name}\":{gap}{value}"));
            } else {
                let (a, b, c, d) = (self.space(), self.space(), self.space(), self.space());
                members.push(format!("{a}\"{name}\"{b}:{gap}{c}{value}{d}"));
            }
            if self.one_in(25) {
                let value = if strict { self.plain(&DataType::Float64) } else { self.odd() };
                members.push(format!("\"unknown\":{gap}{value}"));
            }
        }
        format!("{{{}}}", members.join(if spaced { ", " } else { "," }))
    }

    /// Does what a broken writer or a torn file does to bytes.
    fn damage(&mut self, line: &mut Vec<u8>) {
        if line.is_empty() || !self.one_in(25) {
            return;
        }
        let at = self.0.random_range(0..line.len());
        match self.0.random_range(0..5) {
            0 => line.truncate(at),
            1 => drop(line.remove(at)),
            2 => line.insert(at, *b"{}[],:\"\\\x00 \xff\xc3-".get(self.0.random_range(0..13)).unwrap()),
            3 => line[at] = self.0.random(),
            _ => line.extend_from_slice(b" \t"),
        }
        line.retain(|b| *b != b'\n');
    }

    fn lines(&mut self, count: usize, mut line: impl FnMut(&mut Self) -> String) -> Vec<u8> {
        let mut block = if self.one_in(10) { b"\xef\xbb\xbf".to_vec() } else { Vec::new() };
        let end: &[u8] = if self.one_in(4) { b"\r\n" } else { b"\n" };
        for _ in 0..count {
            let mut bytes = line(self).into_bytes();
            self.damage(&mut bytes);
            block.extend_from_slice(&bytes);
            block.extend_from_slice(if self.one_in(40) { b"\n \t\r\n\n" } else { end });
        }
        if self.one_in(3) {
            block.truncate(block.len() - end.len());
        }
        block
    }
}

fn same(left: &Decoded, right: &Decoded, what: &dyn std::fmt::Debug) {
    assert_eq!(left.bad, right.bad, "{what:?}");
    assert_eq!((left.records, &left.batch), (right.records, &right.batch), "{what:?}");
}

#[test]
fn guided_json_is_exact_json() {
    let (mut good, mut bad) = (0, 0);
    for seed in 0..blocks() {
        let mut fuzz = Fuzz(SmallRng::seed_from_u64(seed));
        let schema = if fuzz.one_in(2) { columns() } else { nested(&columns()) };
        let order: Vec<usize> = (0..schema.fields().len()).collect();
        let projection: Vec<usize> = order.iter().copied().filter(|_| !fuzz.one_in(3)).collect();
        let mut guided = spec(&[("format", "json")]).decoder(&schema, &projection).unwrap();
        let mut exact = JsonDecoder::unguided(&schema, &projection, None).unwrap();
        let spaced = fuzz.one_in(3);
        // The second block meets a guide that has learned.
        for _ in 0..2 {
            let block = fuzz.lines(60, |fuzz| fuzz.json(&schema, &order, spaced, false));
            let place = Place { origin: "fuzz".into(), record: 1 };
            let (left, right) = (guided.decode(&block, &place).unwrap(), exact.decode(&block, &place).unwrap());
            same(&left, &right, &(seed, String::from_utf8_lossy(&block)));
            good += left.batch.num_rows();
            bad += left.bad.len();
        }
    }
    assert!(good > bad && bad > 0, "the records are mostly good, but not all of them: {good}, {bad}");
}

#[test]
fn guided_json_is_what_arrow_reads() {
    for seed in 0..blocks() / 4 {
        let mut fuzz = Fuzz(SmallRng::seed_from_u64(seed));
        let all = nested(&columns());
        // arrow-json has other ideas of what a value of these types may look like.
        let other = |f: &Field| matches!(f.data_type(), DataType::Timestamp(..) | DataType::Date32);
        let fields: Vec<_> = all.fields().iter().filter(|f| !other(f)).cloned().collect();
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let order: Vec<usize> = (0..schema.fields().len()).collect();
        let spaced = fuzz.one_in(2);
        let text: String = (0..60).map(|_| fuzz.json(&schema, &order, spaced, true) + "\n").collect();
        let ours = decode(&spec(&[("format", "json")]), &schema, &text);
        assert_eq!(bads(&ours), []);
        let reader = ReaderBuilder::new(schema.clone()).with_batch_size(1000).build(text.as_bytes()).unwrap();
        let theirs = reader.collect::<Result<Vec<_>, _>>().unwrap();
        assert_eq!(theirs, [ours.batch], "{seed}: {text}");
    }
}

#[test]
fn quick_csv_is_exact_csv() {
    let (mut good, mut bad) = (0, 0);
    for seed in 0..blocks() {
        let mut fuzz = Fuzz(SmallRng::seed_from_u64(seed));
        let schema = columns();
        let projection: Vec<usize> = (0..schema.fields().len()).filter(|_| !fuzz.one_in(3)).collect();
        let mut options = vec![("format", "csv"), ("header", "false")];
        match fuzz.0.random_range(0..4) {
            0 => options.push(("null", "7")),
            1 => options.push(("null", "")),
            2 => options.push(("quote", "")),
            _ => {}
        }
        let tab = fuzz.one_in(4);
        options.push(("delimiter", if tab { "tab" } else { "," }));
        let csv = spec(&options);
        let block = fuzz.lines(60, |fuzz| {
            let field = |field: &Arc<Field>| match fuzz.0.random_range(0..30) {
                0 => String::new(),
                1 => fuzz.odd(),
                2 => fuzz.pick(&["7", "\"7\"", "\"\"", "\"a,b\"", "\"a\"\"b\"", " 7 ", "x\"y", "+5", "007"]).to_owned(),
                _ => fuzz.plain(field.data_type()).trim_matches('"').replace(',', "."),
            };
            let fields: Vec<String> = schema.fields().iter().map(field).collect();
            fields.join(if tab { "\t" } else { "," })
        });
        // A block that is not UTF-8 is never read quickly.
        let slow = [block.as_slice(), if block.ends_with(b"\n") { b"" } else { b"\n" }, b"\xff\n"].concat();
        let place = Place { origin: "fuzz".into(), record: 2 };
        let left = csv.decoder(&schema, &projection).unwrap().decode(&block, &place).unwrap();
        let mut right = csv.decoder(&schema, &projection).unwrap().decode(&slow, &place).unwrap();
        if right.bad.pop().is_some_and(|b| b.bytes == b"\xff") {
            right.records -= 1;
            same(&left, &right, &(seed, String::from_utf8_lossy(&block)));
        }
        good += left.batch.num_rows();
        bad += left.bad.len();
    }
    assert!(good > bad && bad > 0, "{good}, {bad}");
}
