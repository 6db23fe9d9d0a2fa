//! Making connections: what all hosts of a run share, and the way from hop to hop.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use russh::client::Handle;
use russh::keys::PublicKey;
use secrecy::SecretString;
use tokio::sync::Mutex;

use super::auth::Login;
use super::handshake::{self, Attempt, Link};
use super::host_key::{Client, Failure, Purpose};
use super::keys::{Asking, Keyring};
use super::known_hosts::{self, Verdict};
use super::route::Hop;
use super::ssh::Connection;
use super::ssh_config::SshConfig;
use super::{Prompt, RemoteError};
use crate::cluster::{Cluster, Host};

/// How long a new login of a connection that was there before may take to get through.
const RECONNECT: Duration = Duration::from_secs(10);

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Makes connections; all hosts of a run share its keys, answers and known hosts.
#[derive(Clone)]
pub struct Connector {
    pub(super) shared: Arc<Shared>,
}

/// What this machine and its user bring along.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The home folder, above `.ssh`.
    pub home: PathBuf,
    /// The user that runs this program.
    pub user: String,
    /// The agent's socket.
    pub agent: Option<PathBuf>,
    /// The configuration for all users of this machine.
    pub system_config: Option<PathBuf>,
}

/// What is shown while a host cannot be reached yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// What the last try said.
    pub last_error: String,
    /// How long it has been tried.
    pub elapsed: Duration,
    /// How long it will be tried.
    pub limit: Duration,
}

/// The key that a host shows, as [`Connector::show_host_key`] saw it.
#[derive(Debug, Clone)]
pub struct ShownKey {
    /// Host and port.
    pub address: String,
    /// The key itself.
    pub key: PublicKey,
    /// Algorithm and SHA256 fingerprint.
    pub fingerprint: String,
    /// What `known_hosts` says of it.
    pub verdict: Verdict,
}

/// Hears why a connection is not there yet.
pub type OnWait<'a> = dyn Fn(&Waiting) + Send + Sync + 'a;

pub(super) struct Shared {
    pub(super) hosts: Vec<Host>,
    pub(super) environment: Environment,
    pub(super) config: SshConfig,
    pub(super) keyring: Keyring,
    pub(super) prompt: Arc<dyn Prompt>,
    /// Passwords that were asked for, by user: the same person tends to use one for all hosts.
    pub(super) passwords: Mutex<HashMap<String, Option<SecretString>>>,
    trusting: Mutex<()>,
}

/// How often and how long a hop is tried.
#[derive(Clone, Copy)]
struct Patience<'a> {
    limit: Duration,
    waiting: &'a OnWait<'a>,
    asking: Asking,
}

impl Environment {
    /// Reads `HOME`, `USER` and `SSH_AUTH_SOCK`.
    #[must_use]
    pub fn of_this_process() -> Self {
        let text = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            home: std::env::var_os("HOME").map_or_else(|| PathBuf::from("/root"), PathBuf::from),
            user: text("USER").or_else(|| text("LOGNAME")).unwrap_or_else(|| "root".to_owned()),
            agent: text("SSH_AUTH_SOCK").map(PathBuf::from),
            system_config: Some(PathBuf::from("/etc/ssh/ssh_config")),
        }
    }
}

impl Connector {
    /// Prepares connections to the hosts of `cluster`.
    ///
    /// # Errors
    /// When an `ssh_config` file cannot be read.
    pub fn new(cluster: &Cluster, prompt: Arc<dyn Prompt>) -> Result<Self, RemoteError> {
        Self::within(Environment::of_this_process(), cluster.hosts.clone(), prompt)
    }

    /// Prepares connections to `hosts` from within `environment`.
    ///
    /// # Errors
    /// When an `ssh_config` file cannot be read.
    pub fn within(
        environment: Environment,
        hosts: Vec<Host>,
        prompt: Arc<dyn Prompt>,
    ) -> Result<Self, RemoteError> {
        let home = &environment.home;
        let folder = home.join(".ssh");
        let mut config = SshConfig::default();
        let system =
            environment.system_config.iter().map(|file| (file.clone(), PathBuf::from("/etc/ssh")));
        for (file, folder) in std::iter::once((folder.join("config"), folder)).chain(system) {
            if file.exists() {
                config.read(&file, &folder, home).map_err(RemoteError::Local)?;
            }
        }
        let shared = Shared {
            hosts,
            environment,
            config,
            keyring: Keyring::default(),
            prompt,
            passwords: Mutex::default(),
            trusting: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Connects to `host` and logs in; tells `waiting` why it is not there yet.
    ///
    /// # Errors
    /// See [`RemoteError`]; only what a host that is starting says is tried again.
    pub async fn connect(
        &self,
        host: &Host,
        waiting: &OnWait<'_>,
    ) -> Result<Connection, RemoteError> {
        let patience = Patience { limit: host.ssh.connect, waiting, asking: Asking::Allowed };
        self.follow(host, patience).await
    }

    /// Says of an error on the way to `host` whether a hop before it is to blame.
    #[must_use]
    pub fn blame(&self, host: &Host, error: RemoteError) -> RemoteError {
        let hops = self.shared.route(host).unwrap_or_default();
        let Some((_, jumps)) = hops.split_last() else { return error };
        if jumps.iter().any(|hop| error.address() == Some(hop.address().as_str())) {
            return RemoteError::Jump(Box::new(error));
        }
        error
    }

    pub(super) async fn connect_again(&self, host: &Host) -> Result<Connection, RemoteError> {
        let patience = Patience { limit: RECONNECT, waiting: &|_| {}, asking: Asking::Never };
        self.follow(host, patience).await
    }

    async fn follow(&self, host: &Host, patience: Patience<'_>) -> Result<Connection, RemoteError> {
        let hops = self.shared.route(host)?;
        let Some((last, jumps)) = hops.split_last() else { return Err(no_route()) };
        let mut path = Vec::new();
        for hop in jumps {
            let link = self.shared.reach(hop, path.last(), patience).await?;
            path.push(link);
        }
        let link = self.shared.reach(last, path.last(), patience).await?;
        Ok(Connection::new(self.clone(), host.clone(), last, link, path))
    }

    /// Fetches the key that `host` shows, without logging in to it.
    ///
    /// # Errors
    /// When the host, or a hop before it, cannot be reached.
    pub async fn show_host_key(&self, host: &Host) -> Result<ShownKey, RemoteError> {
        let hops = self.shared.route(host)?;
        let Some((last, jumps)) = hops.split_last() else { return Err(no_route()) };
        let patience =
            Patience { limit: host.ssh.connect, waiting: &|_| {}, asking: Asking::Allowed };
        let mut path = Vec::new();
        for hop in jumps {
            let link = self.shared.reach(hop, path.last(), patience).await?;
            path.push(link);
        }
        let session = path.last().map(|link: &Link| &*link.session);
        match handshake::attempt(last, session, Purpose::ShowKey, patience.limit).await {
            Err(Attempt::Failed(Failure::Shown(key))) => {
                let policy = last.policy(Purpose::ShowKey)?;
                Ok(ShownKey {
                    address: last.address(),
                    fingerprint: known_hosts::fingerprint(&key),
                    verdict: known_hosts::judge(&policy.known, &key),
                    key: *key,
                })
            }
            Err(attempt) => Err(attempt.into_error(last, patience.limit)),
            Ok(_) => Err(RemoteError::Local("the host showed no key".to_owned())),
        }
    }

    /// Writes a key that [`Self::show_host_key`] showed into `known_hosts`; returns the file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn trust(&self, host: &Host, shown: &ShownKey) -> Result<PathBuf, RemoteError> {
        let hops = self.shared.route(host)?;
        let Some(last) = hops.last() else { return Err(no_route()) };
        self.shared.remember(last, &shown.key).await
    }
}

fn no_route() -> RemoteError {
    RemoteError::Local("no way leads to the host".to_owned())
}

impl Shared {
    /// Connects to `hop` and logs in, from here or through the hop before it.
    async fn reach(
        &self,
        hop: &Hop,
        before: Option<&Link>,
        patience: Patience<'_>,
    ) -> Result<Link, RemoteError> {
        let start = Instant::now();
        let mut pause = Duration::from_millis(200);
        loop {
            let session = before.map(|link| &*link.session);
            let left = patience.limit.saturating_sub(start.elapsed());
            let reason = match handshake::attempt(hop, session, Purpose::Login, left).await {
                Ok((session, end)) => return self.log_in(hop, session, end, patience.asking).await,
                Err(Attempt::Failed(Failure::Unknown(key))) => {
                    self.ask_to_trust(hop, &key, patience.asking).await?;
                    continue;
                }
                Err(Attempt::Again(reason)) => reason,
                Err(attempt) => return Err(attempt.into_error(hop, start.elapsed())),
            };
            let elapsed = start.elapsed();
            if elapsed + pause > patience.limit {
                return Err(RemoteError::Unreachable {
                    address: hop.address(),
                    waited: elapsed,
                    last: reason,
                });
            }
            (patience.waiting)(&Waiting { last_error: reason, elapsed, limit: patience.limit });
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn log_in(
        &self,
        hop: &Hop,
        mut session: Handle<Client>,
        end: super::host_key::EndReason,
        asking: Asking,
    ) -> Result<Link, RemoteError> {
        let address = hop.address();
        let login = Login {
            user: &hop.user,
            address: &address,
            identities: &hop.identities,
            keyring: &self.keyring,
            prompt: &self.prompt,
            asking,
        };
        let started = Instant::now();
        {
            let perform = login.perform(&mut session);
            tokio::pin!(perform);
            loop {
                match tokio::time::timeout(handshake::ANSWER, &mut perform).await {
                    Ok(done) => break done?,
                    // A person may take longer than a host.
                    Err(_) if self.keyring.is_asking() => {}
                    Err(_) => {
                        let waited = started.elapsed();
                        let missing = "an answer to the login".to_owned();
                        return Err(RemoteError::Silent {
                            address: address.clone(),
                            missing,
                            waited,
                        });
                    }
                }
            }
        }
        Ok(Link { session: Arc::new(session), end })
    }

    async fn ask_to_trust(
        &self,
        hop: &Hop,
        key: &PublicKey,
        asking: Asking,
    ) -> Result<(), RemoteError> {
        let fingerprint = known_hosts::fingerprint(key);
        let unknown = RemoteError::HostKeyUnknown {
            address: hop.address(),
            fingerprint: fingerprint.clone(),
        };
        if asking == Asking::Never {
            return Err(unknown);
        }
        // Until the answer is written down: whoever has its turn next must not ask again.
        let _turn = self.trusting.lock().await;
        let policy = hop.policy(Purpose::Login)?;
        if known_hosts::judge(&policy.known, key) == Verdict::Known {
            return Ok(());
        }
        let (prompt, address) = (self.prompt.clone(), hop.address());
        let ask = move || prompt.trust(&address, &fingerprint);
        if !tokio::task::spawn_blocking(ask).await.unwrap_or(false) {
            return Err(unknown);
        }
        write_down(hop, key).map(|_| ())
    }

    async fn remember(&self, hop: &Hop, key: &PublicKey) -> Result<PathBuf, RemoteError> {
        let _turn = self.trusting.lock().await;
        write_down(hop, key)
    }
}

fn write_down(hop: &Hop, key: &PublicKey) -> Result<PathBuf, RemoteError> {
    let file = hop.known_hosts.first();
    let file = file.ok_or_else(|| RemoteError::Local("there is no known_hosts file".to_owned()))?;
    let (name, port) = &hop.known_as;
    known_hosts::append(file, name, *port, key, hop.names).map_err(|error| {
        RemoteError::Local(format!("cannot write `{}`: {error}", file.display()))
    })?;
    Ok(file.clone())
}
