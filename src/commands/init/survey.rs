//! Looking at a host for the first time: its key, its facts, and what else a proposal depends on.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use secrecy::SecretString;

use super::super::context::Dialer;
use super::is_attended;
use crate::cluster::{Host, Role};
use crate::fleet::{Dial as _, gather};
use crate::init::{Additions, Entry, Found, draft, sight};
use crate::remote::known_hosts::Verdict;
use crate::remote::{Connector, Environment, Prompt, Remote as _, RemoteError, ShownKey};
use crate::report::{Human, Style};

/// Longer nobody waits for an address that may be mistyped.
const PATIENCE: Duration = Duration::from_secs(15);

/// Looks at hosts one after the other; what a person typed for one holds for the next.
pub struct Survey {
    person: Arc<Person>,
    asks: bool,
}

/// What is asked while a connection is made.
#[derive(Default)]
struct Person {
    attended: bool,
    /// A password for sudo was asked for.
    asked: AtomicBool,
    /// What was typed last: the same person tends to use one for all hosts.
    password: Mutex<Option<SecretString>>,
}

impl Survey {
    /// Asks nobody.
    pub fn silent() -> Self {
        Self { person: Arc::default(), asks: false }
    }

    /// Asks the person at the terminal.
    pub fn attended() -> Self {
        Self {
            person: Arc::new(Person { attended: is_attended(), ..Person::default() }),
            asks: true,
        }
    }

    /// Looks at the host of `entry`.
    pub async fn look(&self, entry: &Entry, additions: &Additions) -> anyhow::Result<Found> {
        let mut host = host(entry, additions)?;
        let connector = Connector::within(
            Environment::of_this_process(),
            vec![host.clone()],
            self.person.clone(),
        )?;
        let host_key = match &entry.host_key {
            Some(key) => key.clone(),
            None => self.compare(&connector, &host, entry).await?,
        };
        host.ssh.host_key = Some(host_key.clone());
        self.person.asked.store(false, Ordering::SeqCst);
        let human = Human::stderr([host.name.as_str()]);
        let dialer = Dialer { connector };
        let remote = dialer.dial(&host, &human).await.map_err(|error| advise(error, entry))?;
        let facts = gather(&remote, &host).await?;
        if !matches!(facts.os.as_str(), "debian" | "ubuntu") {
            bail!("it runs `{}`; oceanid knows Debian and Ubuntu", facts.os);
        }
        let said = remote.run(&sight::script(), &|_: &str| ()).await?;
        Ok(Found {
            entry: entry.clone(),
            ip: address(&entry.address).await,
            host_key,
            wants_password: self.person.asked.load(Ordering::SeqCst),
            facts,
            sight: sight::Sight::read(&said.stdout),
        })
    }

    /// The fingerprint of the key that the host shows, once it is known or compared.
    async fn compare(
        &self,
        connector: &Connector,
        host: &Host,
        entry: &Entry,
    ) -> anyhow::Result<String> {
        let shown = connector
            .show_host_key(host)
            .await
            .map_err(|error| advise(connector.blame(host, error), entry))?;
        let fingerprint =
            shown.fingerprint.split_whitespace().find(|word| word.starts_with("SHA256:"));
        let fingerprint = fingerprint.unwrap_or_default().to_owned();
        match &shown.verdict {
            Verdict::Known => Ok(fingerprint),
            Verdict::Unknown if self.asks && confirmed(&shown)? => Ok(fingerprint),
            Verdict::Unknown if self.asks => bail!("without the right key it is left alone"),
            Verdict::Unknown => Err(unknown(entry, &shown, &fingerprint)),
            Verdict::Changed(known) => Err(RemoteError::HostKeyChanged {
                address: shown.address,
                fingerprint: shown.fingerprint,
                known: known.clone(),
            }
            .into()),
            Verdict::Revoked(known) => Err(RemoteError::HostKeyRevoked {
                address: shown.address,
                fingerprint: shown.fingerprint,
                known: known.clone(),
            }
            .into()),
        }
    }
}

/// The host as the connection needs it, with what is brought along for all hosts.
fn host(entry: &Entry, additions: &Additions) -> anyhow::Result<Host> {
    let mut host = draft(&[entry], additions)?.hosts.pop().context("no host was named")?;
    host.name.clone_from(&entry.address);
    host.ssh.connect = host.ssh.connect.min(PATIENCE);
    // As an agent it is not asked for what only a server has; whether there is a GPU is to be found out.
    host.role = Role::Agent;
    host.gpu = true;
    Ok(host)
}

/// What to do is something else while there is no cluster.toml yet.
fn advise(error: RemoteError, entry: &Entry) -> anyhow::Error {
    let hint = match &error {
        RemoteError::Unreachable { .. } => String::from(
            "is it typed as `user@address:port`, and is the host up? `jump=user@host:port` after it leads \
             through another host",
        ),
        RemoteError::Authentication { .. } => format!(
            "let the host know a key with `ssh-copy-id`, or type another user than in `{}`; keys of other \
             names belong into `~/.ssh/config`, or into the file for `--with` as `ssh.keys`",
            entry.place()
        ),
        RemoteError::Privilege { .. } => String::from(
            "type a user who may use sudo; its password is asked for at a terminal, or taken from \
             `ssh.sudo-password` in the file for `--with`",
        ),
        _ => return error.into(),
    };
    anyhow::Error::from(error).context(format!("cannot look at `{}`\nhint: {hint}", entry.place()))
}

fn unknown(entry: &Entry, shown: &ShownKey, fingerprint: &str) -> anyhow::Error {
    let error = RemoteError::HostKeyUnknown {
        address: shown.address.clone(),
        fingerprint: shown.fingerprint.clone(),
    };
    let hint = format!(
        "if `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` prints the same at the host's own console, \
         give it: `--from \"{} {fingerprint}\"`",
        entry.with_way()
    );
    anyhow::Error::from(error).context(format!("cannot look at `{}`\nhint: {hint}", entry.place()))
}

fn confirmed(shown: &ShownKey) -> anyhow::Result<bool> {
    let question = format!(
        "{} shows the key {}. Is it the right one (on its console: ssh-keygen -lf \
         /etc/ssh/ssh_host_ed25519_key.pub)?",
        shown.address, shown.fingerprint
    );
    super::dialog::asked(dialoguer::Confirm::new().with_prompt(question).default(false).interact())
}

async fn address(name: &str) -> Option<IpAddr> {
    if let Ok(address) = name.parse() {
        return Some(address);
    }
    let found = tokio::net::lookup_host((name, 22)).await.ok()?.next()?;
    Some(found.ip().to_canonical())
}

/// Says why a host could not be looked at.
pub fn complain(place: &str, error: &anyhow::Error) {
    let stderr = std::io::stderr();
    let style = Style::of(&stderr);
    // With stderr gone there is nobody to tell.
    drop(crate::report::failure(&mut stderr.lock(), Some(place), error, style));
}

impl Person {
    fn password(&self, question: &str) -> Option<SecretString> {
        if !self.attended {
            return None;
        }
        let typed = dialoguer::Password::new().with_prompt(question).interact();
        typed.ok().map(SecretString::from)
    }
}

impl Prompt for Person {
    fn passphrase(&self, key: &std::path::Path) -> Option<SecretString> {
        self.password(&format!("Passphrase of {}", key.display()))
    }

    fn sudo_password(&self, user: &str, host: &str) -> Option<SecretString> {
        self.asked.store(true, Ordering::SeqCst);
        let mut known = self.password.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none() {
            *known = self.password(&format!("Password of {user} for sudo on {host}"));
        }
        known.clone()
    }

    fn trust(&self, address: &str, fingerprint: &str) -> bool {
        if !self.attended {
            return false;
        }
        let question =
            format!("{address} shows the unknown host key {fingerprint}. Is it the right one?");
        dialoguer::Confirm::new().with_prompt(question).default(false).interact().unwrap_or(false)
    }
}

/// What a failed look says of a host that is only asked about.
pub fn refused(place: &str) -> anyhow::Error {
    anyhow!("`{place}` is among the hosts already")
}
