//! Every known cause, made to happen on a running cluster: found, shown with evidence, and mended; needs root.

#[path = "support/lab.rs"]
mod operator;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use lab::{Host, HostSpec, Topology};
use operator::{Operator, Said};
use serde_json::Value;

/// How long the hosts of a busy machine may take to show a cause.
const PATIENCE: Duration = Duration::from_secs(120);
const CONFIG: &str = "/etc/rancher/k3s/config.yaml";
const DROP_IN: &str = "/etc/rancher/k3s/config.yaml.d/90-test.yaml";
const CONTROLLERS: &str = "/sys/fs/cgroup/cgroup.controllers";
/// What starts the unit of k3s again at once: the real five seconds are nothing that is tested here.
const QUICK: &str = "for unit in k3s k3s-agent; do
      mkdir -p /etc/systemd/system/$unit.service.d
      printf '[Service]\\nRestartSec=300ms\\n[Unit]\\nStartLimitIntervalSec=0\\n' >/etc/systemd/system/$unit.service.d/lab.conf
    done
    printf 'SIM_START_DELAY=0.3\\nSIM_READY_DELAY=0.3\\nSIM_TAINT_DELAY=0.5\\n' >/etc/sim.env";

/// One cause, as it is brought about and taken away again.
struct Case {
    host: &'static str,
    name: &'static str,
    breaks: &'static str,
    mends: &'static str,
    /// Parts of the evidence.
    evidence: &'static [&'static str],
    /// Part of what to type.
    command: &'static str,
}

/// What shell commands bring about.
const CASES: &[Case] = &[
    Case {
        host: "styx",
        name: "wrong-token",
        // A node that has its certificate is let in by that.
        breaks: "sed -i.kept 's/:[^:]*$/:canary-wrong/' /etc/rancher/k3s/join-token; rm /var/lib/rancher/k3s/agent/client-kubelet.crt",
        mends: "mv /etc/rancher/k3s/join-token.kept /etc/rancher/k3s/join-token",
        evidence: &["failed to retrieve configuration from server", "401 Unauthorized"],
        command: "oceanid bootstrap --only k3s-agent styx",
    },
    Case {
        host: "styx",
        name: "ca-hash",
        breaks: "sed -i.kept 's/^K10.\\{8\\}/K1000000000/' /etc/rancher/k3s/join-token",
        mends: "mv /etc/rancher/k3s/join-token.kept /etc/rancher/k3s/join-token",
        evidence: &["token CA hash does not match", "the token wants 00000000"],
        command: "oceanid bootstrap --only k3s-agent styx",
    },
    Case {
        host: "styx",
        name: "node-password",
        breaks: "mv /etc/rancher/node/password /etc/rancher/node/kept",
        mends: "mv /etc/rancher/node/kept /etc/rancher/node/password",
        evidence: &["Node password rejected"],
        command: "oceanid join --replace styx",
    },
    Case {
        host: "styx",
        name: "unknown-key",
        breaks: "echo 'bogus-key: 1' >>/etc/rancher/k3s/config.yaml",
        mends: "sed -i '/^bogus-key/d' /etc/rancher/k3s/config.yaml",
        evidence: &["flag provided but not defined: -bogus-key"],
        command: "oceanid bootstrap --only k3s-agent styx",
    },
    Case {
        host: "styx",
        name: "sysctls",
        breaks: "sysctl -qw vm.overcommit_memory=0",
        mends: "sysctl -qw vm.overcommit_memory=1",
        evidence: &[
            "invalid kernel flag: vm/overcommit_memory, expected value: 1, actual value: 0",
            "vm.overcommit_memory = 0, not 1",
        ],
        command: "oceanid bootstrap --only prepare styx",
    },
    Case {
        host: "styx",
        name: "cgroup-v1",
        // The lab's kernel has the old hierarchy: what lets k3s take it is replaced.
        breaks: "mkdir -p /etc/rancher/k3s/config.yaml.d; echo 'kubelet-arg: [v=1]' >/etc/rancher/k3s/config.yaml.d/90-test.yaml",
        mends: "rm /etc/rancher/k3s/config.yaml.d/90-test.yaml",
        evidence: &["kubelet is configured to not run on a host using cgroup v1"],
        command: "on styx, add `systemd.unified_cgroup_hierarchy=1`",
    },
    Case {
        host: "styx",
        name: "port-blocked",
        breaks: "iptables -I OUTPUT -p tcp --dport 6443 -j DROP",
        mends: "iptables -D OUTPUT -p tcp --dport 6443 -j DROP",
        evidence: &["from there, https://", ":6443/ping: curl: (28)"],
        command: "oceanid bootstrap --only firewall tethys",
    },
    Case {
        host: "styx",
        name: "expired-certificate",
        breaks: "echo SIM_CLOCK=40000000 >>/etc/sim.env",
        mends: "sed -i '/^SIM_CLOCK/d' /etc/sim.env",
        evidence: &["x509: certificate has expired or is not yet valid: current time", "is after"],
        command: "on tethys, `systemctl restart k3s.service`",
    },
    Case {
        host: "meliae",
        name: "duplicate-hostname",
        breaks: "sed -i 's/^node-name: .*/node-name: styx/' /etc/rancher/k3s/config.yaml",
        mends: "sed -i 's/^node-name: .*/node-name: meliae/' /etc/rancher/k3s/config.yaml",
        evidence: &[
            "Node password rejected, duplicate hostname",
            "the node `styx` is at",
            "and Ready",
        ],
        command: "oceanid bootstrap --only k3s-agent meliae",
    },
    Case {
        host: "tethys",
        name: "missing-file",
        breaks: "mkdir -p /etc/rancher/k3s/config.yaml.d; echo 'kube-apiserver-arg+: [\"admission-control-config-file=/var/lib/rancher/k3s/server/gone.yaml\"]' >/etc/rancher/k3s/config.yaml.d/90-test.yaml",
        mends: "rm /etc/rancher/k3s/config.yaml.d/90-test.yaml",
        evidence: &[
            "unable to read admission control configuration from",
            "names /var/lib/rancher/k3s/server/gone.yaml: there is no such file",
        ],
        command: "oceanid bootstrap --only k3s-server tethys",
    },
];

#[test]
fn every_known_cause_is_found_with_its_evidence_and_what_to_type() {
    let hosts =
        [HostSpec::new("tethys"), HostSpec::new("styx"), HostSpec::new("meliae").disk(4096)];
    let operator = Operator::before(Topology::of(hosts.into()));
    operator.edit(|table| {
        for (section, key, seconds) in [("k3s", "ready-seconds", 60), ("ssh", "connect-seconds", 3)]
        {
            let empty = || toml::Table::new().into();
            let section = table.entry(section).or_insert_with(empty).as_table_mut();
            section.expect("a section").insert(key.to_owned(), seconds.into());
        }
    });
    for host in operator.lab.hosts() {
        host.exec(QUICK).expect("a shell");
    }
    nothing_is_found_before_k3s_is_there(&operator);
    operator.run(&["bootstrap", "tethys", "styx", "--yes"]).exits(0);
    a_failing_join_says_why(&operator);
    operator.run(&["join", "meliae", "--yes"]).exits(0);
    let mut told = healthy(&operator);
    for case in CASES {
        told.push_str(&found(&operator, case));
    }
    told.push_str(&a_clock_that_is_wrong(&operator));
    no_memory_controller(&operator);
    told.push_str(&no_wireguard(&operator));
    told.push_str(&a_full_disk(&operator));
    told.push_str(&an_unreachable_host(&operator));
    a_certificate_that_is_over_shows_before_anything_fails(&operator);
    // What it said of the server's certificate stands for a minute more, unless it starts anew.
    restarted(operator.lab.host("meliae"), ":");
    is_well_again(&operator, "meliae");
    snapshot("causes", &told);
}

fn nothing_is_found_before_k3s_is_there(operator: &Operator) {
    let said = operator.run(&["doctor"]).exits(0);
    let calm = "k3s is not installed; nothing found that would keep it from running";
    for name in ["tethys", "styx", "meliae"] {
        assert!(said.stdout.contains(&format!("{name}: {calm}\n")), "{}", said.stdout);
    }
}

fn healthy(operator: &Operator) -> String {
    for name in ["tethys", "styx", "meliae"] {
        is_well_again(operator, name);
    }
    let before = operator.lab.host("styx").manifest(&[]).expect("readable");
    let said = operator.run(&["doctor"]).exits(0);
    let after = operator.lab.host("styx").manifest(&[]).expect("readable");
    assert_eq!(before.diff(&after), Vec::<String>::new(), "looking changes nothing");
    operator.run(&["doctor", "nobody"]).exits(64);
    said.stdout
}

/// Three causes, each found by the command that ran into it.
fn a_failing_join_says_why(operator: &Operator) {
    let meliae = operator.lab.host("meliae");
    let join = |breaks: &str, mends: &str| {
        meliae.exec(breaks).expect("a shell");
        let said = operator.run(&["join", "meliae", "--yes"]).exits(1);
        meliae.exec(mends).expect("a shell");
        said
    };
    let tethys = operator.lab.host("tethys");
    let drop = format!("INPUT -s {} -p tcp --dport 6443 -j DROP", meliae.address);
    tethys.exec(&format!("iptables -I {drop}")).expect("a shell");
    let blocked = join(":", ":");
    tethys.exec(&format!("iptables -D {drop}")).expect("a shell");
    tells(&blocked, &["cause: port 6443 of", "evidence: from there, https://", "try: `oceanid"]);
    let unknown = join(
        &format!("mkdir -p {CONFIG}.d; echo 'bogus-key: 1' >{DROP_IN}"),
        // Started once more, it would join while the next run asks both hosts who is in.
        &format!("systemctl stop k3s-agent; rm {DROP_IN}"),
    );
    tells(
        &unknown,
        &["cause: k3s", "does not know the key `bogus-key`", "evidence: flag provided"],
    );
    meliae.exec(&format!("echo 'kubelet-arg: [v=1]' >{DROP_IN}")).expect("a shell");
    let refused = operator.run(&["join", "meliae", "--yes", "--json"]).exits(1);
    meliae.exec(&format!("rm {DROP_IN}")).expect("a shell");
    let failed = refused.events("host-failed");
    let finding = &failed[0]["findings"][0];
    assert_eq!(finding["name"], "cgroup-v1", "{failed:?}");
    assert!(finding["evidence"][0].as_str().is_some_and(|line| line.contains("cgroup v1")));
    assert!(finding["command"].as_str().is_some_and(|line| line.starts_with("on meliae, add")));
    // What k3s printed before differs from run to run.
    let from = unknown.stderr.find("  cause:").expect("a cause");
    let told = &unknown.stderr[from..];
    snapshot("failing_join", &told[..told.find("\n\n").unwrap_or(told.len())]);
}

#[track_caller]
fn tells(said: &Said, parts: &[&str]) {
    let flat = said.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in parts {
        assert!(flat.contains(part), "no `{part}` in\n{}", said.stderr);
    }
}

fn unit(host: &str) -> &'static str {
    if host == "tethys" { "k3s.service" } else { "k3s-agent.service" }
}

/// Brings a cause about, waits until it is found, and takes it away again; what a person was told.
#[track_caller]
fn found(operator: &Operator, case: &Case) -> String {
    let host = operator.lab.host(case.host);
    restarted(host, case.breaks);
    let told = seen(operator, case.host, case.name, case.evidence, case.command);
    restarted(host, case.mends);
    told
}

/// Changes something while k3s is down, and starts it without waiting for it.
#[track_caller]
fn restarted(host: &Host, change: &str) {
    let unit = unit(host.name());
    let line = format!(
        "systemctl stop {unit}\n{change}\nsystemctl reset-failed {unit} 2>/dev/null\nsystemctl --no-block start {unit}"
    );
    host.exec(&line).expect("a shell");
}

#[track_caller]
fn seen(operator: &Operator, host: &str, name: &str, evidence: &[&str], command: &str) -> String {
    let begun = Instant::now();
    let finding = loop {
        let said = operator.run(&["doctor", host, "--json"]);
        let events = said.events("diagnosed");
        let findings = events[0]["findings"].as_array().cloned().unwrap_or_default();
        let texts = |finding: &Value| finding["evidence"].to_string().replace("\\\"", "\"");
        let complete = findings.into_iter().find(|finding| {
            let text = texts(finding);
            finding["name"] == name && evidence.iter().all(|part| text.contains(part))
        });
        if let Some(finding) = complete {
            assert_eq!(said.code, 1);
            break finding;
        }
        assert!(begun.elapsed() < PATIENCE, "no {name} on {host}: {}", said.stdout);
        std::thread::sleep(Duration::from_millis(200));
    };
    let typed = finding["command"].as_str().expect("a command");
    assert!(typed.contains(command), "{name}: {typed}");
    let told = operator.run(&["doctor", host]).exits(1).stdout;
    let meaning = finding["cause"].as_str().expect("a cause");
    let flat = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains(meaning), "a person is told the same: {told}");
    assert!(told.contains("  cause: ") && told.contains("    try: "), "{told}");
    assert!(!told.contains("canary"), "a secret: {told}");
    for line in told.lines() {
        let long = line.split_whitespace().any(|word| word.len() > 60);
        assert!(line.chars().count() <= 80 || long, "wider than 80: {line}");
    }
    told
}

#[track_caller]
fn is_well_again(operator: &Operator, host: &str) {
    let begun = Instant::now();
    loop {
        let said = operator.run(&["doctor", host]);
        if said.code == 0 {
            assert_eq!(said.stdout, format!("{host}: k3s runs; nothing found\n"));
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{host} is still ill: {}", said.stdout);
        std::thread::sleep(Duration::from_millis(300));
    }
}

fn a_clock_that_is_wrong(operator: &Operator) -> String {
    let styx = operator.lab.host("styx");
    styx.exec("systemctl stop k3s-agent").expect("a shell");
    styx.skew_clock(-7200).expect("a fault");
    restarted(styx, ":");
    let evidence = ["is before", "its clock is 2 h behind the server's"];
    let told =
        seen(operator, "styx", "clock-skew", &evidence, "on styx, `timedatectl set-ntp true`");
    styx.set_clock().expect("mended");
    restarted(styx, ":");
    is_well_again(operator, "styx");
    told
}

fn no_memory_controller(operator: &Operator) {
    let styx = operator.lab.host("styx");
    // Of an older hierarchy there is only a folder, which nobody may write to.
    styx.exec("mount -o remount,rw /sys/fs/cgroup 2>/dev/null || :").expect("a shell");
    styx.pretend(CONTROLLERS, "cpu io pids").expect("a fault");
    restarted(styx, ":");
    let evidence = ["failed to find memory cgroup (v2)", "has no `memory`: cpu io pids"];
    seen(operator, "styx", "cgroup-memory", &evidence, "cgroup_enable=memory");
    styx.reveal(CONTROLLERS).expect("mended");
    restarted(styx, ":");
}

/// A kernel without `WireGuard`, also where this machine's has it.
fn no_wireguard(operator: &Operator) -> String {
    let tethys = operator.lab.host("tethys");
    tethys.exec("cp /usr/bin/ip /run/lab-ip").expect("a shell");
    let wrapper = "#!/bin/sh\ncase \"$*\" in *wireguard*) exit 2 ;; esac\nexec /run/lab-ip \"$@\"";
    tethys.pretend("/usr/bin/ip", wrapper).expect("a fault");
    restarted(tethys, &format!("sed -i \"s/'vxlan'/'wireguard-native'/\" {CONFIG}"));
    let evidence = ["could not create wireguard interface: operation not supported"];
    let told = seen(operator, "tethys", "no-wireguard", &evidence, "flannel-backend = \"vxlan\"");
    tethys.reveal("/usr/bin/ip").expect("mended");
    restarted(tethys, &format!("sed -i \"s/'wireguard-native'/'vxlan'/\" {CONFIG}"));
    is_well_again(operator, "tethys");
    told
}

fn a_full_disk(operator: &Operator) -> String {
    let meliae = operator.lab.host("meliae");
    meliae.fill_disk(0).expect("a fault");
    restarted(meliae, ":");
    let evidence = ["0 MiB are free where /var/lib is"];
    let told = seen(operator, "meliae", "disk-full", &evidence, "on meliae, `du -xhd3 /");
    meliae.free_disk().expect("mended");
    meliae.exec("rm -f /var/tmp/lab-rest").expect("a shell");
    restarted(meliae, ":");
    told
}

fn an_unreachable_host(operator: &Operator) -> String {
    let styx = operator.lab.host("styx");
    styx.kill_sshd().expect("a fault");
    let said = operator.run(&["doctor"]).exits(1).stdout;
    styx.start_sshd().expect("mended");
    assert!(said.contains("tethys: k3s runs; nothing found\n"), "the others are told of: {said}");
    let from = said.find("styx:").expect("styx is told of");
    let told = &said[from..];
    told[..told.find("meliae:").unwrap_or(told.len())].to_owned()
}

/// A server that was not restarted for a year.
fn a_certificate_that_is_over_shows_before_anything_fails(operator: &Operator) {
    let tethys = operator.lab.host("tethys");
    let file = "/var/lib/rancher/k3s/server/tls/serving-kube-apiserver.crt";
    restarted(tethys, &format!("rm {file}; echo SIM_CLOCK=-63072000 >>/etc/sim.env"));
    let evidence = ["/var/lib/rancher/k3s/", ".crt was valid until"];
    let command = "on tethys, `systemctl restart k3s.service` renews it";
    seen(operator, "tethys", "expired-certificate", &evidence, command);
    restarted(tethys, "sed -i '/^SIM_CLOCK/d' /etc/sim.env");
    is_well_again(operator, "tethys");
}

/// The same text whatever the lengths of addresses and the time: unwrapped, and with names for them.
fn snapshot(name: &str, told: &str) {
    let begins =
        ["cause:", "evidence:", "try:", "more:", "caused by:", "hint:", "its last", "error:"];
    let mut plain = String::new();
    for line in told.lines() {
        let text = line.trim_start();
        let output = line.starts_with("    ") && !line.starts_with("     ");
        let own =
            !line.starts_with("  ") || output || begins.iter().any(|start| text.starts_with(start));
        if own || plain.is_empty() {
            let _ = write!(plain, "\n{}", line.trim_end());
        } else {
            let _ = write!(plain, " {text}");
        }
    }
    insta::with_settings!({
        omit_expression => true,
        filters => vec![
            (r"\b\d+\.\d+\.\d+\.\d+\b", "<address>"),
            (r"\b[0-9a-f]{64}\b", "<hash>"),
            (r"\b[0-9a-f]{32}\b", "<id>"),
            (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "<time>"),
            (r"after \d+ milliseconds", "after <time>"),
            (r"within \d+ s\b", "within <time>"),
            (r"\d+ milliseconds|(11\d|12\d) min", "<span>"),
            (r"v1\.\d+\.\d+\+k3s\d+", "<version>"),
            (r"time=\S+", "time=<time>"),
            (r"restarted \d+ times", "restarted <n> times"),
        ],
    }, {
        insta::assert_snapshot!(name, plain);
    });
}
