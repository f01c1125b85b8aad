//! Many rows encoded on several threads: cut into pieces, whose bytes come out in order.

use std::panic::resume_unwind;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::change::Change;
use crate::error::Result;
use crate::format::Encoder;

/// Rows of a piece: enough that handing it out costs nothing beside encoding it, few enough that the threads end together.
const PIECE_ROWS: usize = 8 << 10;
/// Fewer rows are encoded where they are: starting a thread costs as much as some hundred of them.
const ROWS_MIN: usize = 16 << 10;
/// The most threads that encode for one sink.
const THREADS_MAX: usize = 4;

/// How many threads encode. Asked once: the answer is looked up in several files.
pub(super) static THREADS: LazyLock<usize> =
    LazyLock::new(|| thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX));

/// Appends the bytes of changes, a buffer or more; when they are many and the encoder can be forked, several threads encode.
///
/// # Errors
/// As [`Encoder::encode`].
pub fn encode_all(encoder: &mut dyn Encoder, changes: &[Change], out: &mut Vec<Vec<u8>>) -> Result<()> {
    let rows = changes.iter().map(Change::num_rows).sum::<usize>();
    let threads = if rows < ROWS_MIN { 1 } else { *THREADS };
    let mut first = Vec::new();
    let mut rest = changes;
    let mut forks = Vec::new();
    while let Some((change, others)) = rest.split_first() {
        if threads > 1 {
            forks = (1..threads).map_while(|_| encoder.fork()).collect();
        }
        if !forks.is_empty() {
            break;
        }
        encoder.encode(change, &mut first)?;
        rest = others;
    }
    if !first.is_empty() {
        out.push(first);
    }
    if rest.is_empty() {
        return Ok(());
    }
    let pieces: Vec<Change> = rest.iter().flat_map(pieces).collect();
    let next = AtomicUsize::new(0);
    let mut done = thread::scope(|scope| {
        let (pieces, next) = (pieces.as_slice(), &next);
        let start = |mut fork: Box<dyn Encoder>| {
            thread::Builder::new().name("encode".into()).spawn_scoped(scope, move || take(fork.as_mut(), pieces, next))
        };
        // Without a thread left in the system, this one does it all.
        let others: Vec<_> = forks.into_iter().filter_map(|fork| start(fork).ok()).collect();
        let mut done = take(encoder, pieces, next)?;
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic))?);
        }
        Ok::<_, crate::error::Error>(done)
    })?;
    done.sort_unstable_by_key(|(at, _)| *at);
    out.extend(done.into_iter().map(|(_, bytes)| bytes));
    Ok(())
}

/// Encodes pieces that nobody has taken yet, until there are none.
fn take(encoder: &mut dyn Encoder, pieces: &[Change], next: &AtomicUsize) -> Result<Vec<(usize, Vec<u8>)>> {
    let (mut done, mut room) = (Vec::new(), 0);
    loop {
        let at = next.fetch_add(1, Ordering::Relaxed);
        let Some(piece) = pieces.get(at) else { return Ok(done) };
        let mut bytes = Vec::with_capacity(room);
        encoder.encode(piece, &mut bytes)?;
        room = bytes.len() + bytes.len() / 8;
        done.push((at, bytes));
    }
}

/// A change in pieces; none ends with a row that leaves, as the next one may come in its place.
fn pieces(change: &Change) -> Vec<Change> {
    let rows = change.num_rows();
    let mut pieces = Vec::new();
    let mut from = 0;
    while from < rows {
        let mut end = (from + PIECE_ROWS).min(rows);
        // The last piece may as well be larger.
        if rows - end < PIECE_ROWS / 2 {
            end = rows;
        }
        if let Some(weights) = &change.weights {
            while end < rows && weights.value(end - 1) < 0 {
                end += 1;
            }
        }
        let weights = change.weights.as_ref().map(|weights| weights.slice(from, end - from));
        pieces.push(Change { batch: change.batch.slice(from, end - from), weights });
        from = end;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, ListArray, RecordBatch, StringArray};
    use arrow::datatypes::Int64Type;

    use super::*;
    use crate::format::FormatSpec;
    use crate::settings::Options;

    fn change(rows: i64, weights: impl Fn(i64) -> i64) -> Change {
        let id: ArrayRef = Arc::new(Int64Array::from_iter((0..rows).map(|n| (n % 7 != 0).then_some(n / 2))));
        let text: ArrayRef = Arc::new(StringArray::from_iter((0..rows).map(|n| (n % 5 != 0).then(|| format!("t{n}")))));
        let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(
            (0..rows).map(|n| (n % 3 != 0).then(|| vec![Some(n); (n % 4) as usize])),
        ));
        let batch =
            RecordBatch::try_from_iter_with_nullable([("id", id, true), ("text", text, true), ("list", list, true)]);
        Change { batch: batch.unwrap(), weights: Some((0..rows).map(weights).collect()) }
    }

    fn encoder(format: &str, change: &Change) -> Box<dyn Encoder> {
        let mut options = Options::new();
        options.put("format", format, None).unwrap();
        let spec = FormatSpec::from_options(&options, None).unwrap().unwrap();
        spec.encoder(&change.batch.schema(), Some(&[0])).unwrap()
    }

    #[test]
    fn pieces_come_out_as_the_whole() {
        // Updates, with deletes in a row across the border of a piece.
        let moving = |n: i64| match n {
            8_000..8_400 => -1,
            _ if n % 2 == 0 => -1,
            _ => 1,
        };
        for (format, weigh) in [
            ("json", &moving as &dyn Fn(i64) -> i64),
            ("debezium-json", &moving),
            ("changelog", &moving),
            ("table", &moving),
            ("csv", &|_| 1),
            ("json", &|_| 2),
        ] {
            for rows in [[10, 20, 0], [40_000, 0, 5], [9_000, 9_000, 9_000], [0, 8_192, 8_193]] {
                let changes: Vec<Change> = rows.iter().map(|rows| change(*rows, weigh)).collect();
                let mut whole = Vec::new();
                let mut serial = encoder(format, &changes[0]);
                changes.iter().for_each(|c| serial.encode(c, &mut whole).unwrap());
                let mut out = Vec::new();
                let mut spread = encoder(format, &changes[0]);
                encode_all(spread.as_mut(), &changes, &mut out).unwrap();
                let out = out.concat();
                assert!(out == whole, "{format} {rows:?}: {} and {} bytes", out.len(), whole.len());
            }
        }
    }

    #[test]
    fn what_can_not_be_written_is_an_error() {
        let leaves = change(40_000, |n| if n == 39_000 { -1 } else { 1 });
        let error = encode_all(encoder("csv", &leaves).as_mut(), &[leaves], &mut Vec::new()).unwrap_err();
        assert!(error.message().contains("can't hold rows that leave"), "{error}");
    }
}
