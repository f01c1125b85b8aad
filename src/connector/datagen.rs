//! `connector = 'datagen'`: rows made up to a recipe, for trying queries out.
//!
//! Row i is a pure function of the seed and i, so that a run can be repeated and resumed. The options are Flink's:
//!
//! | option | what |
//! |---|---|
//! | `rows-per-second` | pace of wall time; 10000 unless the table ends by itself, which then goes as fast as it is read |
//! | `number-of-rows` | how many there are; without it and without a sequence that ends there is no end |
//! | `seed` | another seed gives other rows; 0 |
//! | `base-time` | where timestamps begin: a time or `now`; 2026-01-01 |
//! | `fields.f.kind` | `random` (default) or `sequence` |
//! | `fields.f.start`, `.end` | of a sequence; the table ends with the first that does |
//! | `fields.f.min`, `.max` | of numbers and dates; all of an integer type, 0 to 1 for floating point |
//! | `fields.f.length`, `.var-len` | of a text (16, hexadecimal) or an array (3) |
//! | `fields.f.values` | `a, b, c`: one of these (tidemill's own) |
//! | `fields.f.null-rate` | how many are NULL, from 0 to 1 |
//! | `fields.f.step`, `.max-past` | of a timestamp: time between rows (by the pace), and how far it may lie behind |
//!
//! `f` is the column's name; fields of a ROW are `row.f`, elements of an ARRAY `array.element`.

mod field;
pub(in crate::connector) mod moment;
pub(in crate::connector) mod pace;

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use serde::{Deserialize, Serialize};

use self::field::{Generated, Table};
use self::pace::{Pace, parse_rate};
use super::{Connector, Description, Position, Read, RelationSpec, Sink, Source, SourceBatch};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::time::Timestamp;

/// Rows per second of a table without end, as in Flink.
const ROWS_PER_SECOND: f64 = 10_000.0;

/// Makes datagen sources.
#[derive(Debug, Clone, Copy, Default)]
pub struct Datagen;

impl Connector for Datagen {
    fn name(&self) -> &'static str {
        "datagen"
    }

    fn reach(&self, _: &crate::settings::Options) -> super::Reach {
        super::Reach::Nothing
    }

    fn describe(&self, spec: &RelationSpec) -> Result<Description> {
        let declared = Declared::read(spec, spec.host.clock.now())?;
        Ok(Description {
            bounded: declared.rows.is_some(),
            // Paced rows are to be seen as they come, not once there are many.
            live: declared.pace.is_some(),
            readable: true,
            writable: false,
            accepts_changes: false,
            gives_changes: false,
            partitions: 1,
        })
    }

    fn source(&self, spec: &RelationSpec, projection: &[usize]) -> Result<Box<dyn Source>> {
        let now = spec.host.clock.now();
        let declared = Declared::read(spec, now)?;
        let schema = Arc::new(crate::format::project(&spec.schema, projection)?);
        Ok(Box::new(DatagenSource {
            schema,
            projection: projection.to_vec(),
            pace: Pace::new(declared.pace),
            declared,
            place: Place { next: 0, began: now.0 },
            spec: spec.clone(),
            host: spec.host.clone(),
            rows_max: spec.settings.batch_rows_max.max(1) as u64,
        }))
    }

    fn sink(&self, spec: &RelationSpec) -> Result<Box<dyn Sink>> {
        Err(Error::config(format!("'{}' can't be written: the datagen connector only makes rows", spec.name)))
    }
}

/// A datagen table as declared.
struct Declared {
    /// All its columns, as every option must be known.
    columns: Vec<Generated>,
    rows: Option<u64>,
    pace: Option<f64>,
}

impl Declared {
    /// Reads and checks the options of a relation; `began` is what `now` means in them.
    fn read(spec: &RelationSpec, began: Timestamp) -> Result<Self> {
        let options = &spec.options;
        options.get("connector");
        options.get("base-time");
        let rate =
            options.get("rows-per-second").map(|text| parse_rate(options, "rows-per-second", text)).transpose()?;
        let seed = options.parse::<u64>("seed")?.unwrap_or(0);
        let mut rows = options.parse::<u64>("number-of-rows")?;
        let step_micros = 1e6 / rate.unwrap_or(ROWS_PER_SECOND);
        let table = Table { name: &spec.name, options, seed, step_micros, now: began };
        let mut columns = Vec::with_capacity(spec.schema.fields().len());
        for field in spec.schema.fields() {
            let (column, ends) = Generated::new(&table, field)?;
            rows = rows.min(ends).or(rows).or(ends);
            columns.push(column);
        }
        options.finish("the datagen connector")?;
        let pace = rate.or(rows.is_none().then_some(ROWS_PER_SECOND));
        Ok(Self { columns, rows, pace })
    }
}

struct DatagenSource {
    schema: SchemaRef,
    projection: Vec<usize>,
    declared: Declared,
    place: Place,
    pace: Pace,
    spec: RelationSpec,
    host: Host,
    rows_max: u64,
}

/// Where a source stands.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Place {
    /// The next row.
    next: u64,
    /// When the first run began (µs), which is what `'base-time' = 'now'` means.
    began: i64,
}

impl Source for DatagenSource {
    fn read(&mut self, wait: Duration) -> Result<Read> {
        let first = self.place.next;
        let left = self.declared.rows.map_or(u64::MAX, |rows| rows.saturating_sub(first));
        if left == 0 {
            return Ok(Read::End);
        }
        let count = self.pace.take(&*self.host.clock, self.rows_max.min(left), wait);
        if count == 0 {
            return Ok(Read::Idle);
        }
        let rows: Vec<u64> = (first..first + count).collect();
        let columns = self.projection.iter().filter_map(|i| self.declared.columns.get(*i));
        let arrays = columns.map(|column| column.array(&rows)).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)?;
        self.place.next = first + count;
        let position = Position(serde_json::to_value(self.place).map_err(|e| Error::internal(e.to_string()))?);
        let bytes = batch.get_array_memory_size() as u64;
        Ok(Read::Batch(SourceBatch { partition: 0, batch, records: count, bytes, bad: Vec::new(), position }))
    }

    fn seek(&mut self, position: &Position) -> Result<()> {
        let place = Place::deserialize(&position.0)
            .map_err(|e| Error::config(format!("this is no position of a datagen source: {e}")))?;
        self.declared = Declared::read(&self.spec, Timestamp(place.began))?;
        self.pace = Pace::new(self.declared.pace);
        self.place = place;
        Ok(())
    }

    fn replayable(&self) -> bool {
        true
    }

    fn status(&self) -> Option<String> {
        Some(match self.declared.rows {
            Some(rows) => format!("row {} of {rows}", self.place.next),
            None => format!("row {}", self.place.next),
        })
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::compute::concat_batches;
    use arrow::datatypes::{
        DataType, Decimal128Type, Field, Float64Type, Int32Type, Int64Type, Schema, TimeUnit, TimestampMillisecondType,
    };

    use super::*;
    use crate::host::ManualClock;
    use crate::settings::{Options, Settings};

    fn spec(fields: Vec<(&str, DataType)>, options: &[(&str, &str)]) -> RelationSpec {
        let mut with = Options::new();
        for (name, value) in options {
            with.put(name, *value, None).unwrap();
        }
        let settings = Settings { batch_rows_max: 64, ..Settings::default() };
        RelationSpec {
            name: "rows".to_owned(),
            schema: Arc::new(Schema::new(fields.into_iter().map(|(n, t)| Field::new(n, t, true)).collect::<Vec<_>>())),
            options: with,
            settings,
            host: Host { clock: Arc::new(ManualClock::at(Timestamp(0))), ..Host::system() },
            key: None,
        }
    }

    fn every_type() -> Vec<(&'static str, DataType)> {
        let list = DataType::List(Arc::new(Field::new_list_field(DataType::Int32, true)));
        let row = DataType::Struct(
            vec![Field::new("x", DataType::Float64, true), Field::new("s", DataType::Utf8, true)].into(),
        );
        vec![
            ("id", DataType::Int64),
            ("small", DataType::Int8),
            ("n", DataType::Int32),
            ("u", DataType::UInt64),
            ("x", DataType::Float64),
            ("f", DataType::Float32),
            ("d", DataType::Decimal128(10, 2)),
            ("b", DataType::Boolean),
            ("s", DataType::Utf8View),
            ("c", DataType::Utf8),
            ("t", DataType::Timestamp(TimeUnit::Millisecond, None)),
            ("day", DataType::Date32),
            ("time", DataType::Time64(TimeUnit::Nanosecond)),
            ("time3", DataType::Time32(TimeUnit::Millisecond)),
            ("list", list),
            ("row", row),
        ]
    }

    const RECIPE: &[(&str, &str)] = &[
        ("number-of-rows", "500"),
        ("fields.id.kind", "sequence"),
        ("fields.id.start", "10"),
        ("fields.n.min", "-3"),
        ("fields.n.max", "3"),
        ("fields.n.null-rate", "0.5"),
        ("fields.d.min", "1.50"),
        ("fields.d.max", "2"),
        ("fields.x.min", "10"),
        ("fields.x.max", "20"),
        ("fields.s.length", "5"),
        ("fields.c.values", "red, green,blue"),
        ("fields.t.step", "1s"),
        ("fields.t.max-past", "10s"),
        ("fields.list.length", "2"),
        ("fields.list.element.max", "0"),
        ("fields.row.s.length", "1"),
    ];

    fn drain(source: &mut dyn Source) -> Vec<SourceBatch> {
        let mut batches = Vec::new();
        loop {
            match source.read(Duration::ZERO).unwrap() {
                Read::Batch(batch) => batches.push(batch),
                Read::End => return batches,
                other => panic!("{other:?}"),
            }
        }
    }

    fn open(spec: &RelationSpec) -> Box<dyn Source> {
        let all: Vec<usize> = (0..spec.schema.fields().len()).collect();
        Datagen.source(spec, &all).unwrap()
    }

    fn rows(batches: &[SourceBatch]) -> RecordBatch {
        concat_batches(&batches[0].batch.schema(), batches.iter().map(|b| &b.batch)).unwrap()
    }

    #[test]
    fn columns_follow_their_recipe() {
        let all = rows(&drain(&mut *open(&spec(every_type(), RECIPE))));
        assert_eq!(all.num_rows(), 500);
        let column = |name: &str| all.column_by_name(name).unwrap();
        assert_eq!(column("id").as_primitive::<Int64Type>().values()[..3], [10, 11, 12]);
        let n = column("n").as_primitive::<Int32Type>();
        assert!((150..350).contains(&n.null_count()), "{}", n.null_count());
        let mut seen: Vec<i32> = n.iter().flatten().collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, [-3, -2, -1, 0, 1, 2, 3]);
        assert!(column("x").as_primitive::<Float64Type>().values().iter().all(|x| (10.0..20.0).contains(x)));
        assert!(column("d").as_primitive::<Decimal128Type>().values().iter().all(|d| (150..=200).contains(d)));
        assert!(column("s").as_string_view().iter().flatten().all(|s| s.len() == 5));
        assert!(column("c").as_string::<i32>().iter().flatten().all(|c| ["red", "green", "blue"].contains(&c)));
        let t = column("t").as_primitive::<TimestampMillisecondType>();
        assert!((0..500).all(|i| (0..=10_000).contains(&(moment::BASE_MILLIS + i * 1000 - t.value(i as usize)))));
        assert!(column("list").as_list::<i32>().iter().flatten().all(|l| l.len() == 2));
    }

    #[test]
    fn a_run_that_was_cut_goes_on_as_if_it_had_not_been() {
        let spec = spec(every_type(), RECIPE);
        let straight = drain(&mut *open(&spec));
        assert_eq!(rows(&straight), rows(&drain(&mut *open(&spec))));
        for cut in 0..straight.len() - 1 {
            let mut source = open(&spec);
            source.seek(&straight[cut].position).unwrap();
            assert_eq!(rows(&drain(&mut *source)), rows(&straight[cut + 1..]));
        }
    }

    #[test]
    fn a_projection_reads_the_same_values_and_a_seed_others() {
        let whole = spec(every_type(), RECIPE);
        let all = rows(&drain(&mut *open(&whole)));
        for projection in [vec![8, 2], vec![15], vec![]] {
            let some = rows(&drain(&mut *Datagen.source(&whole, &projection).unwrap()));
            assert_eq!(some, all.project(&projection).unwrap());
        }
        let mut other = whole.clone();
        other.options.put("seed", "1", None).unwrap();
        assert_ne!(rows(&drain(&mut *open(&other))).column(8), all.column(8));
    }

    #[test]
    fn a_sequence_ends_the_table_and_nothing_else_does() {
        let fields = || vec![("id", DataType::Int32), ("n", DataType::Int32)];
        let ends = [("fields.id.kind", "sequence"), ("fields.id.start", "5"), ("fields.id.end", "9")];
        let bounded = spec(fields(), &ends);
        assert!(Datagen.describe(&bounded).unwrap().bounded);
        assert_eq!(rows(&drain(&mut *open(&bounded))).num_rows(), 5);

        let clock = Arc::new(ManualClock::at(Timestamp(0)));
        let mut endless = spec(fields(), &[("rows-per-second", "10")]);
        endless.host.clock = clock.clone();
        let described = Datagen.describe(&endless).unwrap();
        assert!(described.live && !described.bounded);
        let mut source = open(&endless);
        assert!(matches!(source.read(Duration::ZERO).unwrap(), Read::Idle));
        clock.advance(1_000_000);
        let Read::Batch(batch) = source.read(Duration::ZERO).unwrap() else { panic!("rows are due") };
        assert_eq!(batch.batch.num_rows(), 10);
    }

    #[test]
    fn odd_options_are_refused_with_their_name() {
        for (name, value) in [
            ("fields.n.kind", "serial"),
            ("fields.n.min", "many"),
            ("fields.small.max", "128"),
            ("fields.n.max", "-5"),
            ("fields.n.null-rate", "2"),
            ("fields.s.length", "99999999999"),
            ("fields.d.max", "123456789012"),
            ("fields.id.end", "9"),
            ("fields.nope.min", "1"),
            ("fields.u.values", "one"),
            ("rows-per-second", "0"),
            ("number-of-rows", "-1"),
        ] {
            let options: Vec<(&str, &str)> =
                RECIPE.iter().copied().filter(|(known, _)| *known != name).chain([(name, value)]).collect();
            let error = Datagen.describe(&spec(every_type(), &options)).map(|_| ()).unwrap_err();
            assert!(error.message().contains(name), "{name}: {error}");
        }
    }
}
