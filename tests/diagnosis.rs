//! The table of causes: each is found in its real text, none in the journal of a healthy node.

use std::path::Path;
use std::process::Command;

use jiff::Timestamp;
use oceanid::certificate::Certificate;
use oceanid::cluster::Cluster;
use oceanid::doctor::{
    Answered, CAUSES, Disk, Finding, Journal, Known, Namesake, Observed, Patient, Since, UnitSeen,
    ask, diagnose,
};
use oceanid::remote::Output;

const NOW: f64 = 1_790_000_000.0;

/// What a node says that has no trouble but what every start has, observed and rebuilt.
const HEALTHY: &[&str] = &[
    r#"time="2026-11-24T16:29:48Z" level=info msg="Starting k3s agent v1.36.3+k3s1 (5a67e8dc)""#,
    r#"time="2026-11-24T16:29:48Z" level=info msg="Running load balancer k3s-agent-load-balancer 127.0.0.1:6444 -> [10.0.0.1:6443] [default: 10.0.0.1:6443]""#,
    r#"time="2026-11-24T16:29:49Z" level=warning msg="Failed to load kernel module nft-expr-counter with modprobe""#,
    r#"time="2026-11-24T16:29:49Z" level=error msg="Failed to set sysctl: open /proc/sys/net/netfilter/nf_conntrack_max: permission denied""#,
    r#"time="2026-11-24T16:29:50Z" level=info msg="certificate CN=styx signed by CN=k3s-server-ca@1790000000: notBefore=2026-11-24 16:29:50 +0000 UTC notAfter=2027-11-24 16:29:50 +0000 UTC""#,
    r#"I1124 16:29:52.000000    1234 server.go:446] "Kubelet version" kubeletVersion="v1.36.3+k3s1""#,
    r#"E1124 16:29:53.000000    1234 kubelet.go:2347] "Skipping pod synchronization" err="[container runtime status check may not have completed yet]""#,
    r#"E1124 16:29:53.100000    1234 eviction_manager.go:282] "Eviction manager: failed to get summary stats" err="failed to get node info: node \"styx\" not found""#,
    r#"I1124 16:29:55.000000    1234 kubelet_node_status.go:80] "Successfully registered node" node="styx""#,
    r#"time="2026-11-24T16:30:05Z" level=info msg="Updated node-password secret for node styx""#,
];

/// What k3s says for a cause, and the cause.
const SAID: &[(&str, &str)] = &[
    (
        "disk-full",
        r#"time="2026-11-24T16:29:48Z" level=fatal msg="starting kubernetes: preparing server: write /var/lib/rancher/k3s/server/tls/server-ca.key: no space left on device""#,
    ),
    (
        "clock-skew",
        r#"time="2026-11-24T16:29:48Z" level=error msg="Failed to configure agent: failed to retrieve configuration from server: Get \"https://127.0.0.1:6444/v1-k3s/config\": tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2026-11-24T14:29:48Z is before 2026-11-24T16:20:00Z""#,
    ),
    (
        "cgroup-v1",
        r#"E1124 16:29:48.000000    1234 run.go:72] "command failed" err="kubelet is configured to not run on a host using cgroup v1. cgroup v1 support is unsupported and will be removed in a future release""#,
    ),
    (
        "cgroup-memory",
        r#"time="2021-11-12T06:53:31.262056755Z" level=fatal msg="failed to find memory cgroup (v2)""#,
    ),
    (
        "cgroup-memory",
        r#"time="2020-10-27T17:07:53.213216306Z" level=fatal msg="failed to find memory cgroup, you may need to add \"cgroup_memory=1 cgroup_enable=memory\" to your linux cmdline (/boot/cmdline.txt on a Raspberry Pi)""#,
    ),
    ("unknown-key", "Incorrect Usage: flag provided but not defined: -bogus-key"),
    (
        "missing-file",
        r#"time="2026-11-24T16:29:48Z" level=fatal msg="apiserver exited: failed to initialize admission: failed to read plugin config: unable to read admission control configuration from \"/var/lib/rancher/k3s/server/psa.yaml\" [open /var/lib/rancher/k3s/server/psa.yaml: no such file or directory]""#,
    ),
    (
        "missing-file",
        r#"E0609 19:48:46.693242      10 run.go:74] "command failed" err="loading audit policy file: failed to read file path \"/etc/audit.yaml\": open /etc/audit.yaml: no such file or directory""#,
    ),
    (
        "sysctls",
        r#"E1124 16:29:48.000000    1234 kubelet.go:1384] "Failed to start ContainerManager" err="[invalid kernel flag: vm/overcommit_memory, expected value: 1, actual value: 0, invalid kernel flag: kernel/panic, expected value: 10, actual value: 1]""#,
    ),
    (
        "no-wireguard",
        r#"time="2024-10-24T21:37:47+08:00" level=error msg="flannel exited: failed to register flannel network: could not create wireguard interface: operation not supported""#,
    ),
    (
        "ca-hash",
        r#"time="2026-11-24T16:29:48Z" level=error msg="token CA hash does not match the Cluster CA certificate hash: aa != bb""#,
    ),
    (
        "wrong-token",
        r#"time="2026-11-24T16:29:48Z" level=error msg="Failed to configure agent: failed to retrieve configuration from server: https://127.0.0.1:6444/v1-k3s/config: 401 Unauthorized""#,
    ),
    (
        "wrong-token",
        r#"time="2026-11-24T16:29:48Z" level=error msg="invalid token CA hash length""#,
    ),
    (
        "wrong-token",
        r#"time="2026-11-24T16:29:48Z" level=fatal msg="starting kubernetes: preparing server: failed to normalize server token; must be in format K10<CA-HASH>::<USERNAME>:<PASSWORD> or <PASSWORD>""#,
    ),
    (
        "node-password",
        r#"time="2026-11-24T16:29:48Z" level=info msg="Waiting to retrieve agent configuration; server is not ready: Node password rejected, duplicate hostname or contents of '/etc/rancher/node/password' may not match server node-passwd entry, try enabling a unique node name with the --with-node-id flag""#,
    ),
    (
        "expired-certificate",
        r#"time="2026-11-24T16:29:48Z" level=error msg="Failed to configure agent: failed to retrieve configuration from server: Get \"https://127.0.0.1:6444/v1-k3s/config\": tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2026-11-24T16:29:48Z is after 2026-11-23T16:20:00Z""#,
    ),
];

fn cluster() -> Cluster {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster.toml");
    oceanid::config::load(&file).expect("the example is valid").cluster
}

/// A host as it should be.
fn seen() -> Observed {
    let sysctls = [
        ("vm/panic_on_oom", "0"),
        ("vm/overcommit_memory", "1"),
        ("kernel/panic", "10"),
        ("kernel/panic_on_oops", "1"),
    ];
    Observed {
        clock: NOW,
        machine_id: "a".repeat(32),
        disk: Some(Disk { free: 9 << 30, inodes_free: 100_000, inodes: 200_000 }),
        cgroups: Some(String::from("v2 cpuset cpu io memory pids")),
        sysctls: sysctls.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        unit: UnitSeen {
            load: String::from("loaded"),
            active: String::from("active"),
            sub: String::from("running"),
            restarts: 0,
            status: 0,
        },
        config: Some(serde_json::json!({ "node-name": "styx", "protect-kernel-defaults": true })),
        missing: Vec::new(),
        token_ca: Some("b".repeat(64)),
        wireguard: Some(true),
        api: Some(Answered::Status(String::from("HTTP/1.1 200 OK"), Some(NOW))),
        ca: Some("b".repeat(64)),
        certificates: vec![certificate(1_791_000_000)],
        container: false,
    }
}

fn certificate(ends: i64) -> (String, Certificate) {
    let path = String::from("/var/lib/rancher/k3s/agent/client-kubelet.crt");
    let time = |second| Timestamp::from_second(second).expect("a time");
    let subject = String::from("CN=system:node:styx");
    (path, Certificate { subject, begins: time(0), ends: time(ends), is_authority: false })
}

fn found(seen: Observed, lines: &[&str], server: Known) -> Vec<Finding> {
    let cluster = cluster();
    let host = cluster.host("styx").expect("it is in the example");
    let journal = Journal::new(lines.iter().copied());
    diagnose(&Patient { cluster: &cluster, host, seen, journal, server, now: NOW })
}

fn names(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().map(|finding| finding.name).collect()
}

#[test]
fn a_healthy_node_has_no_cause() {
    assert_eq!(found(seen(), HEALTHY, Known::default()), []);
    let mut bare = seen();
    bare.unit = UnitSeen { load: String::from("not-found"), ..UnitSeen::default() };
    assert_eq!(found(bare, &[], Known::default()), []);
    assert_eq!(found(Observed::default(), &[], Known::default()), [], "a host that says nothing");
}

#[test]
fn each_cause_is_found_in_its_real_text_alone() {
    for (name, line) in SAID {
        let lines: Vec<&str> = HEALTHY.iter().chain([line]).copied().collect();
        let findings = found(seen(), &lines, Known::default());
        assert_eq!(names(&findings), [*name], "{line}");
        let Finding { cause, evidence, command, .. } = &findings[0];
        assert!(!cause.is_empty() && !command.is_empty(), "{findings:?}");
        let middle = evidence[0].chars().take(40).collect::<String>();
        assert!(line.replace("\\\"", "\"").contains(&middle), "{evidence:?}");
        assert!(!evidence[0].contains("level="), "{evidence:?}");
        // What k3s overcame is not a cause any more.
        let up = r#"level=info msg="k3s agent is up and running""#;
        let lines: Vec<&str> = [*line, up].into_iter().chain(HEALTHY.iter().copied()).collect();
        assert_eq!(found(seen(), &lines, Known::default()), [], "{line}");
    }
}

/// What is seen on the host without a word of k3s.
#[test]
fn each_cause_that_shows_on_the_host_is_found_without_the_journal() {
    type Change = fn(&mut Observed);
    let shown: &[(&str, &str, Change)] = &[
        ("disk-full", "3 MiB are free", |seen| {
            seen.disk = Some(Disk { free: 3 << 20, inodes_free: 9_000, inodes: 10_000 });
        }),
        ("disk-full", "0 of 10000 inodes", |seen| {
            seen.disk = Some(Disk { free: 9 << 30, inodes_free: 0, inodes: 10_000 });
        }),
        ("clock-skew", "3 h behind the server's", |seen| seen.clock = NOW - 10_800.0),
        ("clock-skew", "40 s ahead of this machine's", |seen| {
            seen.api = None;
            seen.clock = NOW + 40.0;
        }),
        ("cgroup-v1", "no cgroup.controllers", |seen| {
            seen.cgroups = Some(String::from("v1"));
            seen.unit.active = String::from("activating");
        }),
        ("cgroup-memory", "no `memory`: cpu pids", |seen| {
            seen.cgroups = Some(String::from("v2 cpu pids"));
        }),
        ("missing-file", "names /etc/audit.yaml", |seen| {
            seen.missing = vec![String::from("/etc/audit.yaml")];
        }),
        ("sysctls", "kernel.panic = 0, not 10", |seen| {
            seen.sysctls.insert(String::from("kernel/panic"), String::from("0"));
        }),
        ("no-wireguard", "knows no WireGuard", |seen| seen.wireguard = Some(false)),
        ("port-blocked", "curl: (28) Connection timed out", |seen| {
            let error = "curl: (28) Connection timed out after 6001 milliseconds";
            seen.api = Some(Answered::Silence(error.to_owned()));
        }),
        ("ca-hash", "the token wants bbbb", |seen| seen.ca = Some("c".repeat(64))),
        ("expired-certificate", "client-kubelet.crt was valid until", |seen| {
            seen.certificates.push(certificate(1_789_999_995));
        }),
    ];
    for (name, evidence, change) in shown {
        let mut host = seen();
        change(&mut host);
        let findings = found(host, HEALTHY, Known::default());
        assert_eq!(names(&findings), [*name]);
        assert!(findings[0].evidence[0].contains(evidence), "{findings:?}");
    }
}

#[test]
fn a_machine_under_the_same_name_is_told_from_a_host_that_was_set_up_anew() {
    let (_, line) = SAID.iter().find(|(name, _)| *name == "node-password").expect("it is there");
    let namesake = Namesake {
        name: String::from("styx"),
        address: String::from("203.0.113.7"),
        machine_id: "c".repeat(32),
    };
    let server = Known { ca: None, namesake: Some(namesake) };
    let findings = found(seen(), &[line], server.clone());
    assert_eq!(names(&findings), ["duplicate-hostname"]);
    assert!(findings[0].evidence[1].contains("203.0.113.7"), "{findings:?}");
    assert!(findings[0].command.contains("give styx another `name`"), "{findings:?}");
    assert_eq!(found(seen(), HEALTHY, server), [], "a namesake alone is no trouble");
}

#[test]
fn what_brings_others_about_comes_first_and_takes_their_place() {
    let said = |name: &str| SAID.iter().find(|(one, _)| *one == name).expect("it is there").1;
    let mut host = seen();
    host.clock = NOW + 90_000.0;
    host.disk = Some(Disk { free: 0, inodes_free: 1, inodes: 10_000 });
    let findings = found(host, &[said("expired-certificate")], Known::default());
    assert_eq!(names(&findings), ["disk-full", "clock-skew"]);
    let mut host = seen();
    host.ca = Some("c".repeat(64));
    let findings = found(host, &[said("wrong-token")], Known::default());
    assert_eq!(names(&findings), ["ca-hash"], "another cluster refuses the password");
}

#[test]
fn k3s_that_does_not_run_for_an_unknown_reason_is_said() {
    let mut host = seen();
    host.unit.active = String::from("activating");
    host.unit.sub = String::from("auto-restart");
    host.unit.restarts = 4;
    host.unit.status = 1;
    let line = r#"time="2026-11-24T16:29:48Z" level=fatal msg="the moon is full""#;
    let findings = found(host, &[line], Known::default());
    assert_eq!(names(&findings), ["not-running"]);
    let state = "k3s-agent.service is activating (auto-restart), exit status 1, restarted 4 times";
    assert_eq!(findings[0].evidence, [state, "the moon is full"]);
}

#[test]
fn every_cause_has_a_name_of_its_own_and_is_tried_here() {
    let mut all: Vec<&str> = CAUSES.iter().map(|cause| cause.name).collect();
    let tried = SAID.iter().map(|(name, _)| *name).chain(["port-blocked", "duplicate-hostname"]);
    let mut tried: Vec<&str> = tried.collect();
    all.sort_unstable();
    tried.sort_unstable();
    tried.dedup();
    assert_eq!(all, tried);
}

/// The script under either shell on this machine: it answers, and k3s is not here.
#[test]
fn the_look_answers_under_each_shell() {
    let cluster = cluster();
    let host = cluster.first_server();
    for shell in ["dash", "bash"] {
        let text = format!("set -eu\n{}", ask(&cluster, host, Since::Start).text());
        let output = Command::new(shell).args(["-c", &text]).output().expect("it runs");
        let said = Output {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        assert_eq!(said.status, 0, "{shell}: {}", said.stderr);
        let (seen, _) = Observed::read(&said);
        assert!(seen.clock > NOW - 1e9, "{shell}: {}", said.stdout);
        assert!(seen.disk.is_some_and(|disk| disk.free > 0), "{shell}: {}", said.stdout);
        assert_eq!(seen.sysctls.len(), 4, "{shell}: {}", said.stdout);
        assert!(seen.wireguard.is_some(), "{shell}: the example wants it");
        assert_eq!(seen.machine_id.len(), 32, "{shell}: {}", said.stdout);
    }
}

#[test]
fn what_a_host_says_is_read_and_its_files_cannot_forge_it() {
    let text = "noise\nseen clock 1790000000.5\nseen list unit\n| LoadState=loaded\n\
        | ActiveState=activating\n| SubState=auto-restart\n| NRestarts=3\n| ExecMainStatus=1\n\
        seen list config\n| node-name: styx\n| seen clock 1\n| token:\nseen missing /x\n\
        seen list api\n| HTTP/1.1 200 OK\n| date: Tue, 24 Nov 2026 17:00:00 GMT\n\
        seen list journal\n| seen machine-id forged\n| a line\n";
    let output = Output { status: 0, stdout: text.to_owned(), stderr: String::new() };
    let (seen, journal) = Observed::read(&output);
    assert_eq!(seen.clock.to_string(), "1790000000.5");
    assert_eq!(
        seen.unit.to_string(),
        "activating (auto-restart), exit status 1, restarted 3 times"
    );
    assert_eq!((seen.machine_id.as_str(), seen.missing.as_slice()), ("", &["/x".to_owned()][..]));
    let answer = Answered::Status(String::from("HTTP/1.1 200 OK"), Some(1_795_539_600.0));
    assert_eq!(seen.api, Some(answer));
    assert_eq!(journal.find(&["a line"]).as_deref(), Some("a line"));
}
