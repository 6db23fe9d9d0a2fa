//! What a script gets and what comes back.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use oceanid::remote::{Connection, Local, Remote, RemoteError};
use oceanid::script::{Body, Script, quote};

use crate::sshd::{Sshd, Yard};
use crate::{connect, run, says};

async fn ready() -> (Yard, Sshd, Connection) {
    let yard = Yard::new();
    let key = yard.key("id", "ed25519", "");
    let sshd = yard.sshd("a", "");
    let connection = connect(&yard, &yard.host("a", sshd.port, &[&key])).await.unwrap();
    (yard, sshd, connection)
}

#[tokio::test]
async fn text_arrives_as_it_was_written() {
    let (_yard, _sshd, connection) = ready().await;
    for text in
        ["it's \"quoted\" `$HOME` $(x) \\ !", "two\nlines\n", "grüße 🌊", "tab\t%s %%", "-n"]
    {
        assert_eq!(says(&connection, &format!("printf %s {}", quote(text))).await, text);
        let script = Script::new("cat").stdin(Body::Text(text.into()));
        assert_eq!(run(&connection, &script).await.stdout, text);
        let script = Script::new("cat").stdin(Body::Secret(text.to_owned().into()));
        assert_eq!(run(&connection, &script).await.stdout, text);
    }
}

#[tokio::test]
async fn every_exit_status_comes_back() {
    let (_yard, _sshd, connection) = ready().await;
    for (text, status) in [
        ("true", 0),
        ("exit 7", 7),
        ("exit 124", 124),
        ("exit 255", 255),
        ("kill -KILL $$", 137),
        ("kill -TERM $$", 143),
        ("nonesuch-program", 127),
        ("if", 2),
    ] {
        assert_eq!(run(&connection, &Script::new(text)).await.status, status, "{text}");
    }
}

#[tokio::test]
async fn a_script_without_a_body_reads_nothing_and_does_not_wait() {
    let (_yard, _sshd, connection) = ready().await;
    assert_eq!(says(&connection, "cat; readlink /proc/self/fd/0").await, "/dev/null\n");
}

#[tokio::test]
async fn the_environment_is_the_same_everywhere() {
    let (_yard, _sshd, connection) = ready().await;
    let text = "umask; printf '%s\\n' \"$LC_ALL\" \"$PATH\"; pwd";
    let wanted = "0077\nC\n/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n/\n";
    assert_eq!(says(&connection, text).await, wanted);
    assert_eq!(Local.run(&Script::new(text), &|_| {}).await.unwrap().stdout, wanted);
}

#[tokio::test]
async fn thirty_megabytes_go_in_and_come_back() {
    let (_yard, _sshd, connection) = ready().await;
    let big = "0123456789abcdef".repeat(30 * 1024 * 64);
    let script = Script::new("tee /dev/stderr | sha256sum >/dev/null; printf done")
        .stdin(Body::Text(big.clone()))
        .deadline(Duration::from_secs(120));
    let output = run(&connection, &script).await;
    assert_eq!(output.stdout, "done");
    assert!(output.stderr == big);
    let back = run(&connection, &Script::new("cat").stdin(Body::Text(big.clone()))).await;
    assert!(back.stdout == big);
}

#[tokio::test]
async fn a_file_is_streamed_and_it_is_told_how_far() {
    let (yard, _sshd, connection) = ready().await;
    let path = yard.home().join("big");
    let big = "0123456789abcdef\n".repeat(2 << 20);
    std::fs::write(&path, &big).unwrap();
    let said = Mutex::new(Vec::new());
    let progress = |line: &str| said.lock().unwrap().push(line.to_owned());
    let wanted = oceanid::secret::sha256(&big.as_bytes()[1_000_000..]);
    let wanted = format!("{wanted}  -\n");
    let slowly =
        "dd bs=1000 count=1000 iflag=fullblock status=none >/dev/null; sleep 0.6; sha256sum";
    let script = Script::new(slowly).stdin(Body::File(path.clone()));
    assert_eq!(connection.run(&script, &progress).await.unwrap().stdout, wanted);
    assert_eq!(Local.run(&script, &|_| {}).await.unwrap().stdout, wanted);
    let said = said.into_inner().unwrap();
    assert!(said.iter().any(|line| line.ends_with(" of 35 MB sent")), "{said:?}");
    std::fs::remove_file(&path).unwrap();
    let gone = connection.run(&script, &|_| {}).await.unwrap_err();
    assert!(matches!(&gone, RemoteError::Local(text) if text.contains("cannot read")), "{gone:?}");
}

#[tokio::test]
async fn a_script_need_not_read_its_stdin() {
    let (_yard, _sshd, connection) = ready().await;
    let script = Script::new("exit 4").stdin(Body::Text("x".repeat(10 << 20)));
    assert_eq!(run(&connection, &script).await.status, 4);
    assert_eq!(says(&connection, "echo alive").await, "alive\n");
}

#[tokio::test]
async fn progress_lines_arrive_while_the_script_runs_and_stay_out_of_stderr() {
    let (_yard, _sshd, connection) = ready().await;
    let (start, heard) = (Instant::now(), Mutex::new(Vec::new()));
    let progress = |line: &str| heard.lock().unwrap().push((line.to_owned(), start.elapsed()));
    let script = Script::new(
        "echo '::oceanid:: half' >&2; sleep 2; echo plain >&2; echo '::oceanid:: full' >&2",
    );
    let output = connection.run(&script, &progress).await.unwrap();
    assert_eq!(output.stderr, "plain\n");
    let heard = heard.into_inner().unwrap();
    assert_eq!(heard.iter().map(|one| one.0.as_str()).collect::<Vec<_>>(), ["half", "full"]);
    assert!(heard[1].1.saturating_sub(heard[0].1) > Duration::from_secs(1), "{heard:?}");
}

#[tokio::test]
async fn a_deadline_ends_the_script_on_the_host() {
    let (yard, _sshd, connection) = ready().await;
    let mark = yard.folder.path().join("alive");
    let text = format!("trap '' TERM; while sleep 0.2; do date > {}; done", mark.display());
    let start = Instant::now();
    let script = Script::new(text).deadline(Duration::from_secs(1));
    let error = connection.run(&script, &|_| {}).await.unwrap_err();
    assert!(matches!(error, RemoteError::Deadline { limit } if limit.as_secs() == 1), "{error:?}");
    assert!(start.elapsed() < Duration::from_secs(9));
    std::fs::remove_file(&mark).unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(!mark.exists(), "the script still runs");
    assert_eq!(says(&connection, "echo alive").await, "alive\n");
}

#[tokio::test]
async fn something_left_in_the_background_does_not_hold_the_answer() {
    let (_yard, _sshd, connection) = ready().await;
    let start = Instant::now();
    assert_eq!(says(&connection, "sleep 8 & echo out").await, "out\n");
    assert!(start.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn many_runs_at_once_and_in_turn_use_one_connection() {
    let (_yard, sshd, connection) = ready().await;
    for number in 0..12 {
        assert_eq!(says(&connection, &format!("echo {number}")).await, format!("{number}\n"));
    }
    let scripts =
        (0..4).map(|number| Script::new(format!("sleep 0.3; echo {number}"))).collect::<Vec<_>>();
    let all =
        futures::future::join_all(scripts.iter().map(|script| run(&connection, script))).await;
    assert_eq!(all.iter().map(|one| one.stdout.as_str()).collect::<String>(), "0\n1\n2\n3\n");
    assert_eq!(sshd.count("Accepted publickey"), 1);
}

#[tokio::test]
async fn a_host_with_one_session_a_connection_works_too() {
    let yard = Yard::new();
    let key = yard.key("id", "ed25519", "");
    let sshd = yard.sshd("a", "MaxSessions 1\n");
    let connection = connect(&yard, &yard.host("a", sshd.port, &[&key])).await.unwrap();
    for number in 0..3 {
        assert_eq!(says(&connection, &format!("echo {number}")).await, format!("{number}\n"));
    }
}

#[tokio::test]
async fn a_script_too_long_for_one_command_is_a_clear_error() {
    let (_yard, _sshd, connection) = ready().await;
    assert_eq!(says(&connection, &format!("printf %.4s {}", "y".repeat(88_000))).await, "yyyy");
    let long = Script::new(format!(": {}", "y".repeat(110_000)));
    let error = connection.run(&long, &|_| {}).await.unwrap_err();
    assert!(matches!(&error, RemoteError::Local(text) if text.contains("too long")), "{error:?}");
    let later = Script::new("cat").stdin(Body::Later);
    assert!(matches!(connection.run(&later, &|_| {}).await, Err(RemoteError::Local(_))));
}

#[tokio::test]
async fn this_machine_runs_scripts_like_a_host() {
    let heard = Mutex::new(Vec::new());
    let script = Script::new("echo '::oceanid:: on it' >&2; cat; echo err >&2; exit 5")
        .stdin(Body::Text("in".into()));
    let output =
        Local.run(&script, &|line| heard.lock().unwrap().push(line.to_owned())).await.unwrap();
    assert_eq!((output.status, output.stdout.as_str(), output.stderr.as_str()), (5, "in", "err\n"));
    assert_eq!(heard.into_inner().unwrap(), ["on it"]);
    let slow = Script::new("sleep 30").deadline(Duration::from_secs(1));
    assert!(matches!(Local.run(&slow, &|_| {}).await, Err(RemoteError::Deadline { .. })));
}
