//! What a host shows when it is looked at: read from the script's output.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::journal::Journal;
use crate::certificate::Certificate;
use crate::remote::Output;

/// What a host showed.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// Its clock, seconds since 1970; 0 where it did not say.
    pub clock: f64,
    /// `/etc/machine-id`.
    pub machine_id: String,
    /// The file system of /var/lib.
    pub disk: Option<Disk>,
    /// It is a container: the kernel's hierarchies are those of the machine below.
    pub container: bool,
    /// `v1`, or `v2` and its controllers.
    pub cgroups: Option<String>,
    /// Kernel parameters by path: `vm/panic_on_oom`.
    pub sysctls: BTreeMap<String, String>,
    /// The unit of k3s.
    pub unit: UnitSeen,
    /// config.yaml, without what is secret in it.
    pub config: Option<Value>,
    /// Files that config.yaml names and that are not there.
    pub missing: Vec<String>,
    /// The CA's hash in the host's join token.
    pub token_ca: Option<String>,
    /// The kernel has `WireGuard`; not asked where it does not matter.
    pub wireguard: Option<bool>,
    /// How the API answers from there; not asked of the first server.
    pub api: Option<Answered>,
    /// The CA's hash that the API shows there.
    pub ca: Option<String>,
    /// The certificates of k3s, by their files.
    pub certificates: Vec<(String, Certificate)>,
}

/// Room on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// Free, bytes.
    pub free: u64,
    /// Free inodes.
    pub inodes_free: u64,
    /// All inodes; 0 where there is no limit.
    pub inodes: u64,
}

/// What systemd says of the unit.
#[derive(Debug, Clone, Default)]
pub struct UnitSeen {
    /// `loaded`, `not-found`; empty where systemd did not say.
    pub load: String,
    /// `active`, `activating`, `failed`, `inactive`.
    pub active: String,
    /// `running`, `auto-restart`, `start`.
    pub sub: String,
    /// How often systemd started it again.
    pub restarts: u64,
    /// The exit status of its last process.
    pub status: i32,
}

impl UnitSeen {
    /// Whether the unit is on the host.
    #[must_use]
    pub fn is_installed(&self) -> bool {
        self.load == "loaded"
    }

    /// Whether it is up.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.active == "active"
    }
}

impl fmt::Display for UnitSeen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.active, self.sub)?;
        if self.status != 0 {
            write!(formatter, ", exit status {}", self.status)?;
        }
        match self.restarts {
            0 => Ok(()),
            1 => formatter.write_str(", restarted once"),
            count => write!(formatter, ", restarted {count} times"),
        }
    }
}

/// How an API answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Answered {
    /// With this status, and this `Date` where it has one.
    Status(String, Option<f64>),
    /// Nothing came back.
    Silence(String),
    /// The other end said no.
    Refused(String),
    /// The name leads nowhere, or something else went wrong.
    Other(String),
}

impl Answered {
    /// Reads what `curl -I` printed.
    fn read(lines: &[&str]) -> Self {
        if let Some(status) = lines.iter().find(|line| line.starts_with("HTTP/")) {
            let date = lines.iter().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case("date").then(|| http_date(value.trim()))?
            });
            return Self::Status((*status).to_owned(), date);
        }
        let error = lines.iter().find(|line| line.starts_with("curl: "));
        let error = error.or(lines.last()).map_or("no answer", |line| line.trim()).to_owned();
        let has = |number: &str| error.starts_with(&format!("curl: ({number})"));
        if has("28") {
            Self::Silence(error)
        } else if has("7") || has("35") || has("56") || has("52") {
            Self::Refused(error)
        } else {
            Self::Other(error)
        }
    }
}

/// A time as HTTP has it, `Tue, 24 Nov 2026 17:00:00 GMT`: seconds since 1970.
fn http_date(text: &str) -> Option<f64> {
    let time = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(time.as_duration().as_secs_f64())
}

impl Observed {
    /// Reads the script's output; what the host did not say is not there.
    #[must_use]
    pub fn read(output: &Output) -> (Self, Journal) {
        let mut seen = Self::default();
        let mut lists: Vec<(&str, Vec<&str>)> = Vec::new();
        for line in output.stdout.lines() {
            if let Some(line) = line.strip_prefix("| ") {
                if let Some((_, lines)) = lists.last_mut() {
                    lines.push(line.trim_end());
                }
            } else if let Some(name) = line.strip_prefix("seen list ") {
                lists.push((name.trim(), Vec::new()));
            } else if let Some(fact) = line.strip_prefix("seen ") {
                let (key, value) = fact.split_once(' ').unwrap_or((fact, ""));
                seen.take(key, value.trim());
            }
        }
        let mut journal = Journal::default();
        for (name, lines) in lists {
            match name.split_once(' ').unwrap_or((name, "")) {
                ("unit", _) => seen.unit = unit(&lines),
                ("config", _) => seen.config = serde_saphyr::from_str(&lines.join("\n")).ok(),
                ("api", _) => seen.api = Some(Answered::read(&lines)),
                ("certificate", path) => {
                    let pem = format!("{}\n", lines.join("\n"));
                    // A file that holds none is passed over.
                    let read = Certificate::first(pem.as_bytes()).ok();
                    seen.certificates.extend(read.map(|one| (path.to_owned(), one)));
                }
                ("journal", _) => journal = Journal::new(lines),
                _ => {}
            }
        }
        (seen, journal)
    }

    fn take(&mut self, key: &str, value: &str) {
        match key {
            "clock" => self.clock = value.parse().unwrap_or_default(),
            "machine-id" => value.clone_into(&mut self.machine_id),
            "disk" => self.disk = disk(value),
            "container" => self.container = true,
            "cgroups" => self.cgroups = Some(value.to_owned()),
            "sysctl" => {
                if let Some((name, value)) = value.split_once(' ') {
                    self.sysctls.insert(name.to_owned(), value.to_owned());
                }
            }
            "missing" => self.missing.push(value.to_owned()),
            "token-ca" => self.token_ca = Some(value.to_owned()).filter(|hash| !hash.is_empty()),
            "wireguard" => self.wireguard = Some(value == "yes"),
            "ca" => self.ca = Some(value.to_owned()),
            _ => {}
        }
    }

    /// A value of config.yaml.
    #[must_use]
    pub fn setting(&self, key: &str) -> Option<&Value> {
        self.config.as_ref()?.get(key)
    }
}

fn disk(text: &str) -> Option<Disk> {
    let mut numbers = text.split(' ').map(|number| number.parse::<u64>().ok());
    let mut next = || numbers.next().flatten();
    let free = next()?.checked_mul(next()?)?;
    Some(Disk { free, inodes_free: next()?, inodes: next()? })
}

pub(super) fn unit(lines: &[&str]) -> UnitSeen {
    let value = |key: &str| {
        let found = lines.iter().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        found.unwrap_or_default().to_owned()
    };
    UnitSeen {
        load: value("LoadState"),
        active: value("ActiveState"),
        sub: value("SubState"),
        restarts: value("NRestarts").parse().unwrap_or_default(),
        status: value("ExecMainStatus").parse().unwrap_or_default(),
    }
}
