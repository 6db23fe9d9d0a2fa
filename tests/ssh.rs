//! Reaching hosts: every claim against the sshd of OpenSSH.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "ssh/cost.rs"]
mod cost;
#[path = "ssh/faults.rs"]
mod faults;
#[path = "ssh/host_keys.rs"]
mod host_keys;
#[path = "ssh/jumps.rs"]
mod jumps;
#[path = "ssh/login.rs"]
mod login;
#[path = "ssh/private.rs"]
mod private;
#[path = "ssh/runs.rs"]
mod runs;
#[path = "support/sshd.rs"]
mod sshd;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use oceanid::cluster::Host;
use oceanid::remote::{Connection, Connector, Output, Prompt, Remote, RemoteError};
use oceanid::script::Script;
use secrecy::SecretString;

use self::sshd::Yard;

/// Answers as told, and counts how often it was asked.
#[derive(Default)]
struct Person {
    passphrase: Option<&'static str>,
    sudo: Option<&'static str>,
    trusts: bool,
    asked: AtomicUsize,
}

impl Person {
    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Prompt for Person {
    fn passphrase(&self, _: &Path) -> Option<SecretString> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.passphrase.map(SecretString::from)
    }

    fn sudo_password(&self, _: &str, _: &str) -> Option<SecretString> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.sudo.map(SecretString::from)
    }

    fn trust(&self, _: &str, _: &str) -> bool {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.trusts
    }
}

fn nobody() -> Arc<Person> {
    Arc::new(Person::default())
}

fn connector(yard: &Yard, hosts: &[&Host], person: &Arc<Person>) -> Connector {
    let hosts = hosts.iter().map(|host| (*host).clone()).collect();
    Connector::within(yard.environment(), hosts, person.clone()).unwrap()
}

async fn connect(yard: &Yard, host: &Host) -> Result<Connection, RemoteError> {
    connector(yard, &[host], &nobody()).connect(host, &|_| {}).await
}

async fn error(yard: &Yard, host: &Host) -> RemoteError {
    match connect(yard, host).await {
        Ok(_) => panic!("the host let us in"),
        Err(error) => error,
    }
}

async fn run(connection: &Connection, script: &Script) -> Output {
    connection.run(script, &|_| {}).await.unwrap()
}

async fn says(connection: &Connection, text: &str) -> String {
    run(connection, &Script::new(text)).await.stdout
}
