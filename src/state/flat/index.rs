//! From a key's hash to its slot: open addressing over words of (hash, slot).
//!
//! A large index is cut into parts by hash, each of which grows on its own and at a load of its own, so that no interval pays
//! for the growth of the whole: at 10 M keys a part holds 40 k, and only a few parts grow per interval. An entry carries the
//! hash, so growing reads no keys.

/// Parts of a large index.
const PARTS: usize = 256;

/// Keys at which an index is cut into parts.
const CUT_AT: usize = 1 << 15;

/// Slots by hash.
pub(super) struct SlotIndex {
    /// One part, or [`PARTS`] by the high bits of the hash.
    parts: Vec<Part>,
    len: usize,
    /// Entries of all parts.
    capacity: usize,
}

struct Part {
    /// The hash in the high half, slot + 1 in the low half; 0 is free. A power of two many, never all used.
    entries: Vec<u64>,
    used: usize,
    /// The load, in 1/1024, at which it grows.
    load: usize,
}

impl SlotIndex {
    pub(super) fn new() -> Self {
        let first = Part::new(716, 8);
        Self { capacity: first.entries.len(), parts: vec![first], len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn bytes(&self) -> usize {
        self.capacity * 8 + self.parts.len() * size_of::<Part>()
    }

    #[inline]
    fn part_of(&self, hash: u32) -> usize {
        (hash >> 24) as usize & self.parts.len().wrapping_sub(1)
    }

    /// The slot with this hash for which `is` holds.
    #[inline]
    pub(super) fn find(&self, hash: u32, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        let entries = self.parts[self.part_of(hash)].entries.as_slice();
        let mask = entries.len().wrapping_sub(1);
        let mut at = hash as usize & mask;
        loop {
            let entry = entries[at];
            if entry == 0 {
                return None;
            }
            if (entry >> 32) as u32 == hash {
                let slot = (entry as u32).wrapping_sub(1);
                if is(slot) {
                    return Some(slot);
                }
            }
            at = at.wrapping_add(1) & mask;
        }
    }

    /// The slot that a search for this hash looks at first: reading ahead of a search, for many keys at once, lets their cache
    /// misses overlap.
    #[inline]
    pub(super) fn first_look(&self, hash: u32) -> Option<u32> {
        let entries = self.parts[self.part_of(hash)].entries.as_slice();
        (entries[hash as usize & entries.len().wrapping_sub(1)] as u32).checked_sub(1)
    }

    /// Adds a slot whose key is not there yet.
    pub(super) fn insert(&mut self, hash: u32, slot: u32) {
        if self.len == CUT_AT
            && let [whole] = self.parts.as_mut_slice()
        {
            let whole = std::mem::take(&mut whole.entries);
            // The loads are spread over an octave: parts that are equally full do not grow together.
            self.parts = (0..PARTS).map(|i| Part::new(384 + 384 * i / PARTS, CUT_AT / PARTS)).collect();
            for entry in whole.into_iter().filter(|e| *e != 0) {
                let part = self.part_of((entry >> 32) as u32);
                self.parts[part].insert(entry);
            }
            self.capacity = self.parts.iter().map(|p| p.entries.len()).sum();
        }
        let part = self.part_of(hash);
        self.capacity += self.parts[part].insert(u64::from(hash) << 32 | u64::from(slot.wrapping_add(1)));
        self.len += 1;
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new();
    }
}

impl Part {
    fn new(load: usize, keys: usize) -> Self {
        Self { entries: vec![0; (keys * 2).next_power_of_two()], used: 0, load }
    }

    /// Adds an entry; by how many the part has grown for it.
    fn insert(&mut self, entry: u64) -> usize {
        let mut grown = 0;
        if self.used >= self.entries.len() * self.load / 1024 {
            let old = std::mem::take(&mut self.entries);
            grown = old.len();
            self.entries = vec![0; old.len() * 2];
            for entry in old.into_iter().filter(|e| *e != 0) {
                self.place(entry);
            }
        }
        self.place(entry);
        self.used += 1;
        grown
    }

    fn place(&mut self, entry: u64) {
        let mask = self.entries.len().wrapping_sub(1);
        let mut at = (entry >> 32) as usize & mask;
        while self.entries[at] != 0 {
            at = at.wrapping_add(1) & mask;
        }
        self.entries[at] = entry;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_is_found_however_large_it_grows() {
        let mut index = SlotIndex::new();
        let hash = |i: u32| i.wrapping_mul(0x9e37_79b9).rotate_left(9);
        for i in 0..200_000 {
            assert_eq!(index.find(hash(i), |s| s == i), None);
            index.insert(hash(i), i);
        }
        assert!((0..200_000).all(|i| index.find(hash(i), |s| s == i) == Some(i)));
        assert_eq!(index.len(), 200_000);
        assert!(index.bytes() < 200_000 * 24);
    }

    #[test]
    fn keys_of_one_hash_are_told_apart() {
        let mut index = SlotIndex::new();
        (0..100).for_each(|slot| index.insert(u32::MAX, slot));
        assert!((0..100).all(|slot| index.find(u32::MAX, |s| s == slot) == Some(slot)));
        assert_eq!(index.find(u32::MAX, |_| false), None);
    }
}
