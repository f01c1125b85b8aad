//! The random numbers of the `nexmark` crate 0.2, bit for bit (xoshiro256++ seeded by PCG32, sampled as rand 0.8 does), so
//! that the events are the ones that other engines get from it.

/// A generator of random numbers for one event.
pub(super) struct Random {
    state: [u64; 4],
}

impl Random {
    /// The numbers of an event id.
    pub(super) fn of(mut seed: u64) -> Self {
        let mut word = || u64::from(pcg32(&mut seed)) | u64::from(pcg32(&mut seed)) << 32;
        Self { state: [word(), word(), word(), word()] }
    }

    fn next_u64(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    /// A number less than `range` (which is at least 1), drawn as 64 bits.
    pub(super) fn below(&mut self, range: u64) -> u64 {
        let range = range.max(1);
        let zone = (range << range.leading_zeros()).wrapping_sub(1);
        loop {
            let product = u128::from(self.next_u64()) * u128::from(range);
            if product as u64 <= zone {
                return (product >> 64) as u64;
            }
        }
    }

    /// A number less than `range` (which is at least 1), drawn as 32 bits.
    pub(super) fn below32(&mut self, range: u32) -> u32 {
        let range = range.max(1);
        let zone = (range << range.leading_zeros()).wrapping_sub(1);
        loop {
            let product = u64::from(self.next_u32()) * u64::from(range);
            if product as u32 <= zone {
                return (product >> 32) as u32;
            }
        }
    }

    /// One of a few.
    pub(super) fn choose(&mut self, of: &[&'static str]) -> &'static str {
        of[self.below32(of.len() as u32) as usize]
    }

    /// A letter from a to z.
    fn letter(&mut self) -> u8 {
        const RANGE: u32 = 26;
        const ZONE: u32 = u32::MAX - (u32::MAX - RANGE + 1) % RANGE;
        loop {
            let product = u64::from(self.next_u32()) * u64::from(RANGE);
            if product as u32 <= ZONE {
                return b'a' + (product >> 32) as u8;
            }
        }
    }

    /// Appends this many letters.
    pub(super) fn letters(&mut self, count: usize, out: &mut String) {
        out.extend((0..count).map(|_| self.letter() as char));
    }

    /// Appends 3 or 4 letters, now and then an underscore in place of one.
    fn word(&mut self, out: &mut String) {
        for _ in 0..3 + self.below(2) {
            out.push(if self.below32(13) == 0 { '_' } else { self.letter() as char });
        }
    }

    /// Replaces `out` by letters that bring an event of `current` bytes to about `average` bytes.
    pub(super) fn padding(&mut self, current: u64, average: u64, out: &mut String) {
        out.clear();
        if current > average {
            return;
        }
        let missing = average - current;
        let delta = (missing + 2) / 5;
        let more = if delta == 0 { 0 } else { self.below(2 * delta) };
        self.letters((missing - delta + more) as usize, out);
    }

    /// A price in cents: between 100 and 100,000,000, evenly on a logarithmic scale.
    pub(super) fn price(&mut self) -> u64 {
        let fraction = (self.next_u32() >> 8) as f32 / (1u32 << 24) as f32;
        (10.0_f32.powf(fraction * 6.0) * 100.0).round() as u64
    }
}

/// The page of a channel.
pub(super) fn page(seed: u64) -> String {
    let mut random = Random::of(seed);
    let mut url = "https://www.nexmark.com/".to_owned();
    for _ in 0..3 {
        random.word(&mut url);
        url.push('/');
    }
    url.push_str("item.htm?query=1");
    url
}

fn pcg32(state: &mut u64) -> u32 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(11_634_580_027_462_260_723);
    let shifted = (((*state >> 18) ^ *state) >> 27) as u32;
    shifted.rotate_right((*state >> 59) as u32)
}
