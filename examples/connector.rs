//! A connector of one's own: a source that counts, made and tuned in SQL like those that are built in.
//!
//!     cargo run --example connector

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::util::pretty::pretty_format_batches;
use tidemill::catalog::Description;
use tidemill::connector::{Connector, Position, Read, RelationSpec, Sink, Source, SourceBatch};
use tidemill::engine::{Control, Engine};
use tidemill::error::{Error, Result};

/// `WITH (connector = 'counter', up_to = '…')`.
struct CounterConnector;

impl Connector for CounterConnector {
    fn name(&self) -> &'static str {
        "counter"
    }

    /// The columns of a table that is declared without any.
    fn infer(&self, _: &RelationSpec) -> Result<SchemaRef> {
        Ok(Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)])))
    }

    /// Asked once at CREATE TABLE. An option that nobody has asked for by then is reported as a mistake.
    fn describe(&self, spec: &RelationSpec) -> Result<Description> {
        up_to(spec)?;
        Ok(Description {
            bounded: true,
            live: false,
            readable: true,
            writable: false,
            accepts_changes: false,
            gives_changes: false,
            partitions: 1,
        })
    }

    fn source(&self, spec: &RelationSpec, projection: &[usize]) -> Result<Box<dyn Source>> {
        let schema = Arc::clone(&spec.schema);
        let projection = projection.to_vec();
        Ok(Box::new(Counter { next: 1, up_to: up_to(spec)?, rows: spec.settings.batch_rows_max, schema, projection }))
    }

    fn sink(&self, spec: &RelationSpec) -> Result<Box<dyn Sink>> {
        Err(Error::sql(format!("'{}' counts; nothing can be written into it", spec.name)))
    }
}

fn up_to(spec: &RelationSpec) -> Result<i64> {
    Ok(spec.options.parse("up_to")?.unwrap_or(10))
}

struct Counter {
    next: i64,
    up_to: i64,
    rows: usize,
    schema: SchemaRef,
    projection: Vec<usize>,
}

impl Source for Counter {
    /// Rows, or `Idle` when there are none within the wait, or `End`.
    fn read(&mut self, _: Duration) -> Result<Read> {
        if self.next > self.up_to {
            return Ok(Read::End);
        }
        let numbers = Int64Array::from_iter_values((self.next..=self.up_to).take(self.rows));
        let records = numbers.len() as u64;
        self.next += i64::try_from(records).unwrap_or(i64::MAX);
        // The query may want only some of the columns, or, to count rows, none.
        let batch =
            RecordBatch::try_new(Arc::clone(&self.schema), vec![Arc::new(numbers)])?.project(&self.projection)?;
        let position = Position(self.next.into());
        Ok(Read::Batch(SourceBatch { partition: 0, batch, records, bytes: records * 8, bad: Vec::new(), position }))
    }

    /// Counting can go on from anywhere.
    fn seek(&mut self, position: &Position) -> Result<()> {
        self.next = position.0.as_i64().ok_or_else(|| Error::config("this is not a position of a counter"))?;
        Ok(())
    }

    fn replayable(&self) -> bool {
        true
    }
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::builder().connector(CounterConnector).build();
    engine
        .run_script(
            "CREATE TABLE numbers WITH (connector = 'counter', up_to = '1000000');
             CREATE MATERIALIZED VIEW remainders AS
             SELECT n % 3 AS remainder, count(*) AS numbers, sum(n) AS total FROM numbers GROUP BY n % 3;",
        )
        .await?;
    engine.run(&Control::new(), &mut |_| {}).await?;
    let rows = engine.query("SELECT * FROM remainders ORDER BY remainder").await?;
    println!("{}", pretty_format_batches(&rows)?);
    Ok(())
}
