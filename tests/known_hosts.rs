//! `known_hosts` files, with `ssh-keygen` as the oracle.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use oceanid::remote::known_hosts::{self, Names, Verdict};
use proptest::prelude::*;
use russh::keys::PublicKey;
use tempfile::TempDir;

const KEYS: [&str; 3] = [
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ",
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHwf2HMM5TRXvo2SQJjsNkiDD5KqiiNjrGVv3UUh+mMT5RHxiRtOnlqvjhQtBq0VpmpCV/PwUdhOig4vkbqAcEc=",
];

fn key(number: usize) -> PublicKey {
    PublicKey::from_openssh(KEYS[number]).unwrap()
}

fn file(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("known_hosts");
    fs::write(&path, text).unwrap();
    (folder, path)
}

/// The lines that `ssh-keygen -F` finds for `name`.
fn oracle(path: &Path, name: &str) -> BTreeSet<usize> {
    let output = Command::new("ssh-keygen").args(["-F", name, "-f"]).arg(path).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let found =
        text.lines().filter_map(|line| line.split_once("found: line ")).map(|(_, rest)| rest);
    found.map(|rest| rest.split_whitespace().next().unwrap().parse().unwrap()).collect()
}

fn ours(path: &Path, host: &str, port: u16) -> BTreeSet<usize> {
    let found = known_hosts::lookup(&[path.to_owned()], host, port).unwrap();
    let exact = found.iter().filter(|one| !one.portless);
    exact.map(|one| one.place.rsplit_once(':').unwrap().1.parse().unwrap()).collect()
}

fn hash_all(path: &Path) {
    let output = Command::new("ssh-keygen").arg("-H").arg("-f").arg(path).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn hosts() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        "[a-c]{1,3}",
        "[a-c]{1,2}\\.x",
        "10\\.0\\.0\\.[1-3]",
        "[a-c?*]{1,3}",
        "!?[a-c*]{1,2}\\.x"
    ];
    let name = (name, prop::option::of(prop_oneof![Just(22_u16), Just(2222)]));
    let name = name.prop_map(|(name, port)| match (name.strip_prefix('!'), port) {
        (_, None) => name,
        (Some(rest), Some(port)) => format!("![{rest}]:{port}"),
        (None, Some(port)) => format!("[{name}]:{port}"),
    });
    prop::collection::vec(name, 1..4).prop_map(|names| names.join(","))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn the_same_lines_are_found_as_by_ssh_keygen(
        lines in prop::collection::vec((hosts(), 0_usize..3, prop_oneof![Just(""), Just("@revoked "), Just("@cert-authority ")]), 0..6),
        host in prop_oneof!["[a-cA-C]{1,3}", "[a-c]{1,2}\\.x", "10\\.0\\.0\\.[1-3]"],
        port in prop_oneof![Just(22_u16), Just(2222)],
    ) {
        let text = lines.iter().map(|(hosts, number, marker)| format!("{marker}{hosts} {} who@where\n", KEYS[*number]));
        let (_folder, path) = file(&text.collect::<String>());
        prop_assert_eq!(ours(&path, &host, port), oracle(&path, &known_hosts::name(&host, port)));
    }
}

#[test]
fn hashed_names_are_found_as_by_ssh_keygen() {
    let (_folder, path) = file(&format!("alpha,10.0.0.1 {}\n[beta]:2222 {}\n", KEYS[0], KEYS[1]));
    hash_all(&path);
    assert!(!fs::read_to_string(&path).unwrap().contains("alpha"));
    for (host, port) in [
        ("alpha", 22),
        ("ALPHA", 22),
        ("10.0.0.1", 22),
        ("beta", 2222),
        ("beta", 22),
        ("gamma", 22),
    ] {
        assert_eq!(
            ours(&path, host, port),
            oracle(&path, &known_hosts::name(host, port)),
            "{host} {port}"
        );
    }
}

#[test]
fn what_is_appended_is_found_by_ssh_keygen_and_hashed_where_the_file_is() {
    for (names, already_hashed) in
        [(Names::Plain, false), (Names::Hashed, false), (Names::Plain, true)]
    {
        // Without a last line break: the new line must not run into the old one.
        let (_folder, path) = file(&format!("alpha {}", KEYS[0]));
        if already_hashed {
            hash_all(&path);
        }
        known_hosts::append(&path, "beta", 2222, &key(1), names).unwrap();
        assert_eq!(oracle(&path, "[beta]:2222"), BTreeSet::from([2]));
        assert_eq!(oracle(&path, "alpha"), BTreeSet::from([1]));
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.contains("beta"), names == Names::Plain && !already_hashed, "{text}");
    }
}

#[test]
fn a_new_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("home/.ssh/known_hosts");
    known_hosts::append(&path, "alpha", 22, &key(0), Names::Plain).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("alpha {}\n", KEYS[0]));
}

#[test]
fn two_writers_at_once_lose_no_line() {
    let (_folder, path) = file("");
    std::thread::scope(|scope| {
        for number in 0..20 {
            let path = &path;
            scope.spawn(move || {
                known_hosts::append(path, &format!("host{number}"), 22, &key(0), Names::Plain)
                    .unwrap();
            });
        }
    });
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().collect::<BTreeSet<_>>().len(), 20, "{text}");
}

#[test]
fn verdicts_follow_the_lines() {
    let judge = |text: String, port, number| {
        let (_folder, path) = file(&text);
        known_hosts::judge(&known_hosts::lookup(&[path], "alpha", port).unwrap(), &key(number))
    };
    let line = |hosts: &str, number: usize| format!("{hosts} {}\n", KEYS[number]);
    assert_eq!(judge(line("alpha", 0), 22, 0), Verdict::Known);
    assert_eq!(judge(line("beta", 0), 22, 0), Verdict::Unknown);
    assert!(
        matches!(judge(line("alpha", 0), 22, 1), Verdict::Changed(place) if place.ends_with(":1"))
    );
    assert!(matches!(judge(line("alpha", 2), 22, 1), Verdict::Changed(_)), "another kind of key");
    assert_eq!(judge(line("alpha", 1) + &line("alpha", 0), 22, 0), Verdict::Known);
    assert!(matches!(
        judge(line("alpha", 0) + &line("@revoked alpha", 0), 22, 0),
        Verdict::Revoked(_)
    ));
    assert_eq!(
        judge(line("@cert-authority alpha", 0), 22, 0),
        Verdict::Unknown,
        "an authority is no host"
    );
    // As in OpenSSH: an entry without a port vouches for other ports, but does not contradict.
    assert_eq!(judge(line("alpha", 0), 2222, 0), Verdict::Known);
    assert_eq!(judge(line("alpha", 0), 2222, 1), Verdict::Unknown);
    assert_eq!(judge("rubbish\nalpha ssh-ed25519 !!!\n".to_owned(), 22, 0), Verdict::Unknown);
}
