//! Private mounts, a network and a hostname on this machine: enough for the stand-in.

use super::{Machine, NO_PODS, PACE, POLL, Role, program, until};
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A host of namespaces.
pub struct Namespace {
    address: String,
    holder: Child,
    folder: TempDir,
    notices: UnixDatagram,
    ready: AtomicBool,
    running: Option<Child>,
    pods: bool,
    beside: AtomicU8,
    settings: Vec<(&'static str, &'static str)>,
}

impl Namespace {
    /// Makes a host with the address 10.213.0.1.
    pub fn new(name: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("contract-").tempdir().expect("a folder");
        let base = folder.path().display().to_string();
        for part in ["rancher", "etc", "kernel"] {
            fs::create_dir(folder.path().join(part)).expect("a folder");
        }
        let script = format!(
            "set -e; hostname {name}; ip link set lo up\n\
             mkdir -p /var/lib/rancher /etc/rancher\n\
             mkdir -p /run/netns; mount -t tmpfs pods /run/netns\n\
             mount --bind {base}/rancher /var/lib/rancher; mount --bind {base}/etc /etc/rancher\n\
             for key in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops; do\n\
               file={base}/kernel/$(echo $key | tr / .); cat /proc/sys/$key > $file\n\
               mount --bind $file /proc/sys/$key\n\
             done\n\
             ip link add wire type bridge; ip addr add 10.213.0.1/24 dev wire; ip link set wire up\n\
             ip route add default via 10.213.0.254; : > {base}/up; exec sleep 1000"
        );
        let mut command = Command::new("unshare");
        command.args(["-m", "-n", "-u", "--propagation", "private", "sh", "-c", &script]);
        let mut holder =
            command.process_group(0).stdin(Stdio::null()).spawn().expect("`unshare` starts");
        until("the host to be up", || {
            let ended = holder.try_wait().expect("its state");
            assert!(ended.is_none(), "no private namespaces here; are you root?");
            folder.path().join("up").exists().then_some(())
        });
        let notices = UnixDatagram::bind(folder.path().join("notify")).expect("a socket");
        notices.set_nonblocking(true).expect("a socket that does not block");
        std::os::unix::fs::symlink(program(), folder.path().join("k3s")).expect("a link");
        let (address, ready) = ("10.213.0.1".to_owned(), AtomicBool::new(false));
        Self {
            address,
            holder,
            folder,
            notices,
            ready,
            running: None,
            pods: false,
            beside: AtomicU8::new(2),
            settings: Vec::new(),
        }
    }

    fn command(&self) -> Command {
        let folder = self.folder.path().display();
        let path = format!("{folder}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.holder.id().to_string(), "-m", "-n", "-u", "--"]);
        command.env_clear().env("PATH", path).env("HOME", "/root").envs(PACE.iter().copied());
        if !self.pods {
            command.env(NO_PODS.0, NO_PODS.1);
        }
        command
    }

    fn must(&self, command: &str) {
        let output = self.output(command);
        assert!(output.status.success(), "`{command}`: {}", super::said(&output));
    }
}

impl Machine for Namespace {
    fn address(&self) -> String {
        self.address.clone()
    }

    fn output(&self, command: &str) -> Output {
        let mut run = self.command();
        run.args(["sh", "-c", command]).stdin(Stdio::null()).output().expect("`nsenter` runs")
    }

    fn allow_pods(&mut self) {
        self.pods = true;
    }

    fn settings(&mut self, settings: &[(&'static str, &'static str)]) {
        self.settings = settings.to_vec();
    }

    fn start(&mut self, role: Role) {
        let mut buffer = [0; 4096];
        while self.notices.recv(&mut buffer).is_ok() {}
        self.ready.store(false, Ordering::Relaxed);
        let log = fs::File::create(self.folder.path().join("log")).expect("a log");
        let errors = log.try_clone().expect("a log");
        let mut command = self.command();
        command.env("NOTIFY_SOCKET", self.folder.path().join("notify"));
        command.envs(self.settings.iter().copied());
        command.args(["k3s", role.verb()]).stdin(Stdio::null()).stdout(log).stderr(errors);
        self.running = Some(command.process_group(0).spawn().expect("k3s starts"));
    }

    fn stop(&mut self) {
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

    fn kill(&mut self) {
        if let Some(mut child) = self.running.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn ended(&mut self) -> Option<i32> {
        let child = self.running.as_mut().expect("k3s was started");
        child.try_wait().expect("its state").map(|status| status.code().unwrap_or(-1))
    }

    fn notified(&self) -> bool {
        let mut buffer = [0; 4096];
        while let Ok(length) = self.notices.recv(&mut buffer) {
            if String::from_utf8_lossy(&buffer[..length]).contains("READY=1") {
                self.ready.store(true, Ordering::Relaxed);
            }
        }
        self.ready.load(Ordering::Relaxed)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn beside(&self, name: &str) -> Box<dyn Machine> {
        let mut other = Self::new(name);
        let number = self.beside.fetch_add(1, Ordering::Relaxed);
        other.address = format!("10.213.0.{number}");
        let pid = other.holder.id();
        self.must(&format!(
            "ip link add w{number} type veth peer name up0 netns {pid}; ip link set w{number} master wire up"
        ));
        other.must(&format!(
            "ip link del wire; ip addr add 10.213.0.{number}/24 dev up0; ip link set up0 up; ip route add default via 10.213.0.254"
        ));
        Box::new(other)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.stop();
        // Pods outlive k3s.
        let end = "ip netns pids \"${pod##*/}\" | xargs -r kill";
        self.output(&format!("for pod in /run/netns/cni-*; do [ ! -e \"$pod\" ] || {end}; done"));
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
