//! Rows of a fixed number of words, in chunks: growing moves nothing that is there, beyond the first chunk.

/// log2 of the rows in a chunk.
const CHUNK_BITS: u32 = 13;
const CHUNK: usize = 1 << CHUNK_BITS;

/// Rows of words by slot.
pub(super) struct WordRows {
    width: usize,
    chunks: Vec<Vec<u64>>,
    len: usize,
}

impl WordRows {
    pub(super) fn new(width: usize) -> Self {
        Self { width, chunks: vec![Vec::new()], len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn bytes(&self) -> usize {
        // All but the first have been made whole.
        let first = self.chunks.first().map_or(0, Vec::capacity);
        (first + (self.chunks.len() - 1) * CHUNK * self.width) * 8
    }

    /// Adds a row; its slot.
    pub(super) fn push(&mut self, row: &[u64]) -> u32 {
        let slot = self.len;
        if slot >> CHUNK_BITS == self.chunks.len() {
            self.chunks.push(Vec::with_capacity(CHUNK * self.width));
        }
        if let Some(last) = self.chunks.last_mut() {
            last.extend_from_slice(row);
        }
        self.len += 1;
        slot as u32
    }

    #[inline]
    pub(super) fn row(&self, slot: u32) -> &[u64] {
        let at = (slot as usize & (CHUNK - 1)).wrapping_mul(self.width);
        &self.chunks[(slot >> CHUNK_BITS) as usize][at..at.wrapping_add(self.width)]
    }

    #[inline]
    pub(super) fn row_mut(&mut self, slot: u32) -> &mut [u64] {
        let at = (slot as usize & (CHUNK - 1)).wrapping_mul(self.width);
        &mut self.chunks[(slot >> CHUNK_BITS) as usize][at..at.wrapping_add(self.width)]
    }

    /// Calls `work` with the place in `slots` and the row of each.
    #[inline]
    pub(super) fn each(&mut self, slots: &[u32], mut work: impl FnMut(usize, &mut [u64])) {
        let width = self.width;
        if let [chunk] = self.chunks.as_mut_slice() {
            for (i, slot) in slots.iter().enumerate() {
                let at = (*slot as usize).wrapping_mul(width);
                work(i, &mut chunk[at..at.wrapping_add(width)]);
            }
        } else {
            for (i, slot) in slots.iter().enumerate() {
                work(i, self.row_mut(*slot));
            }
        }
    }

    /// All rows in the order of their slots, one after the other.
    pub(super) fn blocks(&self) -> impl Iterator<Item = &[u64]> {
        self.chunks.iter().map(Vec::as_slice).filter(|c| !c.is_empty())
    }

    pub(super) fn blocks_mut(&mut self) -> impl Iterator<Item = &mut [u64]> {
        self.chunks.iter_mut().map(Vec::as_mut_slice)
    }

    /// Keeps the first `len` rows.
    pub(super) fn truncate(&mut self, len: usize) {
        self.len = len;
        self.chunks.truncate(len.div_ceil(CHUNK).max(1));
        let before = (self.chunks.len() - 1) << CHUNK_BITS;
        if let Some(last) = self.chunks.last_mut() {
            last.truncate((len - before) * self.width);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_their_slots() {
        let mut rows = WordRows::new(2);
        for i in 0..20_000_u64 {
            assert_eq!(rows.push(&[i, i * 2]), i as u32);
        }
        assert_eq!(rows.row(19_999), [19_999, 39_998]);
        rows.each(&[5, 19_000], |i, row| row[0] += i as u64 + 1);
        assert_eq!((rows.row(5)[0], rows.row(19_000)[0]), (6, 19_002));
        for len in [19_000, CHUNK + 1, CHUNK, 3, 0] {
            rows.truncate(len);
            assert_eq!((rows.len(), rows.blocks().map(<[u64]>::len).sum::<usize>()), (len, len * 2));
        }
        assert_eq!(rows.push(&[7, 7]), 0);
    }
}
