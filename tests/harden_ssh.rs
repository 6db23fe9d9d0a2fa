//! A hardened sshd on real hosts: graded by ssh-audit, entered by OpenSSH and oceanid, drifted, taken back; needs root.
#![expect(clippy::panic, reason = "a test")]

#[path = "support/lab.rs"]
#[expect(dead_code, reason = "every test binary uses its own part")]
mod operator;

use std::fs;
use std::path::Path;
use std::process::Output;

use lab::{HostSpec, Privilege, Release, Topology};
use operator::{Operator, Said};
use serde_json::Value;

const HOSTS: [(&str, &str); 2] = [("tethys", "root"), ("styx", "debian")];
const DROP_IN: &str = "/etc/ssh/sshd_config.d/00-oceanid.conf";
/// Grows with every change, as it should.
const STATE: &str = "/var/lib/oceanid";
const POST_QUANTUM: &str = "does not provide protection against post-quantum attacks";

/// The operator's address, the drop-in, a reload.
const ALL_OF_BOTH: [&str; 6] =
    ["styx: file", "styx: file", "styx: unit", "tethys: file", "tethys: file", "tethys: unit"];

#[test]
fn a_hardened_sshd_lets_in_keys_alone_and_can_be_had_back() {
    let operator = Operator::hardening(Topology::of(vec![
        HostSpec::new("tethys"),
        HostSpec::new("styx").release(Release::Debian13).login("debian", Privilege::Sudo),
    ]));
    let bare = manifests(&operator);
    let verdicts = HOSTS.map(|(name, _)| audited(&operator, name));
    assert_eq!(verdicts.map(|all| all.len()), [24, 19], "the grader finds what is there to find");

    another_file_that_has_the_first_word_is_named_before_anything_is_changed(&operator);
    let made = ["file", "file", "unit"];
    let made =
        ["styx", "tethys"].iter().flat_map(|name| made.map(|what| format!("{name}: {what}")));
    assert_eq!(hardened(&operator), made.collect::<Vec<_>>());
    assert_eq!(hardened(&operator), [""; 0], "a second run changes something");
    assert_eq!(reloads(&operator), [1, 1], "sshd reads its files once");
    nothing_is_found_any_more(&operator);
    what_sshd_itself_says_is_what_was_wanted(&operator);
    keys_let_in_and_passwords_do_not(&operator);
    each_host_is_a_way_to_the_other(&operator);
    on_the_hosts_own_console_a_key_must_be_there_first(&operator);
    what_was_changed_by_hand_is_shown_and_mended(&operator);
    files_that_make_the_drop_in_void_are_named(&operator);

    while !operator.run(&["rollback", "--yes"]).exits(0).stdout.contains("nothing to take back") {}
    for ((before, after), (name, _)) in bare.iter().zip(&manifests(&operator)).zip(HOSTS) {
        assert_eq!(before.diff(after), Vec::<String>::new(), "{name}");
        assert_eq!(offered(&operator, name), "publickey,password");
    }
    where_systemd_holds_the_socket_it_is_the_same(&operator);
}

fn another_file_that_has_the_first_word_is_named_before_anything_is_changed(operator: &Operator) {
    let foreign = "/etc/ssh/sshd_config.d/00-foreign.conf";
    exec(operator, "tethys", &format!("printf '\\nPasswordAuthentication yes\\n' >{foreign}"));
    let said = operator.run(&["bootstrap", "--yes", "--only", "ssh", "tethys"]).exits(1);
    let named =
        format!("`PasswordAuthentication` is `yes` where `no` is wanted: {foreign}:2 says so");
    assert!(flat(&said).contains(&named), "{}", said.stderr);
    exec(operator, "tethys", &format!("rm {foreign}; ! [ -e {DROP_IN} ]"));
}

fn nothing_is_found_any_more(operator: &Operator) {
    let mut old = audited(operator, "tethys");
    old.retain(|finding| !finding.ends_with(POST_QUANTUM));
    assert_eq!(old, Vec::<String>::new());
    assert_eq!(audited(operator, "styx"), Vec::<String>::new());
}

fn what_sshd_itself_says_is_what_was_wanted(operator: &Operator) {
    for (name, user) in HOSTS {
        let said = exec(operator, name, &format!("sshd -T -C user={user},host=x,addr=192.0.2.7"));
        for line in [
            "pubkeyauthentication yes",
            "passwordauthentication no",
            "kbdinteractiveauthentication no",
            "permitrootlogin without-password",
            "usepam yes",
            "allowtcpforwarding local",
            "allowagentforwarding no",
            "maxauthtries 6",
        ] {
            assert!(said.lines().any(|known| known == line), "{name}: no `{line}` in\n{said}");
        }
    }
    let exempt = format!("persourcepenaltyexemptlist {}", operator.lab.machine());
    assert!(exec(operator, "styx", "sshd -T").contains(&exempt), "the operator may be shut out");
}

fn keys_let_in_and_passwords_do_not(operator: &Operator) {
    for (name, user) in HOSTS {
        let output = ssh(operator, name, &[], "id -un");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), user, "{output:?}");
        assert_eq!(offered(operator, name), "publickey");
        let sneak = ["-o", "PreferredAuthentications=password,keyboard-interactive"];
        assert_eq!(ssh(operator, name, &sneak, "true").status.code(), Some(255), "{name}");
    }
    operator.run(&["facts", "tethys", "styx"]).exits(0);
}

fn each_host_is_a_way_to_the_other(operator: &Operator) {
    for ([(through, way), (name, user)], index) in [(HOSTS, 1), ([HOSTS[1], HOSTS[0]], 0)] {
        let proxy = format!(
            "ProxyCommand=ssh {} -W %h:%p {way}@{}",
            options(operator).join(" "),
            operator.lab.host(through).address
        );
        let output = ssh(operator, name, &["-o", &proxy], "id -un");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), user, "{output:?}");
        let jump = |table: &mut toml::Table, jump: Option<&str>| {
            let node = table["node"][index].as_table_mut().expect("a node");
            node.remove("jump");
            node.extend(jump.map(|jump| ("jump".to_owned(), vec![jump].into())));
        };
        operator.edit(|table| jump(table, Some(through)));
        operator.run(&["facts", name]).exits(0);
        operator.edit(|table| jump(table, None));
    }
}

fn on_the_hosts_own_console_a_key_must_be_there_first(operator: &Operator) {
    let root = operator.lab.host("tethys").root().join("root");
    fs::copy(env!("CARGO_BIN_EXE_oceanid"), root.join("oceanid")).expect("the binary");
    // A bare host has no CA certificates to ask for hashes with.
    let lock = operator.folder.join("oceanid.lock");
    fs::copy(lock, root.join("oceanid.lock")).expect("bootstrap wrote it");
    operator.edit(|table| {
        let node = table["node"][0].as_table_mut().expect("a node");
        node.insert("local".to_owned(), true.into());
        let text = toml::to_string(table).expect("it was TOML before");
        fs::write(root.join("cluster.toml"), text).expect("the lab's folder is ours");
        table["node"][0].as_table_mut().expect("a node").remove("local");
    });
    let plan = "cd /root && ./oceanid plan tethys --only ssh --detailed-exitcode 2>&1";
    exec(operator, "tethys", plan);
    let keyless = format!("mv /root/.ssh/authorized_keys /root/kept; {plan}; [ $? = 1 ]");
    let said = exec(operator, "tethys", &keyless);
    assert!(said.contains("no key lets `root` in yet"), "{said}");
    let clear = "cd /root && mv kept .ssh/authorized_keys && rm oceanid oceanid.lock cluster.toml";
    exec(operator, "tethys", clear);
}

fn what_was_changed_by_hand_is_shown_and_mended(operator: &Operator) {
    let edit =
        format!("sed -i 's/^PasswordAuthentication no/PasswordAuthentication yes/' {DROP_IN}");
    exec(operator, "styx", &edit);
    let plan = operator.run(&["plan", "--diff", "--only", "ssh", "--detailed-exitcode"]).exits(2);
    for line in ["-PasswordAuthentication yes", "+PasswordAuthentication no"] {
        assert!(plan.stdout.contains(line), "no `{line}` in\n{}", plan.stdout);
    }
    assert_eq!(hardened(operator), ["styx: file", "styx: unit"]);
    assert_eq!(hardened(operator), [""; 0]);
    assert_eq!(offered(operator, "styx"), "publickey");
}

fn files_that_make_the_drop_in_void_are_named(operator: &Operator) {
    let main = "/etc/ssh/sshd_config";
    let cases = [
        (
            "printf 'Match User root\\n  PasswordAuthentication yes\\n' >>F".to_owned(),
            "under `Match User root`",
        ),
        (
            "sed -i '/^Include/d' F".to_owned(),
            "make `Include /etc/ssh/sshd_config.d/*.conf` its first line",
        ),
        ("echo Nonesuch yes >>F".to_owned(), "a restart would lock everybody out"),
        (
            "printf '#\\nPasswordAuthentication yes\\n' >/etc/ssh/sshd_config.d/00-foreign.conf"
                .to_owned(),
            "/etc/ssh/sshd_config.d/00-foreign.conf:2 says so",
        ),
    ];
    for (spoil, named) in cases {
        exec(operator, "tethys", &format!("cp {main} /root/kept; {}", spoil.replace('F', main)));
        let said = operator.run(&["plan", "--only", "ssh", "tethys"]).exits(1);
        assert!(flat(&said).contains(named), "no `{named}` in\n{}", said.stderr);
        let mend = "rm -f /etc/ssh/sshd_config.d/00-foreign.conf";
        exec(operator, "tethys", &format!("{mend}; cat /root/kept >{main}; rm /root/kept"));
    }
    operator.run(&["plan", "--only", "ssh", "--detailed-exitcode"]).exits(0);
}

fn where_systemd_holds_the_socket_it_is_the_same(operator: &Operator) {
    for (name, _) in HOSTS {
        exec(
            operator,
            name,
            "systemctl -q disable --now ssh.service && systemctl -q enable --now ssh.socket",
        );
    }
    assert_eq!(hardened(operator), ALL_OF_BOTH);
    assert_eq!(hardened(operator), [""; 0]);
    for (name, user) in HOSTS {
        assert_eq!(offered(operator, name), "publickey");
        let output = ssh(operator, name, &[], "id -un");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), user, "{output:?}");
        let state = "systemctl is-enabled ssh.service ssh.socket; systemctl is-active ssh.service ssh.socket; true";
        assert_eq!(exec(operator, name, state), "disabled\nenabled\nactive\nactive\n", "{name}");
    }
    operator.run(&["rollback", "--yes"]).exits(0);
    for (name, _) in HOSTS {
        assert_eq!(offered(operator, name), "publickey,password");
    }
}

fn exec(operator: &Operator, name: &str, command: &str) -> String {
    operator.lab.host(name).exec(command).expect("the host obeys")
}

fn manifests(operator: &Operator) -> Vec<lab::Manifest> {
    let read = |(name, _)| operator.lab.host(name).manifest(&[STATE]).expect("readable");
    HOSTS.into_iter().map(read).collect()
}

/// Bootstraps sshd alone; what was changed, as `host: kind`, sorted.
fn hardened(operator: &Operator) -> Vec<String> {
    let run = operator.run(&["bootstrap", "--yes", "--only", "ssh", "--json"]).exits(0);
    let word = |event: &Value, key: &str| {
        event[key].as_str().and_then(|text| text.split(' ').next()).expect("text").to_owned()
    };
    let done = run.events("change-done");
    let mut done: Vec<String> = done
        .iter()
        .map(|event| format!("{}: {}", word(event, "host"), word(event, "subject")))
        .collect();
    done.sort();
    done
}

/// How often sshd was told to read its files again since the host booted.
fn reloads(operator: &Operator) -> [usize; 2] {
    let count = |(name, _)| {
        let journal = operator.lab.host(name).journal("ssh.service").expect("a journal");
        journal.matches("Received SIGHUP").count()
    };
    HOSTS.map(count)
}

/// Every failure and warning of ssh-audit.
fn audited(operator: &Operator, name: &str) -> Vec<String> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/graders/ssh-audit-3.9.0");
    let program = place.join("bin/ssh-audit").display().to_string();
    let address = operator.lab.host(name).address.to_string();
    let arguments = [program.as_str(), "--skip-rate-test", "--json", &address];
    let mut command = operator.program("/usr/bin/python3", &arguments);
    let said = Said::of({
        command.env("PYTHONPATH", &place);
        command
    });
    let report: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|_| {
        panic!("`tests/setup.sh` installs ssh-audit: {}{}", said.stdout, said.stderr)
    });
    let mut findings = Vec::new();
    for kind in ["kex", "key", "enc", "mac"] {
        for algorithm in report[kind].as_array().expect("a list") {
            for weight in ["fail", "warn"] {
                let notes = algorithm["notes"][weight].as_array().into_iter().flatten();
                findings.extend(notes.map(|note| {
                    format!(
                        "{weight}: {}: {}",
                        algorithm["algorithm"],
                        note.as_str().unwrap_or_default()
                    )
                }));
            }
        }
    }
    findings
}

/// The ways to log in that the host offers to somebody without a key.
fn offered(operator: &Operator, name: &str) -> String {
    let output = ssh(operator, name, &["-o", "PubkeyAuthentication=no"], "true");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let ways = said.rsplit_once("Permission denied (").and_then(|(_, rest)| rest.split_once(')'));
    ways.unwrap_or_else(|| panic!("{name} does not refuse: {said}")).0.to_owned()
}

/// OpenSSH's own client, with the lab's key and nothing else.
fn ssh(operator: &Operator, name: &str, more: &[&str], command: &str) -> Output {
    let (_, user) = HOSTS.into_iter().find(|(known, _)| *known == name).expect("a host");
    let target = format!("{user}@{}", operator.lab.host(name).address);
    let options = options(operator);
    let mut arguments: Vec<&str> = more.to_vec();
    arguments.extend(options.iter().map(String::as_str));
    arguments.extend([target.as_str(), command]);
    operator.program("/usr/bin/ssh", &arguments).output().expect("ssh starts")
}

fn options(operator: &Operator) -> Vec<String> {
    let known = format!("UserKnownHostsFile={}", operator.lab.known_hosts().display());
    let key = operator.lab.key().display().to_string();
    let words =
        ["-F", "none", "-i", &key, "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", &known];
    words.map(str::to_owned).to_vec()
}

/// What it said on stderr, without the breaks of lines.
fn flat(said: &Said) -> String {
    said.stderr.split_whitespace().collect::<Vec<_>>().join(" ")
}
