//! Columns of events: which fields a table declares, and batches made of just the fields that are read.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, Int32Array, Int64Array, RecordBatch, RecordBatchOptions, StringBuilder, StringViewBuilder,
    StructArray, TimestampMillisecondArray,
};
use arrow::buffer::{Buffer, NullBuffer};
use arrow::compute::{CastOptions, can_cast_types, cast_with_options};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};

use super::event::{Auction, Bid, CHANNELS, Draws, Generator, Kind, Person};
use crate::error::{Error, Result, nearest};
use crate::format::spelling;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Number,
    Text,
    Moment,
}

use Holds::{Moment, Number, Text};

const PERSON: [(&str, Holds); 8] = [
    ("id", Number),
    ("name", Text),
    ("emailAddress", Text),
    ("creditCard", Text),
    ("city", Text),
    ("state", Text),
    ("dateTime", Moment),
    ("extra", Text),
];
const AUCTION: [(&str, Holds); 10] = [
    ("id", Number),
    ("itemName", Text),
    ("description", Text),
    ("initialBid", Number),
    ("reserve", Number),
    ("dateTime", Moment),
    ("expires", Moment),
    ("seller", Number),
    ("category", Number),
    ("extra", Text),
];
const BID: [(&str, Holds); 7] = [
    ("auction", Number),
    ("bidder", Number),
    ("price", Number),
    ("channel", Text),
    ("url", Text),
    ("dateTime", Moment),
    ("extra", Text),
];
const EVENT_TYPE: &str = "event_type";
const WIDE: [(&str, Kind); 3] = [("person", Kind::Person), ("auction", Kind::Auction), ("bid", Kind::Bid)];

/// The columns of a table that was declared without any.
pub(super) fn schema(table: Option<Kind>) -> SchemaRef {
    let fields: Fields = match table {
        Some(kind) => record_fields(kind),
        None => {
            let records =
                WIDE.iter().map(|(name, kind)| Field::new(*name, DataType::Struct(record_fields(*kind)), true));
            std::iter::once(Field::new(EVENT_TYPE, DataType::Int32, true)).chain(records).collect()
        }
    };
    Arc::new(Schema::new(fields))
}

fn record_fields(kind: Kind) -> Fields {
    fields_of(kind).iter().map(|(name, holds)| Field::new(*name, holds.data_type(), true)).collect()
}

fn fields_of(kind: Kind) -> &'static [(&'static str, Holds)] {
    match kind {
        Kind::Person => &PERSON,
        Kind::Auction => &AUCTION,
        Kind::Bid => &BID,
    }
}

impl Holds {
    fn data_type(self) -> DataType {
        match self {
            Number => DataType::Int64,
            Text => DataType::Utf8,
            Moment => DataType::Timestamp(TimeUnit::Millisecond, None),
        }
    }
}

/// The columns that a query reads.
pub(super) struct Columns {
    schema: SchemaRef,
    columns: Vec<Column>,
    /// The one kind of event of the table, when it is narrow.
    table: Option<Kind>,
    draws: Draws,
    person: Person,
    auction: Auction,
    bid: Bid,
}

enum Column {
    EventType(Vec<i32>),
    /// A field of a narrow table.
    Field(Kind, FieldColumn),
    /// A row of a wide table.
    Record(Kind, Fields, Vec<FieldColumn>, Vec<bool>),
}

/// Values of one field of one kind of event.
struct FieldColumn {
    /// Index into the fields of its kind.
    index: usize,
    target: DataType,
    values: Values,
}

enum Values {
    Numbers(Vec<i64>),
    Moments(Vec<i64>),
    Texts(StringBuilder),
    Views(StringViewBuilder),
    /// Views of texts that all lie in [`URLS`].
    Urls(StringViewBuilder),
}

/// The URLs of all channels one after the other, and where each begins.
static URLS: LazyLock<(Buffer, Vec<u32>)> = LazyLock::new(|| {
    let mut text = String::new();
    let mut starts = Vec::with_capacity(CHANNELS.len());
    for channel in CHANNELS.iter() {
        starts.push(text.len() as u32);
        text.push_str(&channel.url);
    }
    (Buffer::from(text.into_bytes()), starts)
});

impl Columns {
    /// The columns of a relation's schema that a query reads.
    pub(super) fn new(relation: &str, table: Option<Kind>, schema: &Schema, projection: &[usize]) -> Result<Self> {
        // Every declared column is checked, so that a typo shows however little a query reads.
        for field in schema.fields() {
            column(relation, table, field)?;
        }
        let projected = crate::format::project(schema, projection)?;
        let columns =
            projected.fields().iter().map(|field| column(relation, table, field)).collect::<Result<Vec<_>>>()?;
        let bid_fields = columns.iter().flat_map(|column| match column {
            Column::Field(Kind::Bid, field) => std::slice::from_ref(field),
            Column::Record(Kind::Bid, _, fields, _) => fields.as_slice(),
            _ => &[],
        });
        let draws = bid_fields.map(|field| bid_draws(field.index)).max().unwrap_or(Draws::Nothing);
        let (person, auction, bid) = Default::default();
        Ok(Self { schema: Arc::new(projected), columns, table, draws, person, auction, bid })
    }

    /// Appends an event; of a narrow table only its own kind may be appended.
    pub(super) fn push(&mut self, generator: &Generator, number: u64) -> Result<()> {
        let kind = generator.kind(number);
        if self.columns.iter().any(|column| column.reads(kind)) {
            match kind {
                Kind::Person => generator.person(number, &mut self.person),
                Kind::Auction => generator.auction(number, &mut self.auction),
                Kind::Bid => generator.bid(number, self.draws, &mut self.bid),
            }
        }
        for column in &mut self.columns {
            match column {
                Column::EventType(types) => types.push(kind as i32),
                Column::Field(_, field) => match kind {
                    Kind::Person => field.push_person(&self.person),
                    Kind::Auction => field.push_auction(&self.auction),
                    Kind::Bid => field.push_bid(&self.bid)?,
                },
                Column::Record(of, _, fields, present) => {
                    present.push(*of == kind);
                    for field in fields {
                        match kind {
                            _ if *of != kind => field.push_null(),
                            Kind::Person => field.push_person(&self.person),
                            Kind::Auction => field.push_auction(&self.auction),
                            Kind::Bid => field.push_bid(&self.bid)?,
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether events of this kind are rows of the table.
    pub(super) fn holds(&self, kind: Kind) -> bool {
        self.table.is_none_or(|table| table == kind)
    }

    /// The rows appended since the last batch, whose number is known to the caller.
    pub(super) fn finish(&mut self, rows: usize) -> Result<RecordBatch> {
        let arrays = self.columns.iter_mut().zip(self.schema.fields());
        let arrays = arrays.map(|(column, field)| column.finish(field.data_type())).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)?)
    }
}

impl Column {
    fn reads(&self, kind: Kind) -> bool {
        match self {
            Self::EventType(_) => false,
            Self::Field(of, _) | Self::Record(of, ..) => *of == kind,
        }
    }

    fn finish(&mut self, data_type: &DataType) -> Result<ArrayRef> {
        Ok(match self {
            Self::EventType(types) => to_type(Arc::new(Int32Array::from(std::mem::take(types))), data_type)?,
            Self::Field(_, field) => field.finish(None)?,
            Self::Record(_, fields, columns, present) => {
                let nulls = NullBuffer::from(std::mem::take(present));
                let rows = nulls.len();
                // The fields of a NULL row are NULL too: not every reader of a field looks at its row.
                let arrays = columns.iter_mut().map(|c| c.finish(Some(nulls.clone()))).collect::<Result<Vec<_>>>()?;
                Arc::new(StructArray::try_new_with_length(fields.clone(), arrays, Some(nulls), rows)?)
            }
        })
    }
}

impl FieldColumn {
    fn new(kind: Kind, index: usize, target: DataType) -> Self {
        let values = match fields_of(kind)[index] {
            (_, Number) => Values::Numbers(Vec::new()),
            (_, Moment) => Values::Moments(Vec::new()),
            ("url", Text) if target == DataType::Utf8View => Values::Urls(urls_builder()),
            (_, Text) if target == DataType::Utf8View => Values::Views(StringViewBuilder::new()),
            (_, Text) => Values::Texts(StringBuilder::new()),
        };
        Self { index, target, values }
    }

    fn number(&mut self, value: i64) {
        if let Values::Numbers(values) | Values::Moments(values) = &mut self.values {
            values.push(value);
        }
    }

    fn text(&mut self, value: &str) {
        match &mut self.values {
            Values::Texts(values) => values.append_value(value),
            Values::Views(values) => values.append_value(value),
            _ => {}
        }
    }

    fn push_null(&mut self) {
        match &mut self.values {
            Values::Numbers(values) | Values::Moments(values) => values.push(0),
            Values::Texts(values) => values.append_null(),
            Values::Views(values) | Values::Urls(values) => values.append_null(),
        }
    }

    fn push_person(&mut self, person: &Person) {
        match self.index {
            0 => self.number(person.id),
            1 => self.text(&person.name),
            2 => self.text(&person.email),
            3 => self.text(&person.credit_card),
            4 => self.text(person.city),
            5 => self.text(person.state),
            6 => self.number(person.millis),
            _ => self.text(&person.extra),
        }
    }

    fn push_auction(&mut self, auction: &Auction) {
        match self.index {
            0 => self.number(auction.id),
            1 => self.text(&auction.item),
            2 => self.text(&auction.description),
            3 => self.number(auction.initial_bid),
            4 => self.number(auction.reserve),
            5 => self.number(auction.millis),
            6 => self.number(auction.expires),
            7 => self.number(auction.seller),
            8 => self.number(auction.category),
            _ => self.text(&auction.extra),
        }
    }

    fn push_bid(&mut self, bid: &Bid) -> Result<()> {
        match self.index {
            0 => self.number(bid.auction),
            1 => self.number(bid.bidder),
            2 => self.number(bid.price),
            3 => self.text(&CHANNELS[bid.channel].name),
            4 => match &mut self.values {
                Values::Urls(urls) => {
                    urls.try_append_view(0, URLS.1[bid.channel], CHANNELS[bid.channel].url.len() as u32)?;
                }
                _ => self.text(&CHANNELS[bid.channel].url),
            },
            5 => self.number(bid.millis),
            _ => self.text(&bid.extra),
        }
        Ok(())
    }

    fn finish(&mut self, nulls: Option<NullBuffer>) -> Result<ArrayRef> {
        let array: ArrayRef = match &mut self.values {
            Values::Numbers(values) => Arc::new(Int64Array::new(std::mem::take(values).into(), nulls)),
            Values::Moments(values) => Arc::new(TimestampMillisecondArray::new(std::mem::take(values).into(), nulls)),
            Values::Texts(values) => Arc::new(values.finish()),
            Values::Views(values) => Arc::new(values.finish()),
            Values::Urls(values) => Arc::new(std::mem::replace(values, urls_builder()).finish()),
        };
        to_type(array, &self.target)
    }
}

/// A builder whose first block holds all URLs.
fn urls_builder() -> StringViewBuilder {
    let mut builder = StringViewBuilder::new();
    builder.append_block(URLS.0.clone());
    builder
}

/// How far a bid has to be drawn for one of its fields.
fn bid_draws(index: usize) -> Draws {
    match index {
        0 => Draws::Auction,
        1 => Draws::Bidder,
        2 => Draws::Price,
        3 | 4 => Draws::Channel,
        5 => Draws::Nothing,
        _ => Draws::Extra,
    }
}

/// The column for a declared field.
fn column(relation: &str, table: Option<Kind>, field: &Field) -> Result<Column> {
    let name = spelling(field);
    if let Some(kind) = table {
        return Ok(Column::Field(kind, field_column(relation, name, kind, field)?));
    }
    if same_name(name, EVENT_TYPE) {
        castable(relation, name, &DataType::Int32, field.data_type())?;
        return Ok(Column::EventType(Vec::new()));
    }
    let Some((_, kind)) = WIDE.iter().find(|(known, _)| same_name(name, known)) else {
        let known = || std::iter::once(EVENT_TYPE).chain(WIDE.iter().map(|(n, _)| *n));
        let error = unknown(relation, name, known());
        let narrow = WIDE.iter().find(|(_, kind)| fields_of(*kind).iter().any(|(n, _)| same_name(n, name)));
        return Err(match narrow {
            Some((table, _)) => {
                error.help(format!("for a table of {table} columns give the option 'table' = '{table}'"))
            }
            None => error,
        });
    };
    let DataType::Struct(fields) = field.data_type() else {
        let message = format!("column '{name}' of '{relation}' is a ROW, not {}", field.data_type());
        return Err(Error::sql(message).help("declare it as ROW<name TYPE, …>"));
    };
    let columns = fields.iter().map(|inner| {
        let path = format!("{name}.{}", spelling(inner));
        field_column(relation, &path, *kind, inner)
    });
    Ok(Column::Record(*kind, fields.clone(), columns.collect::<Result<Vec<_>>>()?, Vec::new()))
}

fn field_column(relation: &str, path: &str, kind: Kind, field: &Field) -> Result<FieldColumn> {
    let name = spelling(field);
    let known = fields_of(kind);
    let Some(index) = known.iter().position(|(n, _)| same_name(n, name)) else {
        return Err(unknown(relation, path, known.iter().map(|(n, _)| *n)));
    };
    castable(relation, path, &known[index].1.data_type(), field.data_type())?;
    Ok(FieldColumn::new(kind, index, field.data_type().clone()))
}

fn castable(relation: &str, name: &str, from: &DataType, to: &DataType) -> Result<()> {
    if from == to || can_cast_types(from, to) {
        return Ok(());
    }
    Err(Error::sql(format!("column '{name}' of '{relation}' is {from}, which can't become {to}")))
}

fn unknown<'a>(relation: &str, name: &str, known: impl Iterator<Item = &'a str> + Clone) -> Error {
    let error = Error::sql(format!("nexmark events have no field '{name}', which '{relation}' declares"));
    match nearest(name, known.clone()) {
        Some(near) => error.help(format!("did you mean '{near}'?")),
        None => error.help(format!("fields: {}", known.collect::<Vec<_>>().join(", "))),
    }
}

/// `dateTime`, `datetime` and `date_time` are one name, and so is `customTime`, as some texts of the benchmark have it.
fn same_name(a: &str, b: &str) -> bool {
    let letters = |s: &str| {
        let letters: String = s.chars().filter(|c| *c != '_').map(|c| c.to_ascii_lowercase()).collect();
        if letters == "customtime" { "datetime".to_owned() } else { letters }
    };
    letters(a) == letters(b)
}

fn to_type(array: ArrayRef, target: &DataType) -> Result<ArrayRef> {
    if array.data_type() == target {
        return Ok(array);
    }
    Ok(cast_with_options(&array, target, &CastOptions { safe: false, ..CastOptions::default() })?)
}
