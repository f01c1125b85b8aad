//! What one aggregate function has counted, group by group: of an interval at first, then of all rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::types::{
    DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType, DurationSecondType,
};
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array, Int64Array, PrimitiveArray, UInt32Array,
    UInt64Array,
};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, TimeUnit, UInt64Type};
use arrow::row::{RowConverter, SortField};

use crate::error::{Error, Result};
use crate::exec::groups::{Arguments, Call, values_of};
use crate::plan::Undo;

/// Encoded values, in their order, each with how often it is there.
pub(super) type Values = BTreeMap<Box<[u8]>, i64>;

/// The type that sums of every kind are kept in.
pub(super) const SUM: DataType = DataType::Decimal128(38, 0);

/// One function's share of each group.
pub(super) struct Tally {
    undo: Undo,
    part: Part,
    /// What the interval adds to the values that are there.
    sets: Vec<Values>,
    converter: Option<RowConverter>,
}

/// Numbers, by group.
#[derive(Default)]
pub(super) struct Part {
    /// How many values there are; of booleans, how many true ones.
    counts: Vec<i64>,
    /// Sums, in as many bits as any result has. Of booleans, how many false.
    sums: Vec<i128>,
}

impl Tally {
    pub(super) fn new(call: &Call, undo: Undo) -> Result<Self> {
        let converter = match undo {
            Undo::Least | Undo::Greatest | Undo::Different => {
                Some(RowConverter::new(vec![SortField::new(call.argument_type()?)])?)
            }
            _ => None,
        };
        Ok(Self { undo, part: Part::default(), sets: Vec::new(), converter })
    }

    /// The types of the columns that it is kept in; values are kept beside them.
    pub(super) fn types(undo: Undo) -> Vec<DataType> {
        match undo {
            Undo::Count => vec![DataType::Int64],
            Undo::Sum | Undo::Average | Undo::EveryTrue | Undo::AnyTrue => vec![DataType::Int64, SUM],
            Undo::Least | Undo::Greatest | Undo::Different => Vec::new(),
        }
    }

    pub(super) fn width(&self) -> usize {
        Self::types(self.undo).len()
    }

    /// Makes room for so many groups.
    pub(super) fn grow(&mut self, groups: usize) {
        match self.width() {
            0 => self.sets.resize_with(groups, Values::new),
            width => {
                self.part.counts.resize(groups, 0);
                self.part.sums.resize(if width > 1 { groups } else { 0 }, 0);
            }
        }
    }

    /// Adds rows, each as often as its weight says.
    pub(super) fn add(
        &mut self,
        arguments: &Arguments,
        groups: &[u32],
        weights: &Int64Array,
        total: usize,
    ) -> Result<()> {
        self.grow(total);
        let filter = arguments.filter.as_ref();
        // `count(a, b)` counts rows in which none is NULL.
        let counts = |row: usize| {
            filter.is_none_or(|f| f.is_valid(row) && f.value(row)) && arguments.values.iter().all(|v| v.is_valid(row))
        };
        let value = arguments.values.first().ok_or_else(|| Error::internal("an aggregate without an argument"))?;
        let rows = (0..groups.len()).filter(|r| counts(*r)).map(|r| (r, groups[r] as usize, weights.value(r)));
        match self.undo {
            Undo::Count => rows.for_each(|(_, group, weight)| self.part.counts[group] += weight),
            Undo::EveryTrue | Undo::AnyTrue => {
                let value = value.as_boolean_opt().ok_or_else(|| wrong(value))?;
                for (row, group, weight) in rows {
                    if value.value(row) {
                        self.part.counts[group] += weight;
                    } else {
                        self.part.sums[group] += i128::from(weight);
                    }
                }
            }
            Undo::Sum | Undo::Average => {
                let numbers = whole(value)?;
                for (row, group, weight) in rows {
                    self.part.counts[group] += weight;
                    let part = numbers.value(row).wrapping_mul(i128::from(weight));
                    self.part.sums[group] = self.part.sums[group].wrapping_add(part);
                }
            }
            Undo::Least | Undo::Greatest | Undo::Different => {
                let Some(converter) = &self.converter else {
                    return Err(Error::internal("values without an encoding"));
                };
                let encoded = converter.convert_columns(&[Arc::clone(value)])?;
                for (row, group, weight) in rows {
                    *self.sets[group].entry(encoded.row(row).data().into()).or_default() += weight;
                }
            }
        }
        Ok(())
    }

    /// What was kept of these groups, zero where there was nothing.
    pub(super) fn before(columns: &[ArrayRef]) -> Part {
        let counts = columns.first().map(|c| c.as_primitive::<Int64Type>().iter().map(Option::unwrap_or_default));
        let sums = columns.get(1).map(|c| c.as_primitive::<Decimal128Type>().iter().map(Option::unwrap_or_default));
        Part { counts: counts.into_iter().flatten().collect(), sums: sums.into_iter().flatten().collect() }
    }

    /// Adds what was kept.
    pub(super) fn combine(&mut self, before: &Part) -> Result<()> {
        for (new, old) in self.part.counts.iter_mut().zip(&before.counts) {
            *new += old;
        }
        for (new, old) in self.part.sums.iter_mut().zip(&before.sums) {
            *new = new.wrapping_add(*old);
        }
        if self.part.counts.iter().any(|n| *n < 0) {
            return Err(Error::internal("more values left a group than had entered it"));
        }
        Ok(())
    }

    /// The columns to keep.
    pub(super) fn columns(&self) -> Vec<ArrayRef> {
        match self.width() {
            0 => Vec::new(),
            1 => vec![Arc::new(Int64Array::from(self.part.counts.clone()))],
            _ => {
                let sums = Decimal128Array::from(self.part.sums.clone()).with_data_type(SUM);
                vec![Arc::new(Int64Array::from(self.part.counts.clone())), Arc::new(sums)]
            }
        }
    }

    /// What is to be added to the values that are kept.
    pub(super) fn take_sets(&mut self) -> Vec<Values> {
        std::mem::take(&mut self.sets)
    }

    /// The values of the function for each group as it was.
    pub(super) fn old<'k>(
        &self,
        call: &Call,
        before: &Part,
        groups: usize,
        kept: impl Fn(usize) -> Option<&'k Values>,
    ) -> Result<ArrayRef> {
        if self.converter.is_none() {
            return numbers(self.undo, call, before);
        }
        self.looked_up(call, groups, kept, |_| None)
    }

    /// The values of the function for each group as it is now.
    pub(super) fn new_values<'k>(
        &'k self,
        call: &Call,
        groups: usize,
        kept: impl Fn(usize) -> Option<&'k Values>,
    ) -> Result<ArrayRef> {
        if self.converter.is_none() {
            return numbers(self.undo, call, &self.part);
        }
        self.looked_up(call, groups, kept, |group| self.sets.get(group))
    }

    /// The values of a function that looks at the values which are there.
    fn looked_up<'k>(
        &self,
        call: &Call,
        groups: usize,
        kept: impl Fn(usize) -> Option<&'k Values>,
        added: impl Fn(usize) -> Option<&'k Values>,
    ) -> Result<ArrayRef> {
        let Some(converter) = &self.converter else { return Err(Error::internal("values without an encoding")) };
        let nothing = Values::new();
        let sides = |group: usize| (kept(group).unwrap_or(&nothing), added(group).unwrap_or(&nothing));
        if self.undo == Undo::Different {
            let counts = (0..groups).map(|g| different(sides(g)));
            return Ok(Arc::new(Int64Array::from_iter_values(counts)));
        }
        let parser = converter.parser();
        let (mut rows, mut places) = (Vec::new(), Vec::with_capacity(groups));
        for group in 0..groups {
            let (kept, added) = sides(group);
            let found = if self.undo == Undo::Least { least(kept, added) } else { greatest(kept, added) };
            places.push(found.map(|value| {
                rows.push(parser.parse(value));
                rows.len() as u32 - 1
            }));
        }
        let mut columns = converter.convert_rows(rows)?;
        let values = columns.pop().ok_or_else(|| Error::internal("an encoding without a column"))?;
        let values = take(&values, &UInt32Array::from(places), None)?;
        Ok(cast(&values, call.function.field().data_type())?)
    }
}

/// How many different values there are.
fn different((kept, added): (&Values, &Values)) -> i64 {
    let mut count = kept.len() as i64;
    for (value, n) in added {
        let before = kept.get(value).copied().unwrap_or_default();
        count += i64::from(before == 0 && *n != 0) - i64::from(before != 0 && before + n == 0);
    }
    count
}

fn least<'v>(kept: &'v Values, added: &'v Values) -> Option<&'v [u8]> {
    let old = kept.iter().find(|(value, n)| stays(added, value, **n)).map(|(value, _)| value);
    let new = added.iter().find(|(value, n)| comes(kept, value, **n)).map(|(value, _)| value);
    old.into_iter().chain(new).min().map(|value| &**value)
}

fn greatest<'v>(kept: &'v Values, added: &'v Values) -> Option<&'v [u8]> {
    let old = kept.iter().rev().find(|(value, n)| stays(added, value, **n)).map(|(value, _)| value);
    let new = added.iter().rev().find(|(value, n)| comes(kept, value, **n)).map(|(value, _)| value);
    old.into_iter().chain(new).max().map(|value| &**value)
}

fn stays(added: &Values, value: &[u8], n: i64) -> bool {
    n + added.get(value).copied().unwrap_or_default() > 0
}

fn comes(kept: &Values, value: &[u8], n: i64) -> bool {
    n + kept.get(value).copied().unwrap_or_default() > 0
}

/// The values of a function of numbers.
fn numbers(undo: Undo, call: &Call, part: &Part) -> Result<ArrayRef> {
    let parts = || part.counts.iter().zip(&part.sums);
    let result = call.function.field().data_type().clone();
    Ok(match undo {
        Undo::Count => Arc::new(Int64Array::from(part.counts.clone())),
        Undo::EveryTrue => {
            Arc::new(parts().map(|(yes, no)| (*yes > 0 || *no > 0).then_some(*no == 0)).collect::<BooleanArray>())
        }
        Undo::AnyTrue => {
            Arc::new(parts().map(|(yes, no)| (*yes > 0 || *no > 0).then_some(*yes > 0)).collect::<BooleanArray>())
        }
        Undo::Sum => sums(part, &result)?,
        Undo::Average if result == DataType::Float64 => {
            let average = |(n, sum): (&i64, &i128)| (*n > 0).then(|| *sum as f64 / *n as f64);
            Arc::new(parts().map(average).collect::<Float64Array>())
        }
        // An average of decimals is rounded as DataFusion does it.
        Undo::Average => {
            let counts = part.counts.iter().map(|n| (*n > 0).then_some(n.unsigned_abs())).collect::<UInt64Array>();
            let types = call.state_types()?;
            let [DataType::UInt64, of_sum @ DataType::Decimal128(..)] = types.as_slice() else {
                return Err(Error::internal("the state of an average is not a count and a sum"));
            };
            let mut values =
                values_of(std::slice::from_ref(call), &[Arc::new(counts), sums(part, of_sum)?], part.counts.len())?;
            values.pop().ok_or_else(|| Error::internal("an average without a value"))?
        }
        Undo::Least | Undo::Greatest | Undo::Different => {
            return Err(Error::internal("values are looked up, not counted"));
        }
    })
}

/// Sums in the type that they have outside; of nothing it is NULL.
fn sums(part: &Part, data_type: &DataType) -> Result<ArrayRef> {
    let of = || part.counts.iter().zip(&part.sums).map(|(n, sum)| (*n > 0).then_some(*sum));
    macro_rules! duration {
        ($t:ty) => {
            Arc::new(PrimitiveArray::<$t>::from_iter(in_range::<i64>(of(), "INTERVAL")?))
        };
    }
    Ok(match data_type {
        DataType::Int64 => Arc::new(Int64Array::from(in_range(of(), "BIGINT")?)),
        DataType::UInt64 => Arc::new(UInt64Array::from(in_range(of(), "BIGINT UNSIGNED")?)),
        DataType::Decimal128(..) => Arc::new(of().collect::<Decimal128Array>().with_data_type(data_type.clone())),
        DataType::Duration(TimeUnit::Second) => duration!(DurationSecondType),
        DataType::Duration(TimeUnit::Millisecond) => duration!(DurationMillisecondType),
        DataType::Duration(TimeUnit::Microsecond) => duration!(DurationMicrosecondType),
        DataType::Duration(TimeUnit::Nanosecond) => duration!(DurationNanosecondType),
        other => return Err(Error::internal(format!("a sum of type {other} that is taken back"))),
    })
}

/// Sums that must be in the range of their type now: what went over and came back is.
fn in_range<T: TryFrom<i128>>(sums: impl Iterator<Item = Option<i128>>, name: &str) -> Result<Vec<Option<T>>> {
    let fit = |sum: i128| T::try_from(sum).map_err(|_| Error::execution(format!("sum overflows {name}")));
    sums.map(|sum| sum.map(fit).transpose()).collect()
}

/// Values as whole numbers, of whatever scale.
fn whole(values: &ArrayRef) -> Result<PrimitiveArray<Decimal128Type>> {
    Ok(match values.data_type() {
        DataType::Int64 => values.as_primitive::<Int64Type>().unary(i128::from),
        DataType::UInt64 => values.as_primitive::<UInt64Type>().unary(i128::from),
        // Integers, made a DOUBLE for their average.
        DataType::Float64 => values.as_primitive::<Float64Type>().unary(|v| v as i128),
        DataType::Decimal128(..) => values.as_primitive::<Decimal128Type>().clone(),
        DataType::Duration(_) => cast(values, &DataType::Int64)?.as_primitive::<Int64Type>().unary(i128::from),
        _ => return Err(wrong(values)),
    })
}

fn wrong(values: &ArrayRef) -> Error {
    Error::internal(format!("values of type {} that are taken back", values.data_type()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(of: &[(u8, i64)]) -> Values {
        of.iter().map(|(value, n)| (Box::from([*value]), *n)).collect()
    }

    #[test]
    fn the_first_that_is_left() {
        let kept = values(&[(1, 1), (3, 2), (7, 1)]);
        let check = |added: &[(u8, i64)], low: Option<u8>, high: Option<u8>, count: i64| {
            let added = values(added);
            let one = |found: Option<&[u8]>| found.map(|v| v[0]);
            assert_eq!((one(least(&kept, &added)), one(greatest(&kept, &added))), (low, high));
            assert_eq!(different((&kept, &added)), count);
        };
        check(&[], Some(1), Some(7), 3);
        check(&[(1, -1)], Some(3), Some(7), 2);
        check(&[(1, -1), (3, -2), (7, -1)], None, None, 0);
        check(&[(1, -1), (2, 1), (7, -1), (9, 1)], Some(2), Some(9), 3);
        check(&[(3, -1), (4, 0)], Some(1), Some(7), 3);
    }
}
