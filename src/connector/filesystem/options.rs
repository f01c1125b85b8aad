//! The options of a relation over files.

use std::time::Duration;

use crate::connector::records::named;
use crate::connector::url::local_path;
use crate::error::{Error, Result, nearest};
use crate::format::FormatSpec;
use crate::settings::Options;

/// How files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// What is there, to its end.
    Bounded,
    /// One file as it grows, through rotation and truncation.
    Follow,
    /// The files of a folder or glob as they appear.
    Watch,
}

/// When a folder gets its `_SUCCESS` file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Success {
    Never,
    /// With the first files published in it.
    AtPublish,
    /// When the sink closes, as only then no more files can come.
    AtClose,
}

/// What the options say.
#[derive(Debug, Clone)]
pub(super) struct FileOptions {
    /// A file, a folder or a glob.
    pub(super) path: String,
    pub(super) mode: Mode,
    /// Following starts at the end of what is there.
    pub(super) latest: bool,
    /// How often a folder is listed.
    pub(super) interval: Duration,
    /// The most files read before an interval gets a chance to be cut.
    pub(super) files_max: Option<usize>,
    /// Columns whose values are folders `name=value`.
    pub(super) partitioned_by: Vec<String>,
    /// A sink adds to the file that is there.
    pub(super) append: bool,
    /// A sink writes a folder of part files.
    pub(super) folder: bool,
    /// Bytes after which a part file is complete.
    pub(super) part_bytes: u64,
    /// Age in microseconds at which a part file is complete; 0: with each interval.
    pub(super) part_micros: i64,
    pub(super) success: Success,
    options: Options,
}

/// The local path that an option `path` means; the scheme, when it is none.
pub(super) fn local(path: &str) -> std::result::Result<&str, &str> {
    match path.split_once("://") {
        Some(("file", rest)) => Ok(local_path(rest).unwrap_or_default()),
        Some((scheme, _)) if !scheme.contains('/') => Err(scheme),
        _ => Ok(path),
    }
}

impl FileOptions {
    /// Reads the options; claims every one that this connector knows.
    pub(super) fn new(options: &Options) -> Result<Self> {
        let path = options.require("path").map_err(|e| e.help("path = 'dir/file.jsonl', a folder, or a glob"))?.trim();
        let path = local(path)
            .map_err(|scheme| options.wrong("path", format!("files at '{scheme}://' can't be read or written")))?;
        if path.is_empty() {
            return Err(options.wrong("path", "option 'path' is empty"));
        }
        let partitioned_by = options.get_any(&["partitioned_by", "partitioned-by"]).unwrap_or_default();
        let partitioned_by: Vec<_> =
            partitioned_by.split(',').map(|c| c.trim().to_owned()).filter(|c| !c.is_empty()).collect();
        let interval = options.duration("source.monitor-interval")?;
        let rolling = options.get("sink.rolling-policy.file-size").map(parse_size).transpose();
        let part_bytes = rolling.map_err(|e| options.wrong("sink.rolling-policy.file-size", e.message()))?;
        for known in [
            "sink.rolling-policy.check-interval",
            "sink.partition-commit.delay",
            "sink.partition-commit.watermark-time-zone",
            "partition.time-extractor.timestamp-pattern",
            "partition.time-extractor.kind",
        ] {
            options.get(known);
        }
        let success = success(options)?;
        let files_max = options.parse("max_files_per_interval")?;
        Ok(Self {
            path: path.to_owned(),
            mode: mode(options, interval.is_some())?,
            latest: latest(options)?,
            interval: interval.map_or(Duration::from_secs(1), micros).max(Duration::from_millis(1)),
            files_max: files_max.filter(|n| *n > 0),
            append: options.flag("append", false)?,
            folder: path.ends_with('/') || !partitioned_by.is_empty() || success != Success::Never,
            partitioned_by,
            part_bytes: part_bytes.unwrap_or(128 << 20),
            part_micros: options.duration("sink.rolling-policy.rollover-interval")?.unwrap_or(0),
            success,
            options: options.clone(),
        })
    }

    /// The format that the options or the name of a file show; `None` when its bytes are to be looked at.
    pub(super) fn format(&self, path: &str) -> Result<Option<FormatSpec>> {
        FormatSpec::from_options(&self.options, Some(path))
    }

    /// The format of a sink: JSON lines when nothing says another.
    pub(super) fn sink_format(&self) -> Result<FormatSpec> {
        self.format(&self.path)?.map_or_else(|| named("json"), Ok)
    }

    /// An error about the path, at its place.
    pub(super) fn path_error(&self, error: Error) -> Error {
        match self.options.span("path") {
            Some(span) => error.at(span),
            None => error,
        }
    }
}

fn mode(options: &Options, monitored: bool) -> Result<Mode> {
    const MODES: [&str; 4] = ["bounded", "follow", "tail", "watch"];
    let Some(mode) = options.get("mode") else { return Ok(if monitored { Mode::Watch } else { Mode::Bounded }) };
    Ok(match mode.to_ascii_lowercase().as_str() {
        "bounded" => Mode::Bounded,
        "follow" | "tail" => Mode::Follow,
        "watch" => Mode::Watch,
        other => {
            let error = options.wrong("mode", format!("files can't be read in mode '{other}'"));
            return Err(match nearest(other, MODES) {
                Some(near) => error.help(format!("did you mean '{near}'?")),
                None => error.help("modes: bounded (to the end), follow (one file as it grows), watch (new files)"),
            });
        }
    })
}

fn latest(options: &Options) -> Result<bool> {
    match options.get("scan.startup.mode").map(str::to_ascii_lowercase).as_deref() {
        None | Some("earliest" | "earliest-offset") => Ok(false),
        Some("latest" | "latest-offset") => Ok(true),
        Some(other) => Err(options
            .wrong("scan.startup.mode", format!("a file can't be read from '{other}'"))
            .help("write 'earliest' or 'latest'")),
    }
}

fn success(options: &Options) -> Result<Success> {
    let at_close = match options.get("sink.partition-commit.trigger") {
        None | Some("process-time") => false,
        Some("partition-time") => true,
        Some(other) => {
            return Err(options
                .wrong("sink.partition-commit.trigger", format!("partitions can't be completed by '{other}'"))
                .help("write 'process-time' or 'partition-time'"));
        }
    };
    let kinds = options.get("sink.partition-commit.policy.kind").unwrap_or_default();
    let mut wanted = false;
    for kind in kinds.split(',').map(str::trim).filter(|k| !k.is_empty()) {
        match kind {
            "success-file" => wanted = true,
            // There is no metastore to tell.
            "metastore" => {}
            other => {
                let name = "sink.partition-commit.policy.kind";
                return Err(options.wrong(name, format!("there is no policy '{other}'")).help("write 'success-file'"));
            }
        }
    }
    Ok(match (wanted, at_close) {
        (false, _) => Success::Never,
        (true, false) => Success::AtPublish,
        (true, true) => Success::AtClose,
    })
}

/// Bytes: `134217728`, `128MB`.
fn parse_size(text: &str) -> Result<u64> {
    let lower = text.trim().to_ascii_lowercase().replace([' ', '_'], "");
    let split = lower.find(|c: char| !c.is_ascii_digit()).unwrap_or(lower.len());
    let (digits, unit) = lower.split_at(split);
    let shift = match unit {
        "" | "b" | "bytes" => Some(0),
        "k" | "kb" | "kib" => Some(10),
        "m" | "mb" | "mib" => Some(20),
        "g" | "gb" | "gib" => Some(30),
        _ => None,
    };
    let bytes = shift.and_then(|shift| digits.parse::<u64>().ok()?.checked_mul(1 << shift));
    bytes
        .filter(|b| *b > 0)
        .ok_or_else(|| Error::config(format!("'{text}' is not a size")).help("write for example 128MB"))
}

fn micros(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(pairs: &[(&str, &str)]) -> Result<FileOptions> {
        let mut options = Options::new();
        for (name, value) in pairs {
            options.put(name, *value, None)?;
        }
        let parsed = FileOptions::new(&options)?;
        options.finish("the filesystem connector")?;
        Ok(parsed)
    }

    #[test]
    fn modes_and_paths() {
        assert_eq!(parsed(&[("path", "file:///a/b")]).unwrap().path, "/a/b");
        assert_eq!(parsed(&[("path", "a"), ("mode", "Tail")]).unwrap().mode, Mode::Follow);
        assert_eq!(parsed(&[("path", "a"), ("source.monitor-interval", "2 s")]).unwrap().mode, Mode::Watch);
        assert!(parsed(&[("path", "s3://b/c")]).unwrap_err().message().contains("s3"));
        assert!(parsed(&[("path", "a"), ("mode", "folow")]).unwrap_err().helps()[0].contains("follow"));
        assert!(parsed(&[("pth", "a")]).unwrap_err().message().contains("'path'"));
        assert!(parsed(&[("path", "a"), ("partitoned_by", "x")]).unwrap_err().helps()[0].contains("partitioned_by"));
    }

    #[test]
    fn flinks_options_for_folders() {
        let options = parsed(&[
            ("path", "file:///tmp/data"),
            ("partitioned_by", "dt, hm"),
            ("sink.partition-commit.trigger", "partition-time"),
            ("sink.partition-commit.delay", "1 min"),
            ("sink.partition-commit.policy.kind", "success-file"),
            ("partition.time-extractor.timestamp-pattern", "$dt $hm:00"),
            ("sink.rolling-policy.rollover-interval", "1min"),
            ("sink.rolling-policy.check-interval", "1min"),
            ("sink.rolling-policy.file-size", "1MB"),
        ])
        .unwrap();
        assert_eq!((options.part_bytes, options.part_micros, options.success), (1 << 20, 60_000_000, Success::AtClose));
        assert_eq!(options.partitioned_by, ["dt", "hm"]);
        assert!(options.folder);
    }
}
