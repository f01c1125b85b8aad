//! Files as users have them: many, growing, rotated, truncated, compressed, missing.

// Tests make the files that the connector finds.
#![allow(clippy::disallowed_methods)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::DataType;

use super::*;
use crate::change::Change;
use crate::connector::testing::{ab, all, batches, line, open, quiet, rows, schema, shown, spec, until};
use crate::connector::{Position, Read};
use crate::error::ErrorKind;
use crate::time::IntervalId;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn at(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Writes a file that is this many seconds old.
    fn write_old(&self, name: &str, text: &str, age: u64) {
        let path = self.write(name, text);
        let file = fs::File::options().append(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
    }

    fn append(&self, name: &str, text: &str) {
        let mut file = fs::File::options().append(true).create(true).open(self.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// Every file below it, by its path from here.
    fn files(&self) -> Vec<String> {
        fn walk(folder: &Path, root: &Path, found: &mut Vec<String>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, root, found);
                } else {
                    found.push(path.strip_prefix(root).unwrap().display().to_string());
                }
            }
        }
        let mut found = Vec::new();
        walk(self.0.path(), self.0.path(), &mut found);
        found.sort();
        found
    }
}

fn text(path: &str, more: &[(&str, &str)]) -> RelationSpec {
    spec(&line(), &[&[("path", path), ("format", "text")], more].concat())
}

fn change(pairs: &[(i64, Option<&str>)]) -> Change {
    let a = Int64Array::from(pairs.iter().map(|p| p.0).collect::<Vec<_>>());
    let b = StringArray::from(pairs.iter().map(|p| p.1).collect::<Vec<_>>());
    Change::append(RecordBatch::try_new(ab(), vec![Arc::new(a), Arc::new(b)]).unwrap())
}

#[test]
fn a_file_is_read_to_its_end_with_or_without_a_last_newline() {
    let folder = Folder::new();
    folder.write("a.jsonl", "{\"a\":1,\"b\":\"x\"}\nnot json\n\n{\"a\":2}");
    let spec = spec(&ab(), &[("path", &folder.at("a.jsonl"))]);
    let found = batches(open(&Filesystem::default(), &spec).as_mut());
    let rows: Vec<_> = found.iter().flat_map(|b| shown(&b.batch)).collect();
    assert_eq!(rows, ["1|x", "2|"]);
    let bad: Vec<_> = found.iter().flat_map(|b| &b.bad).collect();
    assert_eq!((bad.len(), bad[0].place.record, bad[0].bytes.as_slice()), (1, 2, &b"not json"[..]));
    assert!(bad[0].place.origin.ends_with("a.jsonl"));
    assert_eq!(found.iter().map(|b| b.records).sum::<u64>(), 3);
}

#[test]
fn a_folder_and_a_glob_are_read_oldest_first() {
    let folder = Folder::new();
    folder.write_old("z.txt", "oldest\n", 300);
    folder.write_old("b.txt", "second b\n", 200);
    folder.write_old("c.log", "not by the glob\n", 150);
    folder.write_old("a.txt", "newest", 100);
    for hidden in [".x.txt", "_SUCCESS.txt", "y.tmp"] {
        folder.write_old(hidden, "hidden\n", 400);
    }
    folder.write_old("dt=1/p.txt", "partition\n", 50);
    folder.write_old("sub/q.txt", "not read\n", 50);
    let connector = Filesystem::default();
    let glob = text(&folder.at("*.txt"), &[]);
    assert_eq!(all(open(&connector, &glob).as_mut()), ["oldest", "second b", "newest"]);
    let whole = text(&folder.at(""), &[]);
    let expected = ["oldest", "second b", "not by the glob", "newest", "partition"];
    assert_eq!(all(open(&connector, &whole).as_mut()), expected);
}

#[test]
fn compressed_files_are_known_by_their_first_bytes() {
    let folder = Folder::new();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"{\"a\":1,\"b\":\"x\"}\n").unwrap();
    let gzip = gzip.finish().unwrap();
    folder.write("a", &gzip);
    folder.write("b.jsonl.zst", zstd::encode_all(&b"{\"a\":2,\"b\":\"y\"}\n"[..], 0).unwrap());
    let connector = Filesystem::default();
    for (name, row) in [("a", "1|x"), ("b.jsonl.zst", "2|y")] {
        let mut spec = spec(&schema(&[]), &[("path", &folder.at(name))]);
        spec.schema = connector.infer(&spec).unwrap();
        assert_eq!(all(open(&connector, &spec).as_mut()), [row]);
    }
    let followed = connector.source(&text(&folder.at("a"), &[("mode", "follow")]), &[0]);
    assert_eq!(followed.err().unwrap().kind(), ErrorKind::Unsupported);
    folder.write("cut.jsonl", &gzip[..gzip.len() - 10]);
    let mut source = open(&connector, &spec(&ab(), &[("path", &folder.at("cut.jsonl"))]));
    let error = (0..3).find_map(|_| source.read(Duration::ZERO).err()).unwrap();
    assert!(error.kind() == ErrorKind::Data && error.message().contains("cut.jsonl"), "{error:?}");
}

#[test]
fn a_missing_file_is_unreachable_and_its_neighbour_is_named() {
    let folder = Folder::new();
    folder.write("access.log", "");
    let connector = Filesystem::default();
    for (path, help) in [("acess.log", true), ("*.csv", false), ("nowhere/x.csv", false)] {
        let spec = text(&folder.at(path), &[]);
        for error in [connector.source(&spec, &[0]).err().unwrap(), connector.infer(&spec).unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::Unreachable, "{error:?}");
            assert!(error.message().contains(path), "{error}");
            assert_eq!(error.helps().iter().any(|h| h.contains("access.log")), help, "{error}");
        }
    }
}

#[test]
fn batches_are_bounded_and_a_long_record_is_bad() {
    let folder = Folder::new();
    let lines: String = (0..1000).map(|n| format!("{n}\n")).collect();
    folder.write("a.txt", format!("{lines}{}\nlast\n", "x".repeat(5000)));
    let mut spec = text(&folder.at("a.txt"), &[]);
    (spec.settings.batch_rows_max, spec.settings.record_bytes_max) = (64, 4000);
    let found = batches(open(&Filesystem::default(), &spec).as_mut());
    assert!(found.iter().all(|b| b.batch.num_rows() <= 64));
    let rows: Vec<_> = found.iter().flat_map(|b| shown(&b.batch)).collect();
    assert_eq!((rows.len(), rows[1000].as_str()), (1001, "last"));
    assert_eq!(found.iter().map(|b| b.bad.len()).sum::<usize>(), 1);
    assert_eq!(found.iter().map(|b| b.bytes).sum::<u64>(), fs::metadata(folder.path("a.txt")).unwrap().len());
}

#[test]
fn metadata_columns_say_where_a_row_was() {
    let folder = Folder::new();
    folder.write("a.jsonl", "{\"b\":\"x\"}\nbad\n{\"b\":\"y\"}\n");
    let field = |name: &str, of: &str, t: DataType| {
        arrow::datatypes::Field::new(name, t, true).with_metadata([("tidemill.metadata".into(), of.into())].into())
    };
    let fields = vec![
        field("n", "line", DataType::Int64),
        arrow::datatypes::Field::new("b", DataType::Utf8, true),
        field("f", "file.name", DataType::Utf8),
        field("s", "file.size", DataType::Int64),
    ];
    let schema: SchemaRef = Arc::new(arrow::datatypes::Schema::new(fields));
    let spec = spec(&schema, &[("path", &folder.at("a.jsonl"))]);
    assert_eq!(all(open(&Filesystem::default(), &spec).as_mut()), ["1|x|a.jsonl|24", "3|y|a.jsonl|24"]);
}

#[test]
fn a_position_goes_on_behind_its_batch() {
    let folder = Folder::new();
    folder.write_old("1.csv", "b,a\nx,1\n\ny,2\n\"z\nz\",3\n", 200);
    folder.write_old("2.csv", "a,b\n4,u\n5,v", 100);
    let mut spec = spec(&ab(), &[("path", &folder.at(""))]);
    spec.settings.batch_rows_max = 1;
    let connector = Filesystem::default();
    let found = batches(open(&connector, &spec).as_mut());
    let expected: Vec<_> = found.iter().flat_map(|b| shown(&b.batch)).collect();
    assert_eq!(expected, ["1|x", "2|y", "3|z\nz", "4|u", "5|v"]);
    for (index, batch) in found.iter().enumerate() {
        let before: usize = found[..=index].iter().map(|b| b.batch.num_rows()).sum();
        // As a restart would, through text.
        let position = Position(serde_json::from_str(&batch.position.0.to_string()).unwrap());
        let mut source = open(&connector, &spec);
        assert!(source.replayable());
        source.seek(&position).unwrap();
        assert_eq!(all(source.as_mut()), expected[before..], "behind batch {index}");
    }
    // Another file under the same name is not it.
    folder.write("1.csv", "a,b\n1,x\n2,y\n3,z\n");
    let mut source = open(&connector, &spec);
    source.seek(&found[0].position).unwrap();
    assert_eq!(source.read(Duration::ZERO).unwrap_err().kind(), ErrorKind::Data);
}

#[test]
fn a_position_in_a_compressed_file_counts_what_is_in_it() {
    let folder = Folder::new();
    let lines: String = (0..5000).map(|n| format!("line {n}\n")).collect();
    folder.write("a.txt.zst", zstd::encode_all(lines.as_bytes(), 0).unwrap());
    let mut spec = text(&folder.at("a.txt.zst"), &[]);
    spec.settings.batch_rows_max = 1500;
    let connector = Filesystem::default();
    let found = batches(open(&connector, &spec).as_mut());
    let mut source = open(&connector, &spec);
    source.seek(&found[1].position).unwrap();
    let rest = all(source.as_mut());
    assert_eq!((rest.len(), rest[0].as_str()), (2000, "line 3000"));
}

#[test]
fn following_takes_lines_when_their_newline_comes() {
    let folder = Folder::new();
    let mut source = open(&Filesystem::default(), &text(&folder.at("a.log"), &[("mode", "tail")]));
    quiet(source.as_mut());
    assert!(source.status().unwrap().contains("waiting"));
    folder.append("a.log", "one\ntw");
    assert_eq!(rows(source.as_mut(), 1), ["one"]);
    quiet(source.as_mut());
    folder.append("a.log", "o\n");
    assert_eq!(rows(source.as_mut(), 1), ["two"]);
}

#[test]
fn following_goes_through_rotation_truncation_and_deletion() {
    let folder = Folder::new();
    folder.write("a.log", "1\n2\n");
    let mut source = open(&Filesystem::default(), &text(&folder.at("a.log"), &[("mode", "follow")]));
    assert_eq!(rows(source.as_mut(), 2), ["1", "2"]);
    // Renamed and made anew; what the writer adds to the old one before it opens the new one counts.
    fs::rename(folder.path("a.log"), folder.path("a.log.1")).unwrap();
    folder.append("a.log.1", "3\nhalf");
    folder.write("a.log", "4\n");
    assert_eq!(rows(source.as_mut(), 3), ["3", "half", "4"]);
    // Copied and truncated.
    folder.write("a.log", "");
    quiet(source.as_mut());
    folder.append("a.log", "5\n");
    assert_eq!(rows(source.as_mut(), 1), ["5"]);
    // Truncated and already longer again.
    folder.write("a.log", "six\nseven\n");
    assert_eq!(rows(source.as_mut(), 2), ["six", "seven"]);
    // Deleted, and there again.
    fs::remove_file(folder.path("a.log")).unwrap();
    quiet(source.as_mut());
    folder.write("a.log", "8\n");
    assert_eq!(rows(source.as_mut(), 1), ["8"]);
}

#[test]
fn following_from_the_latest_skips_whole_lines_only() {
    let folder = Folder::new();
    folder.write("a.log", "old\nbegu");
    let options = [("mode", "follow"), ("scan.startup.mode", "latest-offset")];
    let mut source = open(&Filesystem::default(), &text(&folder.at("a.log"), &options));
    quiet(source.as_mut());
    folder.append("a.log", "n\nnew\n");
    assert_eq!(rows(source.as_mut(), 2), ["begun", "new"]);
}

#[test]
fn a_followed_file_is_found_again_after_it_was_rotated_away() {
    let folder = Folder::new();
    folder.write("a.log", "1\n2\n");
    let connector = Filesystem::default();
    let spec = text(&folder.at("a.log"), &[("mode", "follow")]);
    let mut source = open(&connector, &spec);
    let Read::Batch(batch) = source.read(Duration::from_secs(5)).unwrap() else { panic!() };
    drop(source);
    folder.append("a.log", "3\n");
    fs::rename(folder.path("a.log"), folder.path("a.log.1")).unwrap();
    folder.write("a.log", "4\n");
    let mut source = open(&connector, &spec);
    source.seek(&batch.position).unwrap();
    assert_eq!(rows(source.as_mut(), 2), ["3", "4"]);
    fs::remove_file(folder.path("a.log.1")).unwrap();
    let error = open(&connector, &spec).seek(&batch.position).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
}

#[test]
fn a_folder_or_glob_is_watched_and_not_followed() {
    let folder = Folder::new();
    for path in [folder.at(""), folder.at("*.log")] {
        let error = Filesystem::default().source(&text(&path, &[("mode", "follow")]), &[0]).err().unwrap();
        assert!(error.helps()[0].contains("watch"), "{error}");
    }
}

#[test]
fn watching_reads_each_file_once_also_an_older_one_that_comes_late() {
    let folder = Folder::new();
    folder.write_old("b.txt", "b\n", 200);
    let spec = text(&folder.at(""), &[("mode", "watch"), ("source.monitor-interval", "10 ms")]);
    let connector = Filesystem::default();
    let mut source = open(&connector, &spec);
    assert_eq!(rows(source.as_mut(), 1), ["b"]);
    folder.write_old("a.txt", "late", 900);
    folder.write(".hidden", "no\n");
    folder.write("x.tmp", "no\n");
    let mut position = None;
    until("the late file", || match source.read(Duration::from_millis(5)).unwrap() {
        Read::Batch(batch) => {
            assert_eq!(shown(&batch.batch), ["late"]);
            position = Some(batch.position);
            true
        }
        _ => false,
    });
    quiet(source.as_mut());
    fs::rename(folder.path("x.tmp"), folder.path("x.txt")).unwrap();
    assert_eq!(rows(source.as_mut(), 1), ["no"]);
    let mut again = open(&connector, &spec);
    again.seek(&position.unwrap()).unwrap();
    assert_eq!(rows(again.as_mut(), 1), ["no"]);
    quiet(again.as_mut());
}

#[test]
fn the_files_of_an_interval_are_bounded() {
    let folder = Folder::new();
    for n in 0..5 {
        folder.write(&format!("{n}.txt"), format!("{n}\n"));
    }
    let mut source = open(&Filesystem::default(), &text(&folder.at(""), &[("max_files_per_interval", "2")]));
    let kinds: String = std::iter::from_fn(|| match source.read(Duration::ZERO).unwrap() {
        Read::Batch(_) => Some('b'),
        Read::Idle => Some('-'),
        _ => None,
    })
    .collect();
    assert_eq!(kinds, "bb-bb-b");
}

#[cfg(unix)]
#[test]
fn a_named_pipe_is_looked_at_and_loses_nothing() {
    let folder = Folder::new();
    let path = folder.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let writer = std::thread::spawn({
        let path = path.clone();
        move || fs::write(path, "{\"a\":1,\"b\":\"x\"}\n{\"a\":2,\"b\":\"y\"}\n").unwrap()
    });
    let connector = Filesystem::default();
    let mut spec = spec(&schema(&[]), &[("path", path.to_str().unwrap())]);
    spec.schema = connector.infer(&spec).unwrap();
    assert_eq!(all(open(&connector, &spec).as_mut()), ["1|x", "2|y"]);
    writer.join().unwrap();
}

#[test]
fn a_file_is_overwritten_or_appended_to() {
    let folder = Folder::new();
    let connector = Filesystem::default();
    folder.write("out.csv", "rubbish\n");
    for (append, interval) in [("false", 1), ("true", 2)] {
        let spec = spec(&ab(), &[("path", &folder.at("out.csv")), ("append", append)]);
        let mut sink = connector.sink(&spec).unwrap();
        let before = fs::read_to_string(folder.path("out.csv")).unwrap();
        sink.stage(IntervalId(interval), &change(&[(interval as i64, Some("x"))])).unwrap();
        assert_eq!(fs::read_to_string(folder.path("out.csv")).unwrap(), before, "visible before it is published");
        sink.publish(IntervalId(interval)).unwrap();
        assert!(fs::read_to_string(folder.path("out.csv")).unwrap().ends_with(&format!("{interval},x\n")));
        sink.close().unwrap();
    }
    assert_eq!(fs::read_to_string(folder.path("out.csv")).unwrap(), "a,b\n1,x\n2,x\n");
}

#[test]
fn what_is_written_can_be_read() {
    let folder = Folder::new();
    let connector = Filesystem::default();
    for name in ["new/out.jsonl", "out.csv", "out.jsonl.gz", "out.csv.zst", "out.parquet", "out.arrow"] {
        let spec = spec(&ab(), &[("path", &folder.at(name))]);
        let mut sink = connector.sink(&spec).unwrap();
        for interval in 1..=3 {
            sink.stage(IntervalId(interval), &change(&[(interval as i64, Some("x"))])).unwrap();
            sink.publish(IntervalId(interval)).unwrap();
        }
        sink.close().unwrap();
        drop(sink);
        assert_eq!(all(open(&connector, &spec).as_mut()), ["1|x", "2|x", "3|x"], "{name}");
    }
    assert!(folder.files().iter().all(|f| !f.contains("tmp")), "{:?}", folder.files());
    for name in ["out.parquet", "out.arrow"] {
        let error = connector.sink(&spec(&ab(), &[("path", &folder.at(name)), ("append", "true")])).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Config, "{name}");
        let read = spec(&ab(), &[("path", &folder.at(name))]);
        let found = batches(open(&connector, &read).as_mut());
        let mut again = open(&connector, &read);
        again.seek(&found[0].position).unwrap();
        assert_eq!(all(again.as_mut()).len(), 3 - found[0].batch.num_rows(), "{name}");
    }
}

#[test]
fn two_writers_never_overwrite_each_other() {
    let folder = Folder::new();
    let connector = Filesystem::default();
    let file = spec(&ab(), &[("path", &folder.at("out.csv"))]);
    let first = connector.sink(&file).unwrap();
    assert_eq!(connector.sink(&file).err().unwrap().kind(), ErrorKind::Config);
    drop(first);
    connector.sink(&file).unwrap();

    let parts = spec(&ab(), &[("path", &folder.at("out/")), ("format", "csv")]);
    let mut sinks = [connector.sink(&parts).unwrap(), connector.sink(&parts).unwrap()];
    for (row, sink) in sinks.iter_mut().enumerate() {
        sink.stage(IntervalId(1), &change(&[(row as i64, Some("x"))])).unwrap();
        sink.publish(IntervalId(1)).unwrap();
    }
    let mut found = all(open(&connector, &parts).as_mut());
    found.sort();
    assert_eq!(found, ["0|x", "1|x"]);
}

#[test]
fn parts_are_hidden_until_they_are_published() {
    let folder = Folder::new();
    let options = [("path", folder.at("out/")), ("sink.partition-commit.policy.kind", "success-file".to_owned())];
    let options: Vec<_> = options.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let spec = spec(&ab(), &options);
    let connector = Filesystem::default();
    let mut sink = connector.sink(&spec).unwrap();
    let visible = || folder.files().into_iter().filter(|f| !f.contains("/.")).count();
    sink.stage(IntervalId(1), &change(&[(1, Some("x"))])).unwrap();
    sink.stage(IntervalId(2), &change(&[(2, None)])).unwrap();
    assert_eq!(visible(), 0);
    sink.publish(IntervalId(1)).unwrap();
    assert_eq!(visible(), 2, "{:?}", folder.files());
    assert!(folder.path("out/_SUCCESS").exists());
    sink.stage(IntervalId(3), &change(&[])).unwrap();
    sink.close().unwrap();
    assert_eq!(visible(), 3);
    let mut found = all(open(&connector, &spec).as_mut());
    found.sort();
    assert_eq!(found, ["1|x", "2|"]);
}

#[test]
fn partitions_are_folders_that_no_value_can_leave() {
    let folder = Folder::new();
    let hostile = ["../../x", "..", "/etc", "a/b", "%2e%2e", "", "\0"];
    let path = folder.at("out");
    let spec = spec(&ab(), &[("path", &path), ("format", "json"), ("partitioned_by", "b")]);
    let connector = Filesystem::default();
    let mut sink = connector.sink(&spec).unwrap();
    let pairs: Vec<_> = hostile.iter().map(|v| Some(*v)).chain([None]).zip(0..).map(|(v, n)| (n, v)).collect();
    sink.stage(IntervalId(1), &change(&pairs)).unwrap();
    sink.publish(IntervalId(1)).unwrap();
    sink.close().unwrap();
    for file in folder.files() {
        assert!(file.starts_with("out/b=") && file.matches('/').count() == 2, "{file}");
    }
    assert_eq!(folder.files().len(), pairs.len());
    // The same relation reads them back, the partition column from the folders.
    let mut found = all(open(&connector, &spec).as_mut());
    found.sort();
    let expected: Vec<_> = pairs.iter().map(|(n, v)| format!("{n}|{}", v.unwrap_or_default())).collect();
    assert_eq!(found, expected);
}

#[test]
fn parts_grow_until_they_are_old_or_large_enough() {
    let folder = Folder::new();
    let path = folder.at("out/");
    let connector = Filesystem::default();
    let options = [
        ("path", path.as_str()),
        ("sink.rolling-policy.rollover-interval", "1h"),
        ("sink.rolling-policy.file-size", "100"),
    ];
    let mut sink = connector.sink(&spec(&ab(), &options)).unwrap();
    let visible = || folder.files().into_iter().filter(|f| !f.contains("/.")).count();
    sink.stage(IntervalId(1), &change(&[(1, Some("x"))])).unwrap();
    sink.publish(IntervalId(1)).unwrap();
    assert_eq!(visible(), 0, "too young");
    sink.stage(IntervalId(2), &change(&[(1, Some(&"x".repeat(200)))])).unwrap();
    sink.publish(IntervalId(2)).unwrap();
    assert_eq!(visible(), 1, "large enough");
    sink.stage(IntervalId(3), &change(&[(3, Some("y"))])).unwrap();
    sink.publish(IntervalId(3)).unwrap();
    sink.close().unwrap();
    assert_eq!(visible(), 2);
    assert_eq!(all(open(&connector, &spec(&ab(), &[("path", &path)])).as_mut()).len(), 3);
}

#[test]
fn an_unknown_partition_column_is_named() {
    let folder = Folder::new();
    let path = folder.at("out");
    let sink = Filesystem::default().sink(&spec(&ab(), &[("path", &path), ("partitioned_by", "c")]));
    assert!(sink.err().unwrap().message().contains("'c'"));
    let sink = Filesystem::default().sink(&spec(&ab(), &[("path", &path), ("partitioned_by", "a,b")]));
    assert!(sink.err().unwrap().message().contains("every column"));
}
