//! Somebody's machine: a shell, a PATH with just what install.sh needs, and a home.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::stock::{Stock, listed};

pub const SCRIPT: &str = include_str!("../../install.sh");
pub const TARGET: &str = "x86_64-unknown-linux-musl";
const TOOLS: &[&str] = &[
    "cat",
    "chmod",
    "grep",
    "gzip",
    "head",
    "mkdir",
    "mktemp",
    "mv",
    "rm",
    "sh",
    "sha256sum",
    "tail",
    "tar",
    "tr",
    "uname",
];
/// Who is not root.
const NOBODY: u32 = 65534;

/// Somebody's machine.
pub struct Desk {
    folder: TempDir,
    pub shell: Vec<String>,
    user: u32,
    environment: Vec<(&'static str, String)>,
}

impl Desk {
    pub fn new(shell: &[&str], downloader: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("ours");
        let desk = Self {
            folder,
            shell: shell.iter().map(ToString::to_string).collect(),
            user: 0,
            environment: Vec::new(),
        };
        fs::create_dir(desk.path("bin")).expect("ours");
        for tool in TOOLS.iter().copied().chain(downloader.split_whitespace()) {
            desk.tool(tool, &find(if downloader == "busybox" { "busybox" } else { tool }));
        }
        if downloader == "busybox" {
            desk.tool("wget", &find("busybox"));
        }
        desk
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn tool(&self, name: &str, program: &Path) {
        let link = self.path("bin").join(name);
        drop(fs::remove_file(&link));
        symlink(program, link).expect("ours");
    }

    /// A program of the machine that says something else than the real one.
    pub fn fake(&self, name: &str, text: &str) {
        let path = self.path("bin").join(name);
        drop(fs::remove_file(&path));
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("ours");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// Whose machine it is when it is not root's.
    pub fn owned_by_nobody(mut self) -> Self {
        fs::create_dir_all(self.path("home")).expect("ours");
        chown(self.path("home"), Some(NOBODY), Some(NOBODY)).expect("we are root");
        self.user = NOBODY;
        self
    }

    pub fn command(&self, stock: &Stock) -> Command {
        let mut command = Command::new(find(&self.shell[0]));
        command.args(&self.shell[1..]).env_clear().current_dir("/");
        command.uid(self.user).gid(self.user);
        command.env("HOME", self.path("home")).env("PATH", self.path("bin"));
        command.env("SHELL", "/bin/sh");
        command.env("OCEANID_BASE_URL", stock.server.url());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// What it says with `script` on its standard input, and its status.
    pub fn pipe(&self, stock: &Stock, script: &str) -> String {
        let mut child = self.command(stock).spawn().expect("it starts");
        // A shell that stops early does not read the rest.
        drop(child.stdin.take().expect("piped").write_all(script.as_bytes()));
        let output = child.wait_with_output().expect("it ends");
        let mut text = String::new();
        for part in [&output.stdout, &output.stderr] {
            text.push_str(&String::from_utf8_lossy(part));
        }
        let _ = writeln!(text, "[{}]", output.status.code().expect("no signal"));
        let folder = self.folder.path().display().to_string();
        text = text.replace(&stock.server.url(), "http://mirror").replace(&folder, "/desk");
        if let Some((before, (_, after))) = text
            .split_once(" after ")
            .and_then(|(before, after)| Some((before, after.split_once(" ms: ")?)))
        {
            text = format!("{before}: {after}");
        }
        text
    }

    pub fn run(&self, stock: &Stock) -> String {
        self.pipe(stock, SCRIPT)
    }

    pub fn installed(&self) -> PathBuf {
        self.path("home/.local/bin")
    }

    /// What is installed; nothing else may be left in the folder.
    pub fn version(&self) -> Option<String> {
        let folder = self.installed();
        if !folder.exists() {
            return None;
        }
        let names = listed(&folder);
        assert!(names.is_empty() || names == ["oceanid"], "{names:?}");
        names.first()?;
        if folder.join("oceanid").is_dir() {
            return Some(String::from("a folder"));
        }
        let output = Command::new(folder.join("oceanid")).output().expect("it runs");
        Some(String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned())
    }
}

pub fn find(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").expect("set");
    let mut found = std::env::split_paths(&path).map(|folder| folder.join(program));
    found.find(|path| path.exists()).expect("tests/setup.sh installs it")
}

pub const SHELLS: [&[&str]; 3] = [&["dash", "-s"], &["bash", "-s"], &["busybox", "sh", "-s"]];
