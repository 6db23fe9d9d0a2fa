//! Hosts behind other hosts.

use std::fs;

use oceanid::remote::RemoteError;

use crate::sshd::Yard;
use crate::{connect, connector, error, nobody, says};

#[tokio::test]
async fn two_hops_are_each_verified_and_each_logged_in_to() {
    let yard = Yard::new();
    let key = yard.key("id", "ed25519", "");
    let (a, b, c) = (yard.sshd("a", ""), yard.sshd("b", ""), yard.sshd("c", ""));
    let first = yard.host("first", a.port, &[&key]);
    let mut last = yard.host("last", c.port, &[&key]);
    last.ssh.jump = vec!["first".into(), format!("root@127.0.0.1:{}", b.port)];
    fs::write(yard.ssh("config"), format!("IdentityFile {}\n", key.display())).unwrap();
    let connector = connector(&yard, &[&first, &last], &nobody());
    let connection = connector.connect(&last, &|_| {}).await.unwrap();
    assert_eq!(says(&connection, "echo there").await, "there\n");
    let again = connection.reconnect().await.unwrap();
    assert_eq!(says(&again, "echo there").await, "there\n");
    for sshd in [&a, &b, &c] {
        assert_eq!(sshd.count("Accepted publickey"), 2, "{}", sshd.log());
    }
}

#[tokio::test]
async fn an_unknown_key_of_a_hop_stops_the_way() {
    for unknown in ["a", "b"] {
        let yard = Yard::new();
        let key = yard.key("id", "ed25519", "");
        let start = |name: &str| {
            if name == unknown { yard.unknown_sshd(name, "") } else { yard.sshd(name, "") }
        };
        let (a, b) = (start("a"), start("b"));
        let first = yard.host("first", a.port, &[&key]);
        let mut last = yard.host("last", b.port, &[&key]);
        last.ssh.jump = vec!["first".into()];
        let error = connector(&yard, &[&first, &last], &nobody())
            .connect(&last, &|_| {})
            .await
            .err()
            .unwrap();
        let port = if unknown == "a" { a.port } else { b.port };
        assert!(
            matches!(&error, RemoteError::HostKeyUnknown { address, .. } if address.ends_with(&port.to_string())),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn proxy_jump_of_ssh_config_is_followed_and_none_is_not() {
    let yard = Yard::new();
    let key = yard.key("id", "ed25519", "");
    let (a, b) = (yard.sshd("a", ""), yard.sshd("b", ""));
    let config = format!(
        "Host target\n ProxyJump hop\n HostName 127.0.0.1\nHost direct\n ProxyJump none\n HostName 127.0.0.1\n\
         Host hop\n HostName 127.0.0.1\n Port {}\nHost *\n ProxyJump nowhere\n User root\n IdentityFile {}\n",
        a.port,
        key.display()
    )
    .replace("Host hop\n", "Host hop\n ProxyJump none\n");
    fs::write(yard.ssh("config"), config).unwrap();
    let mut host = yard.host("n", b.port, &[]);
    for (name, hops) in [("target", 1), ("direct", 1)] {
        host.address = name.into();
        connect(&yard, &host).await.unwrap();
        assert_eq!(a.count("Accepted publickey"), hops);
    }
    assert_eq!(b.count("Accepted publickey"), 2);
}

#[tokio::test]
async fn jumps_in_circles_are_a_clear_error() {
    let yard = Yard::new();
    fs::write(yard.ssh("config"), "Host *\n ProxyJump other\nHost other\n ProxyJump more\n")
        .unwrap();
    let error = error(&yard, &yard.host("a", 1, &[])).await;
    assert!(matches!(&error, RemoteError::Local(text) if text.contains("circles")), "{error:?}");
}

#[tokio::test]
async fn a_hop_that_does_not_forward_says_so() {
    let yard = Yard::new();
    let key = yard.key("id", "ed25519", "");
    let (a, b) = (yard.sshd("a", "AllowTcpForwarding no\n"), yard.sshd("b", ""));
    let first = yard.host("first", a.port, &[&key]);
    let mut last = yard.host("last", b.port, &[&key]);
    last.ssh.jump = vec!["first".into()];
    let error =
        connector(&yard, &[&first, &last], &nobody()).connect(&last, &|_| {}).await.err().unwrap();
    assert!(
        matches!(&error, RemoteError::Unusable { reason, .. } if reason.contains("does not forward")),
        "{error:?}"
    );
}
