//! Several servers with one etcd, a database of one's own, and sqlite, on real hosts; needs root.

#[path = "support/lab.rs"]
mod operator;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use lab::{HostSpec, Topology};
use operator::{Operator, Said};
use serde_json::Value;

const SERVERS: [&str; 3] = ["tethys", "styx", "meliae"];
const PASSWORD: &str = "canary/database";
const ENCODED: &str = "canary%2Fdatabase";
const DROP_IN: &str = "/etc/rancher/k3s/config.yaml.d/50-oceanid-datastore.yaml";

#[test]
fn three_servers_become_one_cluster_that_outlives_one_of_them() {
    let operator = Operator::before(Topology::of(SERVERS.map(HostSpec::new).into()));
    operator.edit(|table| {
        for node in table["node"].as_array_mut().expect("nodes") {
            let node = node.as_table_mut().expect("a node");
            node.insert("role".into(), "server".into());
            node.insert("site".into(), "lab".into());
        }
    });
    for name in SERVERS {
        exec(&operator, name, "echo SIM_GRACE=5 >>/etc/sim.env");
    }
    let bare = operator.run(&["plan"]).exits(0);
    assert!(bare.stdout.contains("etcd member styx"), "{}", bare.stdout);
    let first = operator.run(&["bootstrap", "--yes", "--json"]).exits(0);
    each_is_a_member_before_the_next_begins(&first);
    for name in SERVERS {
        for asked in SERVERS {
            let node = node(&operator, asked, name);
            assert_eq!(condition(&node, "EtcdIsVoter"), "True", "{name}, as {asked} sees it");
            assert_eq!(condition(&node, "Ready"), "True", "{name}, as {asked} sees it");
        }
    }
    let second = operator.run(&["bootstrap", "--yes"]).exits(0);
    assert!(second.stderr.contains("3 hosts: 3 unchanged, 0 changed"), "{}", second.stderr);
    operator.run(&["status"]).exits(0);
    the_first_may_go(&operator);
    status_tells_of_one_that_is_gone(&operator);
    without_a_majority_the_next_is_not_touched(&operator);
}

/// The order of what was done, as the run told it.
fn each_is_a_member_before_the_next_begins(first: &Said) {
    let done: Vec<(String, String)> = first
        .events("change-done")
        .iter()
        .map(|event| {
            let text = |key: &str| event[key].as_str().expect("text").to_owned();
            (text("host"), text("subject"))
        })
        .collect();
    let place = |host: &str, subject: &str| {
        let found = done.iter().position(|(on, what)| on == host && what == subject);
        assert!(found.is_some(), "no `{subject}` on {host} in {done:?}");
        found.unwrap_or_default()
    };
    for pair in SERVERS.windows(2) {
        let begun = place(pair[1], "program /usr/local/bin/k3s");
        assert!(place(pair[0], "unit k3s.service") < begun, "{done:?}");
        let late = done.iter().skip(begun).any(|(host, _)| host == pair[0]);
        let later = ["labels and taints", "zones", "k3s' own namespaces", "roles"];
        let cluster = |what: &str| later.iter().any(|start| what.starts_with(start));
        let own = done.iter().skip(begun).all(|(host, what)| host != pair[0] || cluster(what));
        assert!(!late || own, "{} was not done when {} began: {done:?}", pair[0], pair[1]);
    }
}

fn the_first_may_go(operator: &Operator) {
    exec(operator, "tethys", "systemctl stop k3s");
    soon("the others to answer", || {
        let label = "/usr/local/bin/k3s kubectl label node styx --overwrite after=yes";
        operator.lab.host("styx").output(label).expect("a shell").status.success()
    });
    exec(operator, "tethys", "systemctl start k3s");
    let labels = node(operator, "tethys", "styx")["metadata"]["labels"].clone();
    assert_eq!(labels["after"], "yes", "what was written without it is there");
}

fn status_tells_of_one_that_is_gone(operator: &Operator) {
    exec(operator, "meliae", "systemctl stop k3s");
    soon("status to tell", || {
        let status = operator.run(&["status"]);
        let row = status.stdout.lines().find(|line| line.starts_with("meliae"));
        status.code == 1 && row.is_some_and(|row| row.ends_with(" not ready"))
    });
}

fn without_a_majority_the_next_is_not_touched(operator: &Operator) {
    patience(operator, 8);
    exec(operator, "styx", "systemctl stop k3s");
    soon("tethys to notice", || {
        let ask = "/usr/local/bin/k3s kubectl get --raw '/readyz?verbose' 2>&1";
        let output = operator.lab.host("tethys").output(ask).expect("a shell");
        !output.status.success()
    });
    let whole = operator.run(&["bootstrap", "--yes"]).exits(1);
    let etcd = operator.run(&["bootstrap", "--yes", "--only", "etcd"]).exits(1);
    let flat = etcd.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    for line in [
        "cannot change `etcd member tethys` on `tethys`",
        "etcd on tethys after 8 s: etcd has no majority; nothing was done to the servers after it",
    ] {
        assert!(flat.contains(line), "no `{line}` in\n{}", etcd.stderr);
    }
    for name in ["styx", "meliae"] {
        let state = operator.lab.host(name).output("systemctl is-active k3s").expect("a shell");
        assert!(!state.status.success(), "{name} was started:\n{}", whole.stderr);
        exec(operator, name, "systemctl --no-block start k3s");
    }
    patience(operator, 60);
    operator.run(&["bootstrap", "--yes", "--only", "etcd"]).exits(0);
    operator.run(&["bootstrap", "--yes"]).exits(0);
    operator.run(&["status"]).exits(0);
}

/// Sets how long a node may take, seconds.
fn patience(operator: &Operator, seconds: i64) {
    operator.edit(|table| {
        let k3s = table["k3s"].as_table_mut().expect("a section");
        k3s.insert("ready-seconds".into(), seconds.into());
    });
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn one_server_keeps_its_state_in_a_database_or_in_sqlite() {
    let operator = Operator::before(Topology::one());
    if !operator.lab.k3s().expect("a k3s").sim {
        eprintln!("skipped: the lab has no database that a real k3s knows");
        return;
    }
    datastore(&operator, &format!("{PASSWORD}@no-scheme"));
    let bad = operator.run(&["plan"]).exits(1);
    assert!(bad.stderr.contains("it has no scheme"), "{}", bad.stderr);
    assert!(bad.stderr.contains("hint: it is `postgres://"), "{}", bad.stderr);
    let database = format!("{}:5432", operator.lab.machine());
    datastore(&operator, &format!("postgres://k3s:{ENCODED}@{database}/k3s"));
    let early = operator.run(&["bootstrap", "--yes"]).exits(1);
    let said = format!("the database at {database} is not reached from here: Connection refused");
    let flat = early.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains(&said), "no `{said}` in\n{}", early.stderr);
    exec(&operator, "tethys", "test ! -e /usr/local/bin/k3s && test ! -e /etc/rancher");
    serve_database(&operator, &database);
    let mut all = vec![bad, early];
    the_endpoint_stays_secret(&operator, &mut all);
    exec(
        &operator,
        "tethys",
        &format!("systemctl stop k3s; rm -rf /var/lib/rancher/k3s {DROP_IN}"),
    );
    operator.edit(|table| {
        let k3s = table["k3s"].as_table_mut().expect("a section");
        k3s.insert("datastore".into(), "sqlite".into());
    });
    operator.run(&["bootstrap", "--yes"]).exits(0);
    operator.run(&["status"]).exits(0);
    let db = "/var/lib/rancher/k3s/server/db";
    exec(&operator, "tethys", &format!("test -e {db}/state.db && test ! -e {db}/etcd"));
}

fn the_endpoint_stays_secret(operator: &Operator, all: &mut Vec<Said>) {
    let sampler = operator.lab.host("tethys").ps_sampler();
    let plan = operator.run(&["plan", "--diff"]).exits(0);
    let flat = plan.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = format!("file {DROP_IN}: create, (secret), 0600 root:root");
    assert!(flat.contains(&line), "no `{line}` in\n{}", plan.stdout);
    assert!(!plan.stdout.contains("datastore-endpoint"), "{}", plan.stdout);
    all.push(plan);
    for arguments in [
        &["plan", "--json"] as &[&str],
        &["bootstrap", "--yes", "--json", "-v"],
        &["plan", "--diff", "-v"],
        &["verify", "-v"],
        &["status", "--json"],
    ] {
        let mut command = operator.command(arguments);
        command.env("OCEANID_LOG", "trace");
        all.push(Said::of(command).exits(0));
    }
    let second = operator.run(&["bootstrap", "--yes"]).exits(0);
    assert!(second.stderr.contains("1 host: 1 unchanged"), "{}", second.stderr);
    let seen = sampler.stop();
    assert!(seen.rounds > 10, "the host was looked at {} times", seen.rounds);
    for secret in [PASSWORD, ENCODED] {
        for Said { stdout, stderr, .. } in &*all {
            assert!(!stdout.contains(secret) && !stderr.contains(secret), "{stdout}\n{stderr}");
        }
        assert_eq!(seen.mentions(secret), Vec::<&str>::new());
        let logged = format!("journalctl --sync; ! journalctl -b -o cat | grep -F '{secret}'");
        exec(operator, "tethys", &logged);
        let find = format!("grep -rlsF '{secret}' /etc /var/lib /root /home /run /usr/local || :");
        let found = exec(operator, "tethys", &find);
        let expected = if secret == ENCODED { DROP_IN } else { "" };
        assert_eq!(found.trim(), expected);
    }
    let mode = exec(operator, "tethys", &format!("stat -c '%a %U:%G' {DROP_IN}"));
    assert_eq!(mode.trim(), "600 root:root");
    assert_eq!(condition(&node(operator, "tethys", "tethys"), "Ready"), "True");
    exec(operator, "tethys", "test ! -e /var/lib/rancher/k3s/server/db/state.db");
}

/// Writes the endpoint where cluster.toml says that it is.
fn datastore(operator: &Operator, endpoint: &str) {
    let file = operator.folder.join("endpoint");
    fs::write(&file, format!("{endpoint}\n")).expect("the lab's folder is ours");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("it is ours");
    operator.edit(|table| {
        let mut reference = toml::Table::new();
        reference.insert("file".into(), file.display().to_string().into());
        let k3s = table["k3s"].as_table_mut().expect("a section");
        k3s.insert("datastore".into(), reference.into());
    });
}

/// A database on this machine until the lab ends.
fn serve_database(operator: &Operator, address: &str) {
    let file = operator.folder.join("password");
    fs::write(&file, PASSWORD).expect("the lab's folder is ours");
    let program = &operator.lab.k3s().expect("a k3s").path;
    let mut child = Command::new(program)
        .arg("database")
        .args([address, "k3s"])
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the stand-in runs");
    operator.lab.adopt(child.id()).expect("it is ours");
    std::thread::spawn(move || child.wait());
}

#[track_caller]
fn exec(operator: &Operator, name: &str, command: &str) -> String {
    operator.lab.host(name).exec(command).expect("it succeeds")
}

/// A node as one server's API has it.
#[track_caller]
fn node(operator: &Operator, asked: &str, name: &str) -> Value {
    let ask = format!("/usr/local/bin/k3s kubectl get --raw /api/v1/nodes/{name}");
    serde_json::from_str(&exec(operator, asked, &ask)).expect("a node")
}

fn condition(node: &Value, kind: &str) -> String {
    let all = node["status"]["conditions"].as_array().expect("conditions");
    let found = all.iter().find(|one| one["type"] == kind);
    found.and_then(|one| one["status"].as_str()).unwrap_or("missing").to_owned()
}

#[track_caller]
fn soon(what: &str, mut test: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !test() {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited in vain for {what}");
        sleep(Duration::from_millis(500));
    }
}
