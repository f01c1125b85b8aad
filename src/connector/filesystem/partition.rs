//! Folders `name=value` from the values of partition columns, and back.

use std::path::Path;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::input::fnv;
use crate::error::Result;

/// The folder of rows whose value is NULL, as Hive and those after it call it.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";
/// Bytes of a folder's name that every file system takes.
const NAME_BYTES_MAX: usize = 200;

/// The folder of each row, such as `dt=2026-03-01/hm=12%3A00`.
///
/// # Errors
/// When a column can't be shown as text.
pub(super) fn folders(batch: &RecordBatch, columns: &[usize]) -> Result<Vec<String>> {
    let schema = batch.schema();
    let options = FormatOptions::default();
    let shown = columns.iter().map(|c| ArrayFormatter::try_new(batch.column(*c), &options));
    let shown = shown.collect::<std::result::Result<Vec<_>, _>>()?;
    (0..batch.num_rows())
        .map(|row| {
            let mut folder = String::new();
            for (column, shown) in columns.iter().zip(&shown) {
                if !folder.is_empty() {
                    folder.push('/');
                }
                let value = match batch.column(*column).is_null(row) {
                    true => NULL.to_owned(),
                    false => encode(&shown.value(row).try_to_string()?),
                };
                folder.push_str(&format!("{}={value}", encode(crate::format::spelling(schema.field(*column)))));
            }
            Ok(folder)
        })
        .collect()
}

/// A value as part of a folder's name: everything but letters, digits, `-`, `_`, `.` and spaces within is percent-encoded, so
/// that no value can name another folder. A long one is cut and told from others by a hash.
fn encode(value: &str) -> String {
    let mut name = String::with_capacity(value.len());
    for (index, byte) in value.bytes().enumerate() {
        let inner_space = byte == b' ' && index > 0 && index + 1 < value.len();
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') || inner_space {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02X}"));
        }
    }
    if name == NULL {
        // The text is not the NULL.
        return name.replacen('_', "%5F", 1);
    }
    if name.len() > NAME_BYTES_MAX {
        let hash = fnv(value.as_bytes());
        name.truncate(NAME_BYTES_MAX - 17);
        name.push_str(&format!("~{hash:016x}"));
    }
    name
}

/// The partition values in the folders of a path.
pub(super) fn partitions_of(path: &Path) -> Vec<(String, Option<String>)> {
    let folders = path.parent().into_iter().flat_map(Path::components);
    let named = folders.filter_map(|f| f.as_os_str().to_str()?.split_once('='));
    named.map(|(name, value)| (decode(name), (value != NULL).then(|| decode(value)))).collect()
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let escaped = behind.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match escaped {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            _ => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use std::path::Component;
    use std::sync::Arc;

    use arrow::array::StringArray;
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    #[test]
    fn hostile_values_stay_in_their_folder_and_come_back() {
        let values = [
            Some("2026-03-01"),
            Some("12:00"),
            Some("../../x"),
            Some(".."),
            Some("a/b\\c"),
            Some("\0"),
            Some(""),
            Some("50%"),
            Some("ü"),
            Some(" x y "),
            Some("k=v"),
            Some(NULL),
            None,
        ];
        let schema = Arc::new(Schema::new(vec![Field::new("dt", DataType::Utf8, true)]));
        let batch = RecordBatch::try_new(schema, vec![Arc::new(StringArray::from(values.to_vec()))]).unwrap();
        for (folder, value) in folders(&batch, &[0]).unwrap().iter().zip(values) {
            let path = Path::new(folder).join("part-1.jsonl");
            let components: Vec<_> = path.components().collect();
            assert!(components.len() == 2 && components.iter().all(|c| matches!(c, Component::Normal(_))), "{folder}");
            assert_eq!(partitions_of(&path), [("dt".to_owned(), value.map(str::to_owned))], "{folder}");
        }
    }

    #[test]
    fn long_values_are_cut_but_told_apart() {
        let long = "x".repeat(5000);
        let (a, b) = (encode(&long), encode(&format!("{long}y")));
        assert!(a.len() <= NAME_BYTES_MAX && a != b);
    }
}
