//! A connected host of a lab, on which single steps are brought about and taken back.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use lab::Host;
use oceanid::engine::{ChangeFailed, Run};
use oceanid::remote::{Connection, Connector, Environment, Prompt};
use oceanid::report::{Event, Observer};
use oceanid::step::Step;
use secrecy::SecretString;

use crate::operator::Operator;

/// A connected host, what is true there past the product, and how many runs it has seen.
pub struct Ground<'a> {
    pub host: &'a Host,
    pub connection: Connection,
    pub runs: u32,
}

pub struct Nobody;

impl Prompt for Nobody {
    fn passphrase(&self, _: &std::path::Path) -> Option<SecretString> {
        None
    }

    fn sudo_password(&self, _: &str, _: &str) -> Option<SecretString> {
        None
    }

    fn trust(&self, _: &str, _: &str) -> bool {
        false
    }
}

impl Observer for Nobody {
    fn on(&self, _: &Event<'_>) {}
}

impl<'a> Ground<'a> {
    pub async fn of(operator: &'a Operator) -> Self {
        let cluster = oceanid::config::load(&operator.file()).expect("valid").cluster;
        let environment = Environment {
            home: PathBuf::from(operator.lab.home()),
            user: String::from("tester"),
            agent: None,
            system_config: None,
        };
        let mut hosts = cluster.hosts;
        // `~` of the file is the home of whoever runs this test.
        hosts[0].ssh.keys = vec![operator.lab.key()];
        let connector = Connector::within(environment, hosts.clone(), Arc::new(Nobody));
        let connector = connector.expect("no configuration");
        let connection = connector.connect(&hosts[0], &|_| {}).await.expect("a login");
        Self { host: operator.lab.host("tethys"), connection, runs: 0 }
    }

    pub fn exec(&self, command: &str) -> String {
        self.host.exec(command).expect("a shell").trim().to_owned()
    }

    #[expect(clippy::print_stderr, reason = "shown when the test fails")]
    pub async fn apply(&mut self, step: &Step) -> anyhow::Result<u32> {
        self.runs += 1;
        let interrupted = AtomicBool::new(false);
        let name = self.run();
        let mut run = Run {
            host: "tethys",
            remote: &self.connection,
            observer: &Nobody,
            name: &name,
            stop: &interrupted,
            changes: 0,
        };
        let done = run.apply(&[step], None).await;
        if let Err(failed) = done.as_ref().map_err(|error| error.downcast_ref::<ChangeFailed>()) {
            eprintln!("{failed:?}");
        }
        done.map(|()| run.changes)
    }

    pub fn run(&self) -> String {
        format!("law-{}", self.runs)
    }

    pub fn files(&self) -> lab::Manifest {
        self.host.manifest(&["/var/lib/oceanid"]).expect("readable")
    }
}
