//! How fast the stand-in is: from the environment, else from `/etc/sim.env`, else a default.
//!
//! But for `SIM_NETWORK` and `SIM_CLOCK`, nothing here changes what the program does,
//! only when.

use std::time::Duration;
use std::{env, fs};

/// The delays that a test may want longer or shorter.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// From the start of `k3s server` until it listens (`SIM_START_DELAY`, seconds).
    pub start: Duration,
    /// From the join of a node until its Ready condition is true (`SIM_READY_DELAY`).
    pub ready: Duration,
    /// From Ready until the not-ready taint is gone (`SIM_TAINT_DELAY`).
    pub taint: Duration,
    /// From one heartbeat to the next (`SIM_HEARTBEAT`).
    pub heartbeat: Duration,
    /// Without a heartbeat until Ready is Unknown (`SIM_GRACE`).
    pub grace: Option<Duration>,
    /// Whether pods and what carries their packets exist (`SIM_NETWORK=none`: they do not).
    pub network: PodNetwork,
}

/// How much of a pod network there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodNetwork {
    /// Devices, rules, and pods that answer.
    Real,
    /// Addresses for pods, and nothing else.
    None,
}

/// How far the clock by which certificates are made and judged is ahead (`SIM_CLOCK`, seconds).
pub fn clock_ahead() -> i64 {
    let file = fs::read_to_string("/etc/sim.env").unwrap_or_default();
    let text = env::var("SIM_CLOCK").ok().or_else(|| line(&file, "SIM_CLOCK"));
    text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// How long cloudflared rests before it tries the edge again (`SIM_EDGE_REST`, seconds).
pub fn edge_rest() -> Duration {
    let file = fs::read_to_string("/etc/sim.env").unwrap_or_default();
    let text = env::var("SIM_EDGE_REST").ok().or_else(|| line(&file, "SIM_EDGE_REST"));
    let seconds = text.and_then(|text| text.trim().parse().ok()).unwrap_or(1.0);
    Duration::from_secs_f64(seconds)
}

impl Settings {
    /// Reads the settings of this process.
    pub fn read() -> Self {
        let file = fs::read_to_string("/etc/sim.env").unwrap_or_default();
        let text = |name: &str| env::var(name).ok().or_else(|| line(&file, name));
        let seconds = |name: &str| {
            let text = text(name)?;
            text.trim().parse::<f64>().ok().map(Duration::from_secs_f64)
        };
        Self {
            start: seconds("SIM_START_DELAY").unwrap_or(Duration::from_secs(2)),
            ready: seconds("SIM_READY_DELAY").unwrap_or(Duration::from_secs(1)),
            taint: seconds("SIM_TAINT_DELAY").unwrap_or(Duration::from_secs(2)),
            heartbeat: seconds("SIM_HEARTBEAT").unwrap_or(Duration::from_secs(4)),
            grace: seconds("SIM_GRACE"),
            network: match text("SIM_NETWORK").as_deref().map(str::trim) {
                Some("none") => PodNetwork::None,
                _ => PodNetwork::Real,
            },
        }
    }
}

fn line(file: &str, name: &str) -> Option<String> {
    file.lines()
        .filter_map(|line| line.split_once('='))
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.to_owned())
}
