//! What `init` does with files and without a terminal: no host is needed for it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::terminal::Terminal;

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oceanid"));
    command
        .arg("init")
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::null());
    command
}

fn run(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let Output { status, stderr, .. } = command(folder, arguments).output().expect("it starts");
    (status.code().expect("a status"), String::from_utf8(stderr).expect("UTF-8"))
}

fn listed(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("readable");
    let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("readable").file_name();
    entries.map(|entry| name(entry).into_string().expect("UTF-8")).collect()
}

#[test]
fn a_file_that_is_there_is_never_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("cluster.toml");
    fs::write(&file, "mine").expect("ours");
    let (code, said) = run(folder.path(), &["--from", "root@127.0.0.1"]);
    assert_eq!(code, 1, "{said}");
    insta::assert_snapshot!(said);
    assert_eq!(fs::read_to_string(&file).expect("there"), "mine");
    fs::remove_file(&file).expect("ours");
    std::os::unix::fs::symlink("nowhere", &file).expect("ours");
    assert_eq!(run(folder.path(), &["--from", "root@127.0.0.1"]).0, 1, "a link is something, too");
    assert_eq!(listed(folder.path()), ["cluster.toml"]);
}

#[test]
fn what_cannot_be_asked_or_read_is_refused_before_any_host_is_contacted() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut all = String::new();
    fs::write(folder.path().join("broken.toml"), "[k3s\n").expect("ours");
    fs::write(folder.path().join("wrong.toml"), "[k3s]\nversoin = \"v1.36.3+k3s1\"\n")
        .expect("ours");
    let from = ["--from", "root@127.0.0.1:1"];
    let with = |file: &'static str| [&["--with", file], &from[..]].concat();
    for (arguments, code) in [
        (vec![], 64),
        (vec!["--from", "-"], 64),
        (vec!["--from", "root@"], 1),
        (vec!["--from", "styx port=22"], 1),
        (with("missing.toml"), 1),
        (with("broken.toml"), 1),
        (with("wrong.toml"), 4),
        (from.to_vec(), 3),
    ] {
        let (status, said) = run(folder.path(), &arguments);
        assert_eq!(status, code, "{arguments:?}: {said}");
        let _ = write!(all, "$ oceanid init {}\n{said}\n", arguments.join(" "));
    }
    insta::with_settings!({filters => vec![(r"within \d+ s", "within N s")]}, {
        insta::assert_snapshot!(all);
    });
    assert_eq!(listed(folder.path()).len(), 2, "nothing was written");
}

#[test]
fn ctrl_c_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut terminal = Terminal::start(&command(folder.path(), &[]));
    terminal.sees("Name of the cluster");
    terminal.types("ocean");
    terminal.sees("Host (user@address");
    terminal.presses("\u{3}");
    let (code, shown) = terminal.ends();
    assert_eq!(code, 130, "{shown}");
    assert!(shown.contains("left; nothing was written"), "{shown}");
    // While it waits for a host that does not answer.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("bound").port();
    let mut terminal = Terminal::start(&command(folder.path(), &["--name", "ocean"]));
    terminal.sees("Host (user@address");
    terminal.types(&format!("root@127.0.0.1:{port}"));
    let (mut line, _) = silent.accept().expect("it connects");
    std::io::Read::read_exact(&mut line, &mut [0; 4]).expect("it greets");
    terminal.presses("\u{3}");
    let (code, shown) = terminal.ends();
    assert_eq!(code, 130, "{shown}");
    assert_eq!(listed(folder.path()), [""; 0]);
}
