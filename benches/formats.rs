//! The kernels between bytes and batches, on one thread: decoding JSON lines, CSV and text lines, encoding JSON lines and CSV.
//!
//! Beside each of ours stands Arrow's, on the same bytes, so that the ratio of the two can be compared between machines.
//! The rows are Nexmark bids of about 230 bytes as JSON, with all seven columns or the three that an aggregate reads; `spaced`
//! has a space behind every colon and comma, `mixed` leaves out a key of every other record.

use std::hint::black_box;
use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use criterion::{Criterion, Throughput};
use tidemill::change::Change;
use tidemill::format::{FormatSpec, Place};
use tidemill::settings::Options;

/// Records of a block: about what one read of a file brings.
const RECORDS: i64 = 4096;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let schema = schema();
    let json: Vec<u8> = (0..RECORDS).flat_map(|n| bid(n, ":", ",", false).into_bytes()).collect();
    let spaced: Vec<u8> = (0..RECORDS).flat_map(|n| bid(n, ": ", ", ", false).into_bytes()).collect();
    let mixed: Vec<u8> = (0..RECORDS).flat_map(|n| bid(n, ":", ",", n % 2 == 0).into_bytes()).collect();
    let batch = decode(&spec("json"), &schema, &[0, 1, 2, 3, 4, 5, 6], &json);
    let csv = encode(&spec("csv"), &batch);
    let three = [0, 2, 5];
    let all = [0, 1, 2, 3, 4, 5, 6];

    let mut group = criterion.benchmark_group("decode");
    for (name, format, bytes, columns) in [
        ("json/all", "json", &json, &all[..]),
        ("json/three", "json", &json, &three[..]),
        ("json/three-spaced", "json", &spaced, &three[..]),
        ("json/three-mixed", "json", &mixed, &three[..]),
        ("csv/all", "csv", &csv, &all[..]),
        ("csv/three", "csv", &csv, &three[..]),
    ] {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        let mut decoder = spec(format).decoder(&schema, columns).expect("a decoder");
        group.bench_function(name, |b| b.iter(|| black_box(decoder.decode(bytes, &place()).expect("rows"))));
    }
    group.throughput(Throughput::Bytes(csv.len() as u64));
    let lines: SchemaRef = Arc::new(Schema::new(vec![Field::new("line", DataType::Utf8, true)]));
    let mut decoder = spec("text").decoder(&lines, &[0]).expect("a decoder");
    group.bench_function("text", |b| b.iter(|| black_box(decoder.decode(&csv, &place()).expect("rows"))));
    for (name, columns) in [("all", &all[..]), ("three", &three[..])] {
        let projected = Arc::new(schema.project(columns).expect("columns"));
        group.throughput(Throughput::Bytes(json.len() as u64));
        group.bench_function(format!("json/{name}/arrow-json"), |b| {
            let builder = || arrow::json::ReaderBuilder::new(Arc::clone(&projected)).with_batch_size(RECORDS as usize);
            b.iter(|| {
                builder()
                    .build(Cursor::new(&json))
                    .expect("a reader")
                    .map(|batch| black_box(batch).expect("rows").num_rows())
                    .sum::<usize>()
            });
        });
        group.throughput(Throughput::Bytes(csv.len() as u64));
        group.bench_function(format!("csv/{name}/arrow-csv"), |b| {
            let builder = || {
                arrow::csv::ReaderBuilder::new(Arc::clone(&schema))
                    .with_header(true)
                    .with_projection(columns.to_vec())
                    .with_batch_size(RECORDS as usize)
            };
            b.iter(|| {
                builder()
                    .build(Cursor::new(&csv))
                    .expect("a reader")
                    .map(|batch| black_box(batch).expect("rows").num_rows())
                    .sum::<usize>()
            });
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("encode");
    for format in ["json", "csv"] {
        let size = encode(&spec(format), &batch).len() as u64;
        group.throughput(Throughput::Bytes(size));
        group.bench_function(format, |b| b.iter(|| black_box(encode(&spec(format), &batch))));
    }
    group.bench_function("json/arrow-json", |b| {
        b.iter(|| {
            let mut writer = arrow::json::LineDelimitedWriter::new(Vec::new());
            writer.write(&batch).expect("written");
            black_box(writer.into_inner())
        });
    });
    group.bench_function("csv/arrow-csv", |b| {
        b.iter(|| {
            let mut writer = arrow::csv::Writer::new(Vec::new());
            writer.write(&batch).expect("written");
            black_box(writer.into_inner())
        });
    });
    group.finish();
    criterion.final_summary();
}

fn schema() -> SchemaRef {
    let column = |name: &str, data_type| Field::new(name, data_type, true);
    Arc::new(Schema::new(vec![
        column("auction", DataType::Int64),
        column("bidder", DataType::Int64),
        column("price", DataType::Int64),
        column("channel", DataType::Utf8),
        column("url", DataType::Utf8),
        column("dateTime", DataType::Timestamp(TimeUnit::Millisecond, None)),
        column("extra", DataType::Utf8),
    ]))
}

/// A bid as a line of JSON.
fn bid(n: i64, colon: &str, comma: &str, short: bool) -> String {
    let price = 100 + n * 7919 % 10_000_000;
    let (second, millis) = (n / 1000 % 60, n % 1000);
    let fields = [
        format!("\"auction\"{colon}{}", 1000 + n * 31 % 20_000),
        if short { String::new() } else { format!("\"bidder\"{colon}{}", 1000 + n * 17 % 5_000) },
        format!("\"price\"{colon}{price}"),
        format!("\"channel\"{colon}\"channel-{}\"", n % 10_000),
        format!(
            "\"url\"{colon}\"https://www.nexmark.com/abc/def/item.htm?query=1&channel_id={}\"",
            n * 1_048_583 % 1_073_741_824
        ),
        format!("\"dateTime\"{colon}\"2026-01-01T00:00:{second:02}.{millis:03}\""),
        format!("\"extra\"{colon}\"{}\"", "abcdefghijklmnopqrstuvwxyz".repeat(2)),
    ];
    let fields: Vec<&str> = fields.iter().map(String::as_str).filter(|field| !field.is_empty()).collect();
    format!("{{{}}}\n", fields.join(comma))
}

fn spec(format: &str) -> FormatSpec {
    let mut options = Options::new();
    options.put("format", format, None).expect("an option");
    FormatSpec::from_options(&options, None).expect("a format").expect("a format")
}

fn place() -> Place {
    Place { origin: "bench".into(), record: 1 }
}

fn decode(spec: &FormatSpec, schema: &SchemaRef, columns: &[usize], bytes: &[u8]) -> RecordBatch {
    let decoded = spec.decoder(schema, columns).expect("a decoder").decode(bytes, &place()).expect("rows");
    assert!(decoded.bad.is_empty());
    decoded.batch
}

fn encode(spec: &FormatSpec, batch: &RecordBatch) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = spec.encoder(&batch.schema(), None).expect("an encoder");
    encoder.encode(&Change::append(batch.clone()), &mut out).expect("written");
    out
}
