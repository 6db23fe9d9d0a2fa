//! The connectors that are connected, and how a request gets to one of them.

use super::state::State;
use crate::cloudflared::uuid;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{interval, timeout};

/// How often a connector is asked whether it is there, and whether its configuration is the newest.
const BEAT: Duration = Duration::from_secs(1);
/// Who says nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(6);
/// How long a connector may take to fetch a request.
const PATIENCE: Duration = Duration::from_secs(5);

/// The edge.
#[derive(Debug)]
pub struct Edge {
    state: PathBuf,
    connectors: Mutex<Vec<Connector>>,
    waiting: Mutex<HashMap<String, oneshot::Sender<TcpStream>>>,
    /// The configuration of each tunnel that was last handed out, and its version.
    handed: Mutex<HashMap<String, (u64, Value)>>,
}

#[derive(Debug)]
struct Connector {
    connection: String,
    /// What the connector said of itself.
    said: Value,
    lines: mpsc::UnboundedSender<String>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Edge {
    /// Makes an edge of what is in the file `state`.
    pub fn new(state: &str) -> Self {
        Self {
            state: state.into(),
            connectors: Mutex::default(),
            waiting: Mutex::default(),
            handed: Mutex::default(),
        }
    }

    /// Reads what there is.
    pub async fn state(&self) -> State {
        State::read(&self.state).await
    }

    /// Reads what there is; one that is just being written counts as nothing.
    pub fn state_now(&self) -> State {
        State::read_now(&self.state).unwrap_or_default()
    }

    /// Opens a stream to a connector of a tunnel; none where none is connected.
    pub async fn open(&self, tunnel: &str) -> Option<TcpStream> {
        loop {
            let request = uuid().ok()?;
            let (connection, lines) = {
                let all = lock(&self.connectors);
                let last = all.iter().rev().find(|one| one.said["tunnel"] == tunnel)?;
                (last.connection.clone(), last.lines.clone())
            };
            let (sender, receiver) = oneshot::channel();
            lock(&self.waiting).insert(request.clone(), sender);
            let asked = lines.send(json!({ "request": request }).to_string()).is_ok();
            if asked && let Ok(Ok(stream)) = timeout(PATIENCE, receiver).await {
                return Some(stream);
            }
            lock(&self.waiting).remove(&request);
            self.forget(&connection);
        }
    }

    fn forget(&self, connection: &str) {
        lock(&self.connectors).retain(|one| one.connection != connection);
        self.publish();
    }

    /// Writes who is connected.
    fn publish(&self) {
        let all: Vec<Value> = lock(&self.connectors).iter().map(|one| one.said.clone()).collect();
        let path = format!("{}.connections", self.state.display());
        let new = format!("{path}.new");
        // Nobody may want to know.
        let _ = std::fs::write(&new, json!(all).to_string());
        let _ = std::fs::rename(&new, &path);
    }

    /// Returns the remote configuration of a tunnel and its version.
    fn configuration(&self, state: &State, tunnel: &str) -> Option<(u64, Value)> {
        let config = state.tunnel(tunnel)?.remote()?;
        let mut handed = lock(&self.handed);
        if let Some(known) = handed.get(tunnel).filter(|(_, known)| known == config) {
            return Some(known.clone());
        }
        // Later ones have higher numbers, also when the edge was started anew in between.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_millis();
        let made = (u64::try_from(now).ok()?, config.clone());
        handed.insert(tunnel.to_owned(), made.clone());
        Some(made)
    }
}

/// Sends every packet back.
pub async fn echo(socket: UdpSocket) {
    let mut buffer = [0; 64];
    loop {
        if let Ok((count, from)) = socket.recv_from(&mut buffer).await {
            // Who asked may be gone.
            let _ = socket.send_to(buffer.get(..count).unwrap_or_default(), from).await;
        }
    }
}

/// Takes connectors, and the streams on which they answer requests.
pub async fn accept(edge: Arc<Edge>, listener: TcpListener) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let edge = Arc::clone(&edge);
            tokio::spawn(async move { take(&edge, stream).await });
        }
    }
}

async fn take(edge: &Edge, stream: TcpStream) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    timeout(PATIENCE, stream.read_line(&mut line)).await.ok()?.ok()?;
    let said: Value = serde_json::from_str(&line).ok()?;
    if let Some(request) = said["data"].as_str() {
        let waiting = lock(&edge.waiting).remove(request)?;
        return waiting.send(stream.into_inner()).ok();
    }
    let state = edge.state().await;
    if let Err(why) = admit(&state, &said) {
        let answer = format!("{}\n", json!({ "error": why }));
        return stream.write_all(answer.as_bytes()).await.ok();
    }
    let tunnel = said["tunnel"].as_str()?.to_owned();
    let connection = uuid().ok()?;
    let mut answer = json!({ "connection": connection });
    if let Some((version, config)) = edge.configuration(&state, &tunnel) {
        answer["version"] = json!(version);
        answer["config"] = config;
    }
    stream.write_all(format!("{answer}\n").as_bytes()).await.ok()?;
    let (lines, queue) = mpsc::unbounded_channel();
    let mut shown = said;
    shown.as_object_mut()?.remove("secret");
    lock(&edge.connectors).push(Connector { connection: connection.clone(), said: shown, lines });
    edge.publish();
    keep(edge, &tunnel, stream, queue).await;
    edge.forget(&connection);
    Some(())
}

/// Whether a connector has what opens its tunnel.
fn admit(state: &State, said: &Value) -> Result<(), &'static str> {
    let Some(tunnel) = state.tunnel(said["tunnel"].as_str().unwrap_or_default()) else {
        return Err("Unauthorized: Tunnel not found");
    };
    if said["account"] != tunnel.account_tag {
        return Err("Unauthorized: Failed to get tunnel");
    }
    if said["secret"] == tunnel.secret {
        Ok(())
    } else {
        Err("Unauthorized: Invalid tunnel secret")
    }
}

/// Speaks with a connector until it goes.
async fn keep(
    edge: &Edge,
    tunnel: &str,
    stream: BufReader<TcpStream>,
    mut queue: mpsc::UnboundedReceiver<String>,
) -> Option<()> {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut lines = BufReader::new(reader).lines();
    let mut beat = interval(BEAT);
    let mut heard = Instant::now();
    let mut version = 0;
    loop {
        let line = tokio::select! {
            line = lines.next_line() => {
                let said: Value = serde_json::from_str(&line.ok()??).unwrap_or_default();
                if said["unregister"] == true {
                    return None;
                }
                heard = Instant::now();
                continue;
            }
            line = queue.recv() => line?,
            _ = beat.tick() => {
                let state = edge.state().await;
                state.tunnel(tunnel).filter(|_| heard.elapsed() < SILENCE)?;
                match edge.configuration(&state, tunnel) {
                    Some((newer, config)) if newer > version => {
                        version = newer;
                        json!({ "ping": 1, "version": newer, "config": config }).to_string()
                    }
                    _ => json!({ "ping": 1 }).to_string(),
                }
            }
        };
        writer.write_all(format!("{line}\n").as_bytes()).await.ok()?;
    }
}
