//! A remote that is this machine, with a state folder of its own: needs root, for its mounts.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use oceanid::remote::{Output, Progress, Remote, RemoteError};
use oceanid::report::{Event, Observer};
use oceanid::script::{Body, PROGRESS_MARK, Script};
use oceanid::secret;
use tempfile::TempDir;

/// Hears nothing.
#[derive(Debug)]
pub struct Deaf;

impl Observer for Deaf {
    fn on(&self, _: &Event<'_>) {}
}

/// This machine under one kind of `sh`; `/var/lib/oceanid` is a folder of the test.
#[derive(Debug)]
pub struct Here {
    shell: &'static str,
    state: TempDir,
    /// Where the test's things are.
    pub root: TempDir,
}

impl Here {
    pub fn new(shell: &'static str) -> Self {
        fs::create_dir_all("/var/lib/oceanid").expect("the tests run as root");
        let folder = || tempfile::Builder::new().prefix("oceanid-laws").tempdir_in("/var/tmp");
        Self { shell, state: folder().expect("folder"), root: folder().expect("folder") }
    }

    /// A path below the test's folder.
    pub fn path(&self, name: &str) -> String {
        self.root.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    /// A file that oceanid keeps on the host.
    pub fn state(&self, name: &str) -> PathBuf {
        self.state.path().join(name)
    }

    /// The only receipt.
    pub fn receipt(&self) -> String {
        let entry = fs::read_dir(self.state("receipts")).expect("receipts").next().expect("one");
        fs::read_to_string(entry.expect("readable").path()).expect("readable")
    }

    /// Everything below the test's folder: kind, mode, owner and content by path.
    pub fn tree(&self) -> BTreeMap<String, String> {
        let mut tree = BTreeMap::new();
        list(self.root.path(), &mut tree);
        tree
    }
}

fn list(folder: &Path, tree: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        let meta = fs::symlink_metadata(&path).expect("there");
        let mode = meta.permissions().mode();
        let mut line = format!("{mode:o} {}:{}", meta.uid(), meta.gid());
        if meta.is_file() {
            line = format!("{line} {}", secret::sha256(&fs::read(&path).expect("readable")));
        }
        tree.insert(path.to_str().expect("UTF-8").to_owned(), line);
        if meta.is_dir() {
            list(&path, tree);
        }
    }
}

impl Remote for Here {
    async fn run(&self, script: &Script, progress: &Progress<'_>) -> Result<Output, RemoteError> {
        let shell = format!("/bin/{}", self.shell);
        let text = script.text().replace("/bin/sh ", &format!("{shell} "));
        let mut child = Command::new("unshare")
            .args([
                "-m",
                "sh",
                "-c",
                "mount --bind \"$1\" /var/lib/oceanid && exec \"$2\" -c \"$3\"",
                "sh",
            ])
            .arg(self.state.path())
            .args([&shell, &text])
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("unshare runs");
        let mut stdin = child.stdin.take().expect("piped");
        let body = match script.body() {
            Body::Empty | Body::Later => Vec::new(),
            Body::File(path) => fs::read(path).expect("readable"),
            Body::Text(text) => text.as_bytes().to_vec(),
            Body::Secret(secret) => secret::bytes(secret).to_vec(),
        };
        // A script may end without reading all of it.
        drop(stdin.write_all(&body));
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        for line in stderr.lines().filter_map(|line| line.strip_prefix(PROGRESS_MARK)) {
            progress(line);
        }
        Ok(Output {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr,
        })
    }

    async fn again(&self) -> Result<Self, RemoteError> {
        Err(RemoteError::Local("there is one here only".to_owned()))
    }
}
