//! The laws that need a whole host: packages, kernel parameters, units, nodes; needs root.

#[path = "../support/ground.rs"]
mod ground;
mod guard;
#[path = "../support/lab.rs"]
mod operator;

use std::collections::BTreeMap;
use std::time::Duration;

use ground::Ground;
use lab::Topology;
use oceanid::action::Action;
use oceanid::actions::{File, NodeReady, NodeSettings, Packages, Sysctls, Unit};
use oceanid::cluster::Taint;
use oceanid::engine::{self, ChangeFailed};
use oceanid::kube::{Identity, Wanted};
use oceanid::receipt;
use oceanid::remote::Remote as _;
use oceanid::step::Step;
use oceanid::templates::{k3s, render};
use operator::Operator;
use serde_json::Value;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_laws_hold_on_a_host_whose_sh_is_dash() {
    let operator = Operator::before(Topology::one());
    all_laws(&operator).await;
    units_are_clean_by_systemds_own_verdict(&operator);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_laws_hold_on_a_host_whose_sh_is_bash() {
    let operator = Operator::before(Topology::one());
    let tethys = operator.lab.host("tethys");
    tethys.exec("mount --bind /bin/bash /usr/bin/dash").expect("a mount");
    let version = tethys.exec("/bin/sh -c 'echo $BASH_VERSION'").expect("a shell");
    assert!(version.starts_with("5."), "/bin/sh is no bash: `{version}`");
    all_laws(&operator).await;
}

async fn all_laws(operator: &Operator) {
    let mut ground = Ground::of(operator).await;
    packages(&mut ground).await;
    kernel_parameters(&mut ground).await;
    a_new_unit_comes_and_goes(&mut ground).await;
    a_changed_file_restarts_its_unit(&mut ground).await;
    a_unit_that_fails_says_why(&mut ground).await;
    a_masked_unit_is_left_alone(&ground).await;
    let finished = operator.run(&["bootstrap", "--yes", "--json"]).exits(0).events("finished");
    assert_eq!(finished[0]["failed"], 0, "{finished:?}");
    node_settings(&mut ground).await;
    node_ready(&mut ground).await;
}

impl Ground<'_> {
    async fn summaries(&self, step: &Step) -> Vec<String> {
        let planned = engine::plan(&self.connection, &[step]).await.expect("a look");
        planned.into_iter().map(|planned| planned.change.summary).collect()
    }

    /// Takes the newest run back.
    async fn undo(&self) {
        let text = self.exec(&format!("cat /var/lib/oceanid/receipts/{}.jsonl", self.run()));
        let entries = receipt::read(&format!("{text}\n")).expect("a receipt");
        let undo = receipt::undo(&entries);
        let output = self.connection.run(&undo, &|_: &str| ()).await.expect("it runs");
        assert_eq!(output.status, 0, "{}", output.stderr);
    }

    async fn holds(&mut self, step: &Step, shown: &[&str], state: &str, law: Law) {
        let (before, files) = (self.exec(state), self.files());
        assert_eq!(self.summaries(step).await, shown);
        assert_eq!(self.exec(state), before, "looking changed something");
        assert_eq!(files.diff(&self.files()), Vec::<String>::new(), "looking wrote something");

        assert_eq!(self.apply(step).await.expect("it works") as usize, shown.len());
        let applied = self.run();
        let (after, new_files) = (self.exec(state), self.files());
        assert_ne!(after, before, "nothing changed");
        assert_eq!(self.summaries(step).await, Vec::<String>::new());
        assert_eq!(self.apply(step).await.expect("it works"), 0);
        assert_eq!(self.exec(state), after, "a second run changed something");
        assert_eq!(new_files.diff(&self.files()), Vec::<String>::new());
        assert_ne!(applied, self.run());
        self.runs -= 1;

        self.undo().await;
        let (wanted, wanted_files) = match law {
            Law::UndoRestores => (before, files),
            Law::UndoLeaves => (after, new_files),
        };
        assert_eq!(self.exec(state), wanted, "undo");
        assert_eq!(wanted_files.diff(&self.files()), Vec::<String>::new(), "undo");
        self.runs += 1;
    }
}

enum Law {
    UndoRestores,
    UndoLeaves,
}

fn step(actions: impl IntoIterator<Item = Box<dyn FnOnce(&mut Step)>>) -> Step {
    let mut step = Step::new("law");
    actions.into_iter().for_each(|ensure| ensure(&mut step));
    step
}

fn one(action: impl Action + 'static) -> Step {
    step([Box::new(move |step: &mut Step| step.ensure(action)) as Box<dyn FnOnce(&mut Step)>])
}

async fn packages(ground: &mut Ground<'_>) {
    let step = one(Packages::installed(&["ed", "netbase"]));
    let state = "dpkg-query -W -f '${Package} ${db:Status-Status}\\n' | sort";
    ground.holds(&step, &["install ed"], state, Law::UndoLeaves).await;
    assert_eq!(ground.exec("echo 1p | ed -s /etc/hostname"), "tethys");
}

async fn kernel_parameters(ground: &mut Ground<'_>) {
    let step = one(Sysctls::live(&[("vm.swappiness", "13"), ("net.ipv4.ip_default_ttl", "77")]));
    let state = "sysctl vm.swappiness net.ipv4.ip_default_ttl";
    ground.holds(&step, &["set 2 of 2"], state, Law::UndoRestores).await;
}

/// A service of two files; it says `config` and stays until it is told to end.
fn service(config: &str, command: &str) -> Step {
    let text = format!(
        "[Service]\nExecStart=/bin/sh -c '{command}'\nRestart=on-failure\nRestartSec=100ms\n\
         [Install]\nWantedBy=multi-user.target\n"
    );
    let unit = File::new("/etc/systemd/system/law.service", text);
    let config = File::new("/etc/law/law.conf", format!("{config}\n"));
    let running = Unit::running("law.service")
        .restarts_with(&unit)
        .restarts_with(&config)
        .within(Duration::from_secs(20));
    let mut step = Step::new("law");
    step.ensure(unit);
    step.ensure(config);
    step.ensure(running);
    step
}

const STAYS: &str = "cat /etc/law/law.conf; exec sleep infinity";
const UNIT_STATE: &str =
    "systemctl show law.service -p LoadState,ActiveState,MainPID,NRestarts,UnitFileState";

async fn a_new_unit_comes_and_goes(ground: &mut Ground<'_>) {
    let shown = [
        "create, 149 bytes, 0644 root:root",
        "create, 4 bytes, 0644 root:root",
        "enable, start (now not there)",
    ];
    let step = service("one", STAYS);
    // systemd forgets a unit without a file at its own time.
    let state =
        "systemctl daemon-reload; systemctl show law.service -p LoadState,ActiveState,MainPID";
    ground.holds(&step, &shown, state, Law::UndoRestores).await;
}

async fn a_changed_file_restarts_its_unit(ground: &mut Ground<'_>) {
    let pid = "systemctl show law.service -p MainPID --value";
    ground.apply(&service("one", STAYS)).await.expect("it starts");
    let first = ground.exec(pid);
    let step = service("two", STAYS);
    let shown = ["replace, 4 bytes, 0644 root:root", "restart: /etc/law/law.conf changes"];
    assert_eq!(ground.summaries(&step).await, shown);
    assert_eq!(ground.apply(&step).await.expect("it restarts"), 2);
    let second = ground.exec(pid);
    assert_ne!(second, first, "it was not restarted");
    assert_eq!(
        ground
            .host
            .journal("law.service")
            .expect("a journal")
            .lines()
            .filter(|line| *line == "two")
            .count(),
        1
    );
    ground.undo().await;
    let old = ground
        .exec("while ! systemctl is-active -q law; do sleep 0.1; done; cat /etc/law/law.conf");
    assert_eq!(old, "one");
    assert_ne!(ground.exec(pid), second, "undo did not restart it with its old file");

    // As after a kill between the file and the restart: the file is there, the unit runs with the old one.
    ground.apply(&service("one", STAYS)).await.expect("it is stamped again");
    let before = ground.exec(pid);
    ground.apply(&one(File::new("/etc/law/law.conf", "three\n"))).await.expect("it is written");
    let step = service("three", STAYS);
    assert_eq!(ground.summaries(&step).await, ["restart: its files changed since it was started"]);
    assert_eq!(ground.apply(&step).await.expect("it restarts"), 1);
    assert_ne!(ground.exec(pid), before);
    assert_eq!(ground.summaries(&step).await, Vec::<String>::new());
}

async fn a_unit_that_fails_says_why(ground: &mut Ground<'_>) {
    let (before, files) = (ground.exec("cat /etc/law/law.conf"), ground.files());
    let step = service("four", "echo my last words; exit 3");
    let error = ground.apply(&step).await.expect_err("it cannot start");
    let failed = error.downcast::<ChangeFailed>().expect("a change failed");
    for said in ["law.service does not start", "status=3/", "my last words"] {
        assert!(failed.output.stderr.contains(said), "no `{said}` in {}", failed.output.stderr);
    }
    ground.undo().await;
    assert_eq!(ground.exec("cat /etc/law/law.conf"), before);
    assert_eq!(files.diff(&ground.files()), Vec::<String>::new());
    ground.exec("while ! systemctl is-active -q law; do sleep 0.1; done");
}

async fn a_masked_unit_is_left_alone(ground: &Ground<'_>) {
    ground.exec("systemctl stop law; rm /etc/systemd/system/law.service; systemctl mask law");
    let before = ground.exec(UNIT_STATE);
    let running = one(Unit::running("law.service"));
    let error = engine::plan(&ground.connection, &[&running]).await.expect_err("it is masked");
    assert!(format!("{error:#}").contains("somebody switched it off on purpose"), "{error:#}");
    assert_eq!(ground.exec(UNIT_STATE), before);
    ground.exec("systemctl unmask law; rm -r /etc/law");
}

async fn node_settings(ground: &mut Ground<'_>) {
    let kubectl = "/usr/local/bin/k3s kubectl";
    ground.exec(&format!("{kubectl} label node tethys team=blue"));
    ground.exec(&format!("{kubectl} taint node tethys theirs=x:NoSchedule"));
    let labels = BTreeMap::from([("law".to_owned(), "one".to_owned())]);
    let taint = Taint {
        key: "ours".to_owned(),
        value: "yes".to_owned(),
        effect: "PreferNoSchedule".to_owned(),
    };
    let step = one(NodeSettings::new("tethys", &labels, &[taint]));
    // The label of cluster.toml goes, ours and our taint come.
    let state = format!(
        "{kubectl} get node tethys -o json | grep -e provider -e law -e team -e ours -e theirs | tr -d , | sort"
    );
    ground.holds(&step, &["set 3 values"], &state, Law::UndoRestores).await;
    ground.apply(&step).await.expect("it works");
    let node = ground.exec(&format!("{kubectl} get node tethys -o json"));
    let node: Value = serde_json::from_str(&node).expect("JSON");
    assert_eq!(node["metadata"]["labels"]["team"], "blue", "it is not ours");
    assert_eq!(node["metadata"]["labels"]["law"], "one");
    assert_eq!(node["metadata"]["labels"]["oceanid.node/provider"], Value::Null);
    let taints = node["spec"]["taints"].as_array().expect("taints");
    let keys: Vec<&str> = taints.iter().filter_map(|taint| taint["key"].as_str()).collect();
    assert_eq!(keys, ["theirs", "ours"]);
}

async fn node_ready(ground: &mut Ground<'_>) {
    let version = ground
        .exec("/usr/local/bin/k3s --version | { read -r name word version rest; echo $version; }");
    let at = |version: &str, seconds| {
        let wanted = Wanted { version: version.trim().to_owned(), ..Wanted::default() };
        let limit = Duration::from_secs(seconds);
        one(NodeReady::new("tethys", wanted, Identity::Admin, "k3s.service", limit))
    };
    let ready = |seconds| at(&version, seconds);
    assert_eq!(ground.summaries(&ready(60)).await, Vec::<String>::new());
    let files = ground.files();
    ground.exec("systemctl stop k3s");
    let shown = ground.summaries(&ready(3)).await;
    assert_eq!(shown, ["wait up to 3 s until Ready (the API does not answer yet)"]);
    let error = ground.apply(&ready(3)).await.expect_err("nobody starts it");
    let failed = error.downcast::<ChangeFailed>().expect("a change failed");
    assert!(failed.output.stderr.contains("k3s.service is inactive"), "{failed:?}");
    // Until it is active the unit tells when it was started before.
    ground.exec("systemctl start k3s");
    // It may be up before the first look.
    assert!(ground.apply(&ready(60)).await.expect("it comes up") <= 1);
    assert_eq!(ground.summaries(&ready(60)).await, Vec::<String>::new());
    assert_eq!(files.diff(&ground.files()), Vec::<String>::new());
    let kubectl = ground.exec("/usr/local/bin/k3s kubectl get node tethys --no-headers");
    assert!(kubectl.split_whitespace().any(|word| word == "Ready"), "{kubectl}");
    assert!(ground.apply(&at("v0", 1)).await.is_err(), "another version is not Ready");
}

fn units_are_clean_by_systemds_own_verdict(operator: &Operator) {
    let tethys = operator.lab.host("tethys");
    let environment = "/etc/systemd/system/k3s-agent.service.env";
    let agent = k3s::UnitFile { role: "agent", environment };
    let agent = render(&agent).expect("it renders");
    let path = "etc/systemd/system/k3s-agent.service";
    std::fs::write(tethys.root().join(path), agent).expect("written");
    for unit in ["k3s", "k3s-agent"] {
        let verdict = tethys
            .exec(&format!("systemd-analyze verify /etc/systemd/system/{unit}.service 2>&1"))
            .expect("systemd accepts it");
        assert_eq!(verdict, "", "{unit}");
    }
}
