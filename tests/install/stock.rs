//! A server with releases of a program that only says its version.

use std::fs;
use std::path::Path;
use std::process::Command;

use lab::Releases;
use oceanid::secret;
use tempfile::TempDir;

/// Releases, and the keys that they are signed with.
pub struct Stock {
    pub server: Releases,
    /// For what they are built.
    pub target: &'static str,
    folder: TempDir,
}

impl Stock {
    /// An empty one.
    pub fn new(target: &'static str) -> Self {
        let server = Releases::start(([127, 0, 0, 1], 0).into()).expect("a port");
        let stock = Self { server, target, folder: tempfile::tempdir().expect("a folder") };
        for name in ["ours", "theirs"] {
            let (public, secret) = (stock.key(name, "pub"), stock.key(name, "key"));
            run(Command::new("minisign").args(["-G", "-W", "-p", &public, "-s", &secret]));
        }
        stock
    }

    fn key(&self, name: &str, kind: &str) -> String {
        self.folder.path().join(format!("{name}.{kind}")).display().to_string()
    }

    /// The public key that release builds would carry.
    pub fn public_key(&self) -> String {
        let text = fs::read_to_string(self.key("ours", "pub")).expect("minisign wrote it");
        text.lines().nth(1).expect("the second line is the key").to_owned()
    }

    /// The release of `version`, signed, also as the newest.
    pub fn release(&self, version: &str) {
        self.publish(version, &format!("#!/bin/sh\nprintf 'oceanid {version}\\n'\n"));
    }

    /// A release of `version` in which the program is `program`.
    pub fn publish(&self, version: &str, program: &str) {
        let name = self.name(version);
        let archive = self.archive(version, program);
        let other = name.replace(self.target, "aarch64-apple-darwin");
        let sum = secret::sha256(&archive);
        self.server.add(&format!("/download/v{version}/{name}"), archive);
        // Names that hold the right one are there to be taken for it.
        self.sums(
            version,
            &format!(
                "{0}  {other}\n{0}  {name}.sig\n{0}  x{name}\n{sum}  {name}\n{0}  SBOM of {name}\n",
                "0".repeat(64)
            ),
        );
    }

    /// The archive's name.
    pub fn name(&self, version: &str) -> String {
        format!("oceanid-{version}-{}.tar.gz", self.target)
    }

    fn archive(&self, version: &str, program: &str) -> Vec<u8> {
        let stem = format!("oceanid-{version}-{}", self.target);
        let (folder, archive) =
            (self.folder.path().join(&stem), self.folder.path().join("archive"));
        fs::create_dir_all(&folder).expect("ours");
        fs::write(folder.join("LICENSE"), "MIT").expect("ours");
        fs::write(folder.join("oceanid"), program).expect("ours");
        let mut command = Command::new("tar");
        run(command
            .arg("-C")
            .arg(self.folder.path())
            .args(["--mtime=@0", "--use-compress-program=gzip -n", "-cf"])
            .arg(&archive)
            .arg(&stem));
        fs::read(archive).expect("tar wrote it")
    }

    /// Publishes `sums` for `version`, signed.
    pub fn sums(&self, version: &str, sums: &str) {
        self.sign(version, sums, "ours");
        for folder in [format!("/download/v{version}"), String::from("/latest/download")] {
            self.server.add(&format!("{folder}/SHA256SUMS"), sums.as_bytes().to_vec());
        }
    }

    /// Publishes a signature over `sums` for `version`.
    pub fn sign(&self, version: &str, sums: &str, key: &str) {
        let path = self.folder.path().join("SHA256SUMS");
        fs::write(&path, sums).expect("ours");
        run(Command::new("minisign").args(["-S", "-s", &self.key(key, "key"), "-m"]).arg(&path));
        let signature = fs::read(self.folder.path().join("SHA256SUMS.minisig")).expect("signed");
        self.server.add(&format!("/download/v{version}/SHA256SUMS.minisig"), signature);
    }

    /// The SHA-256 of the archive that a list of sums is to name.
    pub fn sum_of(&self, version: &str, program: &str) -> String {
        secret::sha256(&self.archive(version, program))
    }
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What is in `folder`, hidden files too.
pub fn listed(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("readable");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("readable").file_name().display().to_string()).collect();
    names.sort();
    names
}

/// `told` without the SHA-256 sums, which a snapshot need not repeat.
pub fn sums_hidden(told: &str) -> String {
    let sum = |word: &str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let words = told.split_inclusive([' ', ',', '\n']).map(|word| {
        let bare = word.trim_end_matches([' ', ',', '\n']);
        if sum(bare) { word.replace(bare, "<sum>") } else { word.to_owned() }
    });
    words.collect()
}
