//! Hosts to run k3s on: namespaces of this machine for the stand-in, real hosts for a real k3s.

mod lab_host;
mod namespace;

use serde_json::Value;
use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Output;
use std::time::{Duration, Instant};

/// How long a real k3s may take for anything.
pub const PATIENCE: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(50);

/// How fast the stand-in is; the real program takes its own time and ignores these.
const PACE: &[(&str, &str)] = &[
    ("SIM_START_DELAY", "0.3"),
    ("SIM_READY_DELAY", "0.3"),
    ("SIM_TAINT_DELAY", "1"),
    ("SIM_HEARTBEAT", "0.5"),
    ("SIM_GRACE", "3"),
];

/// What keeps the stand-in from running pods: most tests ask about nothing that needs them.
const NO_PODS: (&str, &str) = ("SIM_NETWORK", "none");

/// Whether `k3s` is a server or an agent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `k3s server`
    Server,
    /// `k3s agent`
    Agent,
}

impl Role {
    fn verb(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Agent => "agent",
        }
    }
}

/// What a host is made of.
trait Machine {
    /// Its address.
    fn address(&self) -> String;
    /// Runs a shell command, `k3s` on its path.
    fn output(&self, command: &str) -> Output;
    /// Lets the stand-in run pods from its next start on.
    fn allow_pods(&mut self);
    /// Sets what the stand-in is told from its next start on, beside its pace.
    fn settings(&mut self, settings: &[(&'static str, &'static str)]);
    /// Starts k3s under a service manager.
    fn start(&mut self, role: Role);
    /// Ends it as a service manager does.
    fn stop(&mut self);
    /// Ends it with SIGKILL.
    fn kill(&mut self);
    /// The exit code, where it ended by itself.
    fn ended(&mut self) -> Option<i32>;
    /// Whether it has said `READY=1` since its start.
    fn notified(&self) -> bool;
    /// What it printed since its start.
    fn log(&self) -> String;
    /// Another host that reaches this one.
    fn beside(&self, name: &str) -> Box<dyn Machine>;
}

/// A host.
pub struct Host {
    /// Its name, and its node's.
    pub name: String,
    /// Its address.
    pub address: String,
    machine: Box<dyn Machine>,
}

impl Host {
    /// Makes a host; a real one where a real k3s is tested, or `OCEANID_CONTRACT_HOSTS` asks.
    pub fn new(name: &str) -> Self {
        let real = ["OCEANID_LAB_K3S", "OCEANID_CONTRACT_HOSTS"];
        if real.iter().any(|variable| env::var_os(variable).is_some()) {
            Self::with(name, Box::new(lab_host::LabHost::new(name)))
        } else {
            Self::with(name, Box::new(namespace::Namespace::new(name)))
        }
    }

    fn with(name: &str, machine: Box<dyn Machine>) -> Self {
        Self { name: name.to_owned(), address: machine.address(), machine }
    }

    /// Makes a second host that reaches this one.
    pub fn beside(&self, name: &str) -> Self {
        Self::with(name, self.machine.beside(name))
    }

    /// Runs a shell command on the host, `k3s` on its path.
    pub fn run(&self, command: &str) -> Output {
        self.machine.output(command)
    }

    /// Runs a shell command that must succeed; its stdout.
    pub fn must(&self, command: &str) -> String {
        let output = self.run(command);
        assert!(output.status.success(), "`{command}` on {}: {}", self.name, said(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Writes `/etc/rancher/k3s/config.yaml`: this node's name and address, and `more`.
    pub fn configure(&self, more: &str) {
        let text = format!("node-name: {}\nnode-ip: {}\n{more}", self.name, self.address);
        // The drop-in is what a lab needs of a real k3s: no overlay on overlay, old cgroups.
        self.must(&format!(
            "mkdir -p /etc/rancher/k3s/config.yaml.d && cd /etc/rancher/k3s && cat >config.yaml <<'END'\n{text}\nEND\n\
             printf '%s\n' 'snapshotter: native' 'kubelet-arg+: [fail-cgroupv1=false]' >config.yaml.d/90-lab.yaml"
        ));
    }

    /// Lets the stand-in run pods from its next start on.
    pub fn allow_pods(&mut self) {
        self.machine.allow_pods();
    }

    /// Sets what the stand-in is told from its next start on, beside its pace.
    pub fn settings(&mut self, settings: &[(&'static str, &'static str)]) {
        self.machine.settings(settings);
    }

    /// Runs a shell command in the pod that the stand-in runs on every node; its stdout, when it
    /// succeeds before patience ends.
    pub fn pod(&self, command: &str) -> String {
        until(&format!("`{command}` in a pod of {}", self.name), || {
            let output = self.run(&lab::in_pod(command));
            let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            output.status.success().then_some(text)
        })
    }

    /// Starts k3s.
    pub fn start(&mut self, role: Role) {
        self.machine.stop();
        self.machine.start(role);
    }

    /// Ends k3s as a service manager does.
    pub fn stop(&mut self) {
        self.machine.stop();
    }

    /// Ends k3s with SIGKILL: a host that lost its power.
    pub fn kill(&mut self) {
        self.machine.kill();
    }

    /// Waits until k3s ends by itself and returns its exit code.
    pub fn exit_code(&mut self) -> i32 {
        until("k3s to end", || self.machine.ended())
    }

    /// Waits for `READY=1`; k3s must not end meanwhile.
    pub fn ready(&mut self) {
        until("READY=1", || {
            assert!(self.machine.ended().is_none(), "k3s on {} ended", self.name);
            self.notified().then_some(())
        });
    }

    /// Says whether k3s has said `READY=1` since its start.
    pub fn notified(&self) -> bool {
        self.machine.notified()
    }

    /// Returns what k3s printed since its start.
    pub fn log(&self) -> String {
        self.machine.log()
    }

    /// Waits until the log has `text` for the `times`th time.
    pub fn logged(&self, text: &str, times: usize) {
        let begun = Instant::now();
        while self.log().matches(text).count() < times {
            assert!(begun.elapsed() < PATIENCE, "no `{text}` in the log of {}", self.name);
            std::thread::sleep(POLL);
        }
    }

    /// Asks this server's API with the administrator's certificate, through curl.
    pub fn api(&self, arguments: &str, path: &str) -> (u16, Value) {
        let tls = "/var/lib/rancher/k3s/server/tls";
        let text = self.must(&format!(
            "curl -sS -w '\\n%{{http_code}}' --cacert {tls}/server-ca.crt --cert {tls}/client-admin.crt --key {tls}/client-admin.key {arguments} 'https://127.0.0.1:6443{path}'"
        ));
        answer(&text)
    }

    /// Returns the node `name` as this server has it.
    pub fn node(&self, name: &str) -> Option<Value> {
        let (code, node) = self.api("", &format!("/api/v1/nodes/{name}"));
        (code == 200).then_some(node)
    }

    /// Waits until the Ready condition of the node `name` is `status`.
    pub fn node_is(&self, name: &str, status: &str) -> Value {
        until(&format!("{name} to have Ready={status}"), || {
            let node = self.node(name)?;
            (condition(&node, "Ready")? == status).then_some(node)
        })
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let last: Vec<&str> = log.lines().rev().take(15).collect();
            eprintln!("--- end of the log of {}, latest first\n{}", self.name, last.join("\n"));
        }
    }
}

/// Says whether a real k3s is tested, which would need images to run pods.
pub fn is_real() -> bool {
    env::var_os("OCEANID_LAB_K3S").is_some()
}

/// Says whether k3s runs in namespaces of this machine, where its files are seen too.
pub fn is_near() -> bool {
    !is_real() && env::var_os("OCEANID_CONTRACT_HOSTS").is_none()
}

/// Returns the program under test.
fn program() -> PathBuf {
    let given = env::var_os("OCEANID_LAB_K3S").map(PathBuf::from);
    let program = given.unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_sim")));
    fs::canonicalize(&program).expect("the program under test exists")
}

/// Makes a server that has started with `more` in its configuration.
pub fn server(more: &str) -> Host {
    let mut host = Host::new("tethys");
    host.configure(more);
    host.start(Role::Server);
    host.ready();
    host
}

/// Makes an agent of `server` that has not started, with the server's own token.
pub fn agent(server: &Host, name: &str, more: &str) -> Host {
    let token = server.must("cat /var/lib/rancher/k3s/server/node-token");
    let host = server.beside(name);
    let server = &server.address;
    host.configure(&format!("server: https://{server}:6443\ntoken: {}\n{more}", token.trim()));
    host
}

/// Makes a further server beside `first` that has not started, with the server's token.
pub fn further(first: &Host, name: &str, more: &str) -> Host {
    let token = first.must("cat /var/lib/rancher/k3s/server/token");
    let host = first.beside(name);
    let server = &first.address;
    host.configure(&format!("server: https://{server}:6443\ntoken: {}\n{more}", token.trim()));
    host
}

/// Waits for `ask` to have an answer.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(POLL);
    }
}

/// Returns the status of a node's condition.
pub fn condition<'a>(node: &'a Value, kind: &str) -> Option<&'a str> {
    let all = node["status"]["conditions"].as_array()?;
    all.iter().find(|one| one["type"] == kind)?["status"].as_str()
}

/// Splits a body from the code that curl wrote behind it.
pub fn answer(text: &str) -> (u16, Value) {
    let (body, code) = text.rsplit_once('\n').expect("a code");
    let value = serde_json::from_str(body).unwrap_or_else(|_| Value::from(body));
    (code.trim().parse().expect("a number"), value)
}

/// Returns all that a command printed.
pub fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}
