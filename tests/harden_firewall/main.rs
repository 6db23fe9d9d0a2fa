//! The firewall on real hosts: what is open is what the generator says, and stays so; needs root.

#[path = "../support/lab.rs"]
#[expect(dead_code, reason = "an operator who does not harden is of no use here")]
mod operator;
mod scan;

use std::time::Duration;

use lab::command::wait_for;
use lab::{Host, HostSpec, Privilege, Release, Topology};
use oceanid::cluster::Cluster;
use oceanid::firewall::{QUESTION, Rule, State, paths_hold};
use oceanid::remote::Output;
use operator::{Operator, Said};
use scan::{listen, only_what_was_meant_is_open};

const NODES: [&str; 3] = ["tethys", "styx", "meliae"];
/// The parts of a whole run that other tests are about.
const SKIPPED: &str = "host,ssh";
/// As the images of Oracle have it.
const ORACLE: &str = r#"*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [463:49013]
:InstanceServices - [0:0]
-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p icmp -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -p udp --sport 123 -j ACCEPT
-A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT
-A INPUT -j REJECT --reject-with icmp-host-prohibited
-A FORWARD -j REJECT --reject-with icmp-host-prohibited
-A OUTPUT -d 169.254.0.0/16 -j InstanceServices
-A InstanceServices -d 169.254.0.2/32 -p tcp -m owner --uid-owner 0 -m tcp --dport 3260 -m comment --comment "See the documentation" -j ACCEPT
-A InstanceServices -d 169.254.0.0/16 -p tcp -m tcp -m comment --comment "See the documentation" -j REJECT --reject-with tcp-reset
COMMIT
"#;

#[test]
fn what_is_open_is_what_the_generator_says_and_stays_so() {
    let operator = operator();
    let oracle = like_oracle(operator.lab.host("meliae"));
    let whole = std::fs::read_to_string(operator.file()).expect("written");
    operator.edit(|table| nodes(table).retain(|node| node["name"].as_str() != Some("meliae")));
    networks_without_the_operator_are_refused(&operator);
    bootstrap(&operator, &[]);
    std::fs::write(operator.file(), whole).expect("the lab's folder is ours");
    a_server_lets_in_who_joins(&operator);
    a_second_run_touches_nothing(&operator);
    listen(&operator);
    only_what_was_meant_is_open(&operator);
    foreign_rules_stay_and_are_told(&operator);
    ufw_itself_reads_its_record_likewise(&operator);
    what_was_changed_by_hand_is_shown_and_mended(&operator);
    pods_reach_services_dns_and_each_other(&operator);
    restarts_keep_it_so(&operator);
    pods_reach_services_dns_and_each_other(&operator);
    the_guards_own_question_tells(&operator);
    systemd_finds_no_fault_with_any_unit(&operator);
    a_rollback_gives_the_old_firewall_back(&operator, &oracle);
}

/// Two nodes, one like Oracle's that joins later, and a host that has nothing to do with them.
fn operator() -> Operator {
    let operator = Operator::hardening(Topology::of(vec![
        HostSpec::new("tethys"),
        HostSpec::new("styx").release(Release::Debian13).login("debian", Privilege::Sudo),
        HostSpec::new("meliae").login("ubuntu", Privilege::Sudo),
        HostSpec::new("outer"),
    ]));
    operator.edit(|table| nodes(table).retain(|node| node["name"].as_str() != Some("outer")));
    operator
}

/// Long lines are wrapped for a terminal.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn nodes(table: &mut toml::Table) -> &mut Vec<toml::Value> {
    table["node"].as_array_mut().expect("nodes")
}

fn shell(host: &Host, script: &str) -> String {
    let output = host.output_for(Duration::from_secs(120), script).expect("nsenter runs");
    let said = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{}: `{script}`\n{}", host.name(), said.concat());
    said[0].clone().into_owned()
}

fn bootstrap(operator: &Operator, more: &[&str]) -> Said {
    let arguments = [&["bootstrap", "--yes", "--skip", SKIPPED], more].concat();
    operator.run(&arguments).exits(0)
}

fn plan(operator: &Operator, code: i32) -> Said {
    operator.run(&["plan", "--diff", "--detailed-exitcode", "--only", "firewall"]).exits(code)
}

/// Gives `host` the firewall of an Oracle image; what it has then.
fn like_oracle(host: &Host) -> String {
    shell(
        host,
        "export DEBIAN_FRONTEND=noninteractive; install() { apt-get -qq -y --no-install-recommends install \
         iptables iptables-persistent </dev/null; }; install || { apt-get -qq update; install; }",
    );
    std::fs::write(host.root().join("etc/iptables/rules.v4"), ORACLE).expect("its root is ours");
    shell(host, "systemctl restart netfilter-persistent");
    firewall_of_before(host)
}

/// Everything that is not of ufw or k3s: policies, rules, and the file that is loaded at boot.
fn firewall_of_before(host: &Host) -> String {
    let all = "iptables -S; ip6tables -S; cat /etc/iptables/rules.v4";
    shell(host, &format!("{{ {all}; }} | grep -v -e KUBE- -e FLANNEL-"))
}

fn networks_without_the_operator_are_refused(operator: &Operator) {
    let before = operator.lab.host("tethys").filesystem_hash(&[]).expect("readable");
    let set = |networks: Option<&str>| {
        operator.edit(|table| {
            let harden = table["harden"].as_table_mut().expect("a table");
            harden.remove("admin-networks");
            if let Some(network) = networks {
                harden.insert("admin-networks".to_owned(), vec![network.to_owned()].into());
            }
        });
    };
    set(Some("192.0.2.0/24"));
    let refused = operator.run(&["bootstrap", "--yes"]).exits(1);
    let here = operator.lab.machine().to_string();
    for part in [here.as_str(), "not in `admin-networks`", "trust-admin-networks"] {
        assert!(flat(&refused.stderr).contains(part), "no `{part}` in\n{}", refused.stderr);
    }
    assert_eq!(operator.lab.host("tethys").filesystem_hash(&[]).expect("readable"), before);
    set(None);
}

/// `join meliae`, and nothing else: the server must open up first.
fn a_server_lets_in_who_joins(operator: &Operator) {
    let meliae = operator.lab.host("meliae").address.to_string();
    let plan = operator.run(&["plan", "meliae", "--diff", "--skip", SKIPPED]).exits(0);
    let flat = flat(&plan.stdout);
    let api =
        format!("+ ufw allow from {meliae} to any port 6443 proto tcp comment 'oceanid: api'");
    for part in [
        api.as_str(),
        "- iptables -A INPUT -j REJECT --reject-with icmp-host-prohibited",
        "- /etc/iptables/rules.v4: -A FORWARD -j REJECT --reject-with icmp-host-prohibited",
        "install ufw; remove iptables-persistent, netfilter-persistent (stays)",
        "the firewalls of styx learn of a new node",
    ] {
        assert!(flat.contains(part), "no `{part}` in\n{}", plan.stdout);
    }
    let joined = operator.run(&["join", "meliae", "--yes"]);
    assert!(joined.exits(0).stderr.contains("2 hosts: "), "styx was not asked for");
    let own = shell(operator.lab.host("meliae"), "iptables -S; cat /etc/iptables/rules.v4");
    assert!(!own.contains("-A INPUT -j REJECT") && !own.contains("--sport 123"), "{own}");
    assert_eq!(own.matches("--uid-owner 0").count(), 2, "live and on disk:\n{own}");
    bootstrap(operator, &["--only", "firewall"]);
    // All is well, but what was skipped above is still to come.
    operator.run(&["status"]).exits(2);
}

/// Every start of ufw writes its record anew.
fn a_second_run_touches_nothing(operator: &Operator) {
    let record = |name| {
        shell(
            operator.lab.host(name),
            "stat -c '%n %y %i' /etc/ufw/* /etc/default/ufw; iptables -S; ip6tables -S",
        )
    };
    let before = NODES.map(record);
    let second = bootstrap(operator, &[]);
    assert!(second.stderr.contains("3 hosts: 3 unchanged, 0 changed"), "{}", second.stderr);
    assert_eq!(NODES.map(record), before);
    let v6 = shell(operator.lab.host("tethys"), "ip6tables -S ufw6-user-input; ip6tables -S INPUT");
    assert!(v6.contains("--dport 22 -j ACCEPT") && v6.contains("-P INPUT DROP"), "{v6}");
}

fn foreign_rules_stay_and_are_told(operator: &Operator) {
    let styx = operator.lab.host("styx");
    for rule in [
        "allow 8000/tcp",
        "allow OpenSSH comment 'not ours'",
        "limit log 2222/tcp",
        "deny in on eth9 from any to any port 99",
        "allow from fd00::/64 to any port 53",
        "allow from 192.0.2.0/24 app OpenSSH to any",
        "reject out 25/tcp",
        "route allow in on eth9 out on eth0 to 192.0.2.1 port 80 proto tcp",
    ] {
        // One of them is not to ufw's taste in every version.
        drop(styx.output(&format!("ufw {rule}")).expect("nsenter runs"));
    }
    shell(
        styx,
        "iptables -t nat -N DOCKER; iptables -t nat -A DOCKER ! -i docker0 -p tcp --dport 8001 -j DNAT --to-destination 172.17.0.2:8000",
    );
    let plan = plan(operator, 0);
    let flat = flat(&plan.stdout);
    for rule in
        ["ufw allow 8000/tcp", "ufw allow OpenSSH comment 'not ours'", "ufw reject out 25/tcp"]
    {
        assert!(flat.contains(&format!("styx: foreign ufw rule, left alone: {rule}")), "{flat}");
    }
    let verified = operator.run(&["verify", "--skip", SKIPPED]).exits(0);
    for line in [
        "styx: open past the firewall: 8001/tcp published by docker",
        "styx: open: 8000/tcp (python3), by the foreign rule `ufw allow 8000/tcp`",
    ] {
        assert!(verified.stdout.lines().any(|said| said == line), "{}", verified.stdout);
    }
    assert!(!verified.stdout.contains("tethys: open"), "{}", verified.stdout);
    let json = operator.run(&["verify", "--json", "--skip", SKIPPED]).exits(0);
    let warned = json.events("warning").iter().any(|event| event["host"] == "styx");
    assert!(warned, "{}", json.stdout);
    shell(styx, "ufw delete allow 8000/tcp; iptables -t nat -F DOCKER; iptables -t nat -X DOCKER");
}

/// The real `ufw show added` against our reading of its record.
fn ufw_itself_reads_its_record_likewise(operator: &Operator) {
    for host in NODES.map(|name| operator.lab.host(name)) {
        let shown = shell(host, "LC_ALL=C ufw show added");
        let oracle: Vec<&str> = shown.lines().filter(|line| line.starts_with("ufw ")).collect();
        let stdout = shell(host, QUESTION);
        let state = State::read(&Output { stdout, ..Output::default() }).expect("a whole answer");
        let ours: Vec<String> = state.rules().into_iter().map(Rule::to_string).collect();
        assert_eq!(ours, oracle, "on {}", host.name());
        assert_eq!(state.faults(), Vec::<String>::new(), "on {}", host.name());
        assert!(oracle.len() > 5, "{shown}");
    }
}

fn what_was_changed_by_hand_is_shown_and_mended(operator: &Operator) {
    let styx = operator.lab.host("styx").address.to_string();
    let kubelet =
        format!("allow from {styx} to any port 10250 proto tcp comment 'oceanid: kubelet'");
    let deeds = [
        ("tethys", format!("ufw delete {kubelet}; ufw allow 99/tcp comment 'oceanid: old'")),
        ("styx", String::from("ufw default allow incoming")),
        (
            "meliae",
            String::from(
                "iptables -P INPUT ACCEPT; iptables -F INPUT; ip6tables -F ufw6-user-input",
            ),
        ),
    ];
    for (name, deed) in &deeds {
        shell(operator.lab.host(name), deed);
    }
    let plan = plan(operator, 2);
    for line in [
        &format!("+ ufw {kubelet}"),
        "- ufw allow 99/tcp comment 'oceanid: old'",
        "- DEFAULT_INPUT_POLICY=ACCEPT",
        "+ DEFAULT_INPUT_POLICY=\"DROP\"",
        "- the policy of INPUT is not DROP",
        "- INPUT does not lead to ufw-before-input",
        "- ufw6-user-input has 0 rules, ufw's record 1",
    ] {
        assert!(plan.stdout.contains(line), "no `{line}` in\n{}", plan.stdout);
    }
    let mended = bootstrap(operator, &["--only", "firewall"]);
    assert!(mended.stderr.contains("3 changed (3 changes)"), "{}", mended.stderr);
    self::plan(operator, 0);
    only_what_was_meant_is_open(operator);
    let kept = shell(operator.lab.host("styx"), "ufw show added");
    assert!(kept.contains("ufw allow OpenSSH comment 'not ours'"), "{kept}");
}

/// k3s, ufw and a whole host start again; what Oracle needs of its own rules is back too.
fn restarts_keep_it_so(operator: &Operator) {
    shell(operator.lab.host("tethys"), "ufw reload && systemctl restart k3s");
    let meliae = operator.lab.host("meliae");
    meliae.reboot().expect("it comes back");
    shell(meliae, "iptables -S InstanceServices | grep -q -- '--uid-owner 0'");
    listen(operator);
    plan(operator, 0);
    only_what_was_meant_is_open(operator);
}

/// What the guard itself asks, on every node.
fn the_guards_own_question_tells(operator: &Operator) {
    let cluster: Cluster = oceanid::config::load(&operator.file()).expect("valid").cluster;
    for name in NODES {
        let host = operator.lab.host(name);
        let ask = paths_hold(&cluster, cluster.host(name).expect("a node"));
        let before = host.filesystem_hash(&["/var/lib/oceanid"]).expect("readable");
        shell(host, &ask);
        assert_eq!(host.filesystem_hash(&["/var/lib/oceanid"]).expect("readable"), before);
        for cut in ["OUTPUT -p tcp --dport 6443", "FORWARD -p udp --dport 53"] {
            // From a pod of the server itself DNS is at hand on the bridge, which FORWARD does not see.
            if name == "tethys" && cut.starts_with("FORWARD") {
                continue;
            }
            let rule = format!("iptables -I {cut} -j REJECT");
            shell(host, &format!("{rule}\n( {ask} ) && exit 1\n{}", rule.replace("-I", "-D")));
        }
    }
}

/// From the pod of each node: the API by its service, DNS by its service, and the pod of every node.
fn pods_reach_services_dns_and_each_other(operator: &Operator) {
    if !operator.lab.k3s().expect("served").sim {
        // A real cluster has no pod on every node that could be asked.
        return;
    }
    let text = shell(operator.lab.host("tethys"), "k3s kubectl get nodes -o json");
    let list: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let pods: Vec<(&str, String)> = list["items"]
        .as_array()
        .expect("nodes")
        .iter()
        .map(|node| {
            let cidr = node["spec"]["podCIDR"].as_str().expect("a podCIDR");
            let name = node["metadata"]["name"].as_str().expect("a name");
            (name, cidr.replace(".0/24", ".2"))
        })
        .collect();
    assert_eq!(pods.len(), NODES.len(), "{pods:?}");
    for host in NODES.map(|name| operator.lab.host(name)) {
        let says = |command: &str, wanted: &str| {
            let ask = || {
                let output = host.pod(command)?;
                Ok(String::from_utf8_lossy(&output.stdout).contains(wanted).then_some(()))
            };
            let what = format!("`{command}` in the pod of {}", host.name());
            wait_for(Duration::from_secs(15), &what, ask, String::new).expect("it answers");
        };
        says("curl -skm 3 https://10.43.0.1:443/ping", "pong");
        says("getent ahostsv4 kubernetes.default.svc.cluster.local", "10.43.0.1");
        for (name, address) in &pods {
            says(&format!("curl -sm 3 http://{address}:8080"), name);
        }
    }
}

/// Every unit that oceanid lays down anywhere, on both releases.
fn systemd_finds_no_fault_with_any_unit(operator: &Operator) {
    let units = [
        ("oceanid-guard.service", include_str!("../../templates/oceanid-guard.service")),
        ("oceanid-rules.service", include_str!("../../templates/oceanid-rules.service")),
        ("var-swapfile.swap", include_str!("../../templates/var-swapfile.swap")),
    ];
    for host in ["tethys", "styx"].map(|name| operator.lab.host(name)) {
        let folder = host.root().join("root/units");
        std::fs::create_dir_all(&folder).expect("its root is ours");
        for (name, text) in units {
            std::fs::write(folder.join(name), text).expect("its root is ours");
        }
        let all = "/root/units/* $(ls /etc/systemd/system/k3s*.service)";
        let verdict = shell(host, &format!("systemd-analyze verify {all} 2>&1; rm -r /root/units"));
        assert_eq!(verdict, "", "on {}", host.name());
    }
}

/// Runs are taken back newest first: the mending, the second look at all nodes, the joining.
fn a_rollback_gives_the_old_firewall_back(operator: &Operator, oracle: &str) {
    let meliae = operator.lab.host("meliae");
    let back = operator.run(&["rollback", "meliae", "--yes"]).exits(0);
    assert!(back.stdout.contains("firewall: put into force anew"), "{}", back.stdout);
    let state = shell(meliae, "ufw status");
    assert!(state.contains("Status: active"), "{state}");
    only_what_was_meant_is_open(operator);
    operator.run(&["rollback", "meliae", "--yes"]).exits(0);
    assert_eq!(firewall_of_before(meliae), oracle);
    let state = shell(meliae, "ufw status; ls /etc/ufw /etc/iptables");
    assert!(state.contains("Status: inactive") && !state.contains("oceanid"), "{state}");
    operator.run(&["rollback", "meliae", "--yes"]).exits(0);
    assert_eq!(firewall_of_before(meliae), oracle, "once more changes nothing");
}
