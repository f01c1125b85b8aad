//! The three standard streams of the process, as far as sources and sinks use them.

use std::io::{self, IsTerminal, Read, Write};

/// Standard input, unbuffered: a read answers with what is there.
pub fn stdin() -> Box<dyn Read + Send> {
    Box::new(Stdin)
}

/// Standard output; nothing is visible before a flush.
pub fn stdout() -> Box<dyn Write + Send> {
    Box::new(io::BufWriter::with_capacity(64 << 10, io::stdout()))
}

/// Whether somebody types into standard input.
pub fn stdin_is_terminal() -> bool {
    io::stdin().is_terminal()
}

/// Standard input locked per read, so that the thread that reads it can live on its own.
struct Stdin;

impl Read for Stdin {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        io::stdin().lock().read(buffer)
    }
}
