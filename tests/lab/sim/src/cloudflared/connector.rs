//! The four connections to the edge: opened, registered, kept, and used for requests.

use super::credentials::Credentials;
use super::edges::{Protocol, dial};
use super::ingress::{self, Rule};
use super::{log, proxy};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// How many connections there are.
pub const COUNT: usize = 4;
/// After how many failures the first connection is given up.
const TRIES: u32 = 5;
/// After how many failures over UDP `auto` goes on over TCP.
const TRIES_UDP: u32 = 2;
/// The edge says something at least so often.
const SILENCE: Duration = Duration::from_secs(6);
/// The longest rest between two tries.
const LONGEST: Duration = Duration::from_secs(16);

/// A tunnel that is run.
#[derive(Debug)]
pub struct Tunnel {
    /// What opens it.
    pub credentials: Credentials,
    /// Who we are, for the edge.
    pub id: String,
    /// Where the edge is.
    pub edges: Vec<SocketAddr>,
    /// How it is reached first, and whether another way may be taken.
    pub protocol: (Protocol, Fallback),
    /// Version and rules; -1 are those of the file.
    pub rules: Mutex<(i64, Vec<Rule>)>,
    /// Which connections are registered.
    pub connected: [AtomicBool; COUNT],
    /// How many requests there were.
    pub requests: AtomicU64,
    /// How many are under way.
    pub busy: AtomicU64,
    /// Told when the tunnel is to end.
    pub end: Notify,
}

/// Whether TCP may be tried where UDP is blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// It may.
    Http2,
    /// It may not.
    None,
}

/// Why a connection did not come about.
enum Failed {
    Dial(String),
    Register(String),
}

impl Tunnel {
    /// Returns the rules in force, and their version.
    pub fn rules(&self) -> (i64, Vec<Rule>) {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns how many connections are registered.
    pub fn ready(&self) -> usize {
        self.connected.iter().filter(|one| one.load(Ordering::Relaxed)).count()
    }
}

/// Opens the first connection, then the others, and keeps them.
///
/// # Errors
/// The first does not come about.
pub async fn keep_all(tunnel: Arc<Tunnel>, rest: Duration) -> Result<(), String> {
    let (mut protocol, fallback) = tunnel.protocol;
    let mut tries = 0;
    let mut wait = rest;
    let first = loop {
        let why = match open(&tunnel, 0, protocol).await {
            Ok(stream) => break stream,
            Err(Failed::Dial(line)) => {
                log::error(format!("{line} connIndex=0 event=0 ip={}", ip(&tunnel, 0)));
                line
            }
            Err(Failed::Register(why)) => {
                log::error(format!(
                    "Register tunnel error from server side error={why:?} connIndex=0 event=0 ip={}",
                    ip(&tunnel, 0)
                ));
                why
            }
        };
        tries += 1;
        if protocol == Protocol::Quic
            && fallback == Fallback::Http2
            && tries >= TRIES_UDP
            && why.contains("quic")
        {
            log::info("Switching to fallback protocol http2 connIndex=0 event=0");
            (protocol, tries, wait) = (Protocol::Http2, 0, rest);
            continue;
        }
        if tries > TRIES {
            log::info("Tunnel server stopped");
            log::error(format!("Initiating shutdown error={why:?}"));
            return Err(why);
        }
        log::info(format!(
            "Retrying connection in up to {}s connIndex=0 event=0",
            wait.as_secs_f64()
        ));
        sleep(wait).await;
        wait = (wait * 2).min(LONGEST);
    };
    crate::notify::notify("READY=1");
    let mut first = Some(first);
    for index in 0..COUNT {
        let (tunnel, stream) = (Arc::clone(&tunnel), first.take());
        tokio::spawn(keep(tunnel, index, stream, protocol, rest));
    }
    std::future::pending().await
}

async fn keep(
    tunnel: Arc<Tunnel>,
    index: usize,
    mut stream: Option<BufReader<TcpStream>>,
    protocol: Protocol,
    rest: Duration,
) {
    let mut wait = rest;
    loop {
        let opened = match stream.take() {
            Some(stream) => Ok(stream),
            None => open(&tunnel, index, protocol).await,
        };
        let ip = ip(&tunnel, index);
        match opened {
            Ok(stream) => {
                wait = rest;
                let why = serve(&tunnel, index, stream).await;
                if let Some(one) = tunnel.connected.get(index) {
                    one.store(false, Ordering::Relaxed);
                }
                log::warning(format!(
                    "Connection terminated error={why:?} connIndex={index} event=0 ip={ip}"
                ));
            }
            Err(Failed::Dial(line)) => {
                log::error(format!("{line} connIndex={index} event=0 ip={ip}"));
            }
            Err(Failed::Register(why)) => log::error(format!(
                "Register tunnel error from server side error={why:?} connIndex={index} event=0 ip={ip}"
            )),
        }
        log::info(format!(
            "Retrying connection in up to {}s connIndex={index} event=0 ip={ip}",
            wait.as_secs_f64()
        ));
        sleep(wait).await;
        wait = (wait * 2).min(LONGEST);
    }
}

fn edge(tunnel: &Tunnel, index: usize) -> Option<SocketAddr> {
    let count = tunnel.edges.len().max(1);
    tunnel.edges.get(index % count).copied()
}

fn ip(tunnel: &Tunnel, index: usize) -> String {
    edge(tunnel, index).map_or_else(String::new, |address| address.ip().to_string())
}

/// Opens and registers a connection.
async fn open(
    tunnel: &Tunnel,
    index: usize,
    protocol: Protocol,
) -> Result<BufReader<TcpStream>, Failed> {
    let address =
        edge(tunnel, index).ok_or(Failed::Dial("there are no free edge addresses left".into()))?;
    let stream = dial(address, protocol).await.map_err(Failed::Dial)?;
    let mut stream = BufReader::new(stream);
    let Credentials { account, secret, id } = &tunnel.credentials;
    let asked = json!({
        "tunnel": id, "account": account, "secret": secret, "connector": tunnel.id,
        "index": index, "protocol": protocol.name(), "version": super::version(),
    });
    let answer = ask(&mut stream, &asked).await.map_err(Failed::Dial)?;
    if let Some(error) = answer["error"].as_str() {
        return Err(Failed::Register(error.to_owned()));
    }
    if let Some(one) = tunnel.connected.get(index) {
        one.store(true, Ordering::Relaxed);
    }
    let connection = answer["connection"].as_str().unwrap_or_default();
    log::info(format!(
        "Registered tunnel connection connIndex={index} connection={connection} event=0 ip={} location=lab01 protocol={}",
        address.ip(),
        protocol.name()
    ));
    update(tunnel, &answer);
    Ok(stream)
}

async fn ask(stream: &mut BufReader<TcpStream>, asked: &Value) -> Result<Value, String> {
    let lost = |why: String| format!("Serve tunnel error error={why:?}");
    let line = format!("{asked}\n");
    stream.write_all(line.as_bytes()).await.map_err(|error| lost(error.to_string()))?;
    let mut line = String::new();
    match timeout(SILENCE, stream.read_line(&mut line)).await {
        Ok(Ok(count)) if count > 0 => {
            serde_json::from_str(&line).map_err(|error| lost(error.to_string()))
        }
        Ok(Err(error)) => Err(lost(error.to_string())),
        _ => Err(lost("EOF".to_owned())),
    }
}

/// Takes over the rules that the edge has for the tunnel.
fn update(tunnel: &Tunnel, said: &Value) {
    let (Some(version), Some(rules)) =
        (said["version"].as_i64(), said["config"]["ingress"].as_array())
    else {
        return;
    };
    let mut known = tunnel.rules.lock().unwrap_or_else(PoisonError::into_inner);
    if version <= known.0 {
        return;
    }
    match ingress::parse(rules) {
        Ok(rules) => {
            log::info(format!(
                "Updated to new configuration config={:?} version={version}",
                said["config"].to_string()
            ));
            *known = (version, rules);
        }
        Err(why) => log::error(format!("Failed to update ingress error={why:?} version={version}")),
    }
}

/// Listens to the edge until the connection ends; returns why it did.
async fn serve(tunnel: &Arc<Tunnel>, index: usize, mut stream: BufReader<TcpStream>) -> String {
    loop {
        let mut line = String::new();
        let read = tokio::select! {
            read = timeout(SILENCE, stream.read_line(&mut line)) => read,
            () = tunnel.end.notified() => {
                let bye = json!({ "unregister": true });
                // An edge that is gone need not be told.
                let _ = stream.write_all(format!("{bye}\n").as_bytes()).await;
                let _ = stream.flush().await;
                return std::future::pending().await;
            }
        };
        match read {
            Err(_) => return "timeout: no recent network activity".to_owned(),
            Ok(Err(error)) => return error.to_string(),
            Ok(Ok(0)) => return "EOF".to_owned(),
            Ok(Ok(_)) => {}
        }
        let said: Value = serde_json::from_str(&line).unwrap_or_default();
        if said["ping"].is_number() && stream.write_all(b"{\"pong\":1}\n").await.is_err() {
            return "write: broken pipe".to_owned();
        }
        update(tunnel, &said);
        if let (Some(request), Some(address)) = (said["request"].as_str(), edge(tunnel, index)) {
            tokio::spawn(answer(Arc::clone(tunnel), address, request.to_owned()));
        }
    }
}

/// Opens a stream for a request and answers what comes on it.
async fn answer(tunnel: Arc<Tunnel>, address: SocketAddr, request: String) {
    tunnel.requests.fetch_add(1, Ordering::Relaxed);
    tunnel.busy.fetch_add(1, Ordering::Relaxed);
    if let Ok(mut stream) = TcpStream::connect(address).await {
        let line = format!("{}\n", json!({ "data": request }));
        if stream.write_all(line.as_bytes()).await.is_ok() {
            proxy::serve(&tunnel, stream).await;
        }
    }
    tunnel.busy.fetch_sub(1, Ordering::Relaxed);
}
