//! What the options of a nexmark table say: how many events of which shape, how fast, in how many partitions.

use crate::connector::RelationSpec;
use crate::connector::datagen::moment::{BASE_MILLIS, parse_moment};
use crate::connector::datagen::pace::parse_rate;
use crate::error::Result;
use crate::settings::Options;
use crate::time::Timestamp;

use super::event::Kind;

/// Options of other engines' nexmark sources that have no bearing here.
const IGNORED: [&str; 7] =
    ["rate.shape", "rate.period", "rate.limited", "rate-limited", "keep-alive", "stop-at", "max-emit-speed"];

/// What decides the content of the events.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shape {
    /// Out of `people + auctions + bids` events, how many are people (at least 1).
    pub(super) people: u64,
    /// How many are auctions (at least 1).
    pub(super) auctions: u64,
    /// How many are bids.
    pub(super) bids: u64,
    /// One in this many auctions is not by a hot seller.
    pub(super) hot_sellers: u64,
    /// One in this many bids is not on a hot auction.
    pub(super) hot_auctions: u64,
    /// One in this many bids is not by a hot bidder.
    pub(super) hot_bidders: u64,
    /// One in this many bids is not through a hot channel.
    pub(super) hot_channels: u64,
    /// Average size of a person in bytes, by its padding.
    pub(super) person_bytes: u64,
    /// Average size of an auction in bytes.
    pub(super) auction_bytes: u64,
    /// Average size of a bid in bytes.
    pub(super) bid_bytes: u64,
    /// Events come shuffled within groups of this many.
    pub(super) out_of_order: u64,
    /// How many events happen in a second of event time.
    pub(super) events_per_second: u64,
    /// Event time of the first event, in milliseconds since 1970.
    pub(super) base_millis: i64,
    /// Added to the number of an event to give the seed of its content; a multiple of the cycle.
    pub(super) first_id: u64,
}

impl Shape {
    /// After how many events the kinds repeat.
    pub(super) fn cycle(&self) -> u64 {
        self.people + self.auctions + self.bids
    }
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            people: 1,
            auctions: 3,
            bids: 46,
            hot_sellers: 4,
            hot_auctions: 2,
            hot_bidders: 4,
            hot_channels: 2,
            person_bytes: 200,
            auction_bytes: 500,
            bid_bytes: 100,
            out_of_order: 1,
            events_per_second: 10_000,
            base_millis: BASE_MILLIS,
            first_id: 0,
        }
    }
}

/// A nexmark table as declared.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Declared {
    /// The content of the events.
    pub(super) shape: Shape,
    /// How many events there are; `None`: no end.
    pub(super) events: Option<u64>,
    /// The one kind of event that the table has; `None`: all of them, as a wide table.
    pub(super) table: Option<Kind>,
    /// Event i is in partition i mod this.
    pub(super) partitions: u64,
    /// Events per second of wall time; `None`: as fast as they are taken.
    pub(super) rate: Option<f64>,
}

impl Declared {
    /// Reads and checks the options of a relation.
    pub(super) fn read(spec: &RelationSpec) -> Result<Self> {
        let options = &spec.options;
        options.get("connector");
        for name in IGNORED {
            options.get(name);
        }
        let default = Shape::default();
        let rate = options.get("rate").map(|text| parse_rate(options, "rate", text)).transpose()?;
        let mut shape = Shape {
            people: count(options, "person.proportion", default.people, 1..=100_000)?,
            auctions: count(options, "auction.proportion", default.auctions, 1..=100_000)?,
            bids: count(options, "bid.proportion", default.bids, 0..=100_000)?,
            hot_sellers: count(options, "auction.hot-ratio.sellers", default.hot_sellers, 1..=1_000_000)?,
            hot_auctions: count(options, "bid.hot-ratio.auctions", default.hot_auctions, 1..=1_000_000)?,
            hot_bidders: count(options, "bid.hot-ratio.bidders", default.hot_bidders, 1..=1_000_000)?,
            hot_channels: count(options, "bid.hot-ratio.channels", default.hot_channels, 1..=1_000_000)?,
            person_bytes: bytes(options, "person.avg-size", default.person_bytes)?,
            auction_bytes: bytes(options, "auction.avg-size", default.auction_bytes)?,
            bid_bytes: bytes(options, "bid.avg-size", default.bid_bytes)?,
            out_of_order: count(options, "out-of-order.group-size", default.out_of_order, 1..=1_000_000)?,
            events_per_second: events_per_second(options, rate, default.events_per_second)?,
            base_millis: base_millis(options, spec.host.clock.now())?,
            first_id: 0,
        };
        if shape.out_of_order > 1 && shape.out_of_order.is_multiple_of(953) {
            let message = "option 'out-of-order.group-size' must not be a multiple of 953";
            return Err(options.wrong("out-of-order.group-size", message));
        }
        // Seeds are a million cycles apart, and stay far below the end of the numbers.
        let seed = count(options, "seed", 0, 0..=u64::from(u32::MAX))?;
        shape.first_id = seed.saturating_mul(1_000_000).saturating_mul(shape.cycle()).min(1 << 61);
        shape.first_id -= shape.first_id % shape.cycle();
        let events = match count(options, "events.num", 0, 0..=1 << 53)? {
            0 => None,
            events => Some(events),
        };
        let table = match options.get("table").map(str::to_ascii_lowercase).as_deref() {
            None | Some("all" | "events") => None,
            Some("person" | "persons") => Some(Kind::Person),
            Some("auction" | "auctions") => Some(Kind::Auction),
            Some("bid" | "bids") => Some(Kind::Bid),
            Some(other) => {
                let message = format!("option 'table' is 'person', 'auction' or 'bid', not '{other}'");
                return Err(options.wrong("table", message).help("leave it out for one wide table with all events"));
            }
        };
        let partitions = count(options, "partitions", 1, 1..=1024)?;
        options.finish("the nexmark connector")?;
        Ok(Self { shape, events, table, partitions, rate })
    }

    /// How many events are in a partition; `None`: no end.
    pub(super) fn events_in(&self, partition: u64) -> Option<u64> {
        self.events.map(|events| events.saturating_sub(partition).div_ceil(self.partitions))
    }
}

/// A whole number within bounds.
fn count(options: &Options, name: &str, default: u64, bounds: std::ops::RangeInclusive<u64>) -> Result<u64> {
    let value = options.parse::<u64>(name)?.unwrap_or(default);
    if bounds.contains(&value) {
        return Ok(value);
    }
    let message = format!("option '{name}' is between {} and {}, not {value}", bounds.start(), bounds.end());
    Err(options.wrong(name, message))
}

/// An average size: `100` or, as Flink writes it, `100b`, `1kb`.
fn bytes(options: &Options, name: &str, default: u64) -> Result<u64> {
    let Some(text) = options.get(name) else { return Ok(default) };
    let lower = text.trim().to_ascii_lowercase();
    let (digits, factor) = match lower.strip_suffix("kb") {
        Some(digits) => (digits, 1024),
        None => (lower.strip_suffix('b').unwrap_or(&lower), 1),
    };
    match digits.trim().parse::<u64>().ok().and_then(|n| n.checked_mul(factor)).filter(|n| *n <= 1 << 20) {
        Some(bytes) => Ok(bytes),
        None => Err(options.wrong(name, format!("option '{name}' is a size of at most 1024kb, not '{text}'"))),
    }
}

/// How fast event time passes. Flink's two rates say the same here: a stream has one rate.
fn events_per_second(options: &Options, rate: Option<f64>, default: u64) -> Result<u64> {
    let first = options.parse::<u64>("first-event.rate")?;
    let next = options.parse::<u64>("next-event.rate")?;
    if let (Some(first), Some(next)) = (first, next)
        && first != next
    {
        let message = format!("options 'first-event.rate' ({first}) and 'next-event.rate' ({next}) differ");
        return Err(options
            .wrong("next-event.rate", message)
            .help("a changing rate is not supported; give one of them"));
    }
    // Event time keeps pace with the wall clock unless told otherwise.
    let paced = rate.map(|rate| (rate.round() as u64).max(1));
    let events = first.or(next).or(paced).unwrap_or(default);
    if (1..=1_000_000_000).contains(&events) {
        return Ok(events);
    }
    Err(options
        .wrong("first-event.rate", format!("option 'first-event.rate' is between 1 and 1000000000, not {events}")))
}

/// When event time begins.
fn base_millis(options: &Options, now: Timestamp) -> Result<i64> {
    let Some(text) = options.get("base-time") else { return Ok(BASE_MILLIS) };
    parse_moment(options, "base-time", text, now)
}
