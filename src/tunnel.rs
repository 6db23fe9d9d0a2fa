//! A port of this machine that leads to the API of a server, over SSH; it outlives lost connections.

use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::cluster::Host;
use crate::remote::{Connection, Connector, RemoteError};

/// Where the API listens on every server.
pub const API: u16 = 6443;

/// The first of the ports that clusters get.
const FIRST: u16 = 16443;
/// How many there are.
const PORTS: u16 = 1000;

/// How often it is looked whether the connection is still there.
const LOOK: Duration = Duration::from_millis(250);
/// How long a server may take to let us in again before the next one is tried.
const AGAIN: Duration = Duration::from_secs(10);
/// The longest pause between two rounds over all servers.
const PAUSE: Duration = Duration::from_secs(15);
/// How long a client waits for a connection that was lost.
const CLIENT: Duration = Duration::from_secs(30);

/// The port of the tunnel to the cluster of that name: always the same, and rarely another cluster's.
#[must_use]
pub fn port(cluster: &str) -> u16 {
    let digest = Sha256::digest(cluster.as_bytes());
    let number = digest.iter().take(2).fold(0, |number, byte| number * 256 + u32::from(*byte));
    FIRST + u16::try_from(number % u32::from(PORTS)).unwrap_or_default()
}

/// Listens on `port` of this machine's loopback.
///
/// # Errors
/// When another program has it.
pub async fn listen(port: u16) -> anyhow::Result<TcpListener> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == ErrorKind::AddrInUse => bail!(
            "port {port} of this machine is in use\n\
             hint: another `oceanid tunnel` may be running; `oceanid tunnel --port PORT` takes another one, \
             and `oceanid kubeconfig --via-ssh --port PORT` tells kubectl"
        ),
        Err(error) => Err(error).with_context(|| format!("cannot listen on port {port}")),
    }
}

/// Hands over what `client` and the API on the host behind `connection` say, until one of them ends.
///
/// # Errors
/// When the host opens no way to its API.
pub async fn pass(mut client: TcpStream, connection: &Connection) -> Result<(), RemoteError> {
    let mut api = connection.forward(API).await?;
    // Either may hang up whenever it likes.
    let _ = copy_bidirectional(&mut client, &mut api).await;
    Ok(())
}

/// What happens to a tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// It leads to the API of this server.
    Open(String),
    /// The connection to this server was lost, and why.
    Lost(String, String),
    /// No server lets us in yet; what this one said.
    Waiting(String, String),
    /// This server lets nobody through to its API, and why.
    Closed(String, String),
}

/// Hears what happens.
pub type Tell = dyn Fn(News) + Send + Sync;

/// A server that we are in.
pub struct Way {
    /// Its place among the servers.
    pub index: usize,
    /// The connection.
    pub connection: Connection,
}

/// A port that leads to the API of the first server that lets us through.
pub struct Tunnel {
    /// Makes the connections anew.
    pub connector: Connector,
    /// The servers, the preferred one first.
    pub servers: Vec<Host>,
    /// Hears what happens.
    pub tell: Arc<Tell>,
}

impl Tunnel {
    /// Serves clients of `listener` through `way`, and through others after it; ends only when it is dropped.
    pub async fn run(self, listener: TcpListener, way: Way) {
        let (tell, alone) = (Arc::clone(&self.tell), self.servers.len() == 1);
        tell(News::Open(self.name(way.index)));
        let (ways, current) = watch::channel(Some(Arc::new(way)));
        let (complaints, heard) = mpsc::channel(16);
        let names: Vec<String> = self.servers.iter().map(|host| host.name.clone()).collect();
        let shared =
            Arc::new(Shared { names, alone, complaints, tell, refused: AtomicBool::new(false) });
        let serve = async {
            let mut clients = JoinSet::new();
            loop {
                tokio::select! {
                    Ok((client, _)) = listener.accept() => {
                        let shared = Arc::clone(&shared);
                        clients.spawn(shared.serve(client, current.clone()));
                    }
                    Some(_) = clients.join_next() => {}
                    // A machine without free file descriptors gets some back in time.
                    else => sleep(LOOK).await,
                }
            }
        };
        tokio::join!(serve, self.keep(&ways, heard));
    }

    fn name(&self, index: usize) -> String {
        self.servers.get(index).map(|host| host.name.clone()).unwrap_or_default()
    }

    /// Sees to it that there is a connection.
    async fn keep(
        &self,
        ways: &watch::Sender<Option<Arc<Way>>>,
        mut heard: mpsc::Receiver<(usize, String)>,
    ) {
        loop {
            let Some(way) = ways.borrow().clone() else { return };
            let index = way.index;
            let next = loop {
                if let Some(reason) = way.connection.ended() {
                    (self.tell)(News::Lost(self.name(index), reason));
                    break index;
                }
                if let Ok(Some((_, reason))) = tokio::time::timeout(LOOK, heard.recv()).await {
                    (self.tell)(News::Closed(self.name(index), reason));
                    break index + 1;
                }
            };
            drop(way);
            ways.send_replace(None);
            let way = self.connect(next).await;
            (self.tell)(News::Open(self.name(way.index)));
            // What was complained of before is about the way that is gone.
            while heard.try_recv().is_ok() {}
            ways.send_replace(Some(Arc::new(way)));
        }
    }

    /// Tries all servers, beginning with `first`, until one lets us in.
    async fn connect(&self, first: usize) -> Way {
        let mut told: Vec<News> = Vec::new();
        let mut pause = Duration::from_millis(500);
        loop {
            let count = self.servers.len();
            for index in (first..first + count).map(|index| index % count) {
                let Some(host) = self.servers.get(index) else { continue };
                let mut host = host.clone();
                host.ssh.connect = AGAIN;
                match self.connector.connect(&host, &|_| {}).await {
                    Ok(connection) => return Way { index, connection },
                    Err(error) => {
                        let news = News::Waiting(host.name, plain(&error));
                        if !told.contains(&news) {
                            told.push(news.clone());
                            (self.tell)(news);
                        }
                    }
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE);
        }
    }
}

fn plain(error: &RemoteError) -> String {
    match error {
        RemoteError::Unreachable { last, .. } => last.clone(),
        RemoteError::Unusable { reason, .. } | RemoteError::Lost { reason, .. } => reason.clone(),
        other => other.to_string(),
    }
}

/// What all clients share.
struct Shared {
    names: Vec<String>,
    alone: bool,
    complaints: mpsc::Sender<(usize, String)>,
    tell: Arc<Tell>,
    refused: AtomicBool,
}

impl Shared {
    async fn serve(
        self: Arc<Self>,
        mut client: TcpStream,
        mut ways: watch::Receiver<Option<Arc<Way>>>,
    ) {
        let deadline = Instant::now() + CLIENT;
        loop {
            let there = timeout_at(deadline, ways.wait_for(Option::is_some)).await;
            let Some(way) = there.ok().and_then(|way| way.ok()?.clone()) else { return };
            match way.connection.forward(API).await {
                Ok(mut api) => {
                    self.refused.store(false, Ordering::Relaxed);
                    // Either may hang up whenever it likes.
                    let _ = copy_bidirectional(&mut client, &mut api).await;
                    return;
                }
                Err(RemoteError::Unusable { reason, .. }) if self.alone => {
                    if !self.refused.swap(true, Ordering::Relaxed) {
                        let name = self.names.get(way.index).cloned().unwrap_or_default();
                        (self.tell)(News::Closed(name, reason));
                    }
                    return;
                }
                Err(RemoteError::Unusable { reason, .. }) => {
                    // With the queue full, another client has said the same.
                    let _ = self.complaints.try_send((way.index, reason));
                }
                Err(_) => {}
            }
            drop(way);
            // Until the connection is seen to be gone, and another one is there.
            if timeout_at(deadline, ways.changed()).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_always_gets_the_same_port_from_the_range() {
        assert_eq!(port("ocean"), port("ocean"));
        assert_ne!(port("ocean"), port("lab"));
        assert!(
            (0..500)
                .map(|number| port(&number.to_string()))
                .all(|port| (16443..17443).contains(&port))
        );
    }
}
