//! A TCP relay that makes a near host far: it adds a round trip to every exchange.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// A relay on a port of 127.0.0.1; it lasts as long as the process.
#[derive(Debug, Clone, Copy)]
pub struct Relay {
    /// Where to connect to instead of the host.
    pub address: SocketAddr,
}

impl Relay {
    /// Relays to `target`, with `round_trip` added, also to the connecting itself.
    pub fn start(target: SocketAddr, round_trip: Duration) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen for the relay")?;
        let address = listener.local_addr()?;
        spawn(move || {
            for client in listener.incoming().flatten() {
                spawn(move || relay(client, target, round_trip));
            }
        });
        Ok(Self { address })
    }
}

fn relay(client: TcpStream, target: SocketAddr, round_trip: Duration) -> Option<()> {
    // The client's handshake with us took no time; over the long line it takes one round trip.
    sleep(round_trip);
    let server = TcpStream::connect(target).ok()?;
    client.set_nodelay(true).ok()?;
    server.set_nodelay(true).ok()?;
    let (from_client, to_server) = (client.try_clone().ok()?, server.try_clone().ok()?);
    one_way(from_client, to_server, round_trip / 2);
    one_way(server, client, round_trip / 2);
    Some(())
}

/// Passes on what `from` says, each piece `delay` after it came.
fn one_way(mut from: TcpStream, to: TcpStream, delay: Duration) {
    let (pieces, line): (Sender<(Instant, Vec<u8>)>, _) = channel();
    spawn(move || deliver(to, &line));
    spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count) = from.read(&mut buffer) {
            let due = Instant::now() + delay;
            if pieces.send((due, buffer[..count].to_vec())).is_err() || count == 0 {
                break;
            }
        }
    });
}

fn deliver(mut to: TcpStream, line: &Receiver<(Instant, Vec<u8>)>) {
    while let Ok((due, bytes)) = line.recv() {
        sleep(due.saturating_duration_since(Instant::now()));
        if bytes.is_empty() || to.write_all(&bytes).is_err() {
            break;
        }
    }
    to.shutdown(Shutdown::Write).ok();
}
