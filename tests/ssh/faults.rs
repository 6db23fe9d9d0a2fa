//! Hosts that are down, silent, slow to start, or cut off.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use oceanid::remote::{Connector, Remote, RemoteError};
use oceanid::script::{Body, Script};

use crate::sshd::{Yard, free_port};
use crate::{connect, connector, error, nobody, says};

#[tokio::test]
async fn a_host_that_is_down_is_tried_until_the_limit_and_then_named() {
    let yard = Yard::new();
    let host = yard.host("a", free_port(), &[]);
    let waits = Mutex::new(Vec::new());
    let start = Instant::now();
    let connector = connector(&yard, &[&host], &nobody());
    let note = |waiting: &oceanid::remote::Waiting| waits.lock().unwrap().push(waiting.clone());
    let error = connector.connect(&host, &note).await.err().unwrap();
    let RemoteError::Unreachable { last, .. } = &error else { panic!("{error:?}") };
    assert_eq!(last, "connection refused");
    assert!(start.elapsed() < Duration::from_secs(3));
    let waits = waits.into_inner().unwrap();
    assert!(waits.len() >= 2 && waits[0].last_error == "connection refused", "{waits:?}");
}

#[tokio::test]
async fn a_host_that_comes_up_meanwhile_is_reached() {
    let yard = Yard::new();
    let key = yard.key("id", "ed25519", "");
    let known = yard.sshd("a", "");
    let port = known.port;
    let mut host = yard.host("a", port, &[&key]);
    host.ssh.connect = Duration::from_secs(20);
    drop(known);
    let connector = connector(&yard, &[&host], &nobody());
    let later = tokio::task::spawn_blocking(move || {
        std::thread::sleep(Duration::from_secs(1));
        (yard.sshd_at("a", port, "", &[]), yard)
    });
    let connection = connector.connect(&host, &|_| {}).await.unwrap();
    assert_eq!(says(&connection, "echo up").await, "up\n");
    later.await.unwrap();
}

#[tokio::test]
async fn failed_logins_are_never_tried_again() {
    let yard = Yard::new();
    let key = yard.stranger("id", "ed25519", "");
    let sshd = yard.sshd("a", "");
    let mut host = yard.host("a", sshd.port, &[&key]);
    host.ssh.connect = Duration::from_secs(60);
    let start = Instant::now();
    assert!(matches!(error(&yard, &host).await, RemoteError::Authentication { .. }));
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_host_that_accepts_and_says_nothing_has_its_own_message() {
    let yard = Yard::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let start = Instant::now();
    let error = error(&yard, &yard.host("a", listener.local_addr().unwrap().port(), &[])).await;
    let RemoteError::Silent { missing, .. } = &error else { panic!("{error:?}") };
    assert!(missing.contains("greeting"), "{missing}");
    assert!(start.elapsed() < Duration::from_secs(17));
}

#[tokio::test]
async fn a_host_that_greets_and_falls_silent_has_its_own_message() {
    let yard = Yard::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").unwrap();
        std::thread::sleep(Duration::from_secs(20));
    });
    let error = error(&yard, &yard.host("a", port, &[])).await;
    assert!(
        matches!(&error, RemoteError::Silent { missing, .. } if missing.contains("key exchange")),
        "{error:?}"
    );
}

#[tokio::test]
async fn what_is_no_ssh_server_is_named_as_such() {
    let yard = Yard::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let page = format!("HTTP/1.1 400 Bad Request\r\n\r\n{}", "<p>no</p>\r\n".repeat(200));
            let _ = stream.unwrap().write_all(page.as_bytes());
        }
    });
    let error = error(&yard, &yard.host("a", port, &[])).await;
    assert!(
        matches!(&error, RemoteError::Unusable { .. } | RemoteError::Unreachable { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_frozen_host_is_noticed_within_twenty_seconds() {
    let yard = Yard::new();
    let key = yard.key("id", "ed25519", "");
    let sshd = yard.sshd("a", "");
    let connection = connect(&yard, &yard.host("a", sshd.port, &[&key])).await.unwrap();
    let pid = says(&connection, "p=$$; while :; do q=$(awk '/^PPid/{print $2}' /proc/$p/status); grep -q sshd /proc/$q/comm && break; p=$q; done; echo $q").await;
    let start = Instant::now();
    let script = Script::new("sleep 60");
    let running = connection.run(&script, &|_| {});
    let freeze = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(Command::new("kill").args(["-STOP", pid.trim()]).status().unwrap().success());
    };
    let (outcome, ()) = tokio::join!(running, freeze);
    let _ = Command::new("kill").args(["-CONT", pid.trim()]).status();
    assert!(matches!(outcome, Err(RemoteError::Lost { .. })), "{outcome:?}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

/// Forwards to `port` until told to stop; then it keeps the connections and moves nothing.
fn relay(port: u16) -> (u16, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().port();
    let stopped = Arc::new(AtomicBool::new(false));
    let flag = stopped.clone();
    std::thread::spawn(move || {
        for near in listener.incoming() {
            let near = near.unwrap();
            let far = TcpStream::connect(("127.0.0.1", port)).unwrap();
            for (mut from, mut to) in
                [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)]
            {
                let flag = flag.clone();
                std::thread::spawn(move || {
                    let mut buffer = [0; 16 * 1024];
                    while let Ok(count) = from.read(&mut buffer) {
                        while flag.load(Ordering::SeqCst) {
                            std::thread::sleep(Duration::from_millis(50));
                        }
                        if count == 0 || to.write_all(&buffer[..count]).is_err() {
                            return;
                        }
                    }
                });
            }
        }
    });
    (own, stopped)
}

#[tokio::test]
async fn a_cut_link_is_noticed_within_twenty_seconds_even_in_mid_upload() {
    let yard = Yard::new();
    let key = yard.key("id", "ed25519", "");
    let sshd = yard.sshd("a", "");
    let (port, stopped) = relay(sshd.port);
    let mut host = yard.host("a", port, &[&key]);
    host.ssh.host_key = Some(sshd.host_key("ed25519"));
    let connector = Connector::within(yard.environment(), vec![host.clone()], nobody()).unwrap();
    let connection = connector.connect(&host, &|_| {}).await.unwrap();
    let script = Script::new("while read -r line; do sleep 0.01; done")
        .stdin(Body::Text("0123456789abcdef\n".repeat(2 << 20)))
        .deadline(Duration::from_secs(300));
    let running = connection.run(&script, &|_| {});
    let cut = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stopped.store(true, Ordering::SeqCst);
        Instant::now()
    };
    let (outcome, since) = tokio::join!(running, cut);
    assert!(matches!(outcome, Err(RemoteError::Lost { .. })), "{outcome:?}");
    assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
}

#[tokio::test]
async fn a_host_that_hangs_up_in_a_run_is_lost() {
    let yard = Yard::new();
    let key = yard.key("id", "ed25519", "");
    let sshd = yard.sshd("a", "");
    let connection = connect(&yard, &yard.host("a", sshd.port, &[&key])).await.unwrap();
    let text = "p=$$; while :; do q=$(awk '/^PPid/{print $2}' /proc/$p/status); grep -q sshd /proc/$q/comm && break; p=$q; done; kill -KILL $q; sleep 5";
    let outcome = connection.run(&Script::new(text), &|_| {}).await;
    assert!(matches!(outcome, Err(RemoteError::Lost { .. })), "{outcome:?}");
}
