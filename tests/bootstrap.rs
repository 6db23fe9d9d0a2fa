//! The main promise, on four real hosts: bare, bootstrapped, unchanged, drifted, mended; needs root.

#[path = "support/lab.rs"]
mod operator;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use lab::{HostSpec, Manifest, Privilege, Release, SshdCounts, Topology};
use operator::{Operator, Said};
use serde_json::Value;

const NODES: [&str; 4] = ["tethys", "styx", "meliae", "calypso"];
/// What grows with every change, and what fail2ban keeps of every login.
const LIVING: &[&str] = &["/var/lib/oceanid", "/var/lib/fail2ban"];
/// What fail2ban writes by itself, whoever logs in or not.
const BUSY: &[&str] = &["/var/lib/fail2ban"];
const SUDO_PASSWORD: &str = "canary-sudo-meliae";
const PASSPHRASE: &str = "canary-passphrase";

#[test]
fn bare_hosts_become_a_cluster_that_a_second_run_leaves_alone() {
    let operator = Operator::hardening(Topology::four());
    let bare = manifests(&operator);
    let planned = a_plan_shows_everything_and_writes_nothing(&operator, &bare);
    no_secret_gets_out(&operator, || {
        let first = operator.run(&["bootstrap", "--yes"]).exits(0);
        let done = format!("4 hosts: 0 unchanged, 4 changed ({planned} changes), 0 failed");
        assert!(first.stderr.contains(&done), "not `{done}`:\n{}", first.stderr);
        first
    });
    every_node_is_ready(&operator);
    a_second_run_changes_nothing(&operator);
    an_unchanged_host_costs_one_connection_and_two_executions(&operator);
    let verified = operator.run(&["verify"]).exits(0);
    assert!(verified.stdout.contains("the API answers from here"), "{}", verified.stdout);
    operator.run(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn drift_is_shown_and_mended_and_nothing_else_is() {
    let hosts = vec![
        HostSpec::new("tethys"),
        HostSpec::new("styx").release(Release::Debian13).login("debian", Privilege::Sudo),
    ];
    let operator = Operator::before(Topology::of(hosts));
    operator.run(&["bootstrap", "--yes"]).exits(0);
    let kubectl = |words: &str| {
        let line = format!("/usr/local/bin/k3s kubectl {words}");
        operator.lab.host("tethys").exec(&line).expect("the API answers")
    };
    kubectl("label node styx team=blue");
    what_was_changed_by_hand_goes_back(&operator, &kubectl);
    what_leaves_the_file_leaves_the_cluster(&operator, &kubectl);
    assert!(kubectl("get node styx --show-labels").contains("team=blue"), "it is not ours");
}

fn what_was_changed_by_hand_goes_back(operator: &Operator, kubectl: &dyn Fn(&str) -> String) {
    let styx = operator.lab.host("styx");
    let before =
        [styx, operator.lab.host("tethys")].map(|host| host.manifest(LIVING).expect("readable"));
    let (server, agent) = (starts(operator, "tethys"), starts(operator, "styx"));
    styx.exec("echo 'node-label: [by=hand]' >>/etc/rancher/k3s/config.yaml").expect("a shell");
    operator
        .lab
        .host("tethys")
        .exec("sysctl -qw vm.overcommit_memory=0; chmod 0666 /etc/sysctl.d/60-oceanid.conf")
        .expect("a shell");
    kubectl("label node styx oceanid.node/provider-");
    let plan = operator.run(&["plan", "--diff", "--detailed-exitcode"]).exits(2);
    for line in [
        "-node-label: [by=hand]",
        "- vm.overcommit_memory = 0",
        "+ vm.overcommit_memory = 1",
        "0666 root:root -> 0644 root:root",
        "+ label oceanid.node/provider=hostinger",
    ] {
        assert!(plan.stdout.contains(line), "no `{line}` in\n{}", plan.stdout);
    }
    operator.run(&["verify"]).exits(2);
    let expected = [
        "styx: file /etc/rancher/k3s/config.yaml",
        "styx: unit k3s-agent.service",
        "tethys: file /etc/sysctl.d/60-oceanid.conf",
        "tethys: kernel parameters",
        "tethys: labels and taints of styx",
    ];
    assert_eq!(mended(operator), expected);
    assert_eq!(starts(operator, "tethys"), server, "tethys was restarted for nothing");
    assert_ne!(starts(operator, "styx"), agent, "styx still runs with the edited file");
    assert_eq!(starts(operator, "styx").matches("NRestarts=0").count(), 3, "started by us alone");
    let after =
        [styx, operator.lab.host("tethys")].map(|host| host.manifest(LIVING).expect("readable"));
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before.diff(after), Vec::<String>::new());
    }
    operator.run(&["plan", "--detailed-exitcode"]).exits(0);
}

fn what_leaves_the_file_leaves_the_cluster(operator: &Operator, kubectl: &dyn Fn(&str) -> String) {
    let label = |table: &mut toml::Table, node: usize| {
        table["node"][node]["labels"].as_table_mut().expect("labels").clear();
    };
    operator.edit(|table| label(table, 1));
    operator.lab.host("styx").exec("rm /etc/systemd/system/k3s-agent.service").expect("a shell");
    let server = starts(operator, "tethys");
    let expected = [
        "styx: file /etc/systemd/system/k3s-agent.service",
        "styx: unit k3s-agent.service",
        "tethys: labels and taints of styx",
    ];
    assert_eq!(mended(operator), expected);
    assert_eq!(starts(operator, "tethys"), server, "tethys was restarted for nothing");
    let labels = kubectl("get node styx --show-labels");
    assert!(!labels.contains("oceanid.node/provider"), "{labels}");
    operator.run(&["status"]).exits(0);
    operator.run(&["plan", "--detailed-exitcode"]).exits(0);
}

/// What a bootstrap changed, `host: subject`, sorted; whether a restarted node has to be waited for is luck.
fn mended(operator: &Operator) -> Vec<String> {
    let run = operator.run(&["bootstrap", "--yes", "--json"]).exits(0);
    let text = |event: &Value, key: &str| event[key].as_str().expect("text").to_owned();
    let done = run.events("change-done");
    let mut done: Vec<String> = done
        .iter()
        .map(|event| format!("{}: {}", text(event, "host"), text(event, "subject")))
        .filter(|line| !line.contains(": node "))
        .collect();
    done.sort();
    done
}

fn manifests(operator: &Operator) -> BTreeMap<&'static str, Manifest> {
    let read = |name| (name, operator.lab.host(name).manifest(BUSY).expect("readable"));
    NODES.into_iter().map(read).collect()
}

#[track_caller]
fn assert_unchanged(operator: &Operator, before: &BTreeMap<&'static str, Manifest>) {
    for (name, manifest) in manifests(operator) {
        assert_eq!(before[name].diff(&manifest), Vec::<String>::new(), "on {name}");
    }
}

fn a_plan_shows_everything_and_writes_nothing(
    operator: &Operator,
    bare: &BTreeMap<&'static str, Manifest>,
) -> usize {
    let plan = operator.run(&["plan", "--diff", "--detailed-exitcode"]).exits(2);
    // Long lines are wrapped for a terminal.
    let flat = plan.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for line in [
        "+ curl",
        "+br_netfilter",
        "+vm.overcommit_memory = 1",
        "+ kernel.panic = 10",
        "+protect-kernel-defaults: true",
        "+ExecStart=/usr/local/bin/k3s server",
        "+ExecStart=/usr/local/bin/k3s agent",
        "+ label oceanid.node/provider=oracle",
        "+ taint nvidia.com/gpu=present:NoSchedule",
        "file /etc/rancher/k3s/join-token: create, (known after apply), 0600 root:root",
        "changes on 4 of 4 hosts",
    ] {
        assert!(flat.contains(line), "no `{line}` in\n{}", plan.stdout);
    }
    assert_unchanged(operator, bare);
    let planned = operator.run(&["plan", "--json"]).exits(0).events("planned");
    assert_eq!(planned.len(), 4, "one event a host: {planned:?}");
    assert!(!operator.folder.join("oceanid.lock").exists(), "a plan writes nothing here either");
    planned.iter().map(|host| host["changes"].as_array().expect("a list").len()).sum()
}

/// The node's own word for it, past the product.
fn every_node_is_ready(operator: &Operator) {
    let status = operator.run(&["status"]).exits(0);
    let listed = operator
        .lab
        .host("tethys")
        .exec("/usr/local/bin/k3s kubectl get nodes --no-headers")
        .expect("the API answers");
    for name in NODES {
        let ready = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words.starts_with(&[name, "Ready"])
        };
        assert!(listed.lines().any(ready), "{name} is not Ready:\n{listed}");
        let row = status.stdout.lines().find(|line| line.starts_with(name));
        assert!(row.is_some_and(|row| row.ends_with(" ready")), "{}", status.stdout);
    }
}

/// What systemd knows of starts: a restart of any kind shows.
fn starts(operator: &Operator, name: &str) -> String {
    let ask = "systemctl show k3s.service k3s-agent.service ssh.service \
               -p Id,ActiveState,ActiveEnterTimestampMonotonic,NRestarts,MainPID";
    operator.lab.host(name).exec(ask).expect("systemd answers")
}

fn a_second_run_changes_nothing(operator: &Operator) {
    let all_starts = || NODES.map(|name| starts(operator, name));
    let (files, begun) = (manifests(operator), all_starts());
    let second = operator.run(&["bootstrap", "--yes"]).exits(0);
    assert!(second.stderr.contains("4 hosts: 4 unchanged, 0 changed"), "{}", second.stderr);
    assert_eq!(all_starts(), begun, "a unit was restarted");
    assert_unchanged(operator, &files);
}

fn an_unchanged_host_costs_one_connection_and_two_executions(operator: &Operator) {
    let counts = || -> BTreeMap<String, SshdCounts> {
        let hosts = operator.lab.hosts().iter();
        hosts.map(|host| (host.name().to_owned(), host.sshd_counts().expect("a journal"))).collect()
    };
    let before = counts();
    operator.run(&["plan"]).exits(0);
    for (name, after) in counts() {
        let cost = after - before[&name];
        // The jump host forwards and executes nothing.
        let sessions = if name == "gate" { 0 } else { 2 };
        assert_eq!(cost, SshdCounts { connections: 1, sessions }, "{name}");
    }
}

/// Runs `deed` and then looks for every secret in everything that was said, shown or written.
fn no_secret_gets_out(operator: &Operator, deed: impl FnOnce() -> Said) {
    let samplers = NODES.map(|name| operator.lab.host(name).ps_sampler());
    let mut said = vec![deed()];
    said.push(with_an_encrypted_key(operator));
    for arguments in [
        &["plan", "--diff", "-v"] as &[&str],
        &["bootstrap", "--yes", "--json"],
        &["facts", "--json"],
        &["status", "--json"],
        &["verify", "-v"],
    ] {
        let mut command = operator.command(arguments);
        command.env("OCEANID_LOG", "trace");
        said.push(Said::of(command).exits(0));
    }
    let seen = samplers.map(lab::Sampler::stop);
    let [token, agents] = ["node-token", "agent-token"].map(|file| {
        let read = format!("cat /var/lib/rancher/k3s/server/{file}");
        let token = operator.lab.host("tethys").exec(&read).expect("the server has a token");
        let token = token.trim().rsplit(':').next().expect("a token has a password").to_owned();
        assert!(token.len() >= 16, "`{token}` is no secret");
        token
    });
    for secret in [SUDO_PASSWORD, PASSPHRASE, &token, &agents] {
        for Said { stdout, stderr, .. } in &said {
            assert!(!stdout.contains(secret) && !stderr.contains(secret), "{stdout}\n{stderr}");
        }
        for (seen, name) in seen.iter().zip(NODES) {
            assert!(seen.rounds > 50, "{name} was looked at {} times", seen.rounds);
            assert_eq!(seen.mentions(secret), Vec::<&str>::new(), "on {name}");
        }
        assert_secret_in_files(operator, secret);
    }
    // The oracle itself works: what root alone may read is found where it belongs.
    let own = root_files_with(operator, "styx", &agents);
    assert!(own.iter().any(|line| line.ends_with("/etc/rancher/k3s/join-token")), "{own:?}");
}

fn assert_secret_in_files(operator: &Operator, secret: &str) {
    for name in NODES {
        for line in root_files_with(operator, name, secret) {
            assert!(line.starts_with("600 root "), "on {name}: {line}");
            assert!(secret != SUDO_PASSWORD && secret != PASSPHRASE, "on {name}: {line}");
        }
        let logged =
            format!("journalctl --sync; journalctl -b --no-pager -o cat | grep -cF -e '{secret}'");
        let lines = operator.lab.host(name).output(&logged).expect("a journal");
        assert_eq!(String::from_utf8_lossy(&lines.stdout).trim(), "0", "in the journal of {name}");
    }
    let found = Command::new("grep")
        .args(["-rlF", "-e", secret])
        .args([&operator.folder, operator.lab.home()])
        .output()
        .expect("grep runs");
    assert_eq!(String::from_utf8_lossy(&found.stdout), "", "on the operator's machine");
}

/// `mode owner path` of every file of the host with `secret` in it.
fn root_files_with(operator: &Operator, name: &str, secret: &str) -> Vec<String> {
    let find = format!(
        "grep -rlsF -e '{secret}' /etc /var /root /home /run /tmp /opt /usr/local /srv | \
         while read -r file; do stat -c '%a %U %n' -- \"$file\"; done"
    );
    let output = operator.lab.host(name).output_for(Duration::from_secs(60), &find);
    let text = String::from_utf8(output.expect("grep runs").stdout).expect("UTF-8");
    text.lines().map(str::to_owned).collect()
}

/// A plan at a terminal with a key whose passphrase somebody types.
fn with_an_encrypted_key(operator: &Operator) -> Said {
    let key = operator.lab.key().display().to_string();
    let change = |old: &str, new: &str| {
        let status = Command::new("ssh-keygen")
            .args(["-q", "-p", "-P", old, "-N", new, "-f", &key])
            .status();
        assert!(status.expect("ssh-keygen runs").success());
    };
    change("", PASSPHRASE);
    let line = format!("{} -v plan", env!("CARGO_BIN_EXE_oceanid"));
    let mut child = operator
        .program("script", &["-qefc", &line, "/dev/null"])
        .envs([("OCEANID_LOG", "trace"), ("TERM", "xterm")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script(1) runs");
    let mut screen = child.stdout.take().expect("piped");
    let mut shown = Vec::new();
    let mut typed = false;
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = screen.read(&mut piece) {
        shown.extend_from_slice(&piece[..length]);
        if !typed && String::from_utf8_lossy(&shown).contains("assphrase") {
            // By then the terminal no longer echoes.
            sleep(Duration::from_millis(500));
            let keyboard = child.stdin.as_mut().expect("piped");
            writeln!(keyboard, "{PASSPHRASE}").expect("script(1) reads");
            typed = true;
        }
    }
    let code = child.wait().expect("a child").code().unwrap_or(-1);
    change(PASSPHRASE, "");
    let stdout = String::from_utf8_lossy(&shown).into_owned();
    assert!(typed, "nobody was asked for the passphrase:\n{stdout}");
    Said { code, stdout, stderr: String::new() }.exits(0)
}
