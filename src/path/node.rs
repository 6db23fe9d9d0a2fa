//! The hops on the tunnel's own node, asked for in one script.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::answer::Answer;
use super::service::Service;
use super::{Way, blocks};
use crate::script::Script;

/// Where cloudflared tells of itself, on its node's loopback.
pub const METRICS: &str = "127.0.0.1:20241";
/// The unit that keeps the tunnel open.
pub const CLOUDFLARED: &str = "cloudflared.service";
/// The unit that runs Triton.
pub const TRITON: &str = "tritonserver.service";

/// Asks one thing, and where the answer is none, the unit behind it for its state and last words.
const ASK: &str = r#"set -eu
ask() {
  name=$1 unit=$2; shift 2
  said=$(curl -gsS --noproxy '*' --max-time 8 -w '\n%{http_code} %{redirect_url}' "$@" 2>&1) && exit=0 || exit=$?
  printf 'answer %s %s\n' "$name" "$exit"
  printf '%s\n' "$said" | sed 's/^/| /'
  last=$(printf '%s\n' "$said" | sed -n '$p')
  if [ "$exit" = 0 ] && [ "${last%% *}" = 200 ] || [ -z "$unit" ]; then return 0; fi
  printf 'unit %s %s\n' "$name" "$(systemctl is-active -- "$unit" 2>/dev/null || :)"
  journalctl -q -u "$unit" -n 5 -o cat --no-pager 2>/dev/null | sed 's/^/| /'
}
"#;

/// The script that asks for the service, for what cloudflared leads to, and for its connections.
pub fn ask(way: Way<'_>) -> Script {
    let service = Service::of(way);
    let unit = if service == Service::Triton { TRITON } else { "''" };
    // Whatever certificate the service has on loopback is cloudflared's affair.
    let service = service.arguments(way).map_or_else(String::new, |arguments| {
        format!("ask service {unit} -k -o /dev/null {arguments}\n")
    });
    let text = format!(
        "{ASK}{service}ask cloudflared {CLOUDFLARED} -- http://{METRICS}/config\n\
         ask edge {CLOUDFLARED} -- http://{METRICS}/ready\n"
    );
    Script::new(text).deadline(Duration::from_secs(60))
}

/// What the node showed.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    answers: BTreeMap<String, Answer>,
    units: BTreeMap<String, Vec<String>>,
}

/// A rule of cloudflared, as it says itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Rule {
    /// The name that it is for; empty for any.
    #[serde(default)]
    pub hostname: String,
    /// What the path of a request must match, if anything.
    #[serde(default)]
    pub path: Option<serde_json::Value>,
    /// What it leads to.
    #[serde(default)]
    pub service: String,
}

/// What cloudflared goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ingress {
    /// Negative for its own file, else the version of what Cloudflare sent.
    pub version: i64,
    /// Its rules; the first that fits is used.
    pub rules: Vec<Rule>,
}

impl Seen {
    /// Reads what the script said.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut seen = Self::default();
        for block in blocks::read(text) {
            match block.head.as_slice() {
                ["answer", name, exit] => {
                    let answer = Answer::of_curl(exit.parse().unwrap_or(u8::MAX), &block.lines);
                    seen.answers.insert((*name).to_owned(), answer);
                }
                ["unit", name, state] => {
                    let mut lines = vec![(*state).to_owned()];
                    lines.extend(block.lines.iter().map(|line| (*line).to_owned()));
                    seen.units.insert((*name).to_owned(), lines);
                }
                _ => {}
            }
        }
        seen
    }

    /// What the service answered.
    #[must_use]
    pub fn service(&self) -> Answer {
        self.answer("service")
    }

    pub(super) fn answer(&self, name: &str) -> Answer {
        let silent = || Answer::Broken(String::from("the node does not say"));
        self.answers.get(name).cloned().unwrap_or_else(silent)
    }

    /// The state of the unit behind `name`, and the last that it said; nothing where it was not asked.
    pub(super) fn unit(&self, name: &str) -> (&str, &[String]) {
        match self.units.get(name).and_then(|lines| lines.split_first()) {
            Some((state, lines)) => (state, lines),
            None => ("", &[]),
        }
    }

    /// What cloudflared goes by; `None` where it does not tell.
    #[must_use]
    pub fn ingress(&self) -> Option<Ingress> {
        #[derive(Deserialize)]
        struct Versioned {
            version: i64,
            config: Config,
        }
        #[derive(Deserialize)]
        struct Config {
            #[serde(default)]
            ingress: Option<Vec<Rule>>,
        }
        let Answer::Http(reply) = self.answer("cloudflared") else { return None };
        let versioned: Versioned = serde_json::from_str(&reply.body).ok()?;
        let rules = versioned.config.ingress.unwrap_or_default();
        Some(Ingress { version: versioned.version, rules })
    }

    /// How many connections cloudflared has; `None` where it does not tell.
    #[must_use]
    pub fn connections(&self) -> Option<u64> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Ready {
            ready_connections: u64,
        }
        let Answer::Http(reply) = self.answer("edge") else { return None };
        let ready: Ready = serde_json::from_str(&reply.body).ok()?;
        Some(ready.ready_connections)
    }
}

impl Ingress {
    /// The rule that a request for `name` meets first.
    #[must_use]
    pub fn rule(&self, name: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.is_for(name))
    }
}

impl Rule {
    fn is_for(&self, name: &str) -> bool {
        match self.hostname.strip_prefix('*') {
            Some(rest) => name.len() > rest.len() && name.ends_with(rest),
            None => self.hostname.is_empty() || self.hostname.eq_ignore_ascii_case(name),
        }
    }

    /// Whether it is the last one, for what no other takes.
    #[must_use]
    pub fn is_last_resort(&self) -> bool {
        self.hostname.is_empty()
    }
}
