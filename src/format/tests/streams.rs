//! Streams of bytes cut into records, however the bytes arrive.

use std::io::{self, Read};

use super::*;

/// Whole records, over-long ones reported by number.
fn cut(format: &FormatSpec, text: &[u8], step: usize, most: usize, block: usize) -> (Vec<String>, Vec<u64>) {
    let mut records = Records::new(format, "test", most);
    let (mut whole, mut bad) = (Vec::new(), Vec::new());
    let mut take = |records: &mut Records| {
        let mut at = records.position();
        while let Some(next) = records.next_block(block, usize::MAX) {
            assert_eq!(next.place.record, at.1);
            assert_eq!(next.bad.is_some(), next.bytes.is_empty());
            at = (next.end_offset, next.end_record);
            whole.push(String::from_utf8_lossy(next.bytes).into_owned());
            bad.extend(next.bad.map(|b| b.place.record));
            assert_eq!(at, records.position());
        }
    };
    for chunk in text.chunks(step) {
        records.push(chunk);
        take(&mut records);
    }
    records.finish();
    take(&mut records);
    assert_eq!(records.position().0, text.len() as u64);
    assert_eq!(records.buffered(), 0);
    (whole, bad)
}

#[test]
fn however_the_bytes_arrive() {
    let (json, csv) = (spec(&[("format", "json")]), spec(&[("format", "csv")]));
    let long = "x".repeat(50);
    let text = format!("one\ntwo\r\n\n{long}\nthree\n{long}{long}\nfour");
    let quoted = "a,\"x\ny\"\nb,\"\"\"\n\"\"\"\nc,5\" d\ne\n";
    for step in [1, 2, 3, 7, 1000] {
        for block in [1, 8, 1000] {
            let (whole, bad) = cut(&json, text.as_bytes(), step, 20, block);
            assert_eq!(whole.concat(), "one\ntwo\r\n\nthree\nfour", "{step} {block}");
            assert_eq!(bad, [4, 6]);
            let (whole, bad) = cut(&csv, quoted.as_bytes(), step, 100, block);
            assert_eq!((whole.concat().as_str(), bad.len()), (quoted, 0));
            if block == 1 {
                assert_eq!(whole, ["a,\"x\ny\"\n", "b,\"\"\"\n\"\"\"\n", "c,5\" d\n", "e\n"]);
            }
        }
    }
}

#[test]
fn a_quote_never_closed_costs_its_line_only() {
    let csv = spec(&[("format", "csv")]);
    let text = format!("1,a\n2,\"oops\n3,b\n{}", "4,c\n".repeat(100));
    for most in [64, 1 << 20] {
        for step in [1, 5, 10_000] {
            let (whole, bad) = cut(&csv, text.as_bytes(), step, most, 1);
            assert_eq!(bad, [2], "{most} {step}");
            assert_eq!(whole.iter().filter(|r| !r.is_empty()).count(), 102, "{most} {step}");
        }
    }
}

/// As many bytes `x` as one likes, then a record.
struct Endless(u64);

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let tail = b"\n{\"a\":1}\n";
        if self.0 == 0 {
            return Ok(0);
        }
        let filler = (self.0 - 1).min(buffer.len() as u64) as usize;
        if filler > 0 {
            buffer[..filler].fill(b'x');
            self.0 -= filler as u64;
            return Ok(filler);
        }
        self.0 = 0;
        buffer[..tail.len()].copy_from_slice(tail);
        Ok(tail.len())
    }
}

#[test]
fn an_endless_line_is_not_held() {
    let json = spec(&[("format", "json")]);
    let schema = schema(&[("a", DataType::Int64)]);
    let mut decoder = json.decoder(&schema, &[0]).unwrap();
    let mut records = Records::new(&json, "test", 1 << 20);
    let length = 32 << 20;
    let mut reader = Endless(length + 1);
    let (mut rows, mut bad, mut held) = (0, Vec::new(), 0);
    loop {
        if records.fill(&mut reader, 64 << 10).unwrap() == 0 {
            records.finish();
        }
        held = held.max(records.buffered());
        while let Some(decoded) = records.decode(decoder.as_mut(), 1 << 20, 1024).unwrap() {
            rows += decoded.batch.num_rows();
            bad.extend(decoded.bad);
        }
        if reader.0 == 0 && records.buffered() == 0 {
            break;
        }
    }
    assert!(held <= (1 << 20) + (64 << 10), "{held}");
    assert_eq!((rows, bad.len()), (1, 1));
    assert_eq!(bad[0].place.record, 1);
    assert_eq!(bad[0].bytes.len(), 4096);
    assert_eq!(bad[0].reason, format!("the record has {} bytes, more than max_record_bytes = 1048576", length + 1));
}

#[test]
fn blocks_are_bounded_in_rows_and_start_again_where_they_ended() {
    let json = spec(&[("format", "json")]);
    let mut records = Records::new(&json, "test", 100);
    records.push(b"1\n2\n3\n4\n5");
    let block = records.next_block(100, 3).unwrap();
    assert_eq!((block.bytes, block.end_offset, block.end_record), (&b"1\n2\n3\n"[..], 6, 4));
    let mut again = Records::new(&json, "test", 100);
    again.resume(6, 4);
    again.push(b"4\n5");
    let block = again.next_block(100, 100).unwrap();
    assert_eq!((block.bytes, block.place.record, block.end_offset), (&b"4\n"[..], 4, 8));
    assert!(again.next_block(100, 100).is_none());
    again.finish();
    assert_eq!(again.next_block(100, 100).unwrap().bytes, b"5");
}

#[test]
fn framers_find_the_last_whole_record() {
    assert_eq!(spec(&[("format", "json")]).framer().whole(b"a\nb\nc"), Some(4));
    assert_eq!(spec(&[("format", "json")]).framer().whole(b"abc"), None);
    assert_eq!(spec(&[("format", "csv")]).framer().whole(b"a\n\"b\nc"), Some(2));
    assert_eq!(spec(&[("format", "csv")]).framer().whole(b"\"b\nc"), None);
}
