//! Parquet and Arrow IPC files, there and back.

use std::io::{Cursor, Read, Seek, SeekFrom};

use arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray};

use super::*;
use crate::host::{FileMeta, ReadFile};

struct Memory(Cursor<Vec<u8>>);

impl Read for Memory {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Seek for Memory {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.0.seek(to)
    }
}

impl ReadFile for Memory {
    fn meta(&self) -> std::io::Result<FileMeta> {
        let size = self.0.get_ref().len() as u64;
        Ok(FileMeta { id: (0, 0), size, modified: 0, is_dir: false, is_file: true })
    }
}

fn file(bytes: &[u8]) -> Box<dyn ReadFile> {
    Box::new(Memory(Cursor::new(bytes.to_vec())))
}

fn batch() -> RecordBatch {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int32Array::from((0..10).collect::<Vec<_>>()))),
        ("userName", Arc::new(StringArray::from_iter_values((0..10).map(|n| format!("user {n}"))))),
        ("n", Arc::new(Int64Array::from_iter((0..10).map(|n| (n % 2 == 0).then_some(n))))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap()
}

#[test]
fn there_and_back() {
    for name in ["parquet", "arrow"] {
        let format = spec(&[("format", name)]);
        assert!(format.is_columnar());
        let bytes = encode(&format, None, &[Change::append(batch()), Change::append(batch())]);
        let inferred = infer_columnar(&format, file(&bytes)).unwrap();
        let names: Vec<&str> = inferred.fields().iter().map(|f| f.name().as_str()).collect();
        assert_eq!(names, ["id", "username", "n"]);
        assert_eq!(spelling(inferred.field(1)), "userName");
        // Another order, another type, another case; batches no larger than asked.
        let wanted = schema(&[("N", DataType::Utf8), ("ID", DataType::Int64), ("username", DataType::Utf8View)]);
        let batches = format.read_columnar(file(&bytes), &wanted, &[2, 0, 1], 4).unwrap().collect::<Result<Vec<_>>>();
        let batches = batches.unwrap();
        assert!(batches.iter().all(|b| b.num_rows() <= 4));
        let all: Vec<String> = batches.iter().flat_map(rows).collect();
        assert_eq!(all.len(), 20);
        assert_eq!(all[..2], ["user 0|0|0", "user 1||1"]);
        // Counting needs no column.
        let none = format.read_columnar(file(&bytes), &wanted, &[], 100).unwrap().map(|b| b.unwrap().num_rows());
        assert_eq!(none.sum::<usize>(), 20);
    }
}

#[test]
fn arrow_streams_are_read_too() {
    let mut bytes = Vec::new();
    let mut writer = arrow::ipc::writer::StreamWriter::try_new(&mut bytes, &batch().schema()).unwrap();
    writer.write(&batch()).unwrap();
    writer.finish().unwrap();
    drop(writer);
    let format = spec(&[("format", "arrow")]);
    let read = format.read_columnar(file(&bytes), &batch().schema(), &[0, 1, 2], 100).unwrap();
    assert_eq!(read.map(Result::unwrap).collect::<Vec<_>>(), [batch()]);
}

#[test]
fn what_is_wrong_is_said() {
    for name in ["parquet", "arrow"] {
        let format = spec(&[("format", name)]);
        for bytes in [&b""[..], b"{\"a\":1}\n", b"PAR1 and no more", b"ARROW1 and no more"] {
            assert!(infer_columnar(&format, file(bytes)).is_err(), "{name}");
        }
        let bytes = encode(&format, None, &[Change::append(batch())]);
        let lacking = schema(&[("usernam", DataType::Utf8)]);
        let error = format.read_columnar(file(&bytes), &lacking, &[0], 10).err().unwrap();
        assert_eq!(error.message(), "the file has no column 'usernam'");
        assert_eq!(error.helps(), ["did you mean 'userName'?"]);
        // A value that does not fit the declared type is an error, not a NULL.
        let narrow = schema(&[("userName", DataType::Int64)]);
        let mut read = format.read_columnar(file(&bytes), &narrow, &[0], 10).unwrap();
        assert!(read.next().unwrap().is_err());
        // Cut short.
        assert!(
            format
                .read_columnar(file(&bytes[..bytes.len() - 20]), &batch().schema(), &[0], 10)
                .and_then(|read| read.collect::<Result<Vec<_>>>())
                .is_err()
        );
    }
}
