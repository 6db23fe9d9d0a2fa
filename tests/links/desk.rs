//! An operator's desk: a HOME, a cluster.toml, the shipped program, and a terminal.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use lab::{Host, Lab};
use tempfile::TempDir;

/// A folder with `.ssh`, from which the program is run.
pub struct Desk {
    folder: TempDir,
    key: PathBuf,
    /// What differs from run to run, and how snapshots call it.
    names: Vec<(String, String)>,
}

/// A node of cluster.toml.
#[derive(Clone)]
pub struct Node {
    name: String,
    keys: Vec<(String, String)>,
}

/// What the program left behind.
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

/// What was to be seen on a terminal.
pub struct Screen {
    pub code: i32,
    pub text: String,
    pub asked: usize,
}

impl Node {
    pub fn of(host: &Host) -> Self {
        let node = Self { name: host.name().to_owned(), keys: Vec::new() };
        node.address(&host.address.to_string()).user(&host.spec.login.user)
    }

    /// Sets a key to a TOML value.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.keys.retain(|(known, _)| known != key);
        self.keys.push((key.to_owned(), value.to_owned()));
        self
    }

    pub fn address(self, address: &str) -> Self {
        self.set("address", &format!("'{address}'"))
    }

    pub fn user(self, user: &str) -> Self {
        self.set("user", &format!("'{user}'"))
    }

    pub fn port(self, port: u16) -> Self {
        self.set("port", &port.to_string())
    }

    pub fn key(self, path: &Path) -> Self {
        self.set("keys", &format!("['{}']", path.display()))
    }
}

impl Desk {
    pub fn new(lab: &Lab) -> Self {
        let folder = tempfile::Builder::new().prefix("oceanid-links").tempdir().unwrap();
        let mut names: Vec<(String, String)> = lab
            .hosts()
            .iter()
            .map(|host| (host.address.to_string(), format!("<{}>", host.name())))
            .collect();
        names.push((folder.path().display().to_string(), "<home>".to_owned()));
        names.push((lab.home().display().to_string(), "<lab>".to_owned()));
        // The longest first: one address may begin another.
        names.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        let desk = Self { folder, key: lab.key(), names };
        fs::create_dir(desk.path(".ssh")).unwrap();
        desk.know(&fs::read_to_string(lab.known_hosts()).unwrap());
        desk
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes `text` all that is known of hosts.
    pub fn know(&self, text: &str) {
        fs::write(self.path(".ssh/known_hosts"), text).unwrap();
    }

    pub fn known(&self) -> String {
        fs::read_to_string(self.path(".ssh/known_hosts")).unwrap()
    }

    /// Calls `text` `name` in snapshots.
    pub fn call(&mut self, text: &str, name: &str) {
        self.names.insert(0, (text.to_owned(), name.to_owned()));
    }

    /// Names the key for the jump host where OpenSSH's client would look.
    pub fn configure_jump(&self, address: &str) {
        let text = format!("Host {address}\n  IdentityFile {}\n", self.key.display());
        fs::write(self.path(".ssh/config"), text).unwrap();
    }

    fn write(&self, nodes: &[Node]) {
        let mut text = format!(
            "[cluster]\nname = 'links'\n[k3s]\nversion = 'v1.36.3+k3s1'\n\
             [ssh]\nkeys = ['{}']\nconnect-seconds = 3\n",
            self.key.display()
        );
        for (index, node) in nodes.iter().enumerate() {
            let role = if index == 0 { "server" } else { "agent" };
            writeln!(text, "[[node]]\nname = '{}'\nrole = '{role}'", node.name).unwrap();
            for (key, value) in &node.keys {
                writeln!(text, "{key} = {value}").unwrap();
            }
        }
        fs::write(self.path("cluster.toml"), text).unwrap();
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder.path()).env_clear();
        command.env("PATH", "/usr/bin:/bin").env("HOME", self.folder.path()).env("USER", "tester");
        command.env("TERM", "xterm").env("WRONG", "open sesame").env("RIGHT", super::PASSWORD);
        command
    }

    /// Runs `oceanid facts` without a terminal.
    pub fn run(&self, nodes: &[Node]) -> Said {
        self.write(nodes);
        let mut command = self.command("timeout");
        command.args(["90", env!("CARGO_BIN_EXE_oceanid"), "facts"]).stdin(Stdio::null());
        let begun = Instant::now();
        let output = command.output().unwrap();
        Said {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            took: begun.elapsed(),
        }
    }

    /// Runs, and holds what is said against the snapshot `name`.
    #[track_caller]
    pub fn tells(&self, name: &str, nodes: &[Node], code: i32, seconds: u64) {
        let said = self.run(nodes).exits(code);
        assert!(said.took < Duration::from_secs(seconds), "{name}: {:?}", said.took);
        assert_eq!(said.stdout, "", "{name}");
        for secret in ["open sesame", super::PASSWORD] {
            assert!(!said.stderr.contains(secret), "{name}: {}", said.stderr);
        }
        insta::with_settings!({
            snapshot_path => "../snapshots",
            prepend_module_to_snapshot => false,
            omit_expression => true,
            filters => vec![
                (r"SHA256:[A-Za-z0-9+/]{43}", "SHA256:<sum>"),
                (r"127\.0\.0\.1:\d+", "127.0.0.1:<port>"),
                (r"-p \d{4,5}\b", "-p <port>"),
                (r"(within|after|in) [0-9.]+ s\b", "$1 <time>"),
                (r"[0-9.]+ s of", "<time> of"),
            ],
        }, {
            insta::assert_snapshot!(format!("links__{name}"), self.plain(&said.stderr));
        });
    }

    /// The same text whatever the lengths of addresses: unwrapped, and with names for them.
    fn plain(&self, text: &str) -> String {
        let begins = |line: &str| {
            let line = line.trim_start();
            [
                "caused by:",
                "hint:",
                "more:",
                "it shows",
                "another is",
                "marked as",
                "tried",
                "its last",
            ]
            .iter()
            .any(|start| line.starts_with(start))
        };
        let mut plain = String::new();
        let mut lines: Vec<&str> = text.lines().collect();
        // What a host does now is told as often as the clock has it, cut to the width of a line.
        lines.retain(|line| !line.contains("  failed  ") && !line.contains("  connecting  "));
        for line in lines {
            let item = line.starts_with("    /") || line.starts_with("    agent");
            if line.starts_with("  ") && !begins(line) && !item {
                plain.push(' ');
                plain.push_str(line.trim_start());
            } else {
                plain.push('\n');
                plain.push_str(line);
            }
        }
        for (text, name) in &self.names {
            plain = plain.replace(text, name);
        }
        plain.trim().to_owned()
    }

    /// Runs `oceanid facts` at a terminal, and answers each question when it has been asked.
    pub fn type_at(&self, nodes: &[Node], answers: &[(&str, &str)]) -> Screen {
        self.write(nodes);
        let program = format!("timeout --foreground 60 {} facts", env!("CARGO_BIN_EXE_oceanid"));
        let mut command = self.command("script");
        command.args(["-qec", &program, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (mut keyboard, mut stdout) =
            (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let seen = Arc::new(Mutex::new(String::new()));
        let screen = Arc::clone(&seen);
        let reader = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stdout.read(&mut buffer) {
                screen.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        });
        for (question, answer) in answers {
            let begun = Instant::now();
            while !seen.lock().unwrap().contains(question) {
                assert!(begun.elapsed() < Duration::from_secs(30), "{}", seen.lock().unwrap());
                thread::sleep(Duration::from_millis(20));
            }
            // The question is there before the terminal is told not to echo.
            thread::sleep(Duration::from_millis(300));
            keyboard.write_all(answer.as_bytes()).unwrap();
        }
        let status = child.wait().unwrap();
        reader.join().unwrap();
        let text = seen.lock().unwrap().clone();
        Screen { code: status.code().unwrap_or(-1), text, asked: answers.len() }
    }
}

impl Said {
    /// Fails with everything that was said unless the exit status is `code`.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

pub fn keygen(path: &Path, passphrase: &str) {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", "ed25519", "-C", "test", "-N", passphrase, "-f"]).arg(path);
    assert!(command.status().unwrap().success());
}
