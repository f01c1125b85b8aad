//! How long to wait before the next try at a peer that does not answer: twice as long each time, with jitter, capped.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// Waits between tries at one peer.
pub(super) struct Backoff {
    tries: u32,
    random: SmallRng,
}

impl Backoff {
    /// Jitter is drawn from the host's seed and what is tried, so that many relations do not try in step.
    pub(super) fn new(seed: u64, what: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        what.hash(&mut hasher);
        Self { tries: 0, random: SmallRng::seed_from_u64(seed ^ hasher.finish()) }
    }

    /// Tries that failed since the last success.
    pub(super) fn tries(&self) -> u32 {
        self.tries
    }

    /// A try has succeeded.
    pub(super) fn reset(&mut self) {
        self.tries = 0;
    }

    /// A try has failed: how long to wait before the next.
    pub(super) fn failed(&mut self) -> Duration {
        let wait = FIRST.saturating_mul(1 << self.tries.min(16)).min(LONGEST);
        self.tries = self.tries.saturating_add(1);
        wait.mul_f64(self.random.random_range(0.75..1.25))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_cap_and_start_again() {
        let mut backoff = Backoff::new(7, "tcp://h:1");
        let waits: Vec<_> = (0..100).map(|_| backoff.failed()).collect();
        assert!(waits[0] < Duration::from_millis(126) && waits[3] > waits[0], "{waits:?}");
        assert!(waits.iter().all(|w| *w <= LONGEST.mul_f64(1.25)), "{waits:?}");
        assert!(waits[10..].windows(2).any(|w| w[0] != w[1]), "no jitter");
        backoff.reset();
        assert!(backoff.failed() < Duration::from_millis(126));
    }
}
