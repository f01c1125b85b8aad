//! Bytes of keys, in chunks: growing moves nothing.

/// Bytes in a chunk, at least; the first ones are smaller.
const CHUNK_MAX: usize = 1 << 18;

/// Byte strings that are only ever added, and taken away again from the end.
#[derive(Default)]
pub(super) struct Arena {
    chunks: Vec<Vec<u8>>,
    bytes: usize,
}

/// Where an arena ends.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ArenaEnd {
    chunks: usize,
    last: usize,
}

impl Arena {
    /// Adds bytes; two words that name them.
    pub(super) fn push(&mut self, bytes: &[u8]) -> [u64; 2] {
        let fits = self.chunks.last().is_some_and(|c| c.capacity() - c.len() >= bytes.len());
        if !fits {
            let size = (256 << (2 * self.chunks.len().min(8))).min(CHUNK_MAX).max(bytes.len());
            self.bytes += size;
            self.chunks.push(Vec::with_capacity(size));
        }
        let chunk = self.chunks.len() - 1;
        let Some(last) = self.chunks.last_mut() else { return [0, 0] };
        let at = last.len();
        last.extend_from_slice(bytes);
        [(chunk as u64) << 32 | at as u64, bytes.len() as u64]
    }

    #[inline]
    pub(super) fn get(&self, place: u64, len: u64) -> &[u8] {
        if len == 0 {
            return &[];
        }
        let at = place as u32 as usize;
        &self.chunks[(place >> 32) as usize][at..at + len as usize]
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn end(&self) -> ArenaEnd {
        ArenaEnd { chunks: self.chunks.len(), last: self.chunks.last().map_or(0, Vec::len) }
    }

    /// Takes away what was added behind an end.
    pub(super) fn truncate(&mut self, end: ArenaEnd) {
        self.chunks.truncate(end.chunks);
        if let Some(last) = self.chunks.last_mut() {
            last.truncate(end.last);
        }
        self.bytes = self.chunks.iter().map(Vec::capacity).sum();
    }
}
