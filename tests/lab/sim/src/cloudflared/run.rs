//! `cloudflared tunnel run`: from its settings to a tunnel, and to its end.

use super::connector::{Fallback, Tunnel, keep_all};
use super::edges::{self, Protocol};
use super::flags::Invocation;
use super::{config, credentials, ingress, log, metrics};
use crate::settings;
use ring::rand::{SecureRandom, SystemRandom};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

/// The ports that the metrics server takes the first free one of.
const PORTS: std::ops::RangeInclusive<u16> = 20241..=20245;

/// Runs the tunnel until it is told to end.
///
/// # Errors
/// In the words of the real one.
pub fn main(invocation: &Invocation) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(run(invocation))
}

async fn run(invocation: &Invocation) -> Result<(), String> {
    let config = config::maybe(invocation)?;
    let credentials = credentials::find(invocation, &config)?;
    let setting = |name: &str| invocation.flag(name).or_else(|| config.text(name));
    let rules =
        if config.ingress.is_empty() { Vec::new() } else { ingress::parse(&config.ingress)? };
    log::info(format!("Starting tunnel tunnelID={}", credentials.id));
    log::info(format!("Version {} (Checksum lab)", super::version()));
    log::info("GOOS: linux, GOVersion: go1.26.2, GoArch: amd64");
    log::info(format!("Settings: {}", invocation.settings()));
    if rules.is_empty() {
        log::warning(
            "No ingress rules were defined in provided config (if any) nor from the cli, cloudflared will return 503 for all incoming HTTP requests",
        );
    }
    match setting("edge-ip-version").as_deref() {
        None | Some("auto" | "4" | "6") => {}
        Some(other) => return Err(format!("invalid value for edge-ip-version: {other}")),
    }
    let protocol = match setting("protocol").as_deref() {
        None | Some("auto") => (Protocol::Quic, Fallback::Http2),
        Some("quic") => (Protocol::Quic, Fallback::None),
        Some("http2") => (Protocol::Http2, Fallback::None),
        Some(other) => {
            return Err(format!(
                "unknown protocol {other}, Available protocols: auto, http2, quic"
            ));
        }
    };
    let id = uuid()?;
    log::info(format!("Generated Connector ID: {id}"));
    log::info(format!("Initial protocol {}", protocol.0.name()));
    let listener = listen(setting("metrics")).await?;
    let edges = edges::find(setting("edge")).await?;
    let tunnel = Arc::new(Tunnel {
        credentials,
        id,
        edges,
        protocol,
        rules: (-1, rules).into(),
        connected: Default::default(),
        requests: 0.into(),
        busy: 0.into(),
        end: tokio::sync::Notify::new(),
    });
    tokio::spawn(metrics::serve(Arc::clone(&tunnel), listener));
    let mut ends = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
    let [Ok(terminate), Ok(interrupt)] = &mut ends else {
        return Err("cannot wait for signals".to_owned());
    };
    tokio::select! {
        ended = keep_all(Arc::clone(&tunnel), settings::edge_rest()) => return ended,
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    log::info("Initiating graceful shutdown due to signal terminated ...");
    tunnel.end.notify_waiters();
    let grace = setting("grace-period").and_then(|text| crate::clock::go_duration(&text));
    let grace =
        grace.and_then(|span| Duration::try_from(span).ok()).unwrap_or(Duration::from_secs(30));
    let begun = Instant::now();
    sleep(Duration::from_millis(50)).await;
    while tunnel.busy.load(Ordering::Relaxed) > 0 && begun.elapsed() < grace {
        sleep(Duration::from_millis(20)).await;
    }
    log::info("Tunnel server stopped");
    log::info("Metrics server stopped");
    Ok(())
}

async fn listen(address: Option<String>) -> Result<TcpListener, String> {
    let all = PORTS.map(|port| format!("127.0.0.1:{port}"));
    let wanted: Vec<String> = address.map_or_else(|| all.collect(), |address| vec![address]);
    let mut why = String::new();
    for address in &wanted {
        match TcpListener::bind(address.as_str()).await {
            Ok(listener) => {
                log::info(format!("Starting metrics server on {address}/metrics"));
                return Ok(listener);
            }
            Err(error) => {
                let text = error.to_string().to_lowercase();
                let text = text.split(" (os error").next().unwrap_or_default().to_owned();
                why = format!(
                    "Error opening metrics server listener: listen tcp {address}: bind: {text}"
                );
            }
        }
    }
    log::error(&why);
    Err(why)
}

/// Returns a random UUID.
///
/// # Errors
/// The system has no random numbers.
pub fn uuid() -> Result<String, String> {
    let mut bytes = [0_u8; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| "no random numbers".to_owned())?;
    let mut hex = format!("{:032x}", u128::from_be_bytes(bytes));
    for at in [8, 13, 18, 23] {
        hex.insert(at, '-');
    }
    Ok(hex)
}
