//! A real sshd on loopback, with its own keys, home and configuration, gone when dropped.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use oceanid::cluster::{Harden, Host, Role, Ssh};
use oceanid::remote::Environment;
use tempfile::TempDir;

/// A folder with a home, keys, and the sshds that trust them.
pub struct Yard {
    pub folder: TempDir,
}

/// One running sshd.
pub struct Sshd {
    pub port: u16,
    pub log: PathBuf,
    pub folder: PathBuf,
    child: Child,
}

impl Yard {
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("oceanid-ssh").tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let yard = Self { folder };
        fs::create_dir_all(yard.home().join(".ssh")).unwrap();
        yard
    }

    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    pub fn ssh(&self, name: &str) -> PathBuf {
        self.home().join(".ssh").join(name)
    }

    /// Makes a key pair at `~/.ssh/NAME`, and lets it in everywhere.
    pub fn key(&self, name: &str, kind: &str, passphrase: &str) -> PathBuf {
        let path = self.stranger(name, kind, passphrase);
        self.authorize(&fs::read_to_string(path.with_file_name(format!("{name}.pub"))).unwrap());
        path
    }

    /// Makes a key pair that is let in nowhere.
    pub fn stranger(&self, name: &str, kind: &str, passphrase: &str) -> PathBuf {
        let path = self.ssh(name);
        keygen(&path, kind, passphrase);
        path
    }

    pub fn authorize(&self, line: &str) {
        let path = self.folder.path().join("authorized_keys");
        let mut text = fs::read_to_string(&path).unwrap_or_default();
        writeln!(text, "{}", line.trim_end()).unwrap();
        fs::write(&path, text).unwrap();
    }

    pub fn environment(&self) -> Environment {
        Environment { home: self.home(), user: "root".into(), agent: None, system_config: None }
    }

    /// A host at `port` that cluster.toml would describe with `keys`.
    pub fn host(&self, name: &str, port: u16, keys: &[&Path]) -> Host {
        Host {
            name: name.into(),
            role: Role::Agent,
            address: "127.0.0.1".into(),
            local: false,
            ssh: Ssh {
                user: Some("root".into()),
                port: Some(port),
                keys: keys.iter().map(|path| self.home().join(path)).collect(),
                connect: Duration::from_secs(2),
                ..Ssh::default()
            },
            node_ip: None,
            external_ip: None,
            interface: None,
            labels: BTreeMap::new(),
            taints: Vec::new(),
            gpu: false,
            site: None,
            behind_nat: false,
            harden: Harden::default(),
        }
    }

    /// Starts an sshd and writes its key into `known_hosts`.
    pub fn sshd(&self, name: &str, extra: &str) -> Sshd {
        let sshd = self.unknown_sshd(name, extra);
        self.know(&sshd, "ed25519");
        sshd
    }

    /// Writes the key of that kind into `known_hosts`.
    pub fn know(&self, sshd: &Sshd, kind: &str) {
        let key = sshd.host_key(kind);
        let path = self.ssh("known_hosts");
        let mut text = fs::read_to_string(&path).unwrap_or_default();
        writeln!(text, "[127.0.0.1]:{} {key}", sshd.port).unwrap();
        fs::write(&path, text).unwrap();
    }

    pub fn unknown_sshd(&self, name: &str, extra: &str) -> Sshd {
        self.sshd_at(name, free_port(), extra, &[])
    }

    /// Starts an sshd; `wrap` is a command that starts it, such as `unshare -m`.
    pub fn sshd_at(&self, name: &str, port: u16, extra: &str, wrap: &[&str]) -> Sshd {
        let folder = self.folder.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::create_dir_all("/run/sshd").unwrap();
        let mut config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nPidFile none\nUsePAM no\nStrictModes no\n\
             PermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             AuthorizedKeysFile {}\nLogLevel VERBOSE\n",
            self.folder.path().join("authorized_keys").display()
        );
        for kind in ["ed25519", "ecdsa", "rsa"] {
            let key = folder.join(format!("host_{kind}"));
            if !key.exists() {
                keygen(&key, kind, "");
            }
            if !extra.contains("HostKey ") {
                writeln!(config, "HostKey {}", key.display()).unwrap();
            }
        }
        // sshd keeps the first value that it reads.
        config.insert_str(0, &extra.replace("FOLDER", &folder.display().to_string()));
        let path = folder.join("sshd_config");
        fs::write(&path, config).unwrap();
        let log = folder.join("log");
        let mut words = wrap.to_vec();
        let (config, log_text) = (path.display().to_string(), log.display().to_string());
        words.extend(["/usr/sbin/sshd", "-D", "-f", &config, "-E", &log_text]);
        let child = Command::new(words[0])
            .args(&words[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let sshd = Sshd { port, log, folder, child };
        sshd.wait();
        sshd
    }
}

impl Sshd {
    fn wait(&self) {
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "sshd does not start: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        while !self.log().contains("Connection") {
            assert!(start.elapsed() < Duration::from_secs(10), "sshd does not log");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn count(&self, what: &str) -> usize {
        self.log().matches(what).count()
    }

    /// The public host key of that kind: algorithm and base64.
    pub fn host_key(&self, kind: &str) -> String {
        let text = fs::read_to_string(self.folder.join(format!("host_{kind}.pub"))).unwrap();
        text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    }

    pub fn fingerprint(&self, kind: &str) -> String {
        let file = self.folder.join(format!("host_{kind}.pub"));
        let output = Command::new("ssh-keygen").arg("-lf").arg(file).output().unwrap();
        String::from_utf8(output.stdout).unwrap().split_whitespace().nth(1).unwrap().to_owned()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        // Sessions are children of the listener and end when it does not: end them too.
        let children = Command::new("pgrep").arg("-P").arg(self.child.id().to_string()).output();
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Ok(output) = children {
            for id in String::from_utf8_lossy(&output.stdout).split_whitespace() {
                let _ = Command::new("kill").args(["-CONT", id]).status();
                let _ = Command::new("kill").args(["-KILL", id]).status();
            }
        }
    }
}

pub fn keygen(path: &Path, kind: &str, passphrase: &str) {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", kind, "-N", passphrase, "-C", "test", "-f"]).arg(path);
    if kind == "rsa" {
        command.args(["-b", "2048"]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
