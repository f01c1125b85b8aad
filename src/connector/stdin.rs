//! Standard input as a source: it ends, but its rows come as they happen.

use std::io::Read as IoRead;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::datatypes::SchemaRef;

use super::feed::{Feed, read_stream};
use super::feed_source::{FeedSource, Primed};
use super::records::Shape;
use super::{Connector, Description, RelationSpec, Sink, Source};
use crate::error::{Error, Result};
use crate::format::{FormatSpec, Inferred};
use crate::host;

/// The connector `stdin`. There is one standard input: the first source takes it.
pub struct Stdin {
    open: Arc<dyn Fn() -> Box<dyn IoRead + Send> + Send + Sync>,
    state: Mutex<State>,
}

enum State {
    /// Nobody has asked for it.
    Untouched,
    /// Its first bytes have been looked at; they are kept for the source.
    Seen(Primed, Inferred),
    /// A source has it; what was seen of it before.
    Taken(Option<Inferred>),
}

impl Default for Stdin {
    fn default() -> Self {
        Self::new(host::stdin)
    }
}

impl Stdin {
    /// A connector that reads what `open` opens, the first time it is wanted.
    pub fn new(open: impl Fn() -> Box<dyn IoRead + Send> + Send + Sync + 'static) -> Self {
        Self { open: Arc::new(open), state: Mutex::new(State::Untouched) }
    }

    fn start(&self, spec: &RelationSpec) -> Result<Primed> {
        let feed = Feed::new(spec.settings.queue_bytes_max);
        let open = Arc::clone(&self.open);
        read_stream(&feed, "stdin", move || Ok(open()))?;
        Ok(Primed::new(feed))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connector for Stdin {
    fn name(&self) -> &'static str {
        "stdin"
    }

    fn infer(&self, spec: &RelationSpec) -> Result<SchemaRef> {
        let mut state = self.lock();
        if let State::Seen(_, inferred) | State::Taken(Some(inferred)) = &*state {
            return Ok(inferred.schema.clone());
        }
        if matches!(*state, State::Taken(_)) {
            return Err(taken());
        }
        let mut primed = self.start(spec)?;
        let format = FormatSpec::from_options(&spec.options, None)?;
        let inferred = primed.infer(format.as_ref(), None)?.ok_or_else(|| Error::internal("stdin gave no sample"))?;
        let schema = inferred.schema.clone();
        *state = State::Seen(primed, inferred);
        Ok(schema)
    }

    fn describe(&self, spec: &RelationSpec) -> Result<Description> {
        let format = FormatSpec::from_options(&spec.options, None)?;
        Ok(Description {
            bounded: true,
            live: true,
            readable: true,
            writable: false,
            accepts_changes: false,
            gives_changes: format.is_some_and(|f| f.gives_changes()),
            partitions: 1,
        })
    }

    fn source(&self, spec: &RelationSpec, projection: &[usize]) -> Result<Box<dyn Source>> {
        let mut format = FormatSpec::from_options(&spec.options, None)?;
        let mut state = self.lock();
        let primed = match std::mem::replace(&mut *state, State::Taken(None)) {
            State::Untouched => self.start(spec)?,
            State::Seen(primed, inferred) => {
                format = format.or_else(|| Some(inferred.format.clone()));
                *state = State::Taken(Some(inferred));
                primed
            }
            State::Taken(inferred) => {
                *state = State::Taken(inferred);
                return Err(taken());
            }
        };
        let shape = Shape::new(spec.schema.clone(), projection, format, &spec.settings);
        Ok(Box::new(FeedSource::new(primed, shape, spec.settings.batch_rows_max)?))
    }

    fn sink(&self, _: &RelationSpec) -> Result<Box<dyn Sink>> {
        Err(Error::config("stdin can't be written").help("write to stdout: connector = 'stdout'"))
    }
}

fn taken() -> Error {
    Error::config("stdin is being read already")
        .help("read it once into a view, and query the view: CREATE MATERIALIZED VIEW v AS SELECT … FROM stdin")
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io;
    use std::sync::Condvar;
    use std::time::Duration;

    use super::*;
    use crate::connector::Read;
    use crate::connector::testing::{ab, all, line, open, quiet, rows, schema, spec};

    /// A pipe whose other end is in the test.
    #[derive(Clone, Default)]
    struct Pipe(Arc<(Mutex<VecDeque<Option<&'static str>>>, Condvar)>);

    impl Pipe {
        fn write(&self, text: &'static str) {
            self.0.0.lock().unwrap().push_back(Some(text));
            self.0.1.notify_all();
        }

        fn end(&self) {
            self.0.0.lock().unwrap().push_back(None);
            self.0.1.notify_all();
        }
    }

    impl io::Read for Pipe {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let mut queue = self.0.1.wait_while(self.0.0.lock().unwrap(), |q| q.is_empty()).unwrap();
            let Some(Some(text)) = queue.pop_front() else { return Ok(0) };
            buffer[..text.len()].copy_from_slice(text.as_bytes());
            Ok(text.len())
        }
    }

    fn stdin(pipe: &Pipe) -> Stdin {
        let pipe = pipe.clone();
        Stdin::new(move || Box::new(pipe.clone()))
    }

    #[test]
    fn rows_come_as_they_are_written_and_the_last_needs_no_newline() {
        let pipe = Pipe::default();
        let mut source = open(&stdin(&pipe), &spec(&ab(), &[("format", "json")]));
        quiet(source.as_mut());
        pipe.write("{\"a\":1,\"b\":\"x\"}\n{\"a\":");
        assert_eq!(rows(source.as_mut(), 1), ["1|x"]);
        quiet(source.as_mut());
        pipe.write("2}");
        pipe.end();
        assert_eq!(all(source.as_mut()), ["2|"]);
        assert!(matches!(source.read(Duration::ZERO).unwrap(), Read::End));
    }

    #[test]
    fn a_look_loses_nothing_and_there_is_one_reader() {
        let pipe = Pipe::default();
        let connector = stdin(&pipe);
        pipe.write("{\"a\":1,\"b\":\"x\"}\n{\"a\"");
        let mut spec = spec(&schema(&[]), &[]);
        spec.schema = connector.infer(&spec).unwrap();
        let mut source = open(&connector, &spec);
        assert_eq!(rows(source.as_mut(), 1), ["1|x"]);
        pipe.write(":2}\n");
        pipe.end();
        assert_eq!(all(source.as_mut()), ["2|"]);
        assert_eq!(connector.infer(&spec).unwrap(), spec.schema);
        assert!(connector.source(&spec, &[0]).err().unwrap().message().contains("already"));
    }

    #[test]
    fn no_input_is_no_lines() {
        let connector = Stdin::new(|| Box::new(io::empty()));
        let mut spec = spec(&schema(&[]), &[]);
        spec.schema = connector.infer(&spec).unwrap();
        assert_eq!(spec.schema.field(0).name(), "line");
        assert!(all(open(&connector, &spec).as_mut()).is_empty());
    }

    #[test]
    fn a_record_without_end_stays_bounded() {
        let connector = Stdin::new(|| Box::new(io::Read::take(io::repeat(b'x'), 30 << 20)));
        let mut source = open(&connector, &spec(&ab(), &[("format", "json")]));
        let found = crate::connector::testing::batches(source.as_mut());
        let bad: Vec<_> = found.iter().flat_map(|b| &b.bad).collect();
        assert_eq!((bad.len(), bad[0].bytes.len()), (1, 4096));
    }
    #[test]
    fn declared_columns_tell_the_format_that_nothing_else_says() {
        let read = |schema: &SchemaRef, text: &'static str| {
            let connector = Stdin::new(move || Box::new(text.as_bytes()));
            all(open(&connector, &spec(schema, &[])).as_mut())
        };
        assert_eq!(read(&ab(), "{\"b\":\"x\",\"a\":1}\n"), ["1|x"]);
        assert_eq!(read(&ab(), "1,x\n2,y\n"), ["1|x", "2|y"]);
        assert_eq!(read(&line(), "{\"line\":\"is text\"}\n"), ["{\"line\":\"is text\"}"]);
    }
}
