//! A host that is logged in to: runs scripts as root, each on a channel of its own.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Disconnect, Sig};
use secrecy::SecretString;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::connector::Connector;
use super::exchange::{Exchange, Outcome, Stage};
use super::handshake::Link;
use super::host_key;
use super::payload::Payload;
use super::privilege::{self, Entry, Marks};
use super::route::Hop;
use super::{Output, Progress, Remote, RemoteError};
use crate::cluster::Host;
use crate::script::Script;
use crate::secret;

mod forward;

/// How much later than the host we give up on a script ourselves.
const GRACE: Duration = Duration::from_secs(15);

/// How long a host that has no channel free is asked again: the last one may still be closing.
const CHANNEL: Duration = Duration::from_secs(10);

type Opening = JoinHandle<Result<Channel<Msg>, russh::Error>>;

/// A host that is logged in to.
pub struct Connection {
    connector: Connector,
    host: Host,
    user: String,
    address: String,
    link: Link,
    /// The hops before it: they carry it, and end with it.
    path: Vec<Link>,
    spare: Mutex<VecDeque<Opening>>,
    entry: tokio::sync::Mutex<Entry>,
}

/// One run, ready to be sent.
struct Run<'a> {
    command: String,
    marks: Marks,
    payload: Payload<'a>,
    password: Option<SecretString>,
    limit: Duration,
}

impl Connection {
    pub(super) fn new(
        connector: Connector,
        host: Host,
        hop: &Hop,
        link: Link,
        path: Vec<Link>,
    ) -> Self {
        let entry = if hop.user == "root" { Entry::Root } else { Entry::Unknown };
        let connection = Self {
            connector,
            host,
            user: hop.user.clone(),
            address: hop.address(),
            link,
            path,
            spare: Mutex::default(),
            entry: tokio::sync::Mutex::new(entry),
        };
        // Two channels travel together: the second run then waits for nothing.
        connection.open_spare();
        connection.open_spare();
        connection
    }

    /// The user that is logged in.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Logs in once more over a new connection, by the same way and with the same keys; asks nobody.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub async fn reconnect(&self) -> Result<Self, RemoteError> {
        let again = self.connector.connect_again(&self.host).await?;
        *again.entry.lock().await = *self.entry.lock().await;
        Ok(again)
    }

    /// Says goodbye.
    pub async fn close(self) {
        for link in std::iter::once(&self.link).chain(self.path.iter().rev()) {
            // A host that is gone needs no goodbye.
            let _ = link.session.disconnect(Disconnect::ByApplication, "", "").await;
        }
    }

    fn open_spare(&self) {
        let session = self.link.session.clone();
        let opening = tokio::spawn(async move { session.channel_open_session().await });
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).push_back(opening);
    }

    async fn channel(&self) -> Result<Channel<Msg>, RemoteError> {
        let started = Instant::now();
        loop {
            let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let opened = match spare {
                Some(opening) => opening.await.unwrap_or(Err(russh::Error::Disconnect)),
                None => self.link.session.channel_open_session().await,
            };
            match opened {
                Ok(channel) => return Ok(channel),
                Err(russh::Error::ChannelOpenFailure(_)) if started.elapsed() < CHANNEL => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => return Err(self.lost(&host_key::plain(&error))),
            }
        }
    }

    fn lost(&self, reason: &str) -> RemoteError {
        let end =
            if self.link.session.is_closed() { self.link.end.text() } else { reason.to_owned() };
        RemoteError::Lost { address: self.address.clone(), reason: end }
    }

    /// Runs once; what sudo said is left to the caller.
    async fn execute(
        &self,
        run: &mut Run<'_>,
        progress: &Progress<'_>,
    ) -> Result<Outcome, RemoteError> {
        let started = Instant::now();
        let (mut read, write) = self.channel().await?.split();
        let sent = write.exec(false, run.command.as_bytes().to_vec()).await;
        sent.map_err(|error| self.lost(&host_key::plain(&error)))?;
        if self.spare.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            self.open_spare();
        }
        let (stage, seen) = watch::channel(Stage::Entering);
        let mut exchange = Exchange::new(&run.marks, progress);
        let (listen, limit) = (listen(&mut read, &mut exchange, &stage), run.limit);
        let both = async {
            tokio::pin!(listen);
            tokio::select! {
                () = &mut listen => {}
                // A script need not read its stdin to the end.
                _ = run.send(&write, seen, progress) => listen.await,
            }
        };
        if tokio::time::timeout(limit + GRACE, both).await.is_err() {
            let _ = write.close().await;
            return Err(RemoteError::Deadline { limit });
        }
        if !exchange.ended() {
            return Err(self.lost("the connection ended before the script did"));
        }
        let _ = write.close().await;
        run.judge(exchange.outcome(), started.elapsed())
    }

    fn prepare(
        script: &Script,
        entry: Entry,
        password: Option<SecretString>,
    ) -> Result<Run<'_>, RemoteError> {
        let marks = Marks::fresh()?;
        let (payload, limit) = (Payload::of(script)?, script.limit());
        let command = privilege::command(script.text(), limit, entry, payload.input(), &marks)?;
        Ok(Run { command, marks, payload, password, limit })
    }

    /// The configured password of sudo; resolved once for all hosts that share the reference.
    async fn configured_password(&self) -> Result<Option<SecretString>, RemoteError> {
        match &self.host.ssh.sudo_password {
            None => Ok(None),
            Some(reference) => self.connector.shared.resolve(reference).await.map(Some),
        }
    }

    fn not_root(&self, reason: String) -> RemoteError {
        RemoteError::Privilege { user: self.user.clone(), address: self.address.clone(), reason }
    }

    async fn run_as_root(
        &self,
        script: &Script,
        progress: &Progress<'_>,
    ) -> Result<Output, RemoteError> {
        let mut known = self.entry.lock().await;
        let (mut entry, mut password) = (*known, None);
        if matches!(entry, Entry::Unknown | Entry::Password) {
            password = match self.configured_password().await? {
                Some(password) => Some(password),
                None if entry == Entry::Password => self.connector.shared.ask_password(self).await,
                None => None,
            };
            entry = if password.is_some() { Entry::Password } else { Entry::Unknown };
        }
        let settled = *known != Entry::Unknown;
        let held = if settled {
            drop(known);
            None
        } else {
            // The first run finds out for all that follow.
            Some(&mut known)
        };
        let mut run = Self::prepare(script, entry, password)?;
        let outcome = self.execute(&mut run, progress).await?;
        let outcome = match outcome {
            Outcome::NotRoot { reason } if run.password.is_none() && wants_password(&reason) => {
                let Some(password) = self.connector.shared.ask_password(self).await else {
                    return Err(
                        self.not_root("sudo wants a password, and none is configured".to_owned())
                    );
                };
                entry = Entry::Password;
                let mut run = Self::prepare(script, entry, Some(password))?;
                self.execute(&mut run, progress).await?
            }
            other => other,
        };
        let output = self.output(outcome)?;
        if let Some(known) = held {
            **known = if entry == Entry::Unknown { Entry::Sudo } else { entry };
        }
        Ok(output)
    }

    fn output(&self, outcome: Outcome) -> Result<Output, RemoteError> {
        match outcome {
            Outcome::Ran(output) => Ok(output),
            Outcome::NotRoot { reason } => Err(self.not_root(privilege::explain(&reason))),
            Outcome::NotRun { said } => {
                let said = if said.is_empty() {
                    "it says nothing".to_owned()
                } else {
                    format!("it says: {said}")
                };
                let reason =
                    format!("the login shell of `{}` does not run our command; {said}", self.user);
                Err(RemoteError::Unusable { address: self.address.clone(), reason })
            }
        }
    }

    pub(super) fn host(&self) -> &Host {
        &self.host
    }
}

fn wants_password(reason: &str) -> bool {
    reason.contains("a password is required") || reason.contains("a terminal is required")
}

impl Run<'_> {
    async fn send(
        &mut self,
        write: &ChannelWriteHalf<Msg>,
        mut seen: watch::Receiver<Stage>,
        progress: &Progress<'_>,
    ) -> Result<(), russh::Error> {
        if let Some(password) = &self.password {
            write.data_bytes([secret::bytes(password), b"\n"].concat()).await?;
        }
        if matches!(self.payload, Payload::Nothing) {
            return write.eof().await;
        }
        if self.password.is_some() {
            // sudo asks up to three times: it must not get the payload for a password.
            let stage = seen.wait_for(|stage| *stage != Stage::Entering).await;
            if !stage.is_ok_and(|stage| *stage == Stage::Running) {
                return write.eof().await;
            }
            write.data_bytes(self.marks.payload().into_bytes()).await?;
        }
        loop {
            match self.payload.next(progress).await {
                Ok(piece) if piece.is_empty() => return write.eof().await,
                Ok(piece) => write.data_bytes(piece).await?,
                // The host misses the rest, and says so.
                Err(_) => return write.eof().await,
            }
        }
    }

    /// `timeout` on the host says 124, or 137 where it had to kill.
    fn judge(&self, outcome: Outcome, elapsed: Duration) -> Result<Outcome, RemoteError> {
        match outcome {
            Outcome::Ran(Output { status: 124 | 137, .. }) if elapsed >= self.limit => {
                Err(RemoteError::Deadline { limit: self.limit })
            }
            other => Ok(other),
        }
    }
}

async fn listen(
    read: &mut ChannelReadHalf,
    exchange: &mut Exchange<'_>,
    stage: &watch::Sender<Stage>,
) {
    while let Some(message) = read.wait().await {
        match message {
            ChannelMsg::Data { data } => exchange.stdout(&data),
            ChannelMsg::ExtendedData { data, ext: 1 } => exchange.stderr(&data),
            ChannelMsg::ExitStatus { exit_status } => {
                exchange.exit(i32::try_from(exit_status).unwrap_or(255));
            }
            ChannelMsg::ExitSignal { signal_name, .. } => exchange.exit(128 + number(&signal_name)),
            ChannelMsg::Close => return,
            _ => {}
        }
        stage.send_if_modified(|old| std::mem::replace(old, exchange.stage()) != *old);
        if exchange.finished() {
            return;
        }
    }
}

fn number(signal: &Sig) -> i32 {
    match signal {
        Sig::HUP => 1,
        Sig::INT => 2,
        Sig::QUIT => 3,
        Sig::ILL => 4,
        Sig::ABRT => 6,
        Sig::FPE => 8,
        Sig::KILL => 9,
        Sig::USR1 => 10,
        Sig::SEGV => 11,
        Sig::PIPE => 13,
        Sig::ALRM => 14,
        Sig::TERM | Sig::Custom(_) => 15,
    }
}

impl Remote for Connection {
    async fn run(&self, script: &Script, progress: &Progress<'_>) -> Result<Output, RemoteError> {
        self.run_as_root(script, progress).await
    }

    async fn again(&self) -> Result<Self, RemoteError> {
        self.reconnect().await
    }
}
