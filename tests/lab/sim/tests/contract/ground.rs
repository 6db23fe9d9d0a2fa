//! Hosts to run k3s on: private mounts, a network and a hostname each, files gone afterwards.

use serde_json::Value;
use std::env;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a real k3s may take for anything.
pub const PATIENCE: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(50);

/// Whether `k3s` is a server or an agent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `k3s server`
    Server,
    /// `k3s agent`
    Agent,
}

/// A host.
pub struct Host {
    /// Its name, and its node's.
    pub name: String,
    /// Its address.
    pub address: String,
    holder: Child,
    folder: TempDir,
    notices: UnixDatagram,
    running: Option<Child>,
}

impl Host {
    /// Makes a host with the address 10.213.0.1.
    pub fn new(name: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("contract-").tempdir().expect("a folder");
        let base = folder.path().display().to_string();
        for part in ["rancher", "etc", "kernel", "run"] {
            fs::create_dir(folder.path().join(part)).expect("a folder");
        }
        let script = format!(
            "set -e; hostname {name}; ip link set lo up\n\
             mkdir -p /var/lib/rancher /etc/rancher\n\
             mount --bind {base}/rancher /var/lib/rancher; mount --bind {base}/etc /etc/rancher\n\
             for key in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops; do\n\
               file={base}/kernel/$(echo $key | tr / .); cat /proc/sys/$key > $file\n\
               mount --bind $file /proc/sys/$key\n\
             done; : > {base}/up; exec sleep 1000"
        );
        let mut command = Command::new("unshare");
        command.args(["-m", "-n", "-u", "--propagation", "private", "sh", "-c", &script]);
        let mut holder =
            command.process_group(0).stdin(Stdio::null()).spawn().expect("`unshare` starts");
        until("the host to be up (are you root?)", || {
            assert!(holder.try_wait().expect("its state").is_none(), "no private namespaces here");
            folder.path().join("up").exists().then_some(())
        });
        let notices = UnixDatagram::bind(folder.path().join("notify")).expect("a socket");
        notices.set_nonblocking(true).expect("a socket that does not block");
        let host = Self {
            name: name.to_owned(),
            address: "10.213.0.1".to_owned(),
            holder,
            folder,
            notices,
            running: None,
        };
        host.place_program();
        host.must(
            "ip link add wire type bridge; ip addr add 10.213.0.1/24 dev wire; ip link set wire up",
        );
        host.must("ip route add default via 10.213.0.254");
        host
    }

    /// Makes a host with the address 10.213.0.`last` that reaches this one.
    pub fn beside(&self, name: &str, last: u8) -> Self {
        let mut other = Self::new(name);
        other.address = format!("10.213.0.{last}");
        let pid = other.holder.id();
        self.must(&format!(
            "ip link add w{last} type veth peer name up0 netns {pid}; ip link set w{last} master wire up"
        ));
        other.must(&format!(
            "ip link del wire; ip addr add {}/24 dev up0; ip link set up0 up; ip route add default via 10.213.0.254",
            other.address
        ));
        other
    }

    fn place_program(&self) {
        let given = env::var_os("OCEANID_LAB_K3S").map(PathBuf::from);
        let program = given.unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_sim")));
        let program = fs::canonicalize(&program).expect("the program under test exists");
        std::os::unix::fs::symlink(program, self.folder.path().join("k3s")).expect("a link");
    }

    /// Runs a shell command on the host, `k3s` on its path.
    pub fn run(&self, command: &str) -> Output {
        let mut run = self.command();
        run.args(["sh", "-c", command]).stdin(Stdio::null()).output().expect("`nsenter` runs")
    }

    /// Runs a shell command that must succeed; its stdout.
    pub fn must(&self, command: &str) -> String {
        let output = self.run(command);
        assert!(output.status.success(), "`{command}` on {}: {}", self.name, said(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn command(&self) -> Command {
        let folder = self.folder.path();
        let path = format!(
            "{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            folder.display()
        );
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.holder.id().to_string(), "-m", "-n", "-u", "--"]);
        command.env_clear().env("PATH", path).env("HOME", "/root");
        // The real program takes its own time and ignores these.
        for (name, seconds) in [
            ("SIM_START_DELAY", "0.3"),
            ("SIM_READY_DELAY", "0.3"),
            ("SIM_TAINT_DELAY", "1"),
            ("SIM_HEARTBEAT", "0.5"),
            ("SIM_GRACE", "3"),
        ] {
            command.env(name, seconds);
        }
        command
    }

    /// Writes `/etc/rancher/k3s/config.yaml`: this node's name and address, and `more`.
    pub fn configure(&self, more: &str) {
        let folder = self.folder.path().join("etc/k3s");
        fs::create_dir_all(&folder).expect("a folder");
        let text = format!("node-name: {}\nnode-ip: {}\n{more}", self.name, self.address);
        fs::write(folder.join("config.yaml"), text).expect("config.yaml");
        // What a lab needs of a real k3s: no images, no overlay on overlay.
        let drop_in = folder.join("config.yaml.d");
        fs::create_dir_all(&drop_in).expect("a folder");
        fs::write(drop_in.join("90-lab.yaml"), "snapshotter: native\n").expect("a drop-in");
    }

    /// Starts k3s.
    pub fn start(&mut self, role: Role) {
        self.stop();
        let log = fs::File::create(self.folder.path().join("log")).expect("a log");
        let errors = log.try_clone().expect("a log");
        let verb = if role == Role::Server { "server" } else { "agent" };
        let mut command = self.command();
        command.env("NOTIFY_SOCKET", self.folder.path().join("notify"));
        command.args(["k3s", verb]).stdin(Stdio::null()).stdout(log).stderr(errors);
        self.running = Some(command.process_group(0).spawn().expect("k3s starts"));
    }

    /// Ends k3s as a service manager does.
    pub fn stop(&mut self) {
        let Some(mut child) = self.running.take() else { return };
        let _ = Command::new("kill").arg(child.id().to_string()).status();
        let begun = Instant::now();
        while child.try_wait().expect("its state").is_none() {
            if begun.elapsed() > Duration::from_secs(30) {
                let _ = child.kill();
            }
            std::thread::sleep(POLL);
        }
    }

    /// Ends k3s with SIGKILL: a host that lost its power.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.running.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Waits until k3s ends by itself and returns its exit code.
    pub fn exit_code(&mut self) -> i32 {
        until("k3s to end", || {
            let child = self.running.as_mut().expect("k3s was started");
            child.try_wait().expect("its state").map(|status| status.code().unwrap_or(-1))
        })
    }

    /// Waits for `READY=1`; k3s must not end meanwhile.
    pub fn ready(&mut self) {
        until("READY=1", || {
            let ended = self.running.as_mut().and_then(|child| child.try_wait().ok()?);
            assert!(ended.is_none(), "k3s on {} ended", self.name);
            self.notified().then_some(())
        });
    }

    /// Says whether `READY=1` came since it was last asked for.
    pub fn notified(&self) -> bool {
        let mut buffer = [0; 4096];
        let mut ready = false;
        while let Ok(length) = self.notices.recv(&mut buffer) {
            ready |= String::from_utf8_lossy(&buffer[..length]).contains("READY=1");
        }
        ready
    }

    /// Returns what k3s printed.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
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
        self.stop();
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
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
    let host = server.beside(name, 2);
    host.configure(&format!("server: https://10.213.0.1:6443\ntoken: {}\n{more}", token.trim()));
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
