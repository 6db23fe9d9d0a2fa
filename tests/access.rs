//! The way to the API and the look at the nodes, against real hosts; needs root.

#[path = "support/lab.rs"]
mod operator;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use lab::command::wait_for;
use lab::{HostSpec, Privilege, Release, Topology};
use operator::{Operator, Said};
use serde_json::{Value, json};

/// A context of somebody else, and a user that logs in by a program.
const OTHERS: &str = "apiVersion: v1\nkind: Config\ncurrent-context: work\nclusters:\n- cluster:\n    \
    certificate-authority-data: Zm9yZWlnbg==\n    server: https://work.example\n  name: work\ncontexts:\n\
    - context:\n    cluster: work\n    user: me\n  name: work\nusers:\n- name: me\n  user:\n    exec:\n      \
    apiVersion: client.authentication.k8s.io/v1\n      command: login\n      interactiveMode: Never\n";

#[test]
fn the_api_is_opened_directly_and_through_ssh_and_the_nodes_are_looked_at() {
    let styx = HostSpec::new("styx").release(Release::Debian13).login("debian", Privilege::Sudo);
    let operator = Operator::before(Topology::of(vec![HostSpec::new("tethys"), styx]));
    let exec = |host: &str, command: &str| operator.lab.host(host).exec(command).expect("a shell");
    exec("tethys", "printf 'SIM_HEARTBEAT=1\nSIM_GRACE=8\n' >/etc/sim.env");
    exec("styx", "printf 'SIM_HEARTBEAT=6\n' >/etc/sim.env");
    // As hardened hosts have it.
    let drop_in = "printf 'AllowTcpForwarding local\n' >/etc/ssh/sshd_config.d/00-test.conf";
    exec("tethys", &format!("{drop_in} && systemctl reload ssh"));
    operator.run(&["bootstrap", "--yes"]).exits(0);
    let name = name(&operator);
    a_kubeconfig_is_merged_proved_and_left_alone(&operator, &name);
    another_file_and_another_name(&operator, &name);
    all_is_well(&operator);
    close_the_api(&operator);
    a_tunnel_opens_it(&operator, &name);
    what_ends_or_is_missing_shows(&operator);
    a_node_that_is_not_well_shows(&operator);
}

fn name(operator: &Operator) -> String {
    let text = fs::read_to_string(operator.file()).expect("written before");
    let table: toml::Table = text.parse().expect("TOML");
    table["cluster"]["name"].as_str().expect("a name").to_owned()
}

fn config(operator: &Operator) -> PathBuf {
    PathBuf::from(operator.lab.home()).join(".kube/config")
}

/// Asks the API with the kubeconfig of the operator, as anybody would.
fn version(operator: &Operator, arguments: &[&str]) -> Said {
    let kubectl =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("target/graders/kubectl-1.37.1/bin/kubectl");
    assert!(kubectl.exists(), "`tests/setup.sh` installs kubectl");
    let asked = [&["--request-timeout", "20s", "get", "--raw", "/version"], arguments].concat();
    Said::of(operator.program(kubectl.to_str().expect("UTF-8"), &asked))
}

fn a_kubeconfig_is_merged_proved_and_left_alone(operator: &Operator, name: &str) {
    let file = config(operator);
    fs::create_dir_all(file.parent().expect("a folder")).expect("ours");
    fs::write(&file, OTHERS).expect("ours");
    let said = operator.run(&["kubeconfig"]).exits(0).stderr;
    assert!(said.contains(&format!("merged the context `{name}` into")), "{said}");
    assert!(said.contains("the current context is still `work`"), "{said}");
    assert!(said.contains(":6443 answers: v1."), "{said}");
    let backup = said.split("the former file is ").nth(1).and_then(|rest| rest.lines().next());
    assert_eq!(fs::read_to_string(backup.expect("it is named")).expect("kept"), OTHERS);
    let merged = fs::read_to_string(&file).expect("there");
    let again = operator.run(&["kubeconfig"]).exits(0).stderr;
    assert!(again.contains(&format!("has the context `{name}` already")), "{again}");
    assert_eq!(fs::read_to_string(&file).expect("there"), merged);
    let answer = version(operator, &["--context", name]).exits(0).stdout;
    assert!(answer.contains("gitVersion"), "{answer}");
    let event =
        operator.run(&["kubeconfig", "--use", "--json"]).exits(0).events("kubeconfig").remove(0);
    assert_eq!(event["current-context"], name, "{event}");
    assert_eq!(event["outcome"], "merged", "{event}");
    assert!(event["version"].as_str().expect("it answered").starts_with("v1."), "{event}");
    let key = merged.split("client-key-data: ").nth(1).and_then(|rest| rest.lines().next());
    let key = key.expect("a key");
    assert!(!said.contains(key) && !event.to_string().contains(key), "the key was printed");
}

fn another_file_and_another_name(operator: &Operator, name: &str) {
    operator.run(&["kubeconfig", "--out", "kube.yaml"]).exits(0);
    let again = operator.run(&["kubeconfig", "--out", "kube.yaml"]).exits(0).stderr;
    assert!(again.contains("already"), "{again}");
    let printed = operator.run(&["kubeconfig", "--out", "-"]).exits(0);
    assert_eq!(
        printed.stdout,
        fs::read_to_string(operator.folder.join("kube.yaml")).expect("there")
    );
    operator.run(&["kubeconfig", "--out", "-", "--json"]).exits(64);
    operator.run(&["kubeconfig", "--port", "1"]).exits(64);
    let foreign = OTHERS.replace("work", name);
    fs::write(operator.folder.join("foreign.yaml"), &foreign).expect("ours");
    let refused = operator.run(&["kubeconfig", "--out", "foreign.yaml"]).exits(1).stderr;
    assert!(refused.contains(&format!("the cluster `{name}` is there already")), "{refused}");
    assert!(refused.contains("oceanid kubeconfig --name OTHER"), "{refused}");
    assert_eq!(fs::read_to_string(operator.folder.join("foreign.yaml")).expect("there"), foreign);
    operator.run(&["kubeconfig", "--out", "foreign.yaml", "--name", "other"]).exits(0);
    let file = operator.folder.join("foreign.yaml");
    version(operator, &["--context", "other", "--kubeconfig", file.to_str().expect("UTF-8")])
        .exits(0);
}

fn all_is_well(operator: &Operator) {
    let said = operator.run(&["status"]).exits(0).stdout;
    assert!(said.lines().all(|line| line.chars().count() <= 80), "{said}");
    assert!(!said.contains('\u{1b}'), "{said}");
    let row = |number: usize| said.lines().nth(number).unwrap_or_default();
    let (head, tethys, styx) = (row(0), row(1), row(2));
    let column = head.find("CERTS").expect("a column");
    assert_eq!(&head[column..], "CERTS  DRIFT  STATE");
    assert!(tethys.starts_with("tethys  server  v1."), "{said}");
    assert_eq!(&tethys[column..], "364 d  no     ready");
    assert_eq!(&styx[column..], "364 d  no     ready");
    assert!(said.contains("in ~/.kube/config ends in 364 days"), "{said}");
}

/// The API takes nobody from the operator's machine any more.
fn close_the_api(operator: &Operator) {
    let machine = operator.lab.machine();
    let rule = format!(
        "iptables -I INPUT -s {machine} -p tcp --dport 6443 -j REJECT --reject-with tcp-reset"
    );
    operator.lab.host("tethys").exec(&rule).expect("iptables");
    let said = operator.run(&["kubeconfig"]).exits(0).stderr;
    assert!(
        said.contains("not proved: ") && said.contains("cannot be reached from here"),
        "{said}"
    );
    assert!(said.contains("`oceanid kubeconfig --via-ssh`"), "{said}");
}

/// A tunnel that runs, and what it says.
struct Running {
    child: Child,
    lines: Receiver<Value>,
}

impl Running {
    fn start(operator: &Operator) -> Self {
        let mut command = operator.command(&["tunnel", "--json"]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("`timeout` starts");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                drop(sender.send(serde_json::from_str(&line).expect("a line is JSON")));
            }
        });
        Self { child, lines }
    }

    #[track_caller]
    fn hears(&self, event: &str) -> Value {
        loop {
            let limit = Duration::from_secs(40);
            let line = self.lines.recv_timeout(limit);
            let line = line.unwrap_or_else(|_| json!({ "event": event, "missing": true }));
            assert!(line.get("missing").is_none(), "no `{event}` came");
            if line["event"] == event {
                return line;
            }
        }
    }

    fn interrupt(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill runs").success());
        self.hears("tunnel-ended");
        assert_eq!(self.child.wait().expect("a child").code(), Some(0));
    }
}

fn a_tunnel_opens_it(operator: &Operator, name: &str) {
    let said = operator.run(&["kubeconfig", "--via-ssh"]).exits(0).stderr;
    assert!(said.contains("the API answers through SSH: v1."), "{said}");
    assert!(version(operator, &["--context", name]).code != 0, "no tunnel is there yet");
    let tunnel = Running::start(operator);
    let open = tunnel.hears("tunnel-open");
    let port = open["port"].as_u64().expect("a port");
    assert!((16443..17443).contains(&port), "{open}");
    assert!(version(operator, &["--context", name]).exits(0).stdout.contains("gitVersion"));
    let busy = operator.run(&["tunnel"]).exits(1).stderr;
    assert!(busy.contains(&format!("port {port} of this machine is in use")), "{busy}");
    // It says the same while another tunnel has the port.
    let said = operator.run(&["kubeconfig", "--via-ssh"]).exits(0).stderr;
    assert!(said.contains("already") && said.contains("the API answers through SSH"), "{said}");
    let tethys = operator.lab.host("tethys");
    tethys.kill_sshd().expect("killed");
    assert_eq!(tunnel.hears("tunnel-lost")["host"], "tethys");
    tethys.start_sshd().expect("started");
    tunnel.hears("tunnel-open");
    version(operator, &["--context", name]).exits(0);
    tethys.exec("systemctl stop k3s").expect("stopped");
    assert_ne!(version(operator, &["--context", name]).code, 0);
    let refused = tunnel.hears("tunnel-refused");
    assert!(
        refused["reason"].as_str().expect("why").contains("nothing answers there"),
        "{refused}"
    );
    tethys.exec("systemctl start k3s").expect("started");
    let answers = || Ok((version(operator, &["--context", name]).code == 0).then_some(()));
    wait_for(Duration::from_secs(30), "the API", answers, String::new).expect("it is back");
    tunnel.interrupt();
}

/// A status with this exit code, as soon as there is one.
fn status(operator: &Operator, code: i32) -> Value {
    let asked = || {
        let said = operator.run(&["status", "--json"]);
        Ok((said.code == code).then_some(said))
    };
    let found = wait_for(Duration::from_secs(60), "another status", asked, || {
        operator.run(&["status"]).stdout
    });
    found.expect("it shows").events("status").remove(0)
}

fn node<'a>(event: &'a Value, name: &str) -> &'a Value {
    let nodes = event["nodes"].as_array().expect("nodes");
    nodes.iter().find(|node| node["name"] == name).expect("listed")
}

fn what_ends_or_is_missing_shows(operator: &Operator) {
    let tethys = operator.lab.host("tethys");
    tethys.exec("/usr/local/bin/k3s token create --ttl 3h --description test").expect("made");
    let folder = "/var/lib/rancher/k3s/server/db/snapshots";
    let save = format!(
        "mkdir -p /var/lib/rancher/k3s/server/db/etcd {folder}; touch {folder}/etcd-snapshot-x"
    );
    tethys.exec(&save).expect("a shell");
    let event = status(operator, 0);
    let token =
        event["tokens"].as_array().expect("tokens").iter().find(|one| one["description"] == "test");
    assert!(token.expect("it is listed")["expires"].is_string(), "{event}");
    let saved = &node(&event, "tethys")["snapshots"];
    assert!(saved["age-seconds"].as_i64().expect("an age") < 60, "{event}");
    assert_eq!(event["kubeconfig"]["this-cluster"], true, "{event}");
    assert!(event["kubeconfig"]["days-left"].as_i64().expect("days") > 360, "{event}");
    for name in ["tethys", "styx"] {
        let certificates = node(&event, name)["certificates"].as_array().expect("certificates");
        let named = |name: &str| certificates.iter().any(|one| one["name"] == name);
        assert!(named("agent/serving-kubelet") && named("agent/client-kubelet"), "{event}");
        assert_eq!(named("server/tls/client-admin"), name == "tethys", "{event}");
    }
    // A change that is pending is not an illness.
    let styx = operator.lab.host("styx");
    styx.exec("rm /etc/modules-load.d/oceanid.conf").expect("a shell");
    let pending = status(operator, 2);
    assert_eq!(node(&pending, "styx")["drift"], true, "{pending}");
    operator.run(&["bootstrap", "--yes"]).exits(0);
    status(operator, 0);
}

fn a_node_that_is_not_well_shows(operator: &Operator) {
    let (tethys, styx) = (operator.lab.host("tethys"), operator.lab.host("styx"));
    let folder = "/var/lib/rancher/k3s/server/tls";
    // Until the node's next heartbeat sets it right.
    let press = format!(
        "curl -sS --fail --cacert {folder}/server-ca.crt --cert {folder}/client-admin.crt \
         --key {folder}/client-admin.key -X PATCH -H 'Content-Type: application/strategic-merge-patch+json' \
         -d '{{\"status\":{{\"conditions\":[{{\"type\":\"DiskPressure\",\"status\":\"True\"}}]}}}}' \
         https://127.0.0.1:6443/api/v1/nodes/styx/status"
    );
    let pressed = || {
        tethys.exec(&press)?;
        let said = operator.run(&["status", "--json"]);
        Ok((said.code == 1).then_some(said))
    };
    let pressed = wait_for(Duration::from_secs(40), "the pressure", pressed, String::new);
    let event = pressed.expect("it shows").events("status").remove(0);
    assert_eq!(node(&event, "styx")["state"], "trouble", "{event}");
    assert_eq!(node(&event, "styx")["pressure"][0], "DiskPressure", "{event}");
    status(operator, 0);
    tethys
        .exec("touch -d '2 days ago' /var/lib/rancher/k3s/server/db/snapshots/*")
        .expect("a shell");
    tethys.exec("touch -d '2 days ago' /var/lib/rancher/k3s/server/db/snapshots").expect("a shell");
    styx.exec("systemctl stop k3s-agent").expect("stopped");
    let event = status(operator, 1);
    let stopped = || {
        let event = status(operator, 1);
        Ok((node(&event, "styx")["state"] == "not ready").then_some(event))
    };
    let event =
        wait_for(Duration::from_secs(40), "the stopped agent", stopped, || event.to_string());
    let event = event.expect("it shows");
    assert_eq!(node(&event, "styx")["drift"], true, "{event}");
    assert_eq!(node(&event, "tethys")["state"], "ready", "{event}");
    styx.cut().expect("cut off");
    let said = operator.run(&["status"]).exits(1).stdout;
    styx.mend().expect("mended");
    assert!(said.lines().all(|line| line.chars().count() <= 80), "{said}");
    let row =
        |name: &str| said.lines().find(|line| line.starts_with(name)).expect("a row").to_owned();
    assert!(row("styx").ends_with("?      unreachable"), "{said}");
    assert!(row("tethys").ends_with("ready"), "{said}");
    assert!(said.contains("cannot reach `"), "{said}");
}
