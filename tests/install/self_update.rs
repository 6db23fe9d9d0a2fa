//! `oceanid self-update` and `version --check`: as the library with and without a key, and as typed.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use lab::Fault;
use oceanid::report::{Style, failure};
use oceanid::update::{Build, Mirror, Signature, Updated, update};
use tempfile::TempDir;

use crate::stock::{Stock, listed, sums_hidden};

const TARGET: &str = "x86_64-unknown-linux-musl";
const OLD: &str = "#!/bin/sh\necho 'oceanid 0.1.0'\n";

/// An installed program, and what it knows of itself.
struct Installed {
    folder: TempDir,
    build: Build,
}

impl Installed {
    fn new(version: &str, public_key: Option<String>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("bin")).expect("ours");
        fs::write(folder.path().join("bin/oceanid"), OLD).expect("ours");
        let version = version.parse().expect("a version");
        let build = Build { version, commit: None, target: TARGET.to_owned(), public_key };
        Self { folder, build }
    }

    fn program(&self) -> PathBuf {
        self.folder.path().join("bin/oceanid")
    }

    async fn update(&self, stock: &Stock, wanted: Option<&str>) -> anyhow::Result<Updated> {
        let mirror = Mirror::new(&stock.server.url())?;
        let wanted = wanted.map(|version| version.parse().expect("a version"));
        update(&self.build, &mirror, &self.program(), wanted.as_ref(), &|_| {}).await
    }

    /// How it complains about what it is offered; it must still be what it was.
    async fn refuses(&self, stock: &Stock, wanted: Option<&str>) -> String {
        let error = self.update(stock, wanted).await.expect_err("it took it");
        assert_eq!(fs::read_to_string(self.program()).expect("it is there"), OLD, "{error}");
        assert_eq!(listed(&self.folder.path().join("bin")), ["oceanid"], "{error}");
        let mut text = Vec::new();
        failure(&mut text, None, &error, Style::Plain).expect("written");
        let text = String::from_utf8(text).expect("UTF-8");
        text.replace(&stock.server.url(), "http://mirror")
            .replace(&self.folder.path().display().to_string(), "/desk")
    }
}

fn replaced(version: &str, signature: Signature) -> Updated {
    Updated::Replaced { version: version.parse().expect("a version"), signature }
}

#[tokio::test]
async fn it_takes_the_newest_signed_release_and_goes_back_only_when_told() {
    let stock = Stock::new(TARGET);
    stock.release("0.2.0");
    let old = Installed::new("0.1.0", Some(stock.public_key()));
    let updated = old.update(&stock, None).await.expect("it is right");
    assert_eq!(updated, replaced("0.2.0", Signature::Verified));
    assert_eq!(said(&old.program()), "oceanid 0.2.0");
    assert_eq!(listed(&old.folder.path().join("bin")), ["oceanid"]);
    let mode = fs::metadata(old.program()).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o755);

    let current = Installed::new("0.2.0", Some(stock.public_key()));
    assert_eq!(current.update(&stock, None).await.expect("it is right"), Updated::Current);
    let asked = stock.server.requests().len();
    assert_eq!(current.update(&stock, Some("0.2.0")).await.expect("it is right"), Updated::Current);
    assert_eq!(stock.server.requests().len(), asked, "nobody needs to be asked for that");

    let newer = Installed::new("0.3.0-rc.1", Some(stock.public_key()));
    insta::assert_snapshot!("back_unasked", newer.refuses(&stock, None).await);
    let updated = newer.update(&stock, Some("0.2.0")).await.expect("it was asked for");
    assert_eq!(updated, replaced("0.2.0", Signature::Verified));

    let keyless = Installed::new("0.1.0", None);
    let updated = keyless.update(&stock, None).await.expect("it is right");
    assert_eq!(updated, replaced("0.2.0", Signature::Unchecked));
    let requests = stock.server.requests();
    let signatures = requests.iter().filter(|path| path.ends_with(".minisig")).count();
    assert_eq!(signatures, 4, "without a key a signature proves nothing: {requests:?}");
}

#[tokio::test]
async fn it_refuses_everything_else_and_stays_what_it_was() {
    let mut told = String::new();
    let stock = Stock::new(TARGET);
    let signed = Installed::new("0.1.0", Some(stock.public_key()));
    let archive = stock.name("0.2.0");
    let good = format!("{}  {archive}\n", stock.sum_of("0.2.0", "#!/bin/sh\n"));
    let sums = "/download/v0.2.0/SHA256SUMS";
    for (title, file, fault) in [
        ("a tampered archive", archive.as_str(), Fault::WrongBytes),
        ("a truncated archive", &archive, Fault::Truncated(100)),
        ("a page for the archive", &archive, Fault::Html),
        ("no archive", &archive, Fault::Status(404)),
        ("a page for the newest sums", "/latest/download/SHA256SUMS", Fault::Html),
        ("no sums", sums, Fault::Status(404)),
        ("a page for the sums", sums, Fault::Html),
        ("no signature", ".minisig", Fault::Status(404)),
        ("a page for the signature", ".minisig", Fault::Html),
        ("another signature", ".minisig", Fault::WrongBytes),
    ] {
        stock.release("0.2.0");
        stock.server.fault(file, fault);
        let _ = writeln!(told, "## {title}\n{}", signed.refuses(&stock, None).await);
        stock.server.heal();
    }
    stock.release("0.2.0");
    stock.server.add(sums, format!("{good} ").into_bytes());
    let _ = writeln!(told, "## tampered sums\n{}", signed.refuses(&stock, None).await);
    stock.release("0.2.0");
    let text = format!("{}  {archive}\n", "a".repeat(64));
    stock.sums("0.2.0", &text);
    let _ =
        writeln!(told, "## signed, and of something else\n{}", signed.refuses(&stock, None).await);
    stock.sign("0.2.0", &text, "theirs");
    let _ = writeln!(told, "## signed by somebody else\n{}", signed.refuses(&stock, None).await);
    stock.sums("0.2.0", &format!("{}  {}\n", "a".repeat(64), stock.name("0.0.9")));
    let _ =
        writeln!(told, "## an old release signed\n{}", signed.refuses(&stock, Some("0.2.0")).await);
    stock.sums("0.2.0", &good.replace(TARGET, "x86_64-apple-darwin"));
    let _ = writeln!(told, "## not for this target\n{}", signed.refuses(&stock, None).await);
    stock.publish("0.2.0", "#!/bin/sh\necho oceanid 0.1.5\n");
    let _ = writeln!(told, "## another version inside\n{}", signed.refuses(&stock, None).await);
    stock.publish("0.2.0", "\u{7f}ELF that no machine runs");
    let _ =
        writeln!(told, "## a program that does not run\n{}", signed.refuses(&stock, None).await);
    let broken = Installed::new("0.1.0", Some(String::from("no key")));
    let _ = writeln!(told, "## a build with a broken key\n{}", broken.refuses(&stock, None).await);
    insta::assert_snapshot!("refused", sums_hidden(&told));
}

fn said(program: &Path) -> String {
    let output = Command::new(program).arg("--version").output().expect("it runs");
    String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
}

/// The real program, in a folder of its own.
struct Real {
    folder: TempDir,
}

impl Real {
    fn new(place: &str) -> Self {
        let built = Path::new(env!("CARGO_BIN_EXE_oceanid"));
        // Beside it: there a link is a copy that costs nothing.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("ours");
        fs::create_dir_all(folder.path().join(place)).expect("ours");
        let program = folder.path().join(place).join("oceanid");
        if fs::hard_link(built, &program).is_err() {
            fs::copy(built, &program).expect("copied");
        }
        Self { folder }
    }

    fn run(&self, place: &str, url: &str, arguments: &[&str], user: u32) -> Output {
        let mut command = Command::new(self.folder.path().join(place).join("oceanid"));
        command.args(arguments).env("OCEANID_BASE_URL", url).uid(user).gid(user);
        command.env_remove("OCEANID_VERSION").output().expect("it starts")
    }

    fn told(&self, stock: &Stock, output: &Output) -> String {
        let folder = self.folder.path().canonicalize().expect("ours").display().to_string();
        let text = format!(
            "{}{}[{}]\n",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
            output.status.code().expect("no signal")
        );
        text.replace(&stock.server.url(), "http://mirror").replace(&folder, "/desk")
    }
}

/// What this build is for; releases have no archive for it unless a test makes one.
fn this_target() -> &'static str {
    Build::this().target.leak()
}

#[test]
fn typed_it_replaces_the_program_that_runs() {
    let stock = Stock::new(this_target());
    let version = env!("CARGO_PKG_VERSION");
    let mut told = String::new();
    let real = Real::new("bin");
    let mut tell = |title: &str, real: &Real, place: &str, arguments: &[&str], user| {
        let output = real.run(place, &stock.server.url(), arguments, user);
        let text = real.told(&stock, &output).replace(stock.target, "TARGET");
        let text = text.replace(env!("CARGO_PKG_VERSION"), "THIS");
        let _ = writeln!(told, "## {title}\n{text}");
    };
    stock.release(version);
    tell("there is nothing newer", &real, "bin", &["version", "--check"], 0);
    tell("up to date", &real, "bin", &["self-update"], 0);
    stock.release("9.8.7");
    tell("there is a newer one", &real, "bin", &["version", "--check"], 0);
    tell("the same for programs", &real, "bin", &["version", "--check", "--json"], 0);
    tell("no version", &real, "bin", &["self-update", "newest"], 0);
    tell("not whose it is", &real, "bin", &["self-update"], 65534);
    let cargo = Real::new(".cargo/bin");
    tell("kept by cargo", &cargo, ".cargo/bin", &["self-update"], 0);
    tell("replaced", &real, "bin", &["self-update"], 0);
    assert_eq!(said(&real.folder.path().join("bin/oceanid")), "oceanid 9.8.7");
    let theirs = Real::new("bin");
    chown(theirs.folder.path().join("bin"), Some(65534), Some(65534)).expect("we are root");
    tell(
        "replaced by who owns it, for programs",
        &theirs,
        "bin",
        &["self-update", "--json"],
        65534,
    );
    insta::assert_snapshot!("typed", told);
}

#[test]
fn a_mirror_over_tls_must_be_known_to_the_machine() {
    let stock = Stock::new(this_target());
    stock.release(env!("CARGO_PKG_VERSION"));
    let mirror = stock.server.mirror().expect("a certificate");
    let real = Real::new("bin");
    let output = real.run("bin", &mirror.url, &["version", "--check"], 0);
    let text = real.told(&stock, &output);
    assert!(text.contains("invalid peer certificate") && text.contains("[1]"), "{text}");
    let ca = real.folder.path().join("ca.pem");
    fs::write(&ca, &mirror.ca).expect("ours");
    let mut command = Command::new(real.folder.path().join("bin/oceanid"));
    command.args(["version", "--check"]).env("OCEANID_BASE_URL", &mirror.url);
    let output = command.env("SSL_CERT_FILE", ca).output().expect("it starts");
    let text = real.told(&stock, &output);
    assert!(text.contains("there is no newer one") && text.contains("[0]"), "{text}");
}

#[test]
fn a_build_says_what_it_is_and_what_it_does_not_verify() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_oceanid")).arg("version").output().expect("it starts");
    let text = String::from_utf8(output.stdout).expect("UTF-8").replace(this_target(), "TARGET");
    let text = text.replace(env!("CARGO_PKG_VERSION"), "THIS");
    insta::assert_snapshot!("version", text);
    let mut command = Command::new(env!("CARGO_BIN_EXE_oceanid"));
    let output = command.args(["version", "--json"]).output().expect("it starts");
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(answer["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(answer["target"], this_target());
    assert_eq!(answer["public-key"], serde_json::Value::Null);
}

#[test]
fn releases_are_where_the_script_and_the_program_say() {
    let script = include_str!("../../install.sh");
    assert!(script.contains(&format!("\nreleases={}\n", oceanid::update::RELEASES)));
    assert!(script.contains(&format!(
        "curl -fsSL {}/latest/download/install.sh | sh",
        oceanid::update::RELEASES
    )));
    for target in oceanid::update::TARGETS {
        let (architecture, system) = target.split_once('-').expect("an architecture");
        assert!(script.contains(&format!("architecture={architecture}")), "{target}");
        assert!(script.contains(&format!("target=$architecture-{system}")), "{target}");
    }
}
