//! What each release's sshd is told, and how settings that other files make are found.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::Path;

use oceanid::action::{Action, Answer, FileKind, FileState};
use oceanid::actions::{File, Guest, SshdValues};
use oceanid::facts::Sshd;
use oceanid::remote::Output;
use oceanid::sshd::{Algorithms, DROP_IN, Forwarding, Settings};

const RELEASES: [&str; 4] = ["debian-12", "debian-13", "ubuntu-22.04", "ubuntu-24.04"];

/// The sshd of a release, as it answered there.
fn sshd(release: &str) -> Sshd {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/sshd/{release}.toml"));
    let table: toml::Table = fs::read_to_string(path).unwrap().parse().unwrap();
    let list = |key: &str| -> Vec<String> { table[key].clone().try_into().unwrap() };
    Sshd {
        settings: list("settings").into_iter().map(|key| (key, String::new())).collect(),
        broken: None,
        host_keys: list("host-keys"),
        kex: list("kex"),
        ciphers: list("ciphers"),
        macs: list("macs"),
        host_key_algorithms: list("host-key-algorithms"),
    }
}

fn tight(release: &str, further: &[&str]) -> anyhow::Result<Settings> {
    let further: Vec<String> = further.iter().map(|line| (*line).to_owned()).collect();
    Settings::tight(&sshd(release), &further, &["198.51.100.1".to_owned()], Forwarding::Jumps)
}

#[test]
fn every_release_gets_what_its_sshd_knows() {
    for release in RELEASES {
        let text = tight(release, &[]).unwrap().render().unwrap();
        insta::assert_snapshot!(format!("sshd_{release}"), text);
    }
}

#[test]
fn where_both_know_a_post_quantum_exchange_there_is_no_other() {
    for release in RELEASES {
        let kex = Algorithms::shared(&sshd(release)).unwrap().kex;
        assert!(kex.starts_with("mlkem768") || kex.starts_with("sntrup761"), "{release}: {kex}");
        assert_eq!(kex.contains("curve25519-sha256,"), release != "debian-13", "{kex}");
    }
}

#[test]
fn only_a_host_without_a_better_key_goes_on_showing_ecdsa() {
    let mut sshd = sshd("debian-12");
    for (keys, shown) in [(vec!["ecdsa"], true), (vec!["ecdsa", "rsa"], false), (vec![], true)] {
        sshd.host_keys = keys.iter().map(|&key| key.to_owned()).collect();
        let algorithms = Algorithms::shared(&sshd).unwrap().host_keys;
        assert_eq!(algorithms.contains("ecdsa-sha2-nistp256"), shown, "{keys:?}");
    }
}

#[test]
fn an_sshd_that_would_leave_oceanid_out_is_refused() {
    let refused = |change: fn(&mut Sshd)| {
        let mut sshd = sshd("debian-12");
        change(&mut sshd);
        Settings::tight(&sshd, &[], &[], Forwarding::Jumps).unwrap_err().to_string()
    };
    // oceanid does not speak it.
    let error = refused(|sshd| sshd.kex = vec!["sntrup761x25519-sha512@openssh.com".to_owned()]);
    assert!(error.contains("no good key exchange in common"), "{error}");
    let error = refused(|sshd| sshd.ciphers = vec!["3des-cbc".to_owned()]);
    assert!(
        error.contains(
            "no good cipher in common, so nobody could log in again; sshd knows 3des-cbc"
        )
    );
    let error = refused(|sshd| sshd.macs = vec!["umac-128-etm@openssh.com".to_owned()]);
    assert!(error.contains("no good MAC in common"), "{error}");
    let error = refused(|sshd| sshd.host_key_algorithms.clear());
    assert!(error.contains("sshd knows none"), "{error}");
}

#[test]
fn the_operators_lines_come_last_and_take_the_place_of_ours() {
    let settings = tight("debian-12", &["loglevel INFO", "AllowUsers admin"]).unwrap();
    let text = settings.render().unwrap();
    assert!(
        text.ends_with("\n\n# From cluster.toml.\nloglevel INFO\nAllowUsers admin\n"),
        "{text}"
    );
    assert!(!text.contains("LogLevel"), "{text}");
    assert!(settings.all().all(|(keyword, _)| keyword != "LogLevel"));
}

#[test]
fn that_keys_alone_let_in_is_not_for_the_operators_lines_to_say() {
    for line in ["PasswordAuthentication yes", "kbdinteractiveauthentication no"] {
        let error = tight("debian-12", &[line]).unwrap_err().to_string();
        assert!(error.contains("stands in `harden.sshd`"), "{error}");
    }
    tight("debian-12", &["PermitRootLogin no"]).unwrap();
}

/// What is said of a host with the drop-in or before it, when its sshd and files say `said`.
fn verdict(in_place: bool, said: &str) -> Result<(), String> {
    let drop_in = File::new(DROP_IN, "x\n");
    let wanted = [("PasswordAuthentication", "no"), ("PermitRootLogin", "prohibit-password")];
    let guest = Guest { user: "root".into(), from: "198.51.100.1".into(), port: 22 };
    let values = SshdValues::effective(
        &drop_in,
        wanted.map(|(keyword, value)| (keyword, value.to_owned())).to_vec(),
        guest,
    );
    let sha256 = drop_in.sha256().filter(|_| in_place).unwrap_or_default();
    let state = FileState { kind: FileKind::File, sha256, ..FileState::default() };
    let output = Output { stdout: said.to_owned(), ..Output::default() };
    match values.diff(&[Answer::File(state), Answer::Script(output)]) {
        Ok(change) => {
            assert!(change.is_none(), "it never changes anything");
            Ok(())
        }
        Err(error) => Err(error.to_string().lines().next().unwrap().to_owned()),
    }
}

const MAIN: &str = "/etc/ssh/sshd_config:12\t\tInclude /etc/ssh/sshd_config.d/*.conf\n";

#[test]
fn another_value_is_named_with_the_line_that_makes_it() {
    let now = "now passwordauthentication yes\n";
    let cases = [
        (
            "/etc/ssh/sshd_config.d/00-foreign.conf:3\t\tPasswordAuthentication yes\n",
            ": /etc/ssh/sshd_config.d/00-foreign.conf:3 says so",
        ),
        (
            "/etc/ssh/sshd_config:9\t\tpasswordauthentication yes\n\
             /etc/ssh/sshd_config:130\tUser x\tPasswordAuthentication=yes\n",
            ": /etc/ssh/sshd_config:130 says so under `Match User x`",
        ),
        ("", ""),
    ];
    for (lines, by) in cases {
        let said = format!("{now}{MAIN}{lines}");
        let expected = format!("`PasswordAuthentication` is `yes` where `no` is wanted{by}");
        assert_eq!(verdict(true, &said), Err(expected));
    }
}

#[test]
fn before_the_drop_in_is_there_only_what_comes_before_it_counts() {
    let now = "now passwordauthentication yes\nnow permitrootlogin yes\n";
    let with = |before: &str, after: &str| format!("{now}{before}{MAIN}{after}");
    let late = "/etc/ssh/sshd_config.d/50-cloud-init.conf:1\t\tPasswordAuthentication yes\n\
                /etc/ssh/sshd_config:20\t\tPermitRootLogin yes\n";
    assert_eq!(verdict(false, &with("", late)), Ok(()));
    let early = "/etc/ssh/sshd_config.d/00-a.conf:1\t\tPasswordAuthentication yes\n";
    verdict(false, &with("", early)).unwrap_err();
    verdict(false, &with("/etc/ssh/sshd_config:2\t\tPermitRootLogin yes\n", "")).unwrap_err();
    let as_wanted = "/etc/ssh/sshd_config:2\t\tPermitRootLogin without-password\n";
    assert_eq!(verdict(false, &with(as_wanted, "")), Ok(()));
}

#[test]
fn values_that_sshd_prints_in_other_letters_are_the_same() {
    let said = format!("now permitrootlogin Without-Password\n{MAIN}");
    assert_eq!(verdict(true, &said), Ok(()));
}

#[test]
fn what_somebody_closed_stays_closed_and_what_nodes_need_stays_open() {
    let mut sshd = sshd("debian-12");
    for (keyword, value) in &mut sshd.settings {
        if ["permitrootlogin", "allowtcpforwarding"].contains(&keyword.as_str()) {
            "no".clone_into(value);
        }
    }
    let said = |sshd: &Sshd, forwarding| {
        Settings::tight(sshd, &[], &[], forwarding).unwrap().render().unwrap()
    };
    let closed = said(&sshd, Forwarding::Jumps);
    assert!(closed.contains("\nPermitRootLogin no\n"), "{closed}");
    assert!(closed.contains("\nAllowTcpForwarding no\n"), "{closed}");
    let usual = self::sshd("debian-12");
    assert!(said(&usual, Forwarding::Jumps).contains("\nAllowTcpForwarding local\n"));
    assert!(said(&usual, Forwarding::Tunnels).contains("\nAllowTcpForwarding yes\n"));
}
