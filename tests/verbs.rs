//! What an operator types besides `bootstrap`, against real hosts; needs root.

#[path = "support/lab.rs"]
mod operator;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lab::command::wait_for;
use lab::{Fault, HostSpec, Privilege, Release, Topology};
use operator::{Operator, Said};

const PACKAGES: &str = "ca-certificates curl iptables kmod procps";

fn three() -> Topology {
    let debian13 = |name| HostSpec::new(name).release(Release::Debian13);
    Topology::of(vec![
        HostSpec::new("tethys"),
        debian13("styx").login("debian", Privilege::Sudo),
        debian13("calypso").login("oceanid", Privilege::Sudo).at_home(),
    ])
}

#[test]
fn a_cluster_grows_node_by_node_and_is_looked_at() {
    let operator = Operator::before(three());
    for name in ["tethys", "styx", "calypso"] {
        let quick = "printf 'SIM_HEARTBEAT=1\nSIM_GRACE=8\n' >/etc/sim.env";
        operator.lab.host(name).exec(quick).expect("a shell");
    }
    an_unknown_key_is_refused_until_it_is_trusted(&operator);
    facts_are_what_the_hosts_are(&operator);
    operator.run(&["bootstrap", "tethys", "--yes"]).exits(0);
    let status = operator.run(&["status"]).exits(1);
    assert!(status.stdout.contains("not in the cluster"), "{}", status.stdout);
    styx_joins_from_its_own_console(&operator);
    let joined = operator.run(&["join", "calypso", "--yes"]).exits(0);
    assert!(!joined.stderr.contains("styx"), "styx was not asked for:\n{}", joined.stderr);
    operator.run(&["status"]).exits(0);
    operator.run(&["plan", "--detailed-exitcode"]).exits(0);
    the_kubeconfig_opens_the_api_from_elsewhere(&operator);
    a_node_that_is_not_well_shows(&operator);
}

fn an_unknown_key_is_refused_until_it_is_trusted(operator: &Operator) {
    let styx = operator.lab.host("styx");
    let address = styx.address.to_string();
    let file = operator.lab.known_hosts();
    let known = fs::read_to_string(&file).expect("the lab wrote it");
    let others: String = known
        .lines()
        .filter(|line| !line.starts_with(&address))
        .flat_map(|line| [line, "\n"])
        .collect();
    fs::write(&file, &others).expect("it is ours");
    let counts = || operator.lab.host("calypso").sshd_counts().expect("a journal").sessions;
    let before = counts();
    let fingerprint = styx.fingerprint().expect("a host key");
    for arguments in [&["plan"] as &[&str], &["bootstrap", "--yes"]] {
        let refused = operator.run(arguments).exits(3);
        assert!(refused.stderr.contains("oceanid trust styx"), "{}", refused.stderr);
        assert!(refused.stderr.contains(&fingerprint), "{}", refused.stderr);
    }
    assert!(counts() - before <= 2, "calypso was only asked for its facts");
    let wrong = format!("SHA256:{}", "x".repeat(43));
    operator.run(&["trust", "styx", "--fingerprint", &wrong]).exits(1);
    operator.run(&["trust", "styx"]).exits(64);
    assert_eq!(fs::read_to_string(&file).expect("readable"), others);
    operator.run(&["trust", "styx", "--fingerprint", &fingerprint]).exits(0);
    let again = operator.run(&["trust", "styx", "--fingerprint", &fingerprint]).exits(0);
    assert!(again.stdout.contains("known already"), "{}", again.stdout);
    let path = file.display().to_string();
    let oracle = Command::new("ssh-keygen").args(["-F", &address, "-f", &path]).output();
    assert!(oracle.expect("ssh-keygen runs").status.success(), "OpenSSH does not find the key");
    operator.run(&["plan"]).exits(0);
}

fn facts_are_what_the_hosts_are(operator: &Operator) {
    let facts = operator.run(&["facts", "--json"]).exits(0).events("facts");
    assert_eq!(facts.len(), 3, "{facts:?}");
    for fact in facts {
        let name = fact["host"].as_str().expect("a name");
        let said = |key: &str| fact["facts"][key].as_str().unwrap_or_default().to_owned();
        let host = operator.lab.host(name);
        let oracle = |command: &str| host.exec(command).expect("a shell").trim().to_owned();
        assert_eq!(said("hostname"), name);
        assert_eq!(said("os-version"), oracle(". /etc/os-release; echo $VERSION_ID"));
        assert_eq!(said("kernel"), oracle("uname -r"));
        assert_eq!(said("machine-id"), oracle("cat /etc/machine-id"));
    }
    let one = operator.run(&["facts", "styx"]).exits(0);
    assert!(one.stdout.starts_with("styx\n") && !one.stdout.contains("tethys"), "{}", one.stdout);
    operator.run(&["facts", "nobody"]).exits(64);
}

/// `--local`: the program runs on the node itself and reaches the server from there.
fn styx_joins_from_its_own_console(operator: &Operator) {
    let styx = operator.lab.host("styx");
    let home = styx.root().join("root");
    fs::create_dir_all(home.join(".ssh")).expect("root's home");
    fs::copy(env!("CARGO_BIN_EXE_oceanid"), home.join("oceanid")).expect("the binary");
    fs::copy(operator.file(), home.join("cluster.toml")).expect("cluster.toml");
    // As committed beside it: a bare host has no CA certificates to ask for hashes with.
    let lock = operator.folder.join("oceanid.lock");
    fs::copy(lock, home.join("oceanid.lock")).expect("bootstrap wrote it");
    fs::copy(operator.lab.key(), home.join(".ssh/id_ed25519")).expect("the key");
    fs::copy(operator.lab.known_hosts(), home.join(".ssh/known_hosts")).expect("known_hosts");
    let before = styx.sshd_counts().expect("a journal");
    let limit = Duration::from_secs(120);
    let joined = styx.output_for(limit, "cd /root && ./oceanid join styx --local --yes");
    let joined = joined.expect("nsenter runs");
    let said = String::from_utf8_lossy(&joined.stderr).into_owned();
    assert!(joined.status.success(), "{said}");
    assert!(said.contains("2 hosts: ") && said.contains("0 failed"), "{said}");
    assert_eq!(styx.sshd_counts().expect("a journal"), before, "it did not go through sshd");
    let two = styx.output_for(limit, "cd /root && ./oceanid join styx calypso --local --yes");
    assert_eq!(two.expect("nsenter runs").status.code(), Some(64), "--local is one machine");
    styx.exec("rm -r /root/oceanid /root/.ssh").expect("a shell");
}

fn the_kubeconfig_opens_the_api_from_elsewhere(operator: &Operator) {
    operator.run(&["kubeconfig", "--out", "kube.yaml"]).exits(0);
    let file = operator.folder.join("kube.yaml");
    let mode = fs::metadata(&file).expect("written").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = operator.run(&["kubeconfig", "--out", "kube.yaml"]).exits(0);
    assert!(again.stderr.contains("already"), "{}", again.stderr);
    let printed = operator.run(&["kubeconfig", "--out", "-"]).exits(0).stdout;
    assert_eq!(printed, fs::read_to_string(&file).expect("readable"));
    let styx = operator.lab.host("styx");
    fs::copy(&file, styx.root().join("root/kube.yaml")).expect("copied");
    let nodes = styx
        .exec("/usr/local/bin/k3s kubectl --kubeconfig /root/kube.yaml get nodes --no-headers")
        .expect("the API lets it in");
    assert_eq!(nodes.lines().count(), 3, "{nodes}");
}

fn a_node_that_is_not_well_shows(operator: &Operator) {
    let styx = operator.lab.host("styx");
    styx.exec("systemctl stop k3s-agent").expect("a shell");
    let status = |code| {
        let asked = || {
            let said = operator.run(&["status", "--json"]);
            Ok((said.code == code).then_some(said))
        };
        let limit = Duration::from_secs(40);
        wait_for(limit, "another status", asked, || operator.run(&["status"]).stdout)
    };
    let event = status(1).expect("it is noticed").events("status").remove(0);
    let nodes = event["nodes"].as_array().expect("nodes");
    let trouble =
        |name: &str| nodes.iter().find(|node| node["name"] == name).expect("listed").to_string();
    assert!(trouble("styx").contains("Ready is Unknown"), "{event}");
    assert!(!trouble("calypso").contains("Unknown"), "{event}");
    operator.run(&["verify"]).exits(2);
    operator.run(&["bootstrap", "--yes"]).exits(0);
    status(0).expect("a bootstrap starts it again");
}

#[test]
fn one_run_at_a_time_has_a_host_and_each_can_be_stopped() {
    let operator = Operator::before(Topology::one());
    operator.run(&["bootstrap", "--yes", "--only", "prepare"]).exits(0);
    operator.lab.releases().expect("served").fault("/k3s", Fault::Slow(500_000));
    the_first_interrupt_lets_the_change_end(&operator);
    operator.lab.host("tethys").exec("rm /usr/local/bin/k3s").expect("a shell");
    the_second_interrupt_leaves_it_to_the_host(&operator);
    operator.lab.releases().expect("served").heal();
    let end = operator.run(&["bootstrap", "--yes"]).exits(0);
    assert!(end.stderr.contains("0 failed"), "{}", end.stderr);
    operator.run(&["status"]).exits(0);
    operator.run(&["plan", "--detailed-exitcode"]).exits(0);
}

/// A bootstrap that is in the middle of the download.
fn downloading(operator: &Operator) -> Child {
    let child = operator
        .command(&["bootstrap", "--yes"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("`timeout` starts");
    let begun = || {
        let running = operator.lab.host("tethys").output("cat /var/lib/oceanid/running")?;
        Ok(running.stdout.starts_with(b"program /usr/local/bin/k3s").then_some(()))
    };
    wait_for(Duration::from_secs(20), "the download", begun, String::new).expect("it begins");
    child
}

/// Sends the program under `timeout` what Ctrl-C sends.
fn interrupt(child: &Child) {
    let pid = child.id().to_string();
    let status = Command::new("kill").args(["-INT", &pid]).status().expect("kill runs");
    assert!(status.success());
}

fn said(child: Child) -> Said {
    let output = child.wait_with_output().expect("a child");
    Said {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn the_first_interrupt_lets_the_change_end(operator: &Operator) {
    let tethys = operator.lab.host("tethys");
    let first = downloading(operator);
    let second = operator.run(&["bootstrap", "--yes"]).exits(1);
    assert!(second.stderr.contains("is held by `bootstrap` of tester@"), "{}", second.stderr);
    assert!(second.stderr.contains("oceanid unlock tethys"), "{}", second.stderr);
    let facts = operator.run(&["facts"]).exits(0);
    assert!(facts.stdout.contains("locked by      bootstrap of tester@"), "{}", facts.stdout);
    interrupt(&first);
    let first = said(first).exits(130);
    assert!(first.stderr.contains("stopping after the running change"), "{}", first.stderr);
    tethys.exec("/usr/local/bin/k3s --version").expect("the change ran to its end");
    tethys.exec("[ ! -e /etc/rancher/k3s/config.yaml ]").expect("no other change was begun");
    tethys.exec("[ ! -e /var/lib/oceanid/lock ]").expect("the lock was given back");
    let audit = tethys.exec("tail -n 1 /var/lib/oceanid/audit.jsonl").expect("an audit log");
    assert!(audit.contains(r#""outcome":"interrupted""#), "{audit}");
}

fn the_second_interrupt_leaves_it_to_the_host(operator: &Operator) {
    let tethys = operator.lab.host("tethys");
    let run = downloading(operator);
    interrupt(&run);
    std::thread::sleep(Duration::from_millis(300));
    let asked = Instant::now();
    interrupt(&run);
    let run = said(run).exits(130);
    assert!(asked.elapsed() < Duration::from_secs(3), "it took {:?}", asked.elapsed());
    assert!(run.stderr.contains("left at once"), "{}", run.stderr);
    tethys.exec("cat /var/lib/oceanid/running").expect("the change goes on there");
    let unlock = operator.run(&["unlock"]).exits(0);
    assert!(unlock.stdout.contains("tethys: removed the lock of tester@"), "{}", unlock.stdout);
    let unlock = operator.run(&["unlock", "tethys"]).exits(0);
    assert_eq!(unlock.stdout, "tethys: there was no lock\n");
}

#[test]
fn a_rollback_takes_back_a_bootstrap_and_the_next_one_works() {
    let operator = Operator::before(Topology::one());
    let tethys = operator.lab.host("tethys");
    // Packages stay, so they are no part of what must come back.
    let install = format!(
        "apt-get -q update && DEBIAN_FRONTEND=noninteractive \
         apt-get -qy --no-install-recommends install {PACKAGES}"
    );
    let installed = tethys.output_for(Duration::from_secs(120), &install).expect("nsenter runs");
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    let kernel = || {
        tethys
            .exec("sysctl vm.overcommit_memory kernel.panic fs.inotify.max_user_instances")
            .expect("sysctl")
    };
    let (bare, values) = (tethys.manifest(&["/var/lib/oceanid"]).expect("readable"), kernel());
    operator.run(&["bootstrap", "--yes"]).exits(0);
    assert_ne!(kernel(), values);
    operator.run(&["rollback"]).exits(64);
    let shown = operator.run(&["rollback", "--yes"]).exits(0);
    assert!(shown.stdout.contains("file /etc/rancher/k3s/config.yaml"), "{}", shown.stdout);
    assert_eq!(kernel(), values);
    let left = bare.diff(&tethys.manifest(&["/var/lib/oceanid"]).expect("readable"));
    // What k3s itself wrote while it ran is k3s' to remove.
    let own = ["/etc/rancher", "/var/lib/kubelet", "/var/lib/cni", "/opt/cni"];
    let left: Vec<&String> =
        left.iter().filter(|line| !own.iter().any(|path| line.contains(path))).collect();
    assert_eq!(left, Vec::<&String>::new());
    tethys.exec("! systemctl is-active -q k3s && [ ! -e /usr/local/bin/k3s ]").expect("it is gone");
    let again = operator.run(&["rollback", "--yes"]).exits(0);
    assert!(again.stdout.contains("nothing to take back"), "{}", again.stdout);
    operator.run(&["bootstrap", "--yes"]).exits(0);
    operator.run(&["status"]).exits(0);
}
