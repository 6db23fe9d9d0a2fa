//! Keys: files, certificates, the agent, and what is said of those that are refused.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use oceanid::remote::{Connector, RemoteError};
use oceanid::script::Script;

use crate::sshd::{Yard, keygen};
use crate::{Person, connect, connector, error, nobody, run, says};

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
    assert_eq!(sshd.count("service ssh-connection method none"), 0, "{}", sshd.log());
    assert_eq!(sshd.count("method publickey"), 2, "one probe, one signature: {}", sshd.log());
}

#[tokio::test]
async fn every_kind_of_key_file_is_let_in() {
    let yard = Yard::new();
    let sshd = yard.sshd("a", "");
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let key = yard.key(&format!("id-{kind}"), kind, "");
        let connection = connect(&yard, &yard.host("a", sshd.port, &[&key])).await.unwrap();
        assert_eq!(says(&connection, "echo in").await, "in\n");
    }
    assert_eq!(sshd.count("RSA-CERT"), 0);
}

#[tokio::test]
async fn rsa_keys_never_sign_with_sha1() {
    let yard = Yard::new();
    let key = yard.key("id", "rsa", "");
    let sshd = yard.sshd("a", "PubkeyAcceptedAlgorithms rsa-sha2-512\n");
    connect(&yard, &yard.host("a", sshd.port, &[&key])).await.unwrap();
    let old = yard.sshd("b", "PubkeyAcceptedAlgorithms ssh-rsa\n");
    let error = error(&yard, &yard.host("a", old.port, &[&key])).await;
    assert!(matches!(error, RemoteError::Authentication { .. }), "{error:?}");
}

#[tokio::test]
async fn old_pem_keys_are_read() {
    let yard = Yard::new();
    let key = yard.key("id", "rsa", "");
    let output = Command::new("ssh-keygen")
        .args(["-p", "-m", "PEM", "-P", "", "-N", "", "-f"])
        .arg(&key)
        .output();
    assert!(output.unwrap().status.success());
    assert!(fs::read_to_string(&key).unwrap().contains("BEGIN RSA PRIVATE KEY"));
    let sshd = yard.sshd("a", "");
    connect(&yard, &yard.host("a", sshd.port, &[&key])).await.unwrap();
}

#[tokio::test]
async fn a_passphrase_is_asked_for_once_for_all_hosts() {
    let yard = Yard::new();
    let key = yard.key("id", "ed25519", "s3same");
    let (first, second) = (yard.sshd("a", ""), yard.sshd("b", ""));
    let (a, b) = (yard.host("a", first.port, &[&key]), yard.host("b", second.port, &[&key]));
    let person = Arc::new(Person { passphrase: Some("s3same"), ..Person::default() });
    let connector = connector(&yard, &[&a, &b], &person);
    let (one, two) = tokio::join!(connector.connect(&a, &|_| {}), connector.connect(&b, &|_| {}));
    let again = one.unwrap().reconnect().await.unwrap();
    assert_eq!(says(&again, "echo in").await + &says(&two.unwrap(), "echo in").await, "in\nin\n");
    assert_eq!(person.asked(), 1);
}

#[tokio::test]
async fn a_passphrase_is_not_asked_for_where_the_key_is_refused() {
    let yard = Yard::new();
    let locked = yard.stranger("locked", "ed25519", "s3same");
    let key = yard.key("id", "ed25519", "");
    let sshd = yard.sshd("a", "");
    let host = yard.host("a", sshd.port, &[&locked, &key]);
    let person = nobody();
    connector(&yard, &[&host], &person).connect(&host, &|_| {}).await.unwrap();
    assert_eq!(person.asked(), 0);
}

#[tokio::test]
async fn a_wrong_passphrase_is_named_and_never_shown() {
    let yard = Yard::new();
    let key = yard.key("id", "ed25519", "s3same");
    let sshd = yard.sshd("a", "");
    let host = yard.host("a", sshd.port, &[&key]);
    let person = Arc::new(Person { passphrase: Some("canary-wrong"), ..Person::default() });
    let error = connector(&yard, &[&host], &person).connect(&host, &|_| {}).await.err().unwrap();
    let text = format!("{error:?}");
    assert!(text.contains("the passphrase is wrong"), "{text}");
    assert!(!text.contains("canary"), "{text}");
    assert_eq!(person.asked(), 1);
}

#[tokio::test]
async fn refused_keys_are_named_with_their_fingerprints() {
    let yard = Yard::new();
    let refused = yard.stranger("refused", "ed25519", "");
    let readable = yard.key("readable", "ed25519", "");
    fs::set_permissions(&readable, fs::Permissions::from_mode(0o644)).unwrap();
    let sshd = yard.sshd("a", "");
    let error = error(&yard, &yard.host("a", sshd.port, &[&refused, &readable])).await;
    let RemoteError::Authentication { user, tried, .. } = &error else { panic!("{error:?}") };
    assert_eq!(user, "root");
    let output = Command::new("ssh-keygen").arg("-lf").arg(&refused).output().unwrap();
    let line = String::from_utf8(output.stdout).unwrap();
    let fingerprint = line.split_whitespace().nth(1).unwrap();
    assert!(
        tried.iter().any(|one| one.contains("refused (ssh-ed25519 ") && one.contains(fingerprint)),
        "{tried:?}"
    );
    assert!(
        tried.iter().any(|one| one.contains("readable: skipped, others can read it")),
        "{tried:?}"
    );
}

#[tokio::test]
async fn more_keys_than_the_host_takes_are_said_not_to_be_offered() {
    let yard = Yard::new();
    let keys = (0..5).map(|n| yard.stranger(&format!("id{n}"), "ed25519", "")).collect::<Vec<_>>();
    let paths = keys.iter().map(AsRef::as_ref).collect::<Vec<&Path>>();
    let sshd = yard.sshd("a", "MaxAuthTries 2\n");
    let error = error(&yard, &yard.host("a", sshd.port, &paths)).await;
    let RemoteError::Authentication { tried, .. } = &error else { panic!("{error:?}") };
    assert_eq!(tried.len(), 5);
    assert!(tried[4].contains("not offered"), "{tried:?}");
}

#[tokio::test]
async fn a_key_that_cluster_toml_names_must_exist() {
    let yard = Yard::new();
    let sshd = yard.sshd("a", "");
    let error = error(&yard, &yard.host("a", sshd.port, &[&yard.ssh("absent")])).await;
    assert!(
        matches!(&error, RemoteError::Local(text) if text.contains("absent") && text.contains("does not exist")),
        "{error:?}"
    );
}

#[tokio::test]
async fn certificates_beside_a_key_are_used() {
    for kind in ["ed25519", "rsa"] {
        let yard = Yard::new();
        let key = yard.stranger("id", kind, "");
        let authority = yard.folder.path().join("ca");
        keygen(&authority, "ed25519", "");
        let signed = Command::new("ssh-keygen")
            .args(["-q", "-s"])
            .arg(&authority)
            .args(["-I", "tester", "-n", "root"])
            .arg(key.with_file_name("id.pub"))
            .output()
            .unwrap();
        assert!(signed.status.success());
        let trusted = format!("TrustedUserCAKeys {}\n", authority.with_extension("pub").display());
        let sshd = yard.sshd("a", &trusted);
        connect(&yard, &yard.host("a", sshd.port, &[&key])).await.unwrap();
        assert!(sshd.log().contains("ID tester"), "{}", sshd.log());
    }
}

struct Agent {
    socket: std::path::PathBuf,
    child: Child,
}

impl Agent {
    fn start(yard: &Yard, keys: &[&Path]) -> Self {
        let socket = yard.folder.path().join("agent");
        let child = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while !socket.exists() {
            std::thread::sleep(Duration::from_millis(10));
        }
        let added = Command::new("ssh-add")
            .args(["-q"])
            .args(keys)
            .env("SSH_AUTH_SOCK", &socket)
            .output()
            .unwrap();
        assert!(added.status.success(), "{added:?}");
        Self { socket, child }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn the_agent_signs_with_every_kind_of_key() {
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let yard = Yard::new();
        let key = yard.key("held", kind, "");
        let agent = Agent::start(&yard, &[&key]);
        fs::remove_file(&key).unwrap();
        let sshd = yard.sshd("a", "");
        let host = yard.host("a", sshd.port, &[]);
        let mut environment = yard.environment();
        environment.agent = Some(agent.socket.clone());
        let connector = Connector::within(environment, vec![host.clone()], nobody()).unwrap();
        connector.connect(&host, &|_| {}).await.unwrap();
    }
}

#[tokio::test]
async fn identities_only_keeps_the_agents_other_keys_back() {
    let yard = Yard::new();
    let held = yard.key("held", "ed25519", "");
    let named = yard.stranger("named", "ed25519", "");
    let agent = Agent::start(&yard, &[&held]);
    fs::write(yard.ssh("config"), "Host *\n IdentitiesOnly yes\n").unwrap();
    let sshd = yard.sshd("a", "");
    let host = yard.host("a", sshd.port, &[&named]);
    let mut environment = yard.environment();
    environment.agent = Some(agent.socket.clone());
    let connector = Connector::within(environment, vec![host.clone()], nobody()).unwrap();
    let error = connector.connect(&host, &|_| {}).await.err().unwrap();
    assert!(format!("{error:?}").contains("`IdentitiesOnly` is set"), "{error:?}");
}

#[tokio::test]
async fn an_encrypted_key_that_the_agent_holds_is_not_asked_about() {
    let yard = Yard::new();
    let key = yard.key("id", "ed25519", "");
    let agent = Agent::start(&yard, &[&key]);
    let locked = Command::new("ssh-keygen")
        .args(["-q", "-p", "-P", "", "-N", "s3same", "-f"])
        .arg(&key)
        .output();
    assert!(locked.unwrap().status.success());
    let sshd = yard.sshd("a", "");
    let host = yard.host("a", sshd.port, &[&key]);
    let mut environment = yard.environment();
    environment.agent = Some(agent.socket.clone());
    let person = nobody();
    let connector = Connector::within(environment, vec![host.clone()], person.clone()).unwrap();
    connector.connect(&host, &|_| {}).await.unwrap();
    assert_eq!(person.asked(), 0);
}
