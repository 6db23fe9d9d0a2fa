//! A server as it is by default: hardened, with room for itself, restarted once for one key; needs root.

#[path = "support/lab.rs"]
mod operator;

use lab::{HostSpec, Topology};
use operator::Operator;
use serde_json::Value;
use toml::Table;

#[test]
fn a_server_has_what_the_defaults_say_and_one_key_restarts_it_alone_and_once() {
    let hosts = vec![HostSpec::new("tethys"), HostSpec::new("styx")];
    let operator = Operator::before(Topology::of(hosts));
    an_unfit_host_is_refused_before_anything_is_changed(&operator);
    operator.run(&["bootstrap", "--yes"]).exits(0);
    the_files_are_there(&operator);
    what_the_real_memory_asks_for_is_kept(&operator);
    let second = operator.run(&["bootstrap", "--yes"]).exits(0);
    assert!(second.stderr.contains("2 unchanged, 0 changed"), "{}", second.stderr);
    one_key_restarts_one_node_once(&operator);
    a_changed_policy_restarts_the_server(&operator);
    another_datastore_is_refused(&operator);
}

fn exec(operator: &Operator, name: &str, command: &str) -> String {
    operator.lab.host(name).exec(command).expect("a shell")
}

/// How often systemd has started k3s, by its invocation and its own restarts.
fn start(operator: &Operator, name: &str) -> String {
    let ask = "systemctl show 'k3s*' -p Id,InvocationID,NRestarts,ActiveState";
    exec(operator, name, ask)
}

fn k3s<'a>(table: &'a mut Table, role: &str) -> &'a mut Table {
    let k3s = table["k3s"].as_table_mut().expect("a section");
    let further = k3s.entry(role).or_insert_with(|| Table::new().into());
    further.as_table_mut().expect("keys")
}

fn an_unfit_host_is_refused_before_anything_is_changed(operator: &Operator) {
    let written = std::fs::read(operator.file()).expect("written before");
    let own = exec(operator, "styx", "ip -o -4 addr show scope global");
    let address = own.split_whitespace().nth(3).expect("an address").to_owned();
    let network: ipnet::IpNet = address.parse().expect("a network");
    operator.edit(|table| {
        let cluster = table["cluster"].as_table_mut().expect("a section");
        cluster.insert("service-cidr".to_owned(), "10.99.0.0/16".into());
        let node = table["node"][1].as_table_mut().expect("a node");
        node.insert("interface".to_owned(), "wan9".into());
        node.insert("node-ip".to_owned(), "192.0.2.77".into());
    });
    let wanted = "no interface `wan9` with an address is there";
    let said = operator.run(&["bootstrap", "--yes"]).exits(1);
    let flat = said.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains(wanted), "{}", said.stderr);
    assert!(flat.contains(&network.addr().to_string()), "{}", said.stderr);
    for name in ["tethys", "styx"] {
        exec(operator, name, "[ ! -e /etc/rancher ] && [ ! -e /etc/sysctl.d/60-oceanid.conf ]");
    }
    std::fs::write(operator.file(), written).expect("the lab's folder is ours");
}

fn the_files_are_there(operator: &Operator) {
    let modes = "cd /var/lib/rancher/k3s/server && stat -c '%a %U %n' . logs psa.yaml audit.yaml";
    let expected = "700 root .\n700 root logs\n600 root psa.yaml\n600 root audit.yaml\n";
    assert_eq!(exec(operator, "tethys", modes), expected);
    exec(operator, "tethys", "test -e /var/lib/rancher/k3s/server/logs/audit.log");
    exec(operator, "styx", "[ ! -e /var/lib/rancher/k3s/server ]");
    let config = exec(operator, "tethys", "cat /etc/rancher/k3s/config.yaml");
    for line in [
        "cluster-init: true\n",
        "secrets-encryption: true\n",
        "protect-kernel-defaults: true\n",
        "write-kubeconfig-mode: '0600'\n",
        "etcd-snapshot-schedule-cron: '0 */6 * * *'\n",
        "  - 'admission-control-config-file=/var/lib/rancher/k3s/server/psa.yaml'\n",
    ] {
        assert!(config.contains(line), "no `{line}` in\n{config}");
    }
    let agent = exec(operator, "styx", "cat /etc/rancher/k3s/config.yaml");
    assert!(!agent.contains("apiserver") && agent.contains("eviction-hard="), "{agent}");
}

/// The kubelet's arguments, as the node itself publishes them, by the memory that the kernel says.
fn what_the_real_memory_asks_for_is_kept(operator: &Operator) {
    let text = exec(operator, "styx", "cat /proc/meminfo");
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:")).expect("a total");
    let total: u64 = total.trim().trim_end_matches(" kB").parse().expect("a number");
    let agent = exec(operator, "styx", "cat /etc/rancher/k3s/config.yaml");
    let evicted = match total / 1024 {
        ..768 => 40,
        768..1536 => 60,
        1536..3072 => 100,
        3072..6144 => 150,
        6144..12_288 => 200,
        _ => 500,
    };
    let line = format!("'eviction-hard=memory.available<{evicted}Mi,nodefs.available<");
    assert!(agent.contains(&line), "no `{line}` in\n{agent}");
    assert!(agent.contains("imagefs.available<"), "k3s' own disk limits are kept: {agent}");
}

fn changes(operator: &Operator) -> Vec<String> {
    let run = operator.run(&["bootstrap", "--yes", "--json"]).exits(0);
    let text = |event: &Value, key: &str| event[key].as_str().expect("text").to_owned();
    let done = run.events("change-done");
    let lines =
        done.iter().map(|event| format!("{}: {}", text(event, "host"), text(event, "subject")));
    // Whether a restarted node has to be waited for is luck.
    lines.filter(|line| !line.contains(": node ")).collect()
}

fn one_key_restarts_one_node_once(operator: &Operator) {
    let (server, agent) = (start(operator, "tethys"), start(operator, "styx"));
    operator.edit(|table| {
        let further = k3s(table, "agent");
        let list = further.entry("kubelet-arg").or_insert_with(|| toml::Value::Array(Vec::new()));
        list.as_array_mut().expect("a list").push("container-log-max-files=4".into());
    });
    let expected = ["styx: file /etc/rancher/k3s/config.yaml", "styx: unit k3s-agent.service"];
    assert_eq!(changes(operator), expected);
    assert_eq!(start(operator, "tethys"), server, "tethys was restarted for nothing");
    let now = start(operator, "styx");
    assert_ne!(now, agent, "styx runs on with the old settings");
    assert!(now.contains("NRestarts=0"), "styx was started by us alone: {now}");
    let config = exec(operator, "styx", "cat /etc/rancher/k3s/config.yaml");
    assert_eq!(config.matches("container-log-max-files=").count(), 1, "{config}");
    assert!(config.contains("container-log-max-size="), "ours of other names stay: {config}");
    operator.run(&["plan", "--detailed-exitcode"]).exits(0);
}

fn a_changed_policy_restarts_the_server(operator: &Operator) {
    let (server, agent) = (start(operator, "tethys"), start(operator, "styx"));
    exec(operator, "tethys", "echo '# by hand' >>/var/lib/rancher/k3s/server/audit.yaml");
    let expected =
        ["tethys: file /var/lib/rancher/k3s/server/audit.yaml", "tethys: unit k3s.service"];
    assert_eq!(changes(operator), expected);
    assert_ne!(start(operator, "tethys"), server);
    assert_eq!(start(operator, "styx"), agent);
}

fn another_datastore_is_refused(operator: &Operator) {
    let facts = operator.run(&["facts", "--json"]).exits(0);
    assert!(facts.stdout.contains("\"etcd\":true"), "{}", facts.stdout);
    let before = start(operator, "tethys");
    for (key, value, reason) in [
        ("datastore", toml::Value::from("sqlite"), "its cluster runs on embedded etcd"),
        (
            "secrets-encryption",
            toml::Value::from(false),
            "the secrets of its cluster are encrypted",
        ),
    ] {
        let written = std::fs::read(operator.file()).expect("written before");
        operator.edit(|table| {
            table["k3s"].as_table_mut().expect("a section").insert(key.to_owned(), value);
        });
        let said = operator.run(&["bootstrap", "--yes"]).exits(1);
        let flat = said.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(reason), "{}", said.stderr);
        std::fs::write(operator.file(), written).expect("the lab's folder is ours");
    }
    assert_eq!(start(operator, "tethys"), before, "nothing was restarted");
}
