//! Compression: told by the first bytes of an input, by the extension of an output's path.

use std::io::{self, Cursor, Read, Write};

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// The bytes behind gzip (with one or more members) or zstd; other bytes as they are.
///
/// Reads no further than it must to tell: one byte of an input that is not compressed.
///
/// # Errors
/// What the reader reports.
pub fn decompress(mut reader: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let mut head = Vec::with_capacity(ZSTD.len());
    while head.len() < ZSTD.len() && [GZIP, ZSTD].iter().any(|magic| magic.starts_with(&head) && *magic != head) {
        let mut byte = [0];
        match reader.read(&mut byte) {
            Ok(0) => break,
            Ok(_) => head.push(byte[0]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    let (gzip, zstd) = (head == GZIP, head == ZSTD);
    let whole = Cursor::new(head).chain(reader);
    Ok(if gzip {
        Box::new(MultiGzDecoder::new(whole))
    } else if zstd {
        Box::new(zstd::stream::read::Decoder::new(whole)?)
    } else {
        Box::new(whole)
    })
}

/// A writer that compresses, or not. [`Compressor::finish`] must be called: dropping it may cut the end off.
pub enum Compressor<W: Write> {
    /// As it is.
    Plain(W),
    /// gzip.
    Gzip(GzEncoder<W>),
    /// zstd.
    Zstd(zstd::stream::write::Encoder<'static, W>),
}

impl<W: Write> Compressor<W> {
    /// Compresses as the path's extension says: `.gz`, `.zst`, else not at all.
    ///
    /// # Errors
    /// When zstd can't be set up.
    pub fn by_path(writer: W, path: &str) -> io::Result<Self> {
        let path = path.to_ascii_lowercase();
        Ok(if path.ends_with(".gz") {
            Self::Gzip(GzEncoder::new(writer, flate2::Compression::default()))
        } else if path.ends_with(".zst") {
            Self::Zstd(zstd::stream::write::Encoder::new(writer, 0)?)
        } else {
            Self::Plain(writer)
        })
    }

    /// Writes what ends the compressed stream; gives the writer back, to sync it.
    ///
    /// # Errors
    /// What the writer reports.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(mut writer) => writer.flush().map(|()| writer),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }

    /// The writer underneath.
    pub fn get_mut(&mut self) -> &mut W {
        match self {
            Self::Plain(writer) => writer,
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
        }
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(writer) => writer.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(writer) => writer.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: Vec<u8>) -> Vec<u8> {
        let mut out = Vec::new();
        decompress(Box::new(Cursor::new(bytes))).unwrap().read_to_end(&mut out).unwrap();
        out
    }

    fn write(path: &str, text: &[u8]) -> Vec<u8> {
        let mut writer = Compressor::by_path(Vec::new(), path).unwrap();
        writer.write_all(text).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn round_trips_and_members() {
        for path in ["a.gz", "a.zst", "a.jsonl"] {
            let mut bytes = write(path, b"one\n");
            bytes.extend(write(path, b"two\n"));
            assert_eq!(read(bytes), b"one\ntwo\n", "{path}");
        }
        for plain in [&b""[..], b"\x1f", b"(", b"(\xb5", b"{}", b"\x1f\x1f"] {
            assert_eq!(read(plain.to_vec()), plain);
        }
    }
}
