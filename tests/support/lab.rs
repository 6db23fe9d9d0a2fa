//! An operator before a lab: runs the program that is shipped, and reads what it said.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use lab::{Lab, Topology};
use serde_json::Value;

/// How long one command of the operator may take.
const LIMIT: &str = "240";

/// A lab, and the folder with its cluster.toml.
#[derive(Debug)]
pub struct Operator {
    pub lab: Lab,
    pub folder: PathBuf,
}

/// What the program left behind.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Operator {
    /// Boots the hosts and writes their cluster.toml, without the hardening.
    pub fn before(topology: Topology) -> Self {
        let operator = Self::hardening(topology);
        let mut toml = operator.lab.cluster_toml().expect("the releases are served");
        toml.leave_unhardened();
        let harden = toml.document["harden"].to_string();
        operator.edit(|table| {
            let harden: toml::Table = harden.parse().expect("TOML");
            table.insert("harden".to_owned(), harden.into());
        });
        operator
    }

    /// Boots the hosts and writes their cluster.toml, as it is meant for users.
    pub fn hardening(topology: Topology) -> Self {
        let lab = Lab::up(topology).expect("the lab comes up");
        let folder = lab.dir().join("operator");
        fs::create_dir(&folder).expect("the lab's folder is ours");
        let operator = Self { lab, folder };
        let toml = operator.lab.cluster_toml().expect("the releases are served").to_string();
        fs::write(operator.file(), toml).expect("the lab's folder is ours");
        operator
    }

    pub fn file(&self) -> PathBuf {
        self.folder.join("cluster.toml")
    }

    /// The program with `arguments`, in the operator's environment and with a deadline.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.program(env!("CARGO_BIN_EXE_oceanid"), arguments)
    }

    /// Another program, likewise.
    pub fn program(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command
            .args(["--foreground", LIMIT, program])
            .args(arguments)
            .current_dir(&self.folder)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("USER", "tester")
            .envs(self.lab.environment())
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Said {
        Said::of(self.command(arguments))
    }

    /// Changes cluster.toml.
    pub fn edit(&self, change: impl FnOnce(&mut toml::Table)) {
        let text = fs::read_to_string(self.file()).expect("written before");
        let mut table = text.parse().expect("the lab writes TOML");
        change(&mut table);
        let text = toml::to_string(&table).expect("it was TOML before");
        fs::write(self.file(), text).expect("the lab's folder is ours");
    }
}

impl Said {
    pub fn of(mut command: Command) -> Self {
        let output = command.output().expect("`timeout` starts");
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Fails with everything that was said unless the exit status is `code`.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Every event called `name` of a run with `--json`.
    #[track_caller]
    pub fn events(&self, name: &str) -> Vec<Value> {
        let lines = self.stdout.lines();
        let lines = lines.map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"));
        lines.filter(|event| event["event"] == name).collect()
    }
}
