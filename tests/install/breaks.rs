//! install.sh with other downloaders, over TLS, on a full disk, cut off and interrupted.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use lab::Fault;

use crate::desk::{Desk, SCRIPT, SHELLS, TARGET, find};
use crate::stock::{Stock, listed, sums_hidden};

#[test]
fn it_gets_everything_with_either_wget() {
    let stock = Stock::new(TARGET);
    stock.release("0.1.0");
    let archive = stock.name("0.1.0");
    for (downloader, shell) in
        [("wget", &["dash", "-s"][..]), ("busybox", &["busybox", "sh", "-s"])]
    {
        let desk = Desk::new(shell, downloader).owned_by_nobody();
        let said = desk.run(&stock);
        assert_eq!(desk.version().as_deref(), Some("oceanid 0.1.0"), "{downloader}: {said}");
        let again = desk.run(&stock);
        assert!(again.contains("is up to date"), "{downloader}: {again}");
        let mut told = String::new();
        for (title, file, fault) in [
            ("a tampered archive", archive.as_str(), Fault::WrongBytes),
            ("a truncated archive", &archive, Fault::Truncated(100)),
            ("no archive", &archive, Fault::Status(404)),
            ("a page for the sums", "SHA256SUMS", Fault::Html),
            ("no sums", "SHA256SUMS", Fault::Status(404)),
        ] {
            stock.server.fault(file, fault);
            let desk = Desk::new(shell, downloader);
            let _ = write!(told, "## {title}\n{}", desk.run(&stock));
            assert_eq!(desk.version(), None, "{downloader}: {title}");
            stock.server.heal();
        }
        insta::assert_snapshot!(format!("with_{downloader}"), sums_hidden(&without_clock(&told)));
    }
}

/// GNU's wget tells when something happened.
fn without_clock(told: &str) -> String {
    let clock =
        |word: &&str| !word.contains([':', '-']) || word.contains(|c: char| c.is_alphabetic());
    let lines =
        told.lines().map(|line| line.split(' ').filter(clock).collect::<Vec<_>>().join(" "));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn over_tls_it_talks_to_nobody_whom_the_machine_does_not_know() {
    let stock = Stock::new(TARGET);
    stock.release("0.1.0");
    let mirror = stock.server.mirror().expect("a certificate");
    let mut told = String::new();
    for downloader in ["curl", "wget", "busybox"] {
        let shell = if downloader == "busybox" { SHELLS[2] } else { SHELLS[0] };
        let desk = Desk::new(shell, downloader).with("OCEANID_BASE_URL", mirror.url.clone());
        let _ = write!(told, "## {downloader}\n{}", desk.run(&stock));
        assert_eq!(desk.version(), None, "{downloader}");
    }
    insta::assert_snapshot!("over_tls", told.replace(&mirror.url, "https://mirror"));
    let desk = Desk::new(SHELLS[0], "curl").with("OCEANID_BASE_URL", mirror.url.clone());
    fs::write(desk.path("ca.pem"), &mirror.ca).expect("ours");
    let ca = desk.path("ca.pem").display().to_string();
    let said = desk.with("CURL_CA_BUNDLE", ca).run(&stock);
    assert!(said.contains("oceanid 0.1.0 is in") && !said.contains("warning"), "{said}");
}

/// The disk is gone with the process that it was mounted for.
const FULL_DISK: &str = r#"set -eu
disk=$OCEANID_INSTALL_DIR
mount -t tmpfs -o size=128k disk "$disk"
printf '#!/bin/sh\necho oceanid 0.1.0\n' >"$disk/oceanid"
chmod 0755 "$disk/oceanid"
"$0" "$@" || printf 'status %s\n' "$?"
"$disk/oceanid"
for file in "$disk"/* "$disk"/.o*; do printf '%s\n' "$file"; done"#;

#[test]
fn on_a_full_disk_it_leaves_what_was_there() {
    let stock = Stock::new(TARGET);
    stock.release("0.1.0");
    let mut noise = String::new();
    for count in 0..60_000_u32 {
        let _ = write!(noise, "{:x}", count.wrapping_mul(2_654_435_761));
    }
    stock.publish("0.2.0", &format!("#!/bin/sh\necho oceanid 0.2.0\nexit\n{noise}"));
    let mut told = String::new();
    for (shell, downloader) in [(SHELLS[0], "curl"), (SHELLS[2], "busybox")] {
        let mut desk = Desk::new(shell, downloader);
        desk.tool("mount", &find("mount"));
        fs::create_dir(desk.path("disk")).expect("ours");
        let folder = desk.path("disk").display().to_string();
        desk.shell = ["unshare", "--mount", "sh", "-c", FULL_DISK].map(str::to_owned).to_vec();
        desk.shell.push(find(shell[0]).display().to_string());
        desk.shell.extend(shell[1..].iter().map(ToString::to_string));
        let desk = desk.with("OCEANID_INSTALL_DIR", folder);
        let _ = write!(told, "## {downloader}\n{}", desk.run(&stock));
    }
    insta::assert_snapshot!("on_a_full_disk", told);
}

#[test]
fn half_a_download_of_it_does_nothing() {
    let stock = Stock::new(TARGET);
    stock.release("0.1.0");
    let whole = SCRIPT.trim_end();
    let last = whole.rfind("\nmain ").expect("the last line calls it") + 1;
    for shell in SHELLS {
        let desk = Desk::new(shell, "curl");
        for cut in (0..last).step_by(whole.len() / 40).chain([last, last + 3]) {
            let said = desk.pipe(&stock, &whole[..cut]);
            assert!(!desk.path("home").exists(), "cut after {cut} bytes: {said}");
        }
    }
    assert_eq!(stock.server.requests(), [""; 0], "half a script asked for something");
}

#[test]
fn interrupted_it_leaves_nothing() {
    for shell in SHELLS {
        let stock = Stock::new(TARGET);
        stock.release("0.1.0");
        stock.server.fault(".tar.gz", Fault::Slow(20));
        let desk = Desk::new(shell, "curl");
        let mut child = desk.command(&stock).process_group(0).spawn().expect("it starts");
        child.stdin.take().expect("piped").write_all(SCRIPT.as_bytes()).expect("it reads");
        let begun = Instant::now();
        while !stock.server.requests().iter().any(|path| path.ends_with(".tar.gz")) {
            assert!(begun.elapsed() < Duration::from_secs(10), "{shell:?} asks for nothing");
            sleep(Duration::from_millis(20));
        }
        assert_eq!(listed(&desk.installed()).len(), 1, "the folder in which it works");
        let group = format!("-{}", child.id());
        assert!(
            Command::new("kill").args(["-INT", "--", &group]).status().expect("kill").success()
        );
        let status = child.wait().expect("it ends");
        assert!(!status.success(), "{shell:?}");
        assert_eq!(listed(&desk.installed()), [""; 0], "{shell:?}");
    }
}
