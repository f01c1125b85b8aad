//! Bytes made durable while more are written, so that completing a large file has little left to wait for.

use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::host::WriteFile;

/// Bytes written between two syncs.
const SYNC_BYTES: usize = 16 << 20;

/// Syncs one file from a thread of its own, which is started once there is something to do for it.
#[derive(Default)]
pub(super) struct Behind {
    /// Bytes written since the last sync was asked for.
    written: usize,
    thread: Option<(SyncSender<()>, JoinHandle<io::Result<()>>)>,
}

impl Behind {
    /// So many bytes have been written to the file.
    pub(super) fn wrote(&mut self, bytes: usize, file: &dyn WriteFile) {
        self.written += bytes;
        if self.written < SYNC_BYTES {
            return;
        }
        self.written = 0;
        if self.thread.is_none() {
            // Without it the file is synced when it is complete, as small ones are.
            let Ok(Some(mut file)) = file.again() else { return };
            let (asked, asks) = sync_channel(1);
            let sync = move || asks.into_iter().try_for_each(|()| file.sync());
            self.thread =
                std::thread::Builder::new().name("sync".into()).spawn(sync).ok().map(|thread| (asked, thread));
        }
        if let Some((asked, _)) = &self.thread {
            // One that is asked for already will do.
            let _ = asked.try_send(());
        }
    }

    /// Waits for the sync that is under way.
    ///
    /// # Errors
    /// That of any sync so far: the system tells of a failure once, so the last sync may know nothing of it.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        let Some((asked, thread)) = self.thread.take() else { return Ok(()) };
        drop(asked);
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that syncs panicked")))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Counts syncs; the handle for the thread may fail them.
    struct File {
        synced: Arc<AtomicUsize>,
        fails: bool,
    }

    impl Write for File {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl WriteFile for File {
        fn sync(&mut self) -> io::Result<()> {
            self.synced.fetch_add(1, Ordering::SeqCst);
            if self.fails { Err(io::Error::other("disk full")) } else { Ok(()) }
        }

        fn again(&self) -> io::Result<Option<Box<dyn WriteFile>>> {
            Ok(Some(Box::new(Self { synced: Arc::clone(&self.synced), fails: self.fails })))
        }
    }

    #[test]
    fn large_files_are_synced_on_the_way_and_small_ones_are_not() {
        for (megabytes, syncs) in [(15, 0), (16, 1)] {
            let file = File { synced: Arc::default(), fails: false };
            let mut behind = Behind::default();
            (0..megabytes).for_each(|_| behind.wrote(1 << 20, &file));
            behind.finish().unwrap();
            assert_eq!(file.synced.load(Ordering::SeqCst), syncs);
        }
    }

    #[test]
    fn a_failure_on_the_way_is_told_at_the_end() {
        let file = File { synced: Arc::default(), fails: true };
        let mut behind = Behind::default();
        (0..5).for_each(|_| behind.wrote(SYNC_BYTES, &file));
        assert_eq!(behind.finish().unwrap_err().to_string(), "disk full");
    }
}
