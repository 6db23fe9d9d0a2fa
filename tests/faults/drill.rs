//! A cluster of lab hosts on which oceanid is run, watched and stopped at chosen moments.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use lab::{Host, Lab};
use serde_json::Value;

/// How long any run of a drill may take.
pub const RUN: Duration = Duration::from_secs(150);

/// Sections of the example that have nothing to do with these drills.
const APART: &[&str] = &["gpu", "triton", "tunnel"];

/// Some hosts of a lab as one cluster, with a folder of its own.
pub struct Site<'a> {
    pub lab: &'a Lab,
    pub table: toml::Table,
    pub file: PathBuf,
}

/// What a run came to.
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

/// A run that goes on and tells its events.
pub struct Watched {
    child: Child,
    events: Receiver<Value>,
    pub seen: Vec<Value>,
    begun: Instant,
}

impl Outcome {
    /// What it said on stderr, without the breaks of lines.
    pub fn said(&self) -> String {
        self.stderr.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

impl<'a> Site<'a> {
    /// The cluster of `names`; the first is its server.
    pub fn new(lab: &'a Lab, names: &[&str]) -> Self {
        let mut text = lab.cluster_toml().expect("a cluster.toml");
        text.leave_unhardened();
        let text = text.to_string();
        let mut table: toml::Table = text.parse().expect("TOML");
        table.retain(|key, _| !APART.contains(&key));
        let nodes = table.get_mut("node").and_then(toml::Value::as_array_mut).expect("nodes");
        nodes.retain(|node| names.contains(&node["name"].as_str().expect("a name")));
        for node in nodes {
            let node = node.as_table_mut().expect("a table");
            let server = node["name"].as_str() == names.first().copied();
            let role = if server { "server" } else { "agent" };
            node.insert("role".into(), role.into());
            let mut labels = toml::Table::new();
            labels.insert("oceanid.node/drill".into(), "yes".into());
            node.insert("labels".into(), labels.into());
        }
        let folder = lab.dir().join(format!("site-{}", names.join("-")));
        fs::create_dir_all(&folder).expect("a folder");
        let site = Self { lab, table, file: folder.join("cluster.toml") };
        site.write();
        site
    }

    /// Sets `[section] key = value` and writes the file.
    pub fn set(&mut self, section: &str, key: &str, value: impl Into<toml::Value>) {
        let section = self.table.entry(section).or_insert_with(|| toml::Table::new().into());
        section.as_table_mut().expect("a section").insert(key.into(), value.into());
        self.write();
    }

    /// Takes `[section] key` out and writes the file.
    pub fn unset(&mut self, section: &str, key: &str) {
        self.table[section].as_table_mut().expect("a section").remove(key);
        self.write();
    }

    fn write(&self) {
        fs::write(&self.file, toml::to_string(&self.table).expect("TOML")).expect("writable");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oceanid"));
        command.args(arguments).arg("--file").arg(&self.file).env_clear();
        command.env("PATH", "/usr/bin:/bin").env("USER", "operator").envs(self.lab.environment());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs oceanid to its end, which must come within [`RUN`].
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        let begun = Instant::now();
        let mut child = self.command(arguments).spawn().expect("oceanid starts");
        let (mut out, mut err) =
            (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        let read = std::thread::spawn(move || {
            let mut text = String::new();
            out.read_to_string(&mut text).map(|_| text).expect("UTF-8")
        });
        let talk = std::thread::spawn(move || {
            let mut text = String::new();
            err.read_to_string(&mut text).map(|_| text).expect("UTF-8")
        });
        let code = end(&mut child, begun + RUN);
        let took = begun.elapsed();
        let (stdout, stderr) = (read.join().expect("read"), talk.join().expect("read"));
        assert!(took < RUN, "`oceanid {}` hangs\n{stdout}{stderr}", arguments.join(" "));
        Outcome { code, stdout, stderr, took }
    }

    /// Starts `oceanid bootstrap --yes` and listens.
    pub fn watch(&self) -> Watched {
        self.watch_only(&[])
    }

    /// As [`Site::watch`], with further arguments.
    pub fn watch_only(&self, further: &[&str]) -> Watched {
        let arguments = [&["bootstrap", "--yes", "--json"], further].concat();
        let mut command = self.command(&arguments);
        let mut child = command.stderr(Stdio::inherit()).spawn().expect("oceanid starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let (sender, events) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let event = serde_json::from_str(&line).expect("every line is JSON");
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        Watched { child, events, seen: Vec::new(), begun: Instant::now() }
    }

    /// Bootstraps, and nothing may go wrong.
    pub fn converge(&self) -> Outcome {
        let outcome = self.run(&["bootstrap", "--yes"]);
        assert_eq!(outcome.code, Some(0), "bootstrap must converge:\n{}", outcome.stderr);
        outcome
    }

    /// The cluster is as cluster.toml says, nothing is left lying about, and nobody else may look.
    pub fn assert_whole(&self, names: &[&str]) {
        let verified = self.run(&["verify"]);
        let said = format!("{}{}", verified.stdout, verified.stderr);
        assert_eq!(verified.code, Some(0), "verify finds drift:\n{said}");
        for name in names {
            assert_clean(self.lab.host(name));
        }
    }
}

/// No half-written file, no lock, and the state is for root alone.
pub fn assert_clean(host: &Host) {
    assert_eq!(strays(host), "", "half-written files on {}", host.name());
    let lock = host.exec("cat /var/lib/oceanid/lock 2>/dev/null || :").expect("exec");
    assert_eq!(lock, "", "{} is still locked", host.name());
    let mode = host.exec("stat -c %a:%U /var/lib/oceanid").expect("exec");
    assert_eq!(mode.trim(), "700:root", "{}: others may look at the state", host.name());
}

/// Files that a change wrote beside the one that it was to replace.
pub fn strays(host: &Host) -> String {
    host.exec(
        "find /etc /usr/local /var/lib/oceanid -name '*.oceanid-new' -o -name '*.oceanid-old'",
    )
    .expect("exec")
}

fn end(child: &mut Child, deadline: Instant) -> Option<i32> {
    loop {
        if let Some(status) = child.try_wait().expect("our child") {
            return status.code();
        }
        if Instant::now() > deadline {
            child.kill().expect("our child");
            return child.wait().expect("our child").code();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Watched {
    /// The first event from now on that `wanted` takes; `None` when the run ends without one.
    pub fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Option<Value> {
        loop {
            let left = (self.begun + RUN).saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(event) => {
                    self.seen.push(event.clone());
                    if wanted(&event) {
                        return Some(event);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("nothing of the kind within {RUN:?}: {:#?}", self.seen)
                }
            }
        }
    }

    /// Waits for `event` about `subject`.
    pub fn reach(&mut self, event: &str, subject: &str) {
        let reached = self.until(|seen| seen["event"] == event && seen["subject"] == subject);
        assert!(reached.is_some(), "no {event} of `{subject}`: {:#?}", self.seen);
    }

    /// Waits for progress that says `part`.
    pub fn progress(&mut self, part: &str) {
        let reached = self.until(|seen| says(seen, part));
        assert!(reached.is_some(), "no progress `{part}`: {:#?}", self.seen);
    }

    /// Kills it as nothing else can be killed.
    pub fn kill(&mut self) {
        self.child.kill().expect("our child");
        self.child.wait().expect("our child");
    }

    /// Waits for the end: the exit status, and how long it took from here.
    pub fn finish(&mut self) -> (Option<i32>, Duration) {
        let from = Instant::now();
        while self.until(|_| false).is_some() {}
        (end(&mut self.child, self.begun + RUN), from.elapsed())
    }

    /// All of the failure of `host` as one text.
    pub fn failure(&self, host: &str) -> String {
        let failed = |event: &&Value| event["event"] == "host-failed" && event["host"] == host;
        let event = self.seen.iter().find(failed);
        event.unwrap_or_else(|| panic!("{host} did not fail: {:#?}", self.seen)).to_string()
    }
}

/// Whether `event` is progress that says `part`.
pub fn says(event: &Value, part: &str) -> bool {
    event["event"] == "progress" && event["text"].as_str().is_some_and(|text| text.contains(part))
}
