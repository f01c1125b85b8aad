//! Mistakes made on purpose, one of each kind that a stream can make and batch can't: the comparison must find every one.
//!
//! None of them is in the crate: they are made to what the engine is told (a watermark a millisecond ahead), to what it gave
//! (a retraction that gets lost, a Top-N kept from the changes of what it is the top of), or to what it is compared with (a join
//! of what is new with what is old only).

use tidemill::change::Change;
use tidemill::verify::rows::{Row, Table, fold};

use super::case::{Case, Flaw, Oracle, Verdict};
use super::data::{self, TABLES};
use crate::rows;

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// That several of these cases fail with the flaw; each is sound without.
fn is_caught(flaw: Flaw, times: usize, seeds: std::ops::Range<u64>, sees: fn(&Case) -> bool) {
    let mut caught = 0;
    for case in seeds.clone().map(Case::new).filter(sees) {
        if caught < times && block_on(case.run(flaw)).is_err() {
            let sound = block_on(case.run(Flaw::None));
            assert!(matches!(sound, Ok(Verdict::Held(_))), "seed {} fails by itself: {sound:?}", case.seed);
            caught += 1;
        }
    }
    assert_eq!(caught, times, "too few of the cases {seeds:?} notice {flaw:?}");
}

#[test]
fn a_lost_row_is_caught() {
    is_caught(Flaw::LostRow, 8, 0..100, |_| true);
}

#[test]
fn a_dropped_retraction_is_caught() {
    is_caught(Flaw::LostRetraction, 3, 0..400, |case| case.changes);
}

#[test]
fn a_watermark_a_millisecond_ahead_is_caught() {
    is_caught(Flaw::Watermark, 1, 0..2_000, |case| case.sql().contains("SESSION("));
}

/// Rows of some case with steps for these two tables, and what happens to them.
fn random_intervals(seed: u64) -> Vec<Vec<(usize, data::Row)>> {
    let mut rng = <rand::rngs::SmallRng as rand::SeedableRng>::seed_from_u64(seed);
    let mut row = || {
        let table = rand::Rng::random_range(&mut rng, 0..2);
        (table, TABLES[table].row(&mut rng, data::Flavour::Small, 0))
    };
    (0..6).map(|_| (0..4).map(|_| row()).collect()).collect()
}

fn add(into: &mut Table, of: &Table, times: i64) {
    for (row, weight) in of {
        *into.entry(row.clone()).or_default() += weight * times;
    }
    into.retain(|_, weight| *weight != 0);
}

/// A join kept as ΔA⋈B ∪ A⋈ΔB over what was there before the interval: pairs that come together are missed.
#[test]
fn a_join_that_misses_pairs_of_one_interval_is_caught() {
    let sql = "SELECT a.v AS c0, b.w AS c1 FROM a JOIN b ON a.k = b.k";
    let run = |seed: u64, misses: bool| {
        block_on(async move {
            let oracle = Oracle::of(&[("v0".to_owned(), sql.to_owned())]).await.unwrap();
            let (mut old, mut kept) = (vec![Vec::new(); TABLES.len()], Table::new());
            for interval in random_intervals(seed) {
                let mut new = old.clone();
                interval.into_iter().for_each(|(table, row)| new[table].push(row));
                let with = |a: &[data::Row], b: &[data::Row]| {
                    let mut contents = old.clone();
                    (contents[0], contents[1]) = (a.to_vec(), b.to_vec());
                    contents
                };
                let mut answers = Vec::new();
                for contents in [with(&new[0], &old[1]), with(&old[0], &new[1]), with(&old[0], &old[1]), new.clone()] {
                    answers.push(oracle.answer(&contents).await.unwrap().remove(0));
                }
                let [new_old, old_new, old_old, right] = answers.try_into().unwrap();
                add(&mut kept, &new_old, 1);
                add(&mut kept, &old_new, 1);
                add(&mut kept, &old_old, -2);
                if !misses {
                    kept = right.clone();
                }
                if kept != right {
                    return true;
                }
                old = new;
            }
            false
        })
    };
    assert!((0..10).any(|seed| run(seed, true)), "pairs of one interval can be missed unseen");
    assert!(!(0..10).any(|seed| run(seed, false)));
}

/// A Top-N kept from the changes of what it is the top of, in which nothing takes the place of a row that leaves.
#[test]
fn a_top_n_that_does_not_refill_is_caught() {
    const N: usize = 2;
    let counts = "SELECT k, count(*) AS n FROM a WHERE k IS NOT NULL GROUP BY k";
    let top = format!("SELECT k, n FROM ({counts}) AS t ORDER BY n, k LIMIT {N}");
    let order = |row: &Row| (row[1].parse::<i64>().unwrap(), row[0].parse::<i64>().unwrap());
    let run = |seed: u64, refills: bool| {
        let top = top.clone();
        block_on(async move {
            let oracle = Oracle::of(&[("v0".to_owned(), top)]).await.unwrap();
            let (engine, _clock) = rows::engine();
            let table = engine.push_table("a", TABLES[0].schema()).create().unwrap();
            let mut handle = engine.sql(&format!("{counts} EMIT CHANGES")).await.unwrap();
            let (mut contents, mut all, mut kept) = (vec![Vec::new(); TABLES.len()], Vec::<Change>::new(), Vec::new());
            for interval in random_intervals(seed) {
                for (_, row) in interval.into_iter().filter(|(table, _)| *table == 0) {
                    table.push_to(0, TABLES[0].batch(std::slice::from_ref(&row))).unwrap();
                    contents[0].push(row);
                }
                engine.step().await.unwrap();
                let changes = handle.take();
                all.extend(changes.iter().cloned());
                for (row, weight) in fold(&changes).unwrap() {
                    if weight < 0 {
                        kept.retain(|r| *r != row);
                    } else {
                        kept.push(row);
                    }
                }
                if refills {
                    kept = fold(&all).unwrap().into_keys().collect();
                }
                kept.sort_by_key(order);
                kept.truncate(N);
                let wanted = oracle.answer(&contents).await.unwrap().remove(0);
                if rows::table(kept.clone()) != wanted {
                    return true;
                }
            }
            false
        })
    };
    assert!((0..10).any(|seed| run(seed, false)), "a Top-N may shrink unseen");
    assert!(!(0..10).any(|seed| run(seed, true)));
}
