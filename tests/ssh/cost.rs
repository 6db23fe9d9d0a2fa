//! What a connection and two runs cost, beside OpenSSH's own client.

use std::process::Stdio;
use std::time::{Duration, Instant};

use futures::future::join_all;
use oceanid::script::Script;

use crate::sshd::{Yard, free_port};
use crate::{connector, nobody, run};

/// Rounds, each of which measures both in turn.
const ROUNDS: usize = 9;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stderr, reason = "the numbers are what it is for")]
#[ignore = "a measurement: run it alone, on a quiet machine"]
async fn a_connection_and_two_runs_cost_no_more_than_one_ssh() {
    let yard = Yard::new();
    let key = yard.key("id", "ed25519", "");
    // An empty home: what this machine's .bashrc costs is no matter of ours.
    let empty = yard.folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let script = format!("mount --bind {} /root && exec \"$@\"", empty.display());
    let wrap = ["unshare", "-m", "--propagation", "private", "sh", "-c", &script, "sh"];
    let start = |number| yard.sshd_at(&format!("h{number}"), free_port(), "", &wrap);
    let sshds = (0..4).map(start).collect::<Vec<_>>();
    for sshd in &sshds {
        yard.know(sshd, "ed25519");
    }
    let hosts = sshds.iter().map(|sshd| yard.host("a", sshd.port, &[&key])).collect::<Vec<_>>();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let connector = connector(&yard, &hosts.iter().collect::<Vec<_>>(), &nobody());
        join_all(hosts.iter().map(async |host| {
            let connection = connector.connect(host, &|_| {}).await.unwrap();
            run(&connection, &Script::new("true")).await;
            run(&connection, &Script::new("true")).await;
            connection.close().await;
        }))
        .await;
        ours.push(start.elapsed());
        let start = Instant::now();
        join_all(sshds.iter().map(async |sshd| {
            let known = format!("UserKnownHostsFile={}", yard.ssh("known_hosts").display());
            let status = tokio::process::Command::new("ssh")
                .args(["-F", "none", "-o", "BatchMode=yes", "-o", &known, "-i"])
                .arg(&key)
                .args(["-p", &sshd.port.to_string(), "root@127.0.0.1", "true"])
                .stdin(Stdio::null())
                .status();
            assert!(status.await.unwrap().success());
        }))
        .await;
        theirs.push(start.elapsed());
    }
    let (ours, theirs) = (median(ours), median(theirs));
    eprintln!("four hosts, medians of {ROUNDS}: ours {ours:?}, ssh {theirs:?}");
    assert!(ours <= theirs, "four hosts: ours {ours:?}, ssh {theirs:?}");
}
