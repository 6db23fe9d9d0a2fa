//! A host's key: known, unknown, changed, revoked, pinned, vouched for.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::sync::Arc;

use oceanid::remote::known_hosts::Verdict;
use oceanid::remote::{Prompt, RemoteError};

use crate::sshd::{Yard, keygen};
use crate::{Person, connect, connector, error, nobody};

/// What sshd logs once a client has sent more than its key exchange.
const HEARD: &str = "userauth-request";

#[tokio::test]
async fn an_unknown_key_is_refused_where_nobody_can_be_asked() {
    let yard = Yard::new();
    let key = yard.key("id", "ed25519", "");
    let sshd = yard.unknown_sshd("a", "LogLevel DEBUG1\n");
    let error = error(&yard, &yard.host("a", sshd.port, &[&key])).await;
    let RemoteError::HostKeyUnknown { fingerprint, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*fingerprint, format!("ssh-ed25519 {}", sshd.fingerprint("ed25519")));
    assert!(!yard.ssh("known_hosts").exists());
    assert!(!sshd.log().contains(HEARD), "{}", sshd.log());
}

#[tokio::test]
async fn a_trusted_key_is_asked_about_once_and_remembered() {
    let yard = Yard::new();
    let key = yard.key("id", "ed25519", "");
    let sshd = yard.unknown_sshd("a", "");
    let host = yard.host("a", sshd.port, &[&key]);
    let person = Arc::new(Person { trusts: true, ..Person::default() });
    let connector = connector(&yard, &[&host], &person);
    let (one, two) =
        tokio::join!(connector.connect(&host, &|_| {}), connector.connect(&host, &|_| {}));
    assert!(one.is_ok() && two.is_ok());
    assert_eq!(person.asked(), 1);
    connect(&yard, &host).await.unwrap();
    let name = format!("[127.0.0.1]:{}", sshd.port);
    let found = Command::new("ssh-keygen")
        .args(["-F", &name, "-f"])
        .arg(yard.ssh("known_hosts"))
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&found.stdout).contains(&sshd.host_key("ed25519")));
}

#[tokio::test]
async fn a_changed_key_stops_before_anything_of_ours_is_sent() {
    let yard = Yard::new();
    let key = yard.key("id", "ed25519", "");
    let sshd = yard.unknown_sshd("a", "LogLevel DEBUG1\n");
    let other = yard.stranger("other", "ed25519", "");
    let public = fs::read_to_string(other.with_file_name("other.pub")).unwrap();
    let line = format!("# a comment\n[127.0.0.1]:{} {public}", sshd.port);
    fs::write(yard.ssh("known_hosts"), &line).unwrap();
    let host = yard.host("a", sshd.port, &[&key]);
    let person = Arc::new(Person { trusts: true, ..Person::default() });
    let error = connector(&yard, &[&host], &person).connect(&host, &|_| {}).await.err().unwrap();
    let RemoteError::HostKeyChanged { known, fingerprint, .. } = &error else {
        panic!("{error:?}")
    };
    assert!(known.ends_with("known_hosts:2"), "{known}");
    assert!(fingerprint.contains(&sshd.fingerprint("ed25519")));
    assert_eq!(person.asked(), 0, "nobody can wave a changed key through");
    assert_eq!(fs::read_to_string(yard.ssh("known_hosts")).unwrap(), line);
    assert!(!sshd.log().contains(HEARD), "{}", sshd.log());
}

#[tokio::test]
async fn another_kind_of_key_than_the_known_one_is_a_changed_key() {
    let yard = Yard::new();
    let key = yard.key("id", "ed25519", "");
    let sshd = yard.unknown_sshd("a", "HostKey FOLDER/host_ed25519\n");
    yard.know(&sshd, "rsa");
    let error = error(&yard, &yard.host("a", sshd.port, &[&key])).await;
    assert!(matches!(error, RemoteError::HostKeyChanged { .. }), "{error:?}");
}

#[tokio::test]
async fn the_known_kind_of_key_is_asked_for() {
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let yard = Yard::new();
        let key = yard.key("id", "ed25519", "");
        let sshd = yard.unknown_sshd("a", "");
        yard.know(&sshd, kind);
        connect(&yard, &yard.host("a", sshd.port, &[&key])).await.unwrap();
    }
}

#[tokio::test]
async fn a_revoked_key_is_refused_even_where_it_is_also_known() {
    let yard = Yard::new();
    let key = yard.key("id", "ed25519", "");
    let sshd = yard.sshd("a", "");
    let mut text = fs::read_to_string(yard.ssh("known_hosts")).unwrap();
    writeln!(text, "@revoked * {}", sshd.host_key("ed25519")).unwrap();
    fs::write(yard.ssh("known_hosts"), text).unwrap();
    let error = error(&yard, &yard.host("a", sshd.port, &[&key])).await;
    assert!(
        matches!(&error, RemoteError::HostKeyRevoked { known, .. } if known.ends_with(":2")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_key_in_cluster_toml_counts_alone_and_leaves_known_hosts_untouched() {
    let yard = Yard::new();
    let key = yard.key("id", "ed25519", "");
    let sshd = yard.unknown_sshd("a", "");
    let stranger = yard.unknown_sshd("b", "");
    let mut host = yard.host("a", sshd.port, &[&key]);
    for kind in ["ed25519", "rsa", "ecdsa"] {
        for pin in [sshd.host_key(kind), sshd.fingerprint(kind)] {
            host.ssh.host_key = Some(pin.clone());
            assert!(connect(&yard, &host).await.is_ok(), "{pin}");
        }
    }
    assert!(!yard.ssh("known_hosts").exists());
    for pin in [stranger.host_key("ed25519"), stranger.fingerprint("ed25519")] {
        host.ssh.host_key = Some(pin);
        let error = error(&yard, &host).await;
        assert!(
            matches!(&error, RemoteError::HostKeyChanged { known, .. } if known == "cluster.toml"),
            "{error:?}"
        );
    }
    host.ssh.host_key = Some("rubbish".into());
    assert!(matches!(error(&yard, &host).await, RemoteError::Local(_)));
}

#[tokio::test]
async fn a_host_certificate_counts_where_its_authority_is_known_for_the_host() {
    let yard = Yard::new();
    let key = yard.key("id", "ed25519", "");
    let sshd = yard.unknown_sshd("a", "");
    let authority = yard.folder.path().join("ca");
    keygen(&authority, "ed25519", "");
    let public = fs::read_to_string(authority.with_extension("pub")).unwrap();
    for (principal, accepted) in [("127.0.0.1", true), ("elsewhere", false)] {
        let signed = Command::new("ssh-keygen")
            .args(["-q", "-h", "-s"])
            .arg(&authority)
            .args(["-I", "host", "-n", principal])
            .arg(sshd.folder.join("host_ed25519.pub"))
            .output()
            .unwrap();
        assert!(signed.status.success());
        let certified = yard.sshd_at(
            "a",
            crate::sshd::free_port(),
            "HostKey FOLDER/host_ed25519\nHostCertificate FOLDER/host_ed25519-cert.pub\n",
            &[],
        );
        fs::write(
            yard.ssh("known_hosts"),
            format!("@cert-authority [127.0.0.1]:{} {public}", certified.port),
        )
        .unwrap();
        let result = connect(&yard, &yard.host("a", certified.port, &[&key])).await;
        assert_eq!(result.is_ok(), accepted, "{principal}: {:?}", result.err());
    }
}

#[tokio::test]
async fn trust_shows_the_key_first_and_writes_it_then() {
    let yard = Yard::new();
    let key = yard.key("id", "ed25519", "");
    let sshd = yard.unknown_sshd("a", "LogLevel DEBUG1\n");
    let host = yard.host("a", sshd.port, &[&key]);
    let person = nobody();
    let connector = connector(&yard, &[&host], &person);
    let shown = connector.show_host_key(&host).await.unwrap();
    assert_eq!(shown.fingerprint, format!("ssh-ed25519 {}", sshd.fingerprint("ed25519")));
    assert_eq!(shown.verdict, Verdict::Unknown);
    assert!(!yard.ssh("known_hosts").exists());
    assert!(!sshd.log().contains(HEARD));
    connector.trust(&host, &shown).await.unwrap();
    connector.connect(&host, &|_| {}).await.unwrap();
    assert!(!person.trust("", ""));
}
