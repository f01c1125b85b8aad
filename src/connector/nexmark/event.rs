//! Events as a pure function of their number: who bids what on which auction, and when.
//!
//! The same events as those of the `nexmark` crate 0.2 (a test compares them), but made a field at a time: what a query does
//! not read is not generated. Times are counted exactly, where the crate loses milliseconds in an `f32` after a few hours.

use std::sync::{Arc, LazyLock};

use super::options::Shape;
use super::random::{Random, page};

/// Kinds of event, in the order of the `event_type` column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Somebody joins.
    Person,
    /// Something is put up for auction.
    Auction,
    /// Somebody bids.
    Bid,
}

/// Somebody who may sell or bid.
#[derive(Debug, Default)]
pub(super) struct Person {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) credit_card: String,
    pub(super) city: &'static str,
    pub(super) state: &'static str,
    pub(super) millis: i64,
    pub(super) extra: String,
}

/// Something for sale.
#[derive(Debug, Default)]
pub(super) struct Auction {
    pub(super) id: i64,
    pub(super) item: String,
    pub(super) description: String,
    pub(super) initial_bid: i64,
    pub(super) reserve: i64,
    pub(super) millis: i64,
    pub(super) expires: i64,
    pub(super) seller: i64,
    pub(super) category: i64,
    pub(super) extra: String,
}

/// A bid.
#[derive(Debug, Default)]
pub(super) struct Bid {
    pub(super) auction: i64,
    pub(super) bidder: i64,
    pub(super) price: i64,
    /// Which of [`CHANNELS`].
    pub(super) channel: usize,
    pub(super) millis: i64,
    pub(super) extra: String,
}

/// How much of a bid to draw; the draws come in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Draws {
    /// Only its time, which is not drawn.
    Nothing,
    /// Its auction.
    Auction,
    /// And its bidder.
    Bidder,
    /// And its price.
    Price,
    /// And its channel and URL.
    Channel,
    /// And the padding.
    Extra,
}

/// A channel that bids come through.
pub(super) struct Channel {
    pub(super) name: String,
    pub(super) url: String,
}

/// The hot channels, then 10,000 others.
pub(super) static CHANNELS: LazyLock<Vec<Channel>> = LazyLock::new(|| {
    let hot = HOT_CHANNELS.iter().zip(0..).map(|(name, i)| Channel { name: (*name).to_owned(), url: page(i) });
    hot.chain((0..COLD_CHANNELS).map(cold_channel)).collect()
});

const HOT_CHANNELS: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];
const COLD_CHANNELS: u32 = 10_000;
// As Flink's generator spells them, which queries ask for: `state = 'OR'`. The crate has them in lower case.
const STATES: [&str; 6] = ["AZ", "CA", "ID", "OR", "WA", "WY"];
const CITIES: [&str; 10] =
    ["Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland", "Bend", "Redmond", "Seattle", "Kent", "Cheyenne"];
const FIRST_NAMES: [&str; 11] =
    ["Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"];
const LAST_NAMES: [&str; 9] = ["Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"];

/// A hot seller, auction or bidder stays hot for this many of its kind.
const HOT_FOR: u64 = 100;
const FIRST_ID: u64 = 1000;
const FIRST_CATEGORY: u64 = 10;
const CATEGORIES: u64 = 5;
/// How far ahead of those that exist people and auctions are referred to.
const LEAD: u64 = 10;
const ACTIVE_PEOPLE: u64 = 1000;
const AUCTIONS_IN_FLIGHT: u64 = 100;

/// Makes events.
#[derive(Debug, Clone)]
pub(super) struct Generator {
    shape: Arc<Shape>,
}

impl Generator {
    /// A generator of events of this shape.
    pub(super) fn new(shape: Shape) -> Self {
        Self { shape: Arc::new(shape) }
    }

    /// The number of the event that comes as the `index`th: another one only within an out-of-order group.
    pub(super) fn number(&self, index: u64) -> u64 {
        let group = self.shape.out_of_order;
        if group == 1 { index } else { index - index % group + (index % group * 953) % group }
    }

    /// What kind of event this is.
    pub(super) fn kind(&self, number: u64) -> Kind {
        let offset = number % self.shape.cycle();
        if offset < self.shape.people {
            Kind::Person
        } else if offset < self.shape.people + self.shape.auctions {
            Kind::Auction
        } else {
            Kind::Bid
        }
    }

    /// When an event happens, in milliseconds since 1970.
    pub(super) fn millis(&self, number: u64) -> i64 {
        self.shape.base_millis.saturating_add(i64::try_from(self.elapsed(number)).unwrap_or(i64::MAX))
    }

    /// The person of an event.
    pub(super) fn person(&self, number: u64, person: &mut Person) {
        let id = self.shape.first_id + number;
        let random = &mut Random::of(id);
        person.id = (self.last_person(id) + FIRST_ID) as i64;
        person.millis = self.millis(number);
        person.name = format!("{} {}", random.choose(&FIRST_NAMES), random.choose(&LAST_NAMES));
        person.email.clear();
        random.letters(7, &mut person.email);
        person.email.push('@');
        random.letters(5, &mut person.email);
        person.email.push_str(".com");
        let mut block = || random.below32(10_000);
        person.credit_card = format!("{:04} {:04} {:04} {:04}", block(), block(), block(), block());
        person.city = random.choose(&CITIES);
        person.state = random.choose(&STATES);
        let texts = [person.name.len(), person.email.len(), person.credit_card.len(), person.city.len()];
        let size = 8 + texts.iter().sum::<usize>() + person.state.len();
        random.padding(size as u64, self.shape.person_bytes, &mut person.extra);
    }

    /// The auction of an event.
    pub(super) fn auction(&self, number: u64, auction: &mut Auction) {
        let shape = &*self.shape;
        let id = shape.first_id + number;
        let random = &mut Random::of(id);
        auction.id = (self.last_auction(id) + FIRST_ID) as i64;
        auction.millis = self.millis(number);
        auction.item.clear();
        random.letters(20, &mut auction.item);
        auction.description.clear();
        random.letters(100, &mut auction.description);
        auction.initial_bid = random.price() as i64;
        auction.reserve = auction.initial_bid + random.price() as i64;
        // An auction lasts about as long as it takes to put the next ones in flight up.
        let ahead = AUCTIONS_IN_FLIGHT * shape.cycle() / shape.auctions;
        let horizon = self.elapsed(number + ahead) - self.elapsed(number);
        auction.expires = auction.millis.saturating_add(1 + random.below((horizon * 2).max(1)) as i64);
        let seller = if random.below(shape.hot_sellers) > 0 {
            self.last_person(id) / HOT_FOR * HOT_FOR
        } else {
            self.any_person(id, random)
        };
        auction.seller = (seller + FIRST_ID) as i64;
        auction.category = (FIRST_CATEGORY + random.below(CATEGORIES)) as i64;
        let size = 8 + auction.item.len() + auction.description.len() + 5 * 8;
        random.padding(size as u64, shape.auction_bytes, &mut auction.extra);
    }

    /// The bid of an event, drawn as far as asked.
    pub(super) fn bid(&self, number: u64, draws: Draws, bid: &mut Bid) {
        let shape = &*self.shape;
        bid.millis = self.millis(number);
        if draws < Draws::Auction {
            return;
        }
        let id = shape.first_id + number;
        let random = &mut Random::of(id);
        let last = self.last_auction(id);
        let auction = if random.below(shape.hot_auctions) > 0 {
            last / HOT_FOR * HOT_FOR
        } else {
            let oldest = last.saturating_sub(AUCTIONS_IN_FLIGHT);
            oldest + random.below(last - oldest + 1 + LEAD)
        };
        bid.auction = (auction + FIRST_ID) as i64;
        if draws < Draws::Bidder {
            return;
        }
        let bidder = if random.below(shape.hot_bidders) > 0 {
            // The second of them, so that hot bidders and hot sellers differ.
            self.last_person(id) / HOT_FOR * HOT_FOR + 1
        } else {
            self.any_person(id, random)
        };
        bid.bidder = (bidder + FIRST_ID) as i64;
        if draws < Draws::Price {
            return;
        }
        bid.price = random.price() as i64;
        if draws < Draws::Channel {
            return;
        }
        bid.channel = if random.below(shape.hot_channels) > 0 {
            random.below(HOT_CHANNELS.len() as u64) as usize
        } else {
            HOT_CHANNELS.len() + random.below32(COLD_CHANNELS) as usize
        };
        if draws == Draws::Extra {
            random.padding(4 * 8, shape.bid_bytes, &mut bid.extra);
        }
    }

    /// Milliseconds of event time before an event.
    fn elapsed(&self, number: u64) -> u64 {
        let rate = self.shape.events_per_second;
        (number / rate).saturating_mul(1000) + (number % rate * 1000 + rate / 2) / rate
    }

    /// The last person that exists by an event, from 0.
    fn last_person(&self, id: u64) -> u64 {
        let people = self.shape.people;
        id / self.shape.cycle() * people + (id % self.shape.cycle()).min(people - 1)
    }

    /// The last auction that exists by an auction or a bid, from 0.
    fn last_auction(&self, id: u64) -> u64 {
        let auctions = self.shape.auctions;
        let offset = (id % self.shape.cycle()).saturating_sub(self.shape.people);
        id / self.shape.cycle() * auctions + offset.min(auctions - 1)
    }

    /// Any of the people active by an event, from 0.
    fn any_person(&self, id: u64, random: &mut Random) -> u64 {
        let people = self.last_person(id) + 1;
        let active = people.min(ACTIVE_PEOPLE);
        people - active + random.below(active + LEAD)
    }
}

fn cold_channel(index: u32) -> Channel {
    let mut url = page(u64::from(index));
    if Random::of(u64::from(index)).below32(10) > 0 {
        let id = i64::from(index.reverse_bits() as i32).abs();
        url.push_str(&format!("&channel_id={id}"));
    }
    Channel { name: format!("channel-{index}"), url }
}

#[cfg(test)]
mod tests {
    use nexmark::EventGenerator;
    use nexmark::config::NexmarkConfig;
    use nexmark::event::Event;

    use super::*;

    /// The crate's events and ours, for one shape.
    fn compare(shape: Shape, config: NexmarkConfig, count: usize) {
        let generator = Generator::new(shape);
        for (index, event) in EventGenerator::new(config).take(count).enumerate() {
            let number = generator.number(index as u64);
            match event {
                Event::Person(theirs) => {
                    let mut ours = Person::default();
                    generator.person(number, &mut ours);
                    assert_eq!(generator.kind(number), Kind::Person);
                    assert_eq!(
                        (ours.id, ours.millis, ours.name.to_lowercase(), ours.email, ours.credit_card, ours.extra),
                        (
                            theirs.id as i64,
                            theirs.date_time as i64,
                            theirs.name,
                            theirs.email_address,
                            theirs.credit_card,
                            theirs.extra
                        )
                    );
                    assert_eq!((ours.city.to_lowercase(), ours.state.to_lowercase()), (theirs.city, theirs.state));
                }
                Event::Auction(theirs) => {
                    let mut ours = Auction::default();
                    generator.auction(number, &mut ours);
                    assert_eq!(generator.kind(number), Kind::Auction);
                    assert_eq!(
                        (
                            ours.id,
                            ours.initial_bid,
                            ours.reserve,
                            ours.millis,
                            ours.expires,
                            ours.seller,
                            ours.category
                        ),
                        (
                            theirs.id as i64,
                            theirs.initial_bid as i64,
                            theirs.reserve as i64,
                            theirs.date_time as i64,
                            theirs.expires as i64,
                            theirs.seller as i64,
                            theirs.category as i64
                        )
                    );
                    assert_eq!(
                        (ours.item, ours.description, ours.extra),
                        (theirs.item_name, theirs.description, theirs.extra)
                    );
                }
                Event::Bid(theirs) => {
                    let mut ours = Bid::default();
                    generator.bid(number, Draws::Extra, &mut ours);
                    assert_eq!(generator.kind(number), Kind::Bid);
                    assert_eq!(
                        (ours.auction, ours.bidder, ours.price, ours.millis, ours.extra),
                        (
                            theirs.auction as i64,
                            theirs.bidder as i64,
                            theirs.price as i64,
                            theirs.date_time as i64,
                            theirs.extra
                        )
                    );
                    let channel = &CHANNELS[ours.channel];
                    assert_eq!((&channel.name, &channel.url), (&theirs.channel, &theirs.url));
                }
            }
        }
    }

    #[test]
    fn the_events_are_those_of_the_nexmark_crate() {
        let shape = Shape::default();
        let config = NexmarkConfig { base_time: shape.base_millis as u64, ..NexmarkConfig::default() };
        compare(shape, config, 6_000);
    }

    #[test]
    fn so_are_they_with_other_knobs() {
        let shape = Shape {
            people: 2,
            auctions: 5,
            bids: 13,
            hot_sellers: 1,
            hot_auctions: 7,
            hot_bidders: 9,
            hot_channels: 3,
            person_bytes: 50,
            auction_bytes: 700,
            bid_bytes: 32,
            out_of_order: 40,
            events_per_second: 1_000,
            first_id: 20 * 1_000_000,
            ..Shape::default()
        };
        let config = NexmarkConfig {
            base_time: shape.base_millis as u64,
            person_proportion: 2,
            auction_proportion: 5,
            bid_proportion: 13,
            hot_seller_ratio: 1,
            hot_auction_ratio: 7,
            hot_bidder_ratio: 9,
            hot_channel_ratio: 3,
            avg_person_byte_size: 50,
            avg_auction_byte_size: 700,
            avg_bid_byte_size: 32,
            out_of_order_group_size: 40,
            first_rate: 1_000,
            next_rate: 1_000,
            first_event_id: 20 * 1_000_000,
            ..NexmarkConfig::default()
        };
        compare(shape, config, 2_000);
    }

    #[test]
    fn fewer_draws_give_the_same_fields() {
        let generator = Generator::new(Shape::default());
        let (mut whole, mut part) = (Bid::default(), Bid::default());
        for number in (0..500).filter(|n| generator.kind(*n) == Kind::Bid) {
            generator.bid(number, Draws::Extra, &mut whole);
            generator.bid(number, Draws::Price, &mut part);
            assert_eq!(
                (part.auction, part.bidder, part.price, part.millis),
                (whole.auction, whole.bidder, whole.price, whole.millis)
            );
            assert!(part.extra.is_empty());
        }
    }
}
