//! How k3s comes to hosts that reach nothing, and to hosts that have one already; needs root.

#[path = "support/lab.rs"]
mod operator;

use std::fs;
use std::path::PathBuf;

use lab::{Fault, HostSpec, Privilege, Release, Topology};
use operator::Operator;

const IMAGES: &str = "/var/lib/rancher/k3s/agent/images/k3s-airgap-images-amd64.tar.zst";

/// The unit as upstream's installer lays it down.
const UPSTREAM: &str = "[Unit]\nDescription=Lightweight Kubernetes\nWants=network-online.target\n\
    After=network-online.target\n[Install]\nWantedBy=multi-user.target\n[Service]\nType=notify\n\
    EnvironmentFile=-/etc/default/%N\nEnvironmentFile=-/etc/sysconfig/%N\n\
    EnvironmentFile=-/etc/systemd/system/k3s.service.env\nKillMode=process\nDelegate=yes\n\
    TimeoutStartSec=0\nRestart=always\nRestartSec=5s\n\
    ExecStartPre=-/sbin/modprobe br_netfilter\nExecStartPre=-/sbin/modprobe overlay\n";

#[test]
fn k3s_comes_to_a_host_that_reaches_nothing_and_is_taken_over_where_it_runs() {
    let styx = HostSpec::new("styx").release(Release::Debian13).login("debian", Privilege::Sudo);
    let operator = Operator::before(Topology::of(vec![HostSpec::new("tethys"), styx]));
    operator.run(&["bootstrap", "--yes", "--only", "prepare"]).exits(0);
    a_proxy_is_the_only_way_to_a_mirror(&operator);
    a_mirror_has_a_ca_of_its_own(&operator);
    styx_reaches_nothing(&operator);
    one_download_serves_all(&operator);
    what_is_not_the_locked_archive_is_refused(&operator);
    upstreams_installation_is_adopted(&operator);
    upstreams_settings_move_to_config_yaml(&operator);
    an_uninstall_leaves_nothing_but_foreign_data(&operator);
}

fn exec(operator: &Operator, host: &str, command: &str) -> String {
    operator.lab.host(host).exec(command).expect("a shell").trim().to_owned()
}

fn sources(operator: &Operator, values: &[(&str, &str)]) {
    operator.edit(|table| {
        let sources = table["sources"].as_table_mut().expect("a section");
        sources.clear();
        for (key, value) in values {
            sources.insert((*key).to_owned(), (*value).into());
        }
    });
}

fn set_k3s(table: &mut toml::Table, delivery: &str) {
    let k3s = table["k3s"].as_table_mut().expect("a section");
    k3s.insert("delivery".to_owned(), delivery.into());
    k3s.insert("air-gap".to_owned(), (delivery == "push").into());
}

/// tethys downloads by itself; the mirror's name exists nowhere.
fn a_proxy_is_the_only_way_to_a_mirror(operator: &Operator) {
    let proxy = operator.lab.releases().expect("served").url();
    sources(operator, &[("k3s", "http://mirror.invalid/k3s"), ("proxy", &proxy)]);
    operator.edit(|table| {
        set_k3s(table, "host");
    });
    operator.run(&["bootstrap", "tethys", "--yes"]).exits(0);
    let environment = exec(operator, "tethys", "cat /etc/systemd/system/k3s.service.env");
    assert!(environment.contains(&format!("HTTPS_PROXY={proxy}\n")), "{environment}");
    for around in ["10.42.0.0/16", "10.43.0.0/16", &operator.lab.host("styx").address.to_string()] {
        assert!(environment.contains(around), "no {around} in {environment}");
    }
    exec(operator, "tethys", "apt-config dump Acquire::http::Proxy | grep -q 'Proxy \"http'");
    operator.run(&["plan", "tethys", "--detailed-exitcode"]).exits(0);
    assert_eq!(downloads(operator, "/k3s"), 1);
}

/// From now on oceanid fetches over TLS, and hosts could do so too.
fn a_mirror_has_a_ca_of_its_own(operator: &Operator) {
    let mirror = operator.lab.releases().expect("served").mirror().expect("it listens");
    let ca = operator.folder.join("ca.pem");
    fs::write(&ca, &mirror.ca).expect("ours");
    let (k3s, ca) = (format!("{}/k3s", mirror.url), ca.display().to_string());
    sources(operator, &[("k3s", &k3s)]);
    fs::remove_file(operator.folder.join("oceanid.lock")).expect("the first run wrote it");
    let refused = operator.run(&["lock"]).exits(1);
    assert!(refused.stderr.contains("UnknownIssuer"), "{}", refused.stderr);
    sources(operator, &[("k3s", &k3s), ("ca", &ca)]);
    operator.edit(|table| {
        set_k3s(table, "push");
    });
    operator.run(&["bootstrap", "--yes", "--only", "prepare"]).exits(0);
    for host in ["tethys", "styx"] {
        exec(
            operator,
            host,
            &format!("curl -fsS -o /dev/null {k3s}/v1.36.3+k3s1/sha256sum-amd64.txt"),
        );
        exec(operator, host, "[ ! -e /etc/apt/apt.conf.d/51oceanid-proxy ]");
    }
}

/// No route out, and no way to the place of the releases.
fn styx_reaches_nothing(operator: &Operator) {
    let ip = operator.lab.machine();
    exec(
        operator,
        "styx",
        &format!(
            "ip route replace default via {ip} src {} metric 9\nip route del default metric 0 2>/dev/null || :\n\
         iptables -I OUTPUT -p tcp -d {ip} --syn -j REJECT\n\
         iptables -A OUTPUT -p tcp --dport 80 -j REJECT\niptables -A OUTPUT -p tcp --dport 443 -j REJECT\n",
            operator.lab.host("styx").address
        ),
    );
}

fn downloads(operator: &Operator, end: &str) -> usize {
    let requests = operator.lab.releases().expect("served").requests();
    requests.iter().filter(|path| path.ends_with(end)).count()
}

fn one_download_serves_all(operator: &Operator) {
    let plan = operator.run(&["plan"]).exits(0);
    assert!(plan.stdout.contains("send k3s v"), "{}", plan.stdout);
    assert!(!cache(operator).exists(), "a plan downloads nothing");
    operator.run(&["bootstrap", "--yes"]).exits(0);
    assert_eq!((downloads(operator, "/k3s"), downloads(operator, ".tar.zst")), (2, 1));
    assert_eq!(fs::read_dir(cache(operator)).expect("a cache").count(), 2);
    for host in ["tethys", "styx"] {
        exec(operator, host, &format!("[ \"$(cat {IMAGES})\" = 'no images in the lab' ]"));
        exec(operator, host, "[ \"$(readlink /usr/local/bin/kubectl)\" = k3s ]");
    }
    let second = operator.run(&["bootstrap", "--yes"]).exits(0);
    assert!(second.stderr.contains("2 hosts: 2 unchanged, 0 changed"), "{}", second.stderr);
    operator.run(&["status"]).exits(0);
}

fn cache(operator: &Operator) -> PathBuf {
    operator.lab.home().join(".cache/oceanid")
}

fn what_is_not_the_locked_archive_is_refused(operator: &Operator) {
    let there = "printf x >>";
    exec(operator, "styx", &format!("{there}{IMAGES}"));
    let releases = operator.lab.releases().expect("served");
    releases.fault(".tar.zst", Fault::WrongBytes);
    for kept in fs::read_dir(cache(operator)).expect("a cache") {
        let kept = kept.expect("readable").path();
        if fs::metadata(&kept).expect("there").len() < 1000 {
            fs::write(kept, "something else").expect("ours");
        }
    }
    let refused = operator.run(&["bootstrap", "--yes"]).exits(1);
    assert!(refused.stderr.contains("gave something with sha256"), "{}", refused.stderr);
    exec(operator, "styx", &format!("[ \"$(tail -c 1 {IMAGES})\" = x ]"));
    releases.heal();
    let before = processes(operator);
    let mended = operator.run(&["bootstrap", "--yes", "--json"]).exits(0).events("change-done");
    assert_eq!(mended.len(), 1, "{mended:?}");
    exec(operator, "styx", &format!("[ \"$(cat {IMAGES})\" = 'no images in the lab' ]"));
    assert_eq!(processes(operator), before, "nothing is restarted for an archive");
}

fn processes(operator: &Operator) -> [String; 2] {
    [("tethys", "k3s"), ("styx", "k3s-agent")].map(|(host, unit)| {
        exec(operator, host, &format!("systemctl show -p MainPID,NRestarts {unit}"))
    })
}

/// Lays k3s down as upstream's installer does, over the state that is there, and starts it.
fn install_as_upstream(operator: &Operator, arguments: &str, environment: &str, config: &str) {
    let root = operator.lab.host("tethys").root();
    exec(operator, "tethys", "systemctl stop k3s; rm -r /var/lib/oceanid/units");
    let unit = root.join("etc/systemd/system/k3s.service");
    fs::write(&unit, format!("{UPSTREAM}ExecStart=/usr/local/bin/k3s server {arguments}\n"))
        .expect("written");
    fs::write(unit.with_extension("service.env"), environment).expect("written");
    fs::write(root.join("etc/rancher/k3s/config.yaml"), config).expect("written");
    exec(operator, "tethys", "sleep 1.1; systemctl daemon-reload; systemctl start k3s");
}

fn upstreams_installation_is_adopted(operator: &Operator) {
    let config = exec(operator, "tethys", "cat /etc/rancher/k3s/config.yaml");
    // The same settings in another order and with other words around them.
    let mut lines: Vec<String> = Vec::new();
    for line in config.lines().filter(|line| !line.starts_with('#')) {
        match lines.last_mut() {
            Some(last) if line.starts_with([' ', '-']) => *last = format!("{last}\n{line}"),
            _ => lines.push(line.to_owned()),
        }
    }
    lines.reverse();
    let text = format!("# by hand\n\n{}\n", lines.join("\n"));
    install_as_upstream(operator, "", "", &text);
    let before = processes(operator);
    let plan = operator.run(&["plan"]).exits(0);
    let flat = plan.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("adopt: it runs with these settings already"), "{flat}");
    operator.run(&["bootstrap", "--yes"]).exits(0);
    assert_eq!(processes(operator), before, "it was restarted");
    exec(
        operator,
        "tethys",
        "grep -q 'by oceanid' /etc/systemd/system/k3s.service /etc/rancher/k3s/config.yaml",
    );
    operator.run(&["plan", "--detailed-exitcode"]).exits(0);
    operator.run(&["rollback", "tethys", "--yes"]).exits(0);
    assert_eq!(processes(operator), before, "taking it back restarts nothing either");
    exec(operator, "tethys", "grep -q 'by hand' /etc/rancher/k3s/config.yaml");
    operator.run(&["bootstrap", "--yes"]).exits(0);
}

fn upstreams_settings_move_to_config_yaml(operator: &Operator) {
    let server = "/var/lib/rancher/k3s/server";
    let token = exec(operator, "tethys", &format!("cat {server}/token"));
    let password = token.rsplit(':').next().expect("a password");
    let config = "write-kubeconfig-mode: \"0600\"\nprotect-kernel-defaults: true\nsecrets-encryption: true\n\
                  node-name: tethys\nflannel-backend: vxlan\nagent-token: canary-agent-token\n\
                  kubelet-arg: [fail-cgroupv1=false]\n";
    let datastore = exec(
        operator,
        "tethys",
        &format!("if [ -d {server}/db/etcd ]; then echo --cluster-init; fi"),
    );
    let address = operator.lab.host("tethys").address;
    install_as_upstream(
        operator,
        &format!("{datastore} '--disable' 'traefik' '--node-external-ip' '{address}'"),
        &format!("K3S_TOKEN='{password}'\n"),
        config,
    );
    let plan = operator.run(&["plan", "--diff"]).exits(0);
    let flat = plan.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for says in [
        "take over another installation, restart once",
        "`--disable` stands in the unit",
        "`K3S_TOKEN` stands in its environment",
        "config.yaml holds a secret",
    ] {
        assert!(flat.contains(says), "no `{says}` in {flat}");
    }
    assert!(!flat.contains("canary") && !flat.contains(password), "{flat}");
    operator.run(&["bootstrap", "--yes"]).exits(0);
    exec(operator, "tethys", "[ \"$(systemctl show -p NRestarts --value k3s)\" = 0 ]");
    assert_eq!(exec(operator, "tethys", &format!("cat {server}/token")), token, "the token stays");
    operator.run(&["plan", "--detailed-exitcode"]).exits(0);
}

fn an_uninstall_leaves_nothing_but_foreign_data(operator: &Operator) {
    let styx = operator.lab.host("styx");
    exec(
        operator,
        "styx",
        "mkdir -p /var/lib/kubelet/held && mount -t tmpfs held /var/lib/kubelet/held && echo data >/var/lib/kubelet/held/file",
    );
    let script = "/usr/local/bin/k3s-agent-uninstall.sh";
    let held = styx.output(script).expect("a shell");
    assert_eq!(held.status.code(), Some(1), "{held:?}");
    let said = String::from_utf8_lossy(&held.stderr).into_owned();
    assert!(said.contains("/var/lib/kubelet has mounts below it and is left alone"), "{said}");
    exec(
        operator,
        "styx",
        "[ \"$(cat /var/lib/kubelet/held/file)\" = data ] && umount /var/lib/kubelet/held",
    );
    exec(operator, "styx", script);
    let left = exec(
        operator,
        "styx",
        "ls -d /usr/local/bin/* /etc/rancher/k3s /etc/systemd/system/k3s* /var/lib/rancher/k3s /run/k3s \
         /var/lib/kubelet /run/netns/cni-* /sys/class/net/cni0 /sys/class/net/flannel.1 2>/dev/null || :; \
         iptables-save | grep -e KUBE- -e FLANNEL || :; ps -e -o args= | grep '[c]ontainerd-shim' || :",
    );
    assert_eq!(left, "");
}
