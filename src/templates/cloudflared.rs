//! The files of the step `cloudflared`.

use askama::Template;

use crate::cluster::{self, Certificates};

/// `/etc/systemd/system/cloudflared.service`.
#[derive(Debug, Template)]
#[template(path = "cloudflared.service", escape = "none")]
pub struct Service<'a> {
    /// What the tunnel is called.
    pub name: String,
    /// Where cloudflared is.
    pub program: &'a str,
    /// The port where it tells how it is.
    pub port: u16,
    /// `--protocol`.
    pub protocol: &'static str,
    /// `--edge-ip-version`.
    pub edge_ip: &'static str,
    /// What follows `run`, with a space before it.
    pub arguments: &'static str,
    /// The name by which it finds its credentials.
    pub credential: &'static str,
    /// How long a start may take, seconds.
    pub start: u64,
    /// How many starts there may be in `interval`.
    pub burst: u64,
    /// Seconds.
    pub interval: u64,
}

/// `/etc/oceanid/cloudflared/config.yml`; every text in it is quoted.
#[derive(Debug, Template)]
#[template(path = "cloudflared.yml", escape = "none")]
pub struct Config {
    /// The tunnel's id, where the file says what is routed.
    pub id: Option<String>,
    /// What is routed, but for the last rule.
    pub rules: Vec<Rule>,
}

/// A rule of [`Config`].
#[derive(Debug)]
pub struct Rule {
    /// The public name.
    pub hostname: String,
    /// What the path must match.
    pub path: Option<String>,
    /// What answers.
    pub service: String,
    /// Keys of `originRequest`.
    pub origin: Vec<(&'static str, String)>,
}

/// `/usr/local/lib/oceanid/cloudflared-watchdog`.
#[derive(Debug, Template)]
#[template(path = "cloudflared-watchdog.sh", escape = "none")]
pub struct Watchdog;

/// `/etc/systemd/system/cloudflared-watchdog.service`.
#[derive(Debug, Template)]
#[template(path = "cloudflared-watchdog.service", escape = "none")]
pub struct WatchdogService<'a> {
    /// Where [`Watchdog`] is.
    pub script: &'a str,
    /// The port where cloudflared tells how it is.
    pub port: u16,
    /// For how long that may be bad, seconds.
    pub patience: u64,
}

/// `/etc/systemd/system/cloudflared-watchdog.timer`.
#[derive(Debug, Template)]
#[template(path = "cloudflared-watchdog.timer", escape = "none")]
pub struct WatchdogTimer;

/// A text as YAML takes it whatever is in it: JSON's strings are YAML's.
#[must_use]
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl From<&cluster::Rule> for Rule {
    fn from(rule: &cluster::Rule) -> Self {
        let cluster::Origin { connect, host_header, server_name, certificates } = &rule.origin;
        let any = (*certificates == Certificates::Any).then(|| String::from("true"));
        let keys = [
            ("connectTimeout", connect.map(|limit| quoted(&format!("{}s", limit.as_secs())))),
            ("httpHostHeader", host_header.as_deref().map(quoted)),
            ("originServerName", server_name.as_deref().map(quoted)),
            ("noTLSVerify", any),
        ];
        Self {
            hostname: quoted(&rule.hostname),
            path: rule.path.as_deref().map(quoted),
            service: quoted(&rule.service),
            origin: keys.into_iter().filter_map(|(key, value)| Some((key, value?))).collect(),
        }
    }
}
