//! The values that a group has seen, for count(DISTINCT …): one set for all groups of a table.

use std::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashTable};

/// Parts of a set: each grows on its own.
const PARTS: usize = 64;

/// Values by group.
pub(super) enum DistinctSet {
    /// Of the one group of a table without keys.
    Values(Set<u64>),
    /// Of any group.
    Pairs(Set<(u32, u64)>),
}

/// A set that can take back what the interval added.
pub(super) struct Set<K> {
    parts: Vec<HashTable<K>>,
    hasher: DefaultHashBuilder,
    fresh: Vec<K>,
}

impl DistinctSet {
    pub(super) fn new(one_group: bool) -> Self {
        if one_group { Self::Values(Set::new()) } else { Self::Pairs(Set::new()) }
    }

    /// Adds a value to a group; whether it is new there.
    #[inline]
    pub(super) fn insert(&mut self, slot: u32, value: u64) -> bool {
        match self {
            Self::Values(set) => set.insert(value),
            Self::Pairs(set) => set.insert((slot, value)),
        }
    }

    /// Calls `work` with every group and value.
    pub(super) fn each(&self, mut work: impl FnMut(u32, u64)) {
        match self {
            Self::Values(set) => set.parts.iter().flatten().for_each(|value| work(0, *value)),
            Self::Pairs(set) => set.parts.iter().flatten().for_each(|(slot, value)| work(*slot, *value)),
        }
    }

    pub(super) fn commit(&mut self) {
        match self {
            Self::Values(set) => set.fresh = Vec::new(),
            Self::Pairs(set) => set.fresh = Vec::new(),
        }
    }

    pub(super) fn rollback(&mut self) {
        match self {
            Self::Values(set) => set.rollback(),
            Self::Pairs(set) => set.rollback(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Values(set) => set.bytes(),
            Self::Pairs(set) => set.bytes(),
        }
    }
}

impl<K: Copy + Eq + Hash> Set<K> {
    fn new() -> Self {
        Self {
            parts: (0..PARTS).map(|_| HashTable::new()).collect(),
            hasher: DefaultHashBuilder::default(),
            fresh: Vec::new(),
        }
    }

    /// Adds a key; whether it is new.
    #[inline]
    pub(super) fn insert(&mut self, key: K) -> bool {
        let hash = self.hasher.hash_one(key);
        // The table itself uses the lowest and the highest bits.
        let part = &mut self.parts[(hash >> 40) as usize % PARTS];
        let hasher = &self.hasher;
        match part.entry(hash, |k| *k == key, |k| hasher.hash_one(k)) {
            hashbrown::hash_table::Entry::Occupied(_) => false,
            hashbrown::hash_table::Entry::Vacant(place) => {
                place.insert(key);
                self.fresh.push(key);
                true
            }
        }
    }

    fn rollback(&mut self) {
        for key in std::mem::take(&mut self.fresh) {
            let hash = self.hasher.hash_one(key);
            if let Ok(entry) = self.parts[(hash >> 40) as usize % PARTS].find_entry(hash, |k| *k == key) {
                entry.remove();
            }
        }
    }

    fn bytes(&self) -> usize {
        let held: usize = self.parts.iter().map(|p| p.allocation_size()).sum();
        held + self.fresh.capacity() * size_of::<K>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_interval_added_is_taken_back() {
        for one_group in [true, false] {
            let mut set = DistinctSet::new(one_group);
            assert!((0..1000).all(|v| set.insert(0, v)));
            assert!(!set.insert(0, 5));
            set.commit();
            assert!((1000..3000).all(|v| set.insert(0, v)));
            set.rollback();
            assert!(!set.insert(0, 999));
            assert!(set.insert(0, 1000));
            let mut all = Vec::new();
            set.each(|_, v| all.push(v));
            all.sort_unstable();
            assert_eq!(all, (0..=1000).collect::<Vec<_>>());
        }
        let mut set = DistinctSet::new(false);
        assert!(set.insert(1, 7) && set.insert(2, 7) && !set.insert(1, 7));
    }
}
