//! Reaching hosts: every claim against the sshd of OpenSSH.

#[path = "support/sshd.rs"]
mod sshd;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use oceanid::cluster::Host;
use oceanid::remote::{Connection, Connector, Output, Prompt, Remote, RemoteError};
use oceanid::script::{Body, Script};
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

async fn run(connection: &Connection, script: &Script) -> Output {
    connection.run(script, &|_| {}).await.unwrap()
}

#[tokio::test]
async fn an_unchanged_host_costs_one_connection_and_two_executions() {
    let yard = Yard::new();
    let key = yard.key("id", "ed25519", "");
    let sshd = yard.sshd("a", "LogLevel DEBUG1\n");
    let before = sshd.count("Connection from");
    let connection = connect(&yard, &yard.host("a", sshd.port, &[&key])).await.unwrap();
    for _ in 0..2 {
        let output = run(&connection, &Script::new("id -u; printf %s oops >&2; exit 3")).await;
        assert_eq!(
            (output.status, output.stdout.as_str(), output.stderr.as_str()),
            (3, "0\n", "oops")
        );
    }
    connection.close().await;
    assert_eq!(sshd.count("Connection from") - before, 1);
    assert_eq!(sshd.count("Starting session: command"), 2, "{}", sshd.log());
    assert_eq!(sshd.count("userauth-request for user root service ssh-connection method none"), 0);
}
