//! Functions of texts: parts, positions, counts.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, ListBuilder, StringBuilder};
use arrow::datatypes::{DataType, Field};
use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;

use super::arguments::Parameter::{Integer, Text};
use super::arguments::{Arguments, Declared, bigint_type, int_type, text_type};

/// The functions of this family, and DataFusion's under the names that they have elsewhere.
pub(super) fn all() -> Vec<ScalarUDF> {
    let aliased = |function: Arc<ScalarUDF>, alias: &'static str| function.as_ref().clone().with_aliases([alias]);
    vec![
        // split_index(text, separator, index): the part with this index, from 0; NULL when there is none.
        Declared::new("split_index", &[Text, Text, Integer], text_type, split_index).function(),
        // split(text, separator): the parts.
        Declared::new("split", &[Text, Text], list_type, split).function(),
        // count_char(text, character): how often the first character of the second occurs in the first.
        Declared::new("count_char", &[Text, Text], bigint_type, count_char).function(),
        // locate(part, text[, from]): where the part first stands in the text, in characters from 1; 0 when it does not.
        Declared { optional: 1, ..Declared::new("locate", &[Text, Text, Integer], int_type, locate) }.function(),
        // elt(n, first, …): the nth of the texts, from 1; NULL when there are fewer. NULL among the others does not matter.
        Declared { repeats: true, ..Declared::new("elt", &[Integer, Text], text_type, elt) }.function(),
        aliased(datafusion::functions::string::lower(), "lcase"),
        aliased(datafusion::functions::string::upper(), "ucase"),
        aliased(datafusion::functions::math::trunc(), "truncate"),
        aliased(datafusion::functions::math::ceil(), "ceiling"),
    ]
}

fn split_index(arguments: &Arguments) -> Result<ArrayRef> {
    let (texts, separators, indexes) = (arguments.texts(0)?, arguments.texts(1)?, arguments.integers(2)?);
    let mut parts = StringBuilder::with_capacity(arguments.rows(), 16 * arguments.rows());
    for row in 0..arguments.rows() {
        let part = match (texts.get(row), separators.get(row), indexes.get(row)) {
            // No text has no parts, not an empty one.
            (Some(text), Some(separator), Some(index)) if !text.is_empty() => {
                usize::try_from(index).ok().and_then(|index| nth_part(text, separator, index))
            }
            _ => None,
        };
        parts.append_option(part);
    }
    Ok(Arc::new(parts.finish()))
}

fn nth_part<'a>(text: &'a str, separator: &str, index: usize) -> Option<&'a str> {
    match separator.as_bytes() {
        [] => (index == 0).then_some(text),
        // By far the most common, and twice as fast.
        [byte] if byte.is_ascii() => text.split(char::from(*byte)).nth(index),
        _ => text.split(separator).nth(index),
    }
}

fn list_type(_: &[DataType]) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)))
}

fn split(arguments: &Arguments) -> Result<ArrayRef> {
    let (texts, separators) = (arguments.texts(0)?, arguments.texts(1)?);
    let mut lists = ListBuilder::with_capacity(StringBuilder::new(), arguments.rows());
    for row in 0..arguments.rows() {
        match (texts.get(row), separators.get(row)) {
            (Some(text), Some("")) => {
                let mut buffer = [0; 4];
                text.chars().for_each(|c| lists.values().append_value(c.encode_utf8(&mut buffer)));
                lists.append(true);
            }
            (Some(text), Some(separator)) => {
                text.split(separator).for_each(|part| lists.values().append_value(part));
                lists.append(true);
            }
            _ => lists.append(false),
        }
    }
    Ok(Arc::new(lists.finish()))
}

fn count_char(arguments: &Arguments) -> Result<ArrayRef> {
    let (texts, characters) = (arguments.texts(0)?, arguments.texts(1)?);
    let count = |row: usize| -> Option<i64> {
        let (text, wanted) = (texts.get(row)?, characters.get(row)?);
        Some(wanted.chars().next().map_or(0, |c| text.matches(c).count() as i64))
    };
    Ok(Arc::new((0..arguments.rows()).map(count).collect::<Int64Array>()))
}

fn locate(arguments: &Arguments) -> Result<ArrayRef> {
    let (parts, texts) = (arguments.texts(0)?, arguments.texts(1)?);
    let from = (arguments.len() > 2).then(|| arguments.integers(2)).transpose()?;
    let place = |row: usize| -> Option<i32> {
        let (part, text) = (parts.get(row)?, texts.get(row)?);
        let from = match &from {
            Some(from) => from.get(row)?,
            None => 1,
        };
        let Some(skipped) = from.checked_sub(1).and_then(|n| usize::try_from(n).ok()) else { return Some(0) };
        let Some(start) = text.char_indices().map(|(i, _)| i).chain([text.len()]).nth(skipped) else { return Some(0) };
        let found = text[start..].find(part);
        Some(found.map_or(0, |at| (skipped + text[start..start + at].chars().count()) as i32 + 1))
    };
    Ok(Arc::new((0..arguments.rows()).map(place).collect::<Int32Array>()))
}

fn elt(arguments: &Arguments) -> Result<ArrayRef> {
    let numbers = arguments.integers(0)?;
    let texts = (1..arguments.len()).map(|i| arguments.texts(i)).collect::<Result<Vec<_>>>()?;
    let mut chosen = StringBuilder::with_capacity(arguments.rows(), 16 * arguments.rows());
    for row in 0..arguments.rows() {
        let index = numbers.get(row).and_then(|n| usize::try_from(n).ok()).and_then(|n| n.checked_sub(1));
        chosen.append_option(index.and_then(|i| texts.get(i)).and_then(|texts| texts.get(row)));
    }
    Ok(Arc::new(chosen.finish()))
}
