//! How nodes join, change and are judged: what is refused, what is restarted, what is put back; needs root.

#[path = "support/lab.rs"]
mod operator;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use lab::{Artifact, HostSpec, Topology};
use operator::{Operator, Said};

const AGENTS: [&str; 2] = ["styx", "meliae"];

#[test]
fn nodes_join_change_and_are_judged() {
    let operator = Operator::before(Topology::of(vec![
        HostSpec::new("tethys"),
        HostSpec::new("styx"),
        HostSpec::new("meliae"),
    ]));
    // A node that died stays Ready for the whole test, as far as the API knows.
    let slow = "printf 'SIM_HEARTBEAT=1\nSIM_GRACE=900\n' >/etc/sim.env";
    for host in operator.lab.hosts() {
        host.exec(slow).expect("a shell");
    }
    a_host_that_does_not_reach_the_api_gets_nothing(&operator);
    operator.run(&["join", "meliae", "--yes"]).exits(0);
    operator.run(&["status"]).exits(0);
    agents_never_have_the_servers_token(&operator);
    unchanged(&operator);
    ready_agents_are_restarted_one_by_one(&operator);
    exec(&operator, "styx", "systemctl kill -s STOP k3s-agent");
    let frozen = Instant::now();
    one_key_restarts_k3s_once_and_there_alone(&operator);
    versions_that_may_not_follow_are_refused(&operator);
    a_server_that_does_not_come_up_gets_its_old_configuration_back(&operator);
    sleep(Duration::from_secs(45).saturating_sub(frozen.elapsed()));
    a_node_that_is_ready_by_an_old_word_is_not_called_ready(&operator);
    exec(&operator, "styx", "systemctl kill -s CONT k3s-agent");
    a_host_under_an_old_name_is_refused_until_that_is_replaced(&operator);
    operator.run(&["status"]).exits(0);
    unchanged(&operator);
}

fn exec(operator: &Operator, host: &str, command: &str) -> String {
    operator.lab.host(host).exec(command).expect("it works").trim().to_owned()
}

fn unchanged(operator: &Operator) {
    let second = operator.run(&["bootstrap", "--yes"]).exits(0);
    assert!(second.stderr.contains("3 hosts: 3 unchanged, 0 changed"), "{}", second.stderr);
}

/// What was said, without what differs from run to run.
fn shown(operator: &Operator, said: &Said) -> String {
    let mut text = said.stderr.clone();
    for host in operator.lab.hosts() {
        let id = exec(operator, host.name(), "cat /etc/machine-id");
        text = text.replace(&id, &format!("[machine-id of {}]", host.name()));
        text = text.replace(&host.address.to_string(), &format!("[{}]", host.name()));
    }
    let time = |word: &str| {
        let word = word.trim_end_matches(',');
        word.parse::<f64>().is_ok()
            || word.chars().all(|c| c.is_ascii_digit() || c == ':') && word.contains(':')
    };
    let lines = text.lines().map(|line| {
        let words = line.split(' ').map(|word| match word.strip_prefix('(') {
            Some(count) if time(count) => "([n]",
            None if time(word) => "[n]",
            _ => word,
        });
        words.collect::<Vec<_>>().join(" ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Only what is said of a failure.
fn failure(operator: &Operator, said: &Said) -> String {
    let text = shown(operator, said);
    let from = text.find("error:").expect("an error is shown");
    text[from..].to_owned()
}

fn a_host_that_does_not_reach_the_api_gets_nothing(operator: &Operator) {
    operator.run(&["bootstrap", "meliae", "--yes", "--only", "prepare"]).exits(0);
    let rule = "iptables -I OUTPUT -p tcp --dport 6443 -j REJECT --reject-with tcp-reset";
    exec(operator, "meliae", rule);
    let said = operator.run(&["bootstrap", "--yes"]).exits(1);
    insta::assert_snapshot!("the_way_to_the_api_is_cut", failure(operator, &said));
    has_nothing_of_k3s(operator, "meliae");
    let kubectl = "/usr/local/bin/k3s kubectl get nodes -o name";
    assert_eq!(exec(operator, "tethys", kubectl), "node/styx\nnode/tethys", "one is no hindrance");
    exec(operator, "meliae", &rule.replace("-I", "-D"));
}

fn has_nothing_of_k3s(operator: &Operator, host: &str) {
    let find = "ls -d /usr/local/bin/k3s* /etc/rancher /var/lib/rancher /etc/systemd/system/k3s* 2>/dev/null || :";
    assert_eq!(exec(operator, host, find), "", "on {host}");
}

fn agents_never_have_the_servers_token(operator: &Operator) {
    let read = |file: &str| {
        let token = exec(operator, "tethys", &format!("cat /var/lib/rancher/k3s/server/{file}"));
        token.rsplit(':').next().expect("a password").to_owned()
    };
    let (servers, agents) = (read("token"), read("agent-token"));
    assert!(servers.len() >= 16 && agents.len() == 64 && servers != agents);
    for host in AGENTS {
        let find = |secret: &str| {
            let roots = "/etc /var /root /home /run /opt /usr/local /srv";
            exec(operator, host, &format!("grep -rlsF -e '{secret}' {roots} || :"))
        };
        assert_eq!(find(&servers), "", "on {host}");
        assert_eq!(find(&agents), "/etc/rancher/k3s/join-token", "on {host}");
    }
    let mode = exec(operator, "tethys", "stat -c '%a %U' /etc/rancher/k3s/agent-token");
    assert_eq!(mode, "600 root");
}

/// How often k3s was started on a host, by whomever.
fn starts(operator: &Operator, host: &str) -> usize {
    let unit = if host == "tethys" { "k3s" } else { "k3s-agent" };
    let lines =
        format!("journalctl --sync; journalctl -q -b -u {unit} -o cat | grep -c 'Starting k3s '");
    exec(operator, host, &lines).parse().expect("a number")
}

fn all_starts(operator: &Operator) -> [usize; 3] {
    ["tethys", "styx", "meliae"].map(|host| starts(operator, host))
}

fn k3s(operator: &Operator, change: impl FnOnce(&mut toml::Table)) {
    operator.edit(|table| change(table["k3s"].as_table_mut().expect("a table")));
}

fn one_key_restarts_k3s_once_and_there_alone(operator: &Operator) {
    let [server, styx, meliae] = all_starts(operator);
    k3s(operator, |k3s| {
        k3s.insert("tls-san".to_owned(), vec!["api.example.com".to_owned()].into());
    });
    operator.run(&["bootstrap", "tethys", "--yes"]).exits(0);
    assert_eq!(all_starts(operator), [server + 1, styx, meliae]);
    let second = operator.run(&["bootstrap", "tethys", "--yes"]).exits(0);
    assert!(second.stderr.contains("1 host: 1 unchanged"), "{}", second.stderr);
    assert_eq!(all_starts(operator), [server + 1, styx, meliae]);
}

/// The further keys of `role`, beside what the lab's kernel needs.
fn further<'t>(k3s: &'t mut toml::Table, role: &str) -> &'t mut toml::Table {
    k3s[role].as_table_mut().expect("the lab's own keys")
}

fn ready_agents_are_restarted_one_by_one(operator: &Operator) {
    let [server, styx, meliae] = all_starts(operator);
    k3s(operator, |k3s| {
        further(k3s, "agent").insert("debug".to_owned(), true.into());
    });
    let run = operator.run(&["bootstrap", "--yes", "--json"]).exits(0);
    assert_eq!(all_starts(operator), [server, styx + 1, meliae + 1]);
    let hosts = run.events("change-done").into_iter().map(|event| event["host"].to_string());
    let mut turns: Vec<String> = hosts.collect();
    turns.dedup();
    assert_eq!(turns.len(), 2, "they took turns: {turns:?}");
}

fn versions_that_may_not_follow_are_refused(operator: &Operator) {
    let before = operator.lab.host("tethys").manifest(&[]).expect("readable");
    let served = operator.lab.k3s().expect("the stand-in").clone();
    let document = std::fs::read_to_string(operator.file()).expect("written before");
    for version in ["v1.35.1+k3s1", "v1.38.0+k3s1"] {
        let other = Artifact { version: version.to_owned(), ..served.clone() };
        operator.lab.releases().expect("a server").add_k3s(&other).expect("it is served");
        k3s(operator, |k3s| {
            k3s.insert("version".to_owned(), version.into());
        });
        let said = operator.run(&["bootstrap", "tethys", "--yes"]).exits(1);
        insta::assert_snapshot!(format!("version_{version}"), failure(operator, &said));
    }
    std::fs::write(operator.file(), document).expect("the lab's folder is ours");
    let after = operator.lab.host("tethys").manifest(&[]).expect("readable");
    let changed = before.diff(&after);
    assert!(
        changed.iter().all(|line| !line.contains("k3s/config") && !line.contains("bin/k3s")),
        "{changed:?}"
    );
}

/// The longest time for which nobody answered on 6443.
fn longest_silence(operator: &Operator, during: impl FnOnce()) -> Duration {
    let address = format!("{}:6443", operator.lab.host("tethys").address);
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let url = format!("https://{address}/ping");
    let sampler = thread::spawn(move || {
        let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
        while !stopped.load(Ordering::Relaxed) {
            let ping =
                std::process::Command::new("curl").args(["-sk", "--max-time", "1", &url]).output();
            if ping.is_ok_and(|output| output.stdout == b"pong") {
                longest = longest.max(last.elapsed());
                last = Instant::now();
            }
            sleep(Duration::from_millis(200));
        }
        longest.max(last.elapsed())
    });
    during();
    stop.store(true, Ordering::Relaxed);
    sampler.join().expect("it ends")
}

fn a_server_that_does_not_come_up_gets_its_old_configuration_back(operator: &Operator) {
    let config = "cat /etc/rancher/k3s/config.yaml";
    let before = exec(operator, "tethys", config);
    k3s(operator, |k3s| {
        let gates = vec!["feature-gates=Sometimes".to_owned()];
        further(k3s, "server").insert("kube-proxy-arg".to_owned(), gates.into());
    });
    let silence = longest_silence(operator, || {
        let said = operator.run(&["bootstrap", "tethys", "--yes"]).exits(5);
        let flat = said.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains("missing bool value for Sometimes"), "{}", said.stderr);
        let shown = failure(operator, &said);
        // What the host's journal says besides differs from start to start.
        let lines: Vec<&str> = shown.lines().filter(|line| !line.starts_with("    ")).collect();
        insta::assert_snapshot!("put_back", lines.join("\n"));
    });
    assert!(silence < Duration::from_secs(60), "the API was away for {silence:?}");
    assert!(silence > Duration::from_secs(2), "the bad value was tried: {silence:?}");
    assert_eq!(exec(operator, "tethys", config), before);
    let ready = "/usr/local/bin/k3s kubectl get --raw /readyz";
    assert_eq!(exec(operator, "tethys", ready), "ok");
    k3s(operator, |k3s| drop(further(k3s, "server").remove("kube-proxy-arg")));
    // It runs with what it ran with: that needs no further start.
    let started = starts(operator, "tethys");
    operator.run(&["bootstrap", "tethys", "--yes"]).exits(0);
    assert_eq!(starts(operator, "tethys"), started);
}

fn a_node_that_is_ready_by_an_old_word_is_not_called_ready(operator: &Operator) {
    let by_the_api =
        exec(operator, "tethys", "/usr/local/bin/k3s kubectl get node styx --no-headers");
    assert!(by_the_api.contains(" Ready "), "{by_the_api}");
    let status = operator.run(&["status"]).exits(1);
    let row = status.stdout.lines().find(|line| line.starts_with("styx")).expect("a row");
    assert!(row.ends_with(" not ready"), "{row}");
    let why = "Ready is True, but it was last heard of ";
    assert!(status.stdout.contains(why), "{}", status.stdout);
    let ready = |line: &&str| line.ends_with(" ready") && !line.ends_with(" not ready");
    let others = status.stdout.lines().filter(ready).count();
    assert_eq!(others, 2, "{}", status.stdout);
    operator.run(&["verify"]).exits(2);
}

fn a_host_under_an_old_name_is_refused_until_that_is_replaced(operator: &Operator) {
    exec(
        operator,
        "meliae",
        "systemctl disable -q --now k3s-agent; \
         umount -R /var/lib/rancher /run/k3s /var/lib/kubelet 2>/dev/null || :; \
         rm -rf /etc/rancher /var/lib/rancher /var/lib/oceanid /usr/local/bin/k3s* /etc/systemd/system/k3s*; \
         systemctl daemon-reload",
    );
    let said = operator.run(&["join", "meliae", "--yes"]).exits(1);
    insta::assert_snapshot!("installed_anew", failure(operator, &said));
    has_nothing_of_k3s(operator, "meliae");
    let plan = operator.run(&["plan", "meliae"]).exits(1);
    assert!(plan.stderr.contains("oceanid join meliae --replace"), "{}", plan.stderr);
    let uid = "/usr/local/bin/k3s kubectl get node meliae -o json | grep -m 1 uid";
    let old = exec(operator, "tethys", uid);
    let joined = operator.run(&["join", "meliae", "--replace", "--yes"]).exits(0);
    assert!(joined.stderr.contains("old node meliae"), "{}", joined.stderr);
    assert_ne!(exec(operator, "tethys", uid), old, "it is another node");
    let again = operator.run(&["join", "meliae", "--replace", "--yes"]).exits(0);
    assert!(again.stderr.contains("0 changed"), "{}", again.stderr);
}
