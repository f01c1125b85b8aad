//! Aggregate functions whose state is a few words of a row: count, sum, avg, min, max over numbers and times.
//!
//! They give what the accumulators of these functions give, in the same order of addition: a sum of integers is counted in 128
//! bits, and is an error only when it does not fit itself.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type};
use datafusion::functions_aggregate::average::Avg;
use datafusion::functions_aggregate::count::Count;
use datafusion::functions_aggregate::min_max::{Max, Min};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CastExpr, Literal};

use super::distinct::DistinctSet;
use crate::error::{Error, Result};
use crate::exec::groups::Call;
use crate::state::{Blocks, FlatTable, HEAD, flag, from_words, to_words, width_in_word};

/// One aggregate function of a query, and where its state is in a row.
pub(super) struct FlatCall {
    pub(super) function: Function,
    /// The first word of its state.
    at: usize,
    /// Set in rows that have seen a value; functions that count need none.
    seen: u64,
    /// `None`: whatever the row holds counts.
    pub(super) argument: Option<Arc<dyn PhysicalExpr>>,
    pub(super) filter: Option<Arc<dyn PhysicalExpr>>,
    /// The argument is an integer that was made a DOUBLE for the average.
    whole: bool,
    result: DataType,
}

/// What is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Count,
    /// The set of values, by number among those of the query.
    CountDistinct(usize),
    Sum(Number),
    Avg,
    Min(Number),
    Max(Number),
}

/// How a word is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    Signed,
    Unsigned,
    Float,
}

/// The evaluated argument of a call over a batch.
pub(super) struct Argument {
    values: ScalarBuffer<u64>,
    /// The rows that count; `None`: all.
    counts: Option<BooleanBuffer>,
}

impl FlatCall {
    /// A call as a flat one with its state from word `at` on, when its function has such a state.
    pub(super) fn new(call: &Call, number: usize, sets: usize, at: usize) -> Option<Self> {
        let function = call.function.as_ref();
        let (inner, arguments) = (function.fun().inner(), function.expressions());
        let [argument] = arguments.as_slice() else { return None };
        if !function.order_bys().is_empty() || function.ignore_nulls() || function.is_reversed() {
            return None;
        }
        let of = argument.data_type(&call.input).ok()?;
        let result = function.field().data_type().clone();
        let cast = argument.downcast_ref::<CastExpr>();
        let whole = cast.is_some_and(|c| c.expr().data_type(&call.input).is_ok_and(|t| t.is_integer()));
        let mut argument = Some(Arc::clone(argument));
        let function = if inner.is::<Count>() && result == DataType::Int64 {
            let constant = argument.as_ref().and_then(|a| a.downcast_ref::<Literal>());
            if function.is_distinct() {
                number_of(&of).filter(|n| *n != Number::Float)?;
                Function::CountDistinct(sets)
            } else {
                if constant.is_some_and(|c| !c.value().is_null()) {
                    argument = None;
                }
                Function::Count
            }
        } else if function.fun().name() == "sum" && !function.is_distinct() && of == result {
            Function::Sum(match of {
                DataType::Int64 => Number::Signed,
                DataType::UInt64 => Number::Unsigned,
                DataType::Float64 => Number::Float,
                _ => return None,
            })
        } else if inner.is::<Avg>() && !function.is_distinct() && of == DataType::Float64 && result == DataType::Float64
        {
            Function::Avg
        } else if inner.is::<Min>() && of == result {
            Function::Min(number_of(&of)?)
        } else if inner.is::<Max>() && of == result {
            Function::Max(number_of(&of)?)
        } else {
            return None;
        };
        let seen = match function {
            Function::Count | Function::CountDistinct(_) => 0,
            _ => flag(number),
        };
        Some(Self { function, at, seen, argument, filter: call.filter.clone(), whole, result })
    }

    /// The words of a new row.
    pub(super) fn initial(&self) -> &'static [u64] {
        match self.function {
            Function::Count | Function::CountDistinct(_) | Function::Sum(Number::Float) => &[0],
            Function::Sum(_) | Function::Avg => &[0, 0],
            Function::Min(Number::Signed) => &[i64::MAX as u64],
            Function::Min(Number::Unsigned) => &[u64::MAX],
            Function::Min(Number::Float) => const { &[f64::INFINITY.to_bits()] },
            Function::Max(Number::Signed) => &[i64::MIN as u64],
            Function::Max(Number::Unsigned) => &[0],
            Function::Max(Number::Float) => const { &[f64::NEG_INFINITY.to_bits()] },
        }
    }

    /// Whether states of parts give what the rows in their order give: that of sums of whole numbers does not matter. Of floats
    /// it does, in the last digit of a sum, and where NaN is among them, which is neither less nor more than a number.
    pub(super) fn merges(&self) -> bool {
        match self.function {
            Function::Sum(Number::Float) | Function::Min(Number::Float) | Function::Max(Number::Float) => false,
            Function::Avg => self.whole,
            _ => true,
        }
    }

    /// Evaluates the argument over a batch.
    pub(super) fn argument(&self, batch: &RecordBatch) -> Result<Argument> {
        let rows = batch.num_rows();
        let mut counts: Option<BooleanBuffer> = None;
        let mut values = ScalarBuffer::from(Vec::new());
        if let Some(argument) = &self.argument {
            let array = argument.evaluate(batch)?.into_array(rows)?;
            counts = array.logical_nulls().filter(|n| n.null_count() > 0).map(NullBuffer::into_inner);
            values = match self.function {
                Function::Count => values,
                _ => words_of(&array)?,
            };
        }
        if let Some(filter) = &self.filter {
            let array = filter.evaluate(batch)?.into_array(rows)?;
            let filter = array.as_boolean_opt().ok_or_else(|| Error::internal("a FILTER that is no boolean"))?;
            let passes = match filter.nulls() {
                Some(valid) => filter.values() & valid.inner(),
                None => filter.values().clone(),
            };
            counts = Some(match counts {
                Some(valid) => &valid & &passes,
                None => passes,
            });
        }
        Ok(Argument { values, counts })
    }

    /// The flag that rows get which meet this argument, when all of its rows count.
    pub(super) fn mark(&self, argument: &Argument) -> u64 {
        if argument.counts.is_none() { self.seen } else { 0 }
    }

    /// Adds rows from `from` on, one per slot.
    pub(super) fn update(
        &self,
        table: &mut FlatTable,
        sets: &mut [DistinctSet],
        slots: &[u32],
        argument: &Argument,
        from: usize,
    ) {
        let (at, values) = (self.at, argument.values.get(from..).unwrap_or_default());
        // A loop over the rows, made for each function, with and without rows that do not count.
        macro_rules! each {
            (|$i:ident, $row:ident| $work:expr) => {
                match &argument.counts {
                    None => table.each(slots, |$i, $row| $work),
                    Some(counts) => table.each(slots, |$i, $row| {
                        if counts.value(from + $i) {
                            $row[HEAD] |= self.seen;
                            $work
                        }
                    }),
                }
            };
        }
        match self.function {
            Function::Count => each!(|_i, row| row[at] = row[at].wrapping_add(1)),
            Function::CountDistinct(set) => match sets.get_mut(set) {
                None => {}
                Some(DistinctSet::Pairs(set)) => {
                    each!(|i, row| row[at] = row[at].wrapping_add(u64::from(set.insert((slots[i], values[i])))));
                }
                Some(DistinctSet::Values(set)) => {
                    let mut new = 0_u64;
                    for (i, value) in values.iter().enumerate().take(slots.len()) {
                        if argument.counts.as_ref().is_none_or(|c| c.value(from + i)) {
                            new = new.wrapping_add(u64::from(set.insert(*value)));
                        }
                    }
                    table.each(slots.get(..1).unwrap_or_default(), |_, row| row[at] = row[at].wrapping_add(new));
                }
            },
            Function::Sum(Number::Signed) => each!(|i, row| add(row, at, values[i], sign(values[i]))),
            Function::Sum(Number::Unsigned) => each!(|i, row| add(row, at, values[i], 0)),
            Function::Sum(Number::Float) => each!(|i, row| add_float(row, at, values[i])),
            Function::Avg => each!(|i, row| {
                add_float(row, at, values[i]);
                row[at + 1] = row[at + 1].wrapping_add(1);
            }),
            Function::Min(Number::Signed) => each!(|i, row| row[at] = (row[at] as i64).min(values[i] as i64) as u64),
            Function::Max(Number::Signed) => each!(|i, row| row[at] = (row[at] as i64).max(values[i] as i64) as u64),
            Function::Min(Number::Unsigned) => each!(|i, row| row[at] = row[at].min(values[i])),
            Function::Max(Number::Unsigned) => each!(|i, row| row[at] = row[at].max(values[i])),
            Function::Min(Number::Float) => each!(|i, row| least(row, at, values[i])),
            Function::Max(Number::Float) => each!(|i, row| greatest(row, at, values[i])),
        }
    }

    /// Adds the states of rows of another table of the same layout, one per slot. (What is distinct is told by the sets.)
    pub(super) fn merge<'a>(&self, table: &mut FlatTable, slots: &[u32], theirs: impl Fn(usize) -> &'a [u64]) {
        let at = self.at;
        table.each(slots, |i, row| {
            let from = theirs(i);
            if self.seen != 0 && from[HEAD] & self.seen == 0 {
                return;
            }
            row[HEAD] |= self.seen;
            match self.function {
                Function::Count => row[at] = row[at].wrapping_add(from[at]),
                Function::CountDistinct(_) => {}
                Function::Sum(Number::Float) => add_float(row, at, from[at]),
                Function::Sum(_) => add(row, at, from[at], from[at + 1]),
                Function::Avg => {
                    add_float(row, at, from[at]);
                    row[at + 1] = row[at + 1].wrapping_add(from[at + 1]);
                }
                Function::Min(Number::Signed) => row[at] = (row[at] as i64).min(from[at] as i64) as u64,
                Function::Max(Number::Signed) => row[at] = (row[at] as i64).max(from[at] as i64) as u64,
                Function::Min(Number::Unsigned) => row[at] = row[at].min(from[at]),
                Function::Max(Number::Unsigned) => row[at] = row[at].max(from[at]),
                Function::Min(Number::Float) => least(row, at, from[at]),
                Function::Max(Number::Float) => greatest(row, at, from[at]),
            }
        });
    }

    /// Forgets what a row has counted.
    pub(super) fn count_none(&self, row: &mut [u64]) {
        row[self.at] = 0;
    }

    /// Counts one more value of a row's set.
    pub(super) fn count_more(&self, row: &mut [u64]) {
        row[self.at] = row[self.at].wrapping_add(1);
    }

    /// The values of some rows.
    pub(super) fn values(&self, all: Blocks<'_>) -> Result<ArrayRef> {
        let (at, rows) = (self.at, || all.rows());
        let unseen = self.seen != 0 && !all.all(|row| row[HEAD] & self.seen != 0);
        let valid = unseen.then(|| NullBuffer::from_iter(rows().map(|row| row[HEAD] & self.seen != 0)));
        let words: Vec<u64> = match self.function {
            Function::Sum(number @ (Number::Signed | Number::Unsigned)) => {
                let fits = |row: &[u64]| match number {
                    Number::Signed => row[at + 1] == sign(row[at]),
                    _ => row[at + 1] == 0,
                };
                if !all.all(fits) {
                    return Err(overflow(&self.result));
                }
                all.words(|row| row[at])
            }
            Function::Avg => all.words(|row| average(row, at).to_bits()),
            _ => all.words(|row| row[at]),
        };
        if self.result == DataType::Float32 {
            let wide = from_words(&DataType::Float64, words, valid)?;
            return Ok(cast(&wide, &DataType::Float32)?);
        }
        from_words(&self.result, words, valid)
    }

    /// Whether two rows of one key have the same value.
    pub(super) fn is_same(&self, was: &[u64], now: &[u64]) -> bool {
        let at = self.at;
        (was[HEAD] ^ now[HEAD]) & self.seen == 0
            && match self.function {
                Function::Avg => average(was, at).to_bits() == average(now, at).to_bits(),
                Function::Sum(Number::Signed | Number::Unsigned) => was[at..at + 2] == now[at..at + 2],
                _ => was[at] == now[at],
            }
    }
}

impl Argument {
    /// The argument of some rows.
    pub(super) fn take(&self, rows: &[u32]) -> Self {
        let values = match self.values.len() {
            0 => ScalarBuffer::from(Vec::new()),
            _ => rows.iter().map(|row| self.values[*row as usize]).collect::<Vec<_>>().into(),
        };
        let counts =
            self.counts.as_ref().map(|c| BooleanBuffer::collect_bool(rows.len(), |i| c.value(rows[i] as usize)));
        Self { values, counts }
    }
}

/// How the values of a type are ordered, when they fit in a word.
fn number_of(data_type: &DataType) -> Option<Number> {
    width_in_word(data_type)?;
    Some(match data_type {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => Number::Signed,
        DataType::Date32 | DataType::Date64 | DataType::Time32(_) | DataType::Time64(_) => Number::Signed,
        DataType::Timestamp(..) | DataType::Duration(_) => Number::Signed,
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => Number::Unsigned,
        DataType::Float32 | DataType::Float64 => Number::Float,
        _ => return None,
    })
}

/// Values as words that compare as the values do.
fn words_of(array: &ArrayRef) -> Result<ScalarBuffer<u64>> {
    if let Some(floats) = array.as_primitive_opt::<Float32Type>() {
        return Ok(floats.values().iter().map(|v| f64::from(*v).to_bits()).collect::<Vec<_>>().into());
    }
    to_words(array, number_of(array.data_type()) == Some(Number::Signed))
}

/// The high word of a signed number of one word.
fn sign(word: u64) -> u64 {
    (word as i64 >> 63) as u64
}

#[inline]
fn add(row: &mut [u64], at: usize, low: u64, high: u64) {
    let (sum, carry) = row[at].overflowing_add(low);
    row[at] = sum;
    row[at + 1] = row[at + 1].wrapping_add(high).wrapping_add(u64::from(carry));
}

#[inline]
fn add_float(row: &mut [u64], at: usize, value: u64) {
    row[at] = (f64::from_bits(row[at]) + f64::from_bits(value)).to_bits();
}

/// As DataFusion: what can't be compared (NaN) takes the place.
#[inline]
fn least(row: &mut [u64], at: usize, value: u64) {
    let keep = f64::from_bits(value) >= f64::from_bits(row[at]);
    if !keep {
        row[at] = value;
    }
}

#[inline]
fn greatest(row: &mut [u64], at: usize, value: u64) {
    let keep = f64::from_bits(value) <= f64::from_bits(row[at]);
    if !keep {
        row[at] = value;
    }
}

fn average(row: &[u64], at: usize) -> f64 {
    f64::from_bits(row[at]) / row[at + 1] as f64
}

/// As `sum` says it where its states are not flat.
fn overflow(result: &DataType) -> Error {
    let name = if *result == DataType::UInt64 { "BIGINT UNSIGNED" } else { "BIGINT" };
    Error::execution(format!("sum overflows {name}: sum(CAST(… AS DECIMAL(38, 0))) has more room"))
}
