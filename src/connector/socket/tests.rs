//! Sockets over loopback: merged clients, outages, what inference must not lose.

// Tests are the peers.
#![allow(clippy::disallowed_methods)]

use std::io::{BufRead, BufReader, Read as _, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;

use super::*;
use crate::change::Change;
use crate::connector::Read;
use crate::connector::testing::{ab, all, line, open, quiet, rows, schema, shown, spec, until};
use crate::time::IntervalId;

/// A spec that listens on a free port.
fn listening(schema: &SchemaRef, more: &[(&str, &str)]) -> RelationSpec {
    spec(schema, &[&[("address", "tcp://127.0.0.1:0"), ("mode", "listen")], more].concat())
}

/// Connects to what the status says is listening.
fn client(source: &dyn Source) -> TcpStream {
    dial(&source.status().unwrap())
}

fn dial(status: &str) -> TcpStream {
    let address = status.split("tcp://").nth(1).unwrap().split(',').next().unwrap();
    TcpStream::connect(address).unwrap()
}

#[test]
fn clients_are_merged_line_by_line() {
    let mut source = open(&Socket::default(), &listening(&line(), &[("format", "text")]));
    let (mut one, mut two) = (client(source.as_ref()), client(source.as_ref()));
    one.write_all(b"a1\na2 be").unwrap();
    assert_eq!(rows(source.as_mut(), 1), ["a1"]);
    two.write_all(b"b1\nb2").unwrap();
    assert_eq!(rows(source.as_mut(), 1), ["b1"]);
    one.write_all(b"gun\n").unwrap();
    assert_eq!(rows(source.as_mut(), 1), ["a2 begun"]);
    // A client that goes leaves a whole last line.
    drop(two);
    assert_eq!(rows(source.as_mut(), 1), ["b2"]);
    quiet(source.as_mut());
    until("1 client", || source.status().unwrap().ends_with("1 client"));
}

#[test]
fn a_bad_line_of_one_client_costs_nobody_else() {
    let mut source = open(&Socket::default(), &listening(&ab(), &[("format", "json")]));
    let (mut one, mut two) = (client(source.as_ref()), client(source.as_ref()));
    one.write_all(b"{\"a\":1,\"b\":\"x\"}\nrubbish\n").unwrap();
    two.write_all(b"{\"a\":2}\n").unwrap();
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    until("all records", || {
        if let Read::Batch(batch) = source.read(Duration::from_millis(5)).unwrap() {
            good.extend(shown(&batch.batch));
            bad.extend(batch.bad);
        }
        good.len() + bad.len() == 3
    });
    good.sort();
    assert_eq!(good, ["1|x", "2|"]);
    assert!(bad[0].place.record == 2 && bad[0].place.origin.starts_with("127.0.0.1:"), "{bad:?}");
}

#[test]
fn the_port_is_free_when_the_source_is_gone_and_clients_are_let_go() {
    let connector = Socket::default();
    let source = open(&connector, &listening(&line(), &[]));
    let mut peer = client(source.as_ref());
    let port = peer.peer_addr().unwrap().port();
    until("the client is served", || source.status().unwrap().ends_with("1 client"));
    drop(source);
    peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert_eq!(peer.read(&mut [0; 8]).unwrap_or(0), 0);
    drop(peer);
    let address = format!("127.0.0.1:{port}");
    let again = spec(&line(), &[("address", &address), ("mode", "listen")]);
    drop(connector.source(&again, &[0]).err());
}

#[test]
fn a_port_in_use_says_so_and_clients_are_counted() {
    let connector = Socket::default();
    let source = open(&connector, &listening(&line(), &[("max_connections", "1")]));
    let one = client(source.as_ref());
    until("the client is served", || source.status().unwrap().ends_with("1 client"));
    let mut two = client(source.as_ref());
    two.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert_eq!(two.read(&mut [0; 8]).unwrap_or(0), 0, "the second client is refused");
    let address = one.peer_addr().unwrap().to_string();
    let error = connector.source(&spec(&line(), &[("address", &address), ("mode", "listen")]), &[0]).err().unwrap();
    assert!(error.kind() == ErrorKind::Unreachable && error.helps()[0].contains("port"), "{error:?}");
}

#[test]
fn a_peer_that_comes_late_goes_away_and_comes_again() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let mut source = open(&Socket::default(), &spec(&line(), &[("address", &address), ("format", "text")]));
    until("it says that it tries", || source.status().unwrap().starts_with("not connected"));
    quiet(source.as_mut());
    let peer = TcpListener::bind(&address).unwrap();
    for text in ["one", "two"] {
        // The last line lacks its newline.
        peer.accept().unwrap().0.write_all(text.as_bytes()).unwrap();
        assert_eq!(rows(source.as_mut(), 1), [text]);
    }
}

#[test]
fn without_reconnecting_it_ends_and_tries_are_bounded() {
    let connector = Socket::default();
    let peer = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = peer.local_addr().unwrap().to_string();
    let once = spec(&line(), &[("address", &address), ("reconnect", "false"), ("format", "text")]);
    assert!(connector.describe(&once).unwrap().bounded);
    let mut source = open(&connector, &once);
    peer.accept().unwrap().0.write_all(b"1\n2").unwrap();
    assert_eq!(all(source.as_mut()), ["1", "2"]);
    drop(peer);
    let mut source = open(&connector, &spec(&line(), &[("address", &address), ("connect.retries", "1")]));
    let mut error = None;
    until("it gives up", || {
        error = source.read(Duration::from_millis(5)).err();
        error.is_some()
    });
    assert_eq!(error.unwrap().kind(), ErrorKind::Unreachable);
}

#[test]
fn inference_keeps_what_it_saw() {
    let peer = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = peer.local_addr().unwrap().to_string();
    let connector = Socket::default();
    for (text, columns, expected) in [("{\"a\":1,\"b\":\"x\"}\n", 2, "1|x"), ("to be, or not\n", 1, "to be, or not")] {
        let mut spec = spec(&schema(&[]), &[("address", &address)]);
        spec.name = text.to_owned();
        let mut served = None;
        std::thread::scope(|scope| {
            let serve = scope.spawn(|| {
                let mut stream = peer.accept().unwrap().0;
                stream.write_all(text.as_bytes()).unwrap();
                stream
            });
            spec.schema = connector.infer(&spec).unwrap();
            served = serve.join().ok();
        });
        assert_eq!(spec.schema.fields().len(), columns);
        assert_eq!(connector.infer(&spec).unwrap(), spec.schema);
        let mut source = open(&connector, &spec);
        assert_eq!(rows(source.as_mut(), 1), [expected]);
    }
}

#[test]
fn a_silent_socket_is_text() {
    let connector = Socket::default();
    let mut spec = listening(&schema(&[]), &[("infer_timeout", "10 ms")]);
    spec.schema = connector.infer(&spec).unwrap();
    assert_eq!(spec.schema.field(0).name(), "line");
    let mut source = open(&connector, &spec);
    client(source.as_ref()).write_all(b"{\"is\":\"text all the same\"}\n").unwrap();
    assert_eq!(rows(source.as_mut(), 1), ["{\"is\":\"text all the same\"}"]);
    let mut json = listening(&schema(&[]), &[("infer_timeout", "10 ms"), ("format", "json")]);
    json.name = "j".to_owned();
    assert_eq!(connector.infer(&json).unwrap_err().kind(), ErrorKind::Unreachable);
}

#[cfg(unix)]
#[test]
fn unix_sockets_both_ways() {
    use std::os::unix::net::{UnixListener, UnixStream};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let address = format!("unix://{}", path.display());
    let connector = Socket::default();
    let listen = [("address", address.as_str()), ("mode", "listen"), ("format", "text")];
    let mut source = open(&connector, &spec(&line(), &listen));
    UnixStream::connect(&path).unwrap().write_all(b"hello").unwrap();
    assert_eq!(rows(source.as_mut(), 1), ["hello"]);
    drop(source);
    let _ = std::fs::remove_file(&path);
    let peer = UnixListener::bind(&path).unwrap();
    let mut source = open(&connector, &spec(&line(), &[("address", &address), ("format", "text")]));
    peer.accept().unwrap().0.write_all(b"again\n").unwrap();
    assert_eq!(rows(source.as_mut(), 1), ["again"]);
}

fn change(a: i64) -> Change {
    let columns = [Arc::new(Int64Array::from(vec![a])) as _, Arc::new(StringArray::from(vec!["x"])) as _];
    Change::append(RecordBatch::try_new(ab(), columns.to_vec()).unwrap())
}

#[test]
fn a_sink_connects_when_the_peer_comes_and_sends_in_order() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let mut sink = Socket::default().sink(&spec(&ab(), &[("address", &address)])).unwrap();
    for interval in 1..=2 {
        sink.stage(IntervalId(interval), &change(interval as i64)).unwrap();
        sink.publish(IntervalId(interval)).unwrap();
    }
    let peer = TcpListener::bind(&address).unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        peer.accept().unwrap().0.read_to_string(&mut text).unwrap();
        text
    });
    sink.close().unwrap();
    let text = reader.join().unwrap();
    assert_eq!(text.lines().count(), 2);
    assert!(text.starts_with("{\"a\":1"), "{text}");
}

#[test]
fn a_sink_that_listens_sends_to_every_client() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let mut sink = Socket::default().sink(&spec(&ab(), &[("address", &address), ("mode", "listen")])).unwrap();
    let clients: Vec<_> = (0..2).map(|_| BufReader::new(TcpStream::connect(&address).unwrap())).collect();
    // Clients count from when they were accepted: send until each has a line.
    let threads: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            std::thread::spawn(move || {
                let mut line = String::new();
                client.read_line(&mut line).unwrap();
                line
            })
        })
        .collect();
    let mut interval = 0;
    until("every client has a line", || {
        interval += 1;
        sink.stage(IntervalId(interval), &change(7)).unwrap();
        sink.publish(IntervalId(interval)).unwrap();
        threads.iter().all(std::thread::JoinHandle::is_finished)
    });
    for thread in threads {
        assert_eq!(thread.join().unwrap(), "{\"a\":7,\"b\":\"x\"}\n");
    }
    sink.close().unwrap();
}
