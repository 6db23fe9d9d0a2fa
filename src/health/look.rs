//! What `status` asks a host besides its facts and its plan: one read-only script, and its answers.

use std::path::Path;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;

use crate::action::{Answer, Question};
use crate::certificate::Certificate;
use crate::cluster::{Cluster, Host, Role};
use crate::kube::{self, Census, Identity};
use crate::probe::Probe;
use crate::remote::{Output, Remote};
use crate::script::quote;

/// Where k3s keeps its certificates, the server's and the node's own.
const FOLDERS: &[&str] = &["server/tls", "server/tls/etcd", "agent"];

/// The tokens that end: their secrets stay on the host.
const TOKENS: &str = "/api/v1/namespaces/kube-system/secrets\
                      ?fieldSelector=type%3Dbootstrap.kubernetes.io%2Ftoken&pretty=false";

/// What a host says of itself.
#[derive(Debug, Default)]
pub struct Look {
    /// All nodes, as the API of this server shows them; why it does not otherwise.
    pub census: Option<Result<Census, String>>,
    /// Certificates by their place below k3s' folder, without `.crt`.
    pub certificates: Vec<(String, Certificate)>,
    /// The CA of the API, PEM.
    pub ca: Option<String>,
    /// The snapshots of embedded etcd; `None` where there is no etcd.
    pub snapshots: Option<Snapshots>,
    /// Join tokens that end.
    pub tokens: Vec<Token>,
}

/// The snapshots of embedded etcd that a server keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshots {
    /// The newest one's name and time.
    pub newest: Option<(String, Timestamp)>,
    /// How many there are.
    pub count: usize,
    /// Since when there is an etcd that could be saved.
    pub since: Timestamp,
    /// The host's clock when it was asked.
    pub now: Timestamp,
}

/// A join token that ends; its secret half is not here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Token {
    /// The public half.
    pub id: String,
    /// What it was made for.
    pub description: String,
    /// When it ends; `None` for never.
    pub ends: Option<Timestamp>,
}

/// Everything that `host` is asked, as one read-only script.
#[must_use]
pub fn probe(cluster: &Cluster, host: &Host) -> Probe {
    let mut asked = vec![certificates()];
    if host.role == Role::Server {
        asked.extend([Census::ask(Identity::Admin, &host.name), snapshots(cluster), tokens()]);
    }
    Probe::new(asked.into_iter().map(Question::Script).collect())
}

/// Looks at a host in one execution.
///
/// # Errors
/// When the host does not answer.
pub async fn look<R: Remote>(remote: &R, cluster: &Cluster, host: &Host) -> anyhow::Result<Look> {
    let probe = probe(cluster, host);
    let output = remote.run(&probe.script(), &|_: &str| ()).await?;
    let answers = probe.answers(&output).context("cannot read the host's state")?;
    let mut answers = answers.into_iter().filter_map(|answer| match answer {
        Answer::Script(output) => Some(output),
        _ => None,
    });
    let mut look = Look::default();
    read_certificates(&answers.next().unwrap_or_default().stdout, &mut look);
    look.census = answers.next().map(|output| read_census(&output));
    let saved = answers.next().unwrap_or_default();
    look.snapshots = read_snapshots(&saved.stdout);
    look.tokens = read_tokens(&answers.next().unwrap_or_default().stdout);
    Ok(look)
}

fn certificates() -> String {
    let patterns = FOLDERS.iter().map(|folder| format!("/var/lib/rancher/k3s/{folder}/*.crt"));
    let patterns: Vec<String> = patterns.collect();
    format!("tail -v -n +1 -- {} 2>/dev/null || :\n", patterns.join(" "))
}

fn read_certificates(said: &str, look: &mut Look) {
    for part in said.split("==> /var/lib/rancher/k3s/").skip(1) {
        let Some((path, pem)) = part.split_once(" <==\n") else { continue };
        let Ok(certificate) = Certificate::first(pem.as_bytes()) else { continue };
        let name = path.strip_suffix(".crt").unwrap_or(path).to_owned();
        if name == "server/tls/server-ca" {
            look.ca = Some(pem.trim().to_owned());
        }
        look.certificates.push((name, certificate));
    }
}

fn read_census(output: &Output) -> Result<Census, String> {
    if output.status != 0 {
        let last = output.stderr.lines().last().unwrap_or("it does not say why");
        return Err(last.to_owned());
    }
    Census::read(&output.stdout).map_err(|error| format!("{error:#}"))
}

fn snapshots(cluster: &Cluster) -> String {
    let folder = cluster.k3s.server.get("etcd-snapshot-dir").and_then(Value::as_str);
    let folder = quote(folder.unwrap_or("/var/lib/rancher/k3s/server/db/snapshots"));
    format!(
        "[ -d /var/lib/rancher/k3s/server/db/etcd ] || exit 0\n\
         date '+now %s'\n\
         stat -c 'since %W' -- /var/lib/rancher/k3s/server/db/etcd\n\
         stat -c 'saved %Y %n' -- {folder}/* 2>/dev/null || :\n"
    )
}

fn read_snapshots(said: &str) -> Option<Snapshots> {
    let mut found =
        Snapshots { newest: None, count: 0, since: Timestamp::UNIX_EPOCH, now: Timestamp::now() };
    let mut there = false;
    for line in said.lines() {
        let (key, rest) = line.split_once(' ')?;
        let (seconds, path) = rest.split_once(' ').unwrap_or((rest, ""));
        let time = Timestamp::from_second(seconds.parse().ok()?).ok()?;
        match key {
            "now" => (found.now, there) = (time, true),
            "since" => found.since = time,
            _ => {
                found.count += 1;
                if found.newest.as_ref().is_none_or(|(_, newest)| *newest < time) {
                    let name = Path::new(path).file_name().unwrap_or_default();
                    found.newest = Some((name.to_string_lossy().into_owned(), time));
                }
            }
        }
    }
    there.then_some(found)
}

fn tokens() -> String {
    let pick = ["id", "description", "expiration"].map(|key| {
        let key = if key == "id" { "token-id" } else { key };
        format!("-e 's/^\"\\({key}\\)\": *\"\\([^\"]*\\)\".*/\\1 \\2/p'")
    });
    format!(
        "{} {} | tr ',{{}}' '\\n\\n\\n' | sed -n -e 's/^\"data\": *$/data/p' {}\n",
        kube::curl(Identity::Admin),
        kube::url(Identity::Admin, TOKENS),
        pick.join(" ")
    )
}

fn read_tokens(said: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    for line in said.lines() {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        let value = STANDARD.decode(value).unwrap_or_default();
        let value = String::from_utf8_lossy(&value).into_owned();
        match (key, tokens.last_mut()) {
            ("data", _) => tokens.push(Token::default()),
            ("token-id", Some(token)) => token.id = value,
            ("description", Some(token)) => token.description = value,
            ("expiration", Some(token)) => token.ends = value.parse().ok(),
            _ => {}
        }
    }
    tokens.retain(|token| !token.id.is_empty());
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_token_everything_is_read_but_its_secret() {
        let said = format!(
            "data\ndescription {}\nexpiration {}\ntoken-id {}\ndata\ntoken-id {}\n",
            STANDARD.encode("oceanid"),
            STANDARD.encode("2026-11-25T10:00:00Z"),
            STANDARD.encode("abcdef"),
            STANDARD.encode("012345"),
        );
        let tokens = read_tokens(&said);
        assert_eq!(tokens[0].id, "abcdef");
        assert_eq!(tokens[0].ends, "2026-11-25T10:00:00Z".parse().ok());
        assert_eq!((tokens[1].id.as_str(), tokens[1].ends), ("012345", None));
        assert!(!tokens_script_asks_for("token-secret"));
    }

    fn tokens_script_asks_for(key: &str) -> bool {
        tokens().contains(key)
    }

    #[test]
    fn the_newest_snapshot_is_found() {
        let said = "now 2000\nsince 900\nsaved 1000 /s/b\nsaved 1500 /s/a b\nsaved 1200 /s/c\n";
        let found = read_snapshots(said).expect("there is an etcd");
        assert_eq!(found.newest, Some(("a b".to_owned(), Timestamp::from_second(1500).unwrap())));
        assert_eq!(found.count, 3);
        assert_eq!(read_snapshots(""), None);
    }
}
