//! `connector = 'nexmark'`: the events of the Nexmark benchmark, an auction house where people sell and bid.
//!
//! Every event is a pure function of its number, so that a run can be repeated, cut and resumed anywhere. The option names are
//! those of Flink's nexmark source; see [`Declared`] for what they mean. A table is wide (`event_type`, and the rows `person`,
//! `auction`, `bid` of which one is not NULL) or, with `'table' = 'bid'`, has one kind of event with its fields as columns.

mod columns;
mod event;
mod options;
mod random;

use std::time::Duration;

use arrow::datatypes::SchemaRef;
use serde::{Deserialize, Serialize};

use self::columns::Columns;
use self::event::Generator;
use self::options::Declared;
use super::datagen::pace::Pace;
use super::{Connector, Description, Position, Read, RelationSpec, Sink, Source, SourceBatch};
use crate::error::{Error, Result};
use crate::host::Host;

/// The most events that one read looks at to find rows of a rare kind.
const EVENTS_PER_READ_MAX: u64 = 1 << 20;

/// Makes nexmark sources.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nexmark;

impl Connector for Nexmark {
    fn name(&self) -> &'static str {
        "nexmark"
    }

    fn infer(&self, spec: &RelationSpec) -> Result<SchemaRef> {
        Ok(columns::schema(Declared::read(spec)?.table))
    }

    fn reach(&self, _: &crate::settings::Options) -> super::Reach {
        super::Reach::Nothing
    }

    fn describe(&self, spec: &RelationSpec) -> Result<Description> {
        let declared = Declared::read(spec)?;
        Columns::new(&spec.name, declared.table, &spec.schema, &[])?;
        Ok(Description {
            bounded: declared.events.is_some(),
            // Paced rows are to be seen as they come, not once there are many.
            live: declared.rate.is_some(),
            readable: true,
            writable: false,
            accepts_changes: false,
            gives_changes: false,
            partitions: declared.partitions as usize,
        })
    }

    fn source(&self, spec: &RelationSpec, projection: &[usize]) -> Result<Box<dyn Source>> {
        let declared = Declared::read(spec)?;
        Ok(Box::new(NexmarkSource {
            columns: Columns::new(&spec.name, declared.table, &spec.schema, projection)?,
            generator: Generator::new(declared.shape.clone()),
            place: Place { next: vec![0; declared.partitions as usize], base: declared.shape.base_millis },
            ended: vec![false; declared.partitions as usize],
            turn: 0,
            pace: Pace::new(declared.rate),
            declared,
            host: spec.host.clone(),
            rows_max: spec.settings.batch_rows_max.max(1),
        }))
    }

    fn sink(&self, spec: &RelationSpec) -> Result<Box<dyn Sink>> {
        Err(Error::config(format!("'{}' can't be written: the nexmark connector only makes events", spec.name)))
    }
}

struct NexmarkSource {
    columns: Columns,
    generator: Generator,
    place: Place,
    ended: Vec<bool>,
    /// The partition to read next.
    turn: usize,
    pace: Pace,
    declared: Declared,
    host: Host,
    rows_max: usize,
}

/// Where a source stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    /// For each partition, how many of its events have been read.
    next: Vec<u64>,
    /// When event time begins, in milliseconds: with `'base-time' = 'now'` only the first run knows.
    base: i64,
}

impl Source for NexmarkSource {
    fn read(&mut self, wait: Duration) -> Result<Read> {
        let partitions = self.place.next.len();
        let Some(partition) = (0..partitions).map(|i| (self.turn + i) % partitions).find(|p| !self.ended[*p]) else {
            return Ok(Read::End);
        };
        let first = self.place.next[partition];
        let left = match self.declared.events_in(partition as u64) {
            Some(events) => events.saturating_sub(first),
            None => u64::MAX,
        };
        if left == 0 {
            self.ended[partition] = true;
            return Ok(Read::EndOfPartition(partition));
        }
        let most = if self.declared.table.is_some() { EVENTS_PER_READ_MAX } else { self.rows_max as u64 };
        let granted = self.pace.take(&*self.host.clock, left.min(most), wait);
        if granted == 0 {
            return Ok(Read::Idle);
        }
        self.turn = (partition + 1) % partitions;
        let mut rows = 0;
        let mut events = 0;
        while events < granted && rows < self.rows_max {
            let index = (first + events) * self.declared.partitions + partition as u64;
            let number = self.generator.number(index);
            if self.columns.holds(self.generator.kind(number)) {
                self.columns.push(&self.generator, number)?;
                rows += 1;
            }
            events += 1;
        }
        self.pace.give_back(granted - events);
        self.place.next[partition] = first + events;
        let batch = self.columns.finish(rows)?;
        let bytes = batch.get_array_memory_size() as u64;
        let position = Position(serde_json::to_value(&self.place).map_err(|e| Error::internal(e.to_string()))?);
        Ok(Read::Batch(SourceBatch { partition, batch, records: rows as u64, bytes, bad: Vec::new(), position }))
    }

    fn seek(&mut self, position: &Position) -> Result<()> {
        let place = Place::deserialize(&position.0)
            .map_err(|e| Error::config(format!("this is no position of a nexmark source: {e}")))?;
        if place.next.len() != self.place.next.len() {
            let (then, now) = (place.next.len(), self.place.next.len());
            return Err(Error::config(format!("the nexmark source had {then} partitions and now has {now}"))
                .help("declare as many 'partitions' as before, or begin anew"));
        }
        let mut shape = self.declared.shape.clone();
        shape.base_millis = place.base;
        self.generator = Generator::new(shape);
        self.ended = vec![false; place.next.len()];
        self.turn = 0;
        self.pace = Pace::new(self.declared.rate);
        self.place = place;
        Ok(())
    }

    fn replayable(&self) -> bool {
        true
    }

    fn status(&self) -> Option<String> {
        let read: u64 = self.place.next.iter().sum();
        Some(match self.declared.events {
            Some(events) => format!("event {read} of {events}"),
            None => format!("event {read}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
    use arrow::compute::concat_batches;
    use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema, TimeUnit, TimestampMillisecondType};

    use super::*;
    use crate::host::ManualClock;
    use crate::settings::{Options, Settings};
    use crate::time::Timestamp;

    fn spec(options: &[(&str, &str)], schema: Option<Schema>) -> RelationSpec {
        let mut with = Options::new();
        for (name, value) in options {
            with.put(name, *value, None).unwrap();
        }
        let settings = Settings { batch_rows_max: 100, ..Settings::default() };
        let host = Host { clock: Arc::new(ManualClock::at(Timestamp(0))), ..Host::system() };
        let mut spec = RelationSpec {
            name: "events".to_owned(),
            schema: Arc::new(Schema::empty()),
            options: with,
            settings,
            host,
            key: None,
        };
        spec.schema = schema.map_or_else(|| Nexmark.infer(&spec).unwrap(), Arc::new);
        spec
    }

    fn open(spec: &RelationSpec) -> Box<dyn Source> {
        let all: Vec<usize> = (0..spec.schema.fields().len()).collect();
        Nexmark.source(spec, &all).unwrap()
    }

    /// Everything that comes, with each batch's partition.
    fn drain(source: &mut dyn Source) -> Vec<SourceBatch> {
        let mut batches = Vec::new();
        loop {
            match source.read(Duration::ZERO).unwrap() {
                Read::Batch(batch) => batches.push(batch),
                Read::EndOfPartition(_) => {}
                Read::End => return batches,
                Read::Idle => panic!("unpaced sources are never idle"),
            }
        }
    }

    fn rows(batches: &[SourceBatch]) -> RecordBatch {
        concat_batches(&batches[0].batch.schema(), batches.iter().map(|b| &b.batch)).unwrap()
    }

    #[test]
    fn kinds_come_as_1_to_3_to_46_and_only_their_row_is_there() {
        let spec = spec(&[("events.num", "1000")], None);
        let all = rows(&drain(&mut *open(&spec)));
        assert_eq!(all.num_rows(), 1000);
        let kinds = all.column(0).as_primitive::<Int32Type>();
        let count = |kind| kinds.values().iter().filter(|k| **k == kind).count();
        assert_eq!((count(0), count(1), count(2)), (20, 60, 920));
        for (kind, column) in (0..).zip(&all.columns()[1..]) {
            let id = column.as_struct().column(0);
            for row in 0..1000 {
                assert_eq!(column.is_valid(row), kinds.value(row) == kind);
                assert_eq!(id.is_valid(row), kinds.value(row) == kind);
            }
        }
    }

    #[test]
    fn a_run_that_was_cut_goes_on_as_if_it_had_not_been() {
        let spec = spec(&[("events.num", "1234"), ("partitions", "3"), ("seed", "7")], None);
        let straight = drain(&mut *open(&spec));
        for cut in 0..straight.len() {
            let mut source = open(&spec);
            source.seek(&straight[cut].position).unwrap();
            let rest = drain(&mut *source);
            for partition in 0..3 {
                let of = |batches: &[SourceBatch]| -> Vec<RecordBatch> {
                    batches.iter().filter(|b| b.partition == partition).map(|b| b.batch.clone()).collect()
                };
                let schema = &spec.schema;
                assert_eq!(
                    concat_batches(schema, &of(&straight[cut + 1..])).unwrap(),
                    concat_batches(schema, &of(&rest)).unwrap()
                );
            }
        }
    }

    #[test]
    fn partitions_share_out_the_same_events() {
        let narrow = |partitions| {
            let spec = spec(&[("table", "bid"), ("events.num", "5000"), ("partitions", partitions)], None);
            let all = rows(&drain(&mut *open(&spec)));
            let mut ids: Vec<(i64, i64)> = (0..all.num_rows())
                .map(|i| {
                    let price = all.column(2).as_primitive::<Int64Type>().value(i);
                    (all.column(5).as_primitive::<TimestampMillisecondType>().value(i), price)
                })
                .collect();
            ids.sort_unstable();
            ids
        };
        assert_eq!(narrow("1").len(), 4600);
        assert_eq!(narrow("1"), narrow("4"));
    }

    #[test]
    fn a_projection_reads_the_same_values() {
        let spec = spec(&[("table", "bid"), ("events.num", "500")], None);
        let all = rows(&drain(&mut *open(&spec)));
        for projection in [vec![5], vec![2, 0], vec![4, 3], vec![]] {
            let some = rows(&drain(&mut *Nexmark.source(&spec, &projection).unwrap()));
            assert_eq!(some, all.project(&projection).unwrap());
        }
    }

    #[test]
    fn declared_columns_are_found_by_name_and_cast() {
        let schema = Schema::new(vec![
            Field::new("date_time", DataType::Timestamp(TimeUnit::Microsecond, None), true),
            Field::new("PRICE", DataType::Decimal128(20, 2), true),
            Field::new("channel", DataType::Utf8View, true),
            Field::new("URL", DataType::Utf8View, true),
        ]);
        let declared = spec(&[("table", "bid"), ("events.num", "100")], Some(schema.clone()));
        let ours = rows(&drain(&mut *open(&declared)));
        let plain = rows(&drain(&mut *open(&spec(&[("table", "bid"), ("events.num", "100")], None))));
        let cast = |array: &ArrayRef, i: usize| arrow::compute::cast(array, schema.field(i).data_type()).unwrap();
        assert_eq!(ours.column(0), &cast(plain.column(5), 0));
        assert_eq!(ours.column(1), &cast(plain.column(2), 1));
        assert_eq!(ours.column(2), &cast(plain.column(3), 2));
        assert_eq!(ours.column(3), &cast(plain.column(4), 3));

        let wrong = Schema::new(vec![Field::new("prise", DataType::Int64, true)]);
        let error = Nexmark.describe(&spec(&[("table", "bid")], Some(wrong.clone()))).unwrap_err();
        assert!(error.helps()[0].contains("'price'"), "{error}");
        let error = Nexmark.describe(&spec(&[], Some(Schema::new(vec![Field::new("price", DataType::Int64, true)]))));
        assert!(error.unwrap_err().to_string().contains("'table' = 'bid'"));
    }

    #[test]
    fn seeds_differ_and_event_time_keeps_pace_with_the_rate() {
        let prices = |seed| {
            let spec = spec(&[("table", "bid"), ("events.num", "500"), ("seed", seed)], None);
            rows(&drain(&mut *open(&spec))).column(2).clone()
        };
        assert_eq!(&prices("1"), &prices("1"));
        assert_ne!(&prices("0"), &prices("1"));

        let clock = Arc::new(ManualClock::at(Timestamp(0)));
        let mut spec = spec(&[("rate", "100/s"), ("base-time", "1970-01-01")], None);
        spec.host.clock = clock.clone();
        assert!(Nexmark.describe(&spec).unwrap().live);
        let mut source = open(&spec);
        assert!(matches!(source.read(Duration::ZERO).unwrap(), Read::Idle));
        clock.advance(500_000);
        let Read::Batch(batch) = source.read(Duration::ZERO).unwrap() else { panic!("rows are due") };
        assert_eq!(batch.batch.num_rows(), 50);
        let bids = batch.batch.column(3).as_struct();
        assert_eq!(bids.column(5).as_primitive::<TimestampMillisecondType>().value(49), 490);
    }

    #[test]
    fn odd_options_are_refused_with_their_name() {
        for (name, value) in [
            ("person.proportion", "0"),
            ("auction.proportion", "0"),
            ("bid.hot-ratio.auctions", "0"),
            ("out-of-order.group-size", "1906"),
            ("partitions", "0"),
            ("first-event.rate", "0"),
            ("rate", "often"),
            ("base-time", "soon"),
            ("table", "sales"),
            ("event.num", "5"),
            ("events.num", "-1"),
        ] {
            let mut spec = spec(&[], None);
            spec.options.put(name, value, None).unwrap();
            let error = Nexmark.describe(&spec).unwrap_err();
            assert!(error.message().contains(name), "{name}: {error}");
        }
    }
}
