//! install.sh as it is run: on the standard input of a shell, in a PATH with just what it needs.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

use lab::Fault;

use crate::desk::{Desk, SHELLS, TARGET, find};
use crate::stock::{Stock, sums_hidden};

/// Runs each case on a machine of its own, and writes down what was said and what is installed then.
struct Story<'a> {
    shell: &'a [&'a str],
    downloader: &'a str,
    told: String,
}

impl Story<'_> {
    fn tell(&mut self, title: &str, stock: &Stock, change: impl FnOnce(Desk) -> Desk) -> Desk {
        let desk = change(Desk::new(self.shell, self.downloader));
        let said = desk.run(stock);
        let is = desk.version().unwrap_or_else(|| String::from("nothing"));
        let _ = writeln!(self.told, "## {title}\n{said}-> {is}\n");
        stock.server.heal();
        desk
    }

    fn again(&mut self, title: &str, stock: &Stock, desk: &Desk) {
        let said = desk.run(stock);
        let is = desk.version().unwrap_or_else(|| String::from("nothing"));
        let _ = writeln!(self.told, "## {title}\n{said}-> {is}\n");
        stock.server.heal();
    }
}

/// The ordinary life of an installation.
fn ordinary(story: &mut Story<'_>) {
    let stock = Stock::new(TARGET);
    stock.release("0.1.0");
    let desk = story.tell("fresh", &stock, |desk| desk);
    let program = fs::metadata(desk.installed().join("oceanid")).expect("installed");
    assert_eq!((program.mode() & 0o777, program.uid()), (0o755, 0));
    let before = program.ino();
    story.again("again", &stock, &desk);
    let program = fs::metadata(desk.installed().join("oceanid")).expect("installed");
    assert_eq!(program.ino(), before, "it was replaced by itself");
    stock.release("0.10.0");
    story.again("a newer release", &stock, &desk);
    stock.release("0.9.1");
    story.again("the mirror offers an older release", &stock, &desk);
    let back = desk.with("OCEANID_VERSION", "v0.9.1");
    story.again("the older release, by its version", &stock, &back);
    story.tell("not root, in bash", &stock, |desk| {
        desk.owned_by_nobody().with("SHELL", "/bin/bash")
    });
    story.tell("in PATH", &stock, |desk| {
        let path = format!("{}:{}", desk.path("bin").display(), desk.installed().display());
        desk.with("PATH", path)
    });
    story.tell("in PATH after another one", &stock, |desk| {
        desk.fake("oceanid", "echo oceanid 0.0.1");
        let path = format!("{}:{}", desk.path("bin").display(), desk.installed().display());
        desk.with("PATH", path)
    });
    story.tell("over a broken program", &stock, |desk| {
        fs::create_dir_all(desk.installed()).expect("ours");
        fs::write(desk.installed().join("oceanid"), "half").expect("ours");
        desk
    });
}

/// What comes is not what was released.
fn wrong_answers(story: &mut Story<'_>) {
    let stock = Stock::new(TARGET);
    stock.release("0.1.0");
    let archive = stock.name("0.1.0");
    for (title, file, fault) in [
        ("a tampered archive", archive.as_str(), Fault::WrongBytes),
        ("a truncated archive", &archive, Fault::Truncated(100)),
        ("a page for the archive", &archive, Fault::Html),
        ("no archive", &archive, Fault::Status(404)),
        ("a page for the sums", "SHA256SUMS", Fault::Html),
        ("no sums", "SHA256SUMS", Fault::Status(404)),
        ("an error for the sums", "SHA256SUMS", Fault::Status(403)),
        ("truncated sums", "SHA256SUMS", Fault::Truncated(200)),
    ] {
        stock.server.fault(file, fault);
        story.tell(title, &stock, |desk| desk);
    }
    story.tell("no such version", &stock, |desk| desk.with("OCEANID_VERSION", "9.9.9"));
    let good = stock.sum_of("0.1.0", "#!/bin/sh\n");
    for (title, line) in [
        ("the sum of something else", format!("{}  {archive}", "a".repeat(64))),
        ("a sum that is none", format!("{}  {archive}", "a".repeat(63))),
        ("two sums", format!("{good}  {archive}\n{}  {archive}", "a".repeat(64))),
        ("two versions", format!("{good}  {archive}\n{good}  {}", stock.name("0.2.0"))),
        (
            "only names that hold the right one",
            format!("{good}  x{archive}\n{good}  {archive}.sig"),
        ),
        ("a version that leads elsewhere", format!("{good}  {}", stock.name("../../1.2.3"))),
        ("nothing for this target", format!("{good}  oceanid-0.1.0-riscv64.tar.gz")),
    ] {
        stock.sums("0.1.0", &format!("{line}\n"));
        story.tell(title, &stock, |desk| desk);
    }
    stock.publish("0.1.0", "#!/bin/sh\necho oceanid 0.0.9\n");
    story.tell("another version in the archive", &stock, |desk| desk);
    stock.publish("0.1.0", "#!/bin/sh\necho 'no such instruction' >&2\nexit 132\n");
    story.tell("a program that does not run", &stock, |desk| desk);
}

/// The machine is not as it should be.
fn wrong_machines(story: &mut Story<'_>) {
    let stock = Stock::new(TARGET);
    stock.release("0.1.0");
    story.tell("a folder of root's", &stock, |desk| {
        fs::create_dir(desk.path("usr")).expect("ours");
        let folder = desk.path("usr").display().to_string();
        desk.owned_by_nobody().with("OCEANID_INSTALL_DIR", folder)
    });
    story.tell("a folder that cannot be made", &stock, |desk| {
        desk.owned_by_nobody().with("OCEANID_INSTALL_DIR", "/usr/oceanid/bin")
    });
    story.tell("a folder in the program's place", &stock, |desk| {
        fs::create_dir_all(desk.installed().join("oceanid")).expect("ours");
        let folder = desk.installed().display().to_string();
        desk.with("OCEANID_INSTALL_DIR", folder)
    });
    story.tell("no home", &stock, |desk| desk.with("HOME", ""));
    story.tell("no address", &stock, |desk| desk.with("OCEANID_BASE_URL", "mirror"));
    story.tell("no version", &stock, |desk| desk.with("OCEANID_VERSION", "../0.1.0"));
    story.tell("no server", &stock, |desk| desk.with("OCEANID_BASE_URL", "http://127.0.0.1:1"));
    for (system, machine) in [
        ("Linux", "riscv64"),
        ("Linux", "i686"),
        ("FreeBSD", "amd64"),
        ("MINGW64_NT-10.0", "x86_64"),
        ("Linux", "aarch64"),
        ("Darwin", "arm64"),
    ] {
        story.tell(&format!("{system} on {machine}"), &stock, |desk| {
            desk.fake(
                "uname",
                &format!("case $1 in -s) echo {system} ;; *) echo {machine} ;; esac"),
            );
            desk
        });
    }
    story.tell("an arm64 Mac with a translated shell", &stock, |desk| {
        desk.fake("uname", "case $1 in -s) echo Darwin ;; *) echo x86_64 ;; esac");
        desk.fake("sysctl", "echo 1");
        desk
    });
    for tools in [&["curl"][..], &["sha256sum"], &["tar"]] {
        story.tell(&format!("no {}", tools.join(", no ")), &stock, |desk| {
            for tool in tools {
                fs::remove_file(desk.path("bin").join(tool)).expect("it was there");
            }
            desk
        });
    }
    for (other, program) in [("shasum", "perl"), ("openssl", "openssl")] {
        story.tell(&format!("{other} in place of sha256sum"), &stock, |desk| {
            fs::remove_file(desk.path("bin/sha256sum")).expect("it was there");
            desk.tool(program, &find(program));
            desk.tool(other, &find(other));
            desk
        });
    }
}

/// Every shell says the same to the letter.
fn told_alike(play: fn(&mut Story<'_>)) -> String {
    let told = SHELLS.map(|shell| {
        let mut story = Story { shell, downloader: "curl", told: String::new() };
        play(&mut story);
        story.told
    });
    let [dash, others @ ..] = told;
    for (other, shell) in others.iter().zip(&SHELLS[1..]) {
        assert_eq!(&dash, other, "dash and {shell:?}");
    }
    dash
}

#[test]
fn it_installs_upgrades_and_says_what_is_next_in_every_shell() {
    insta::assert_snapshot!(sums_hidden(&told_alike(ordinary)));
}

#[test]
fn it_refuses_what_was_not_released_in_every_shell() {
    insta::assert_snapshot!(sums_hidden(&told_alike(wrong_answers)));
}

#[test]
fn it_says_what_a_machine_lacks_in_every_shell() {
    insta::assert_snapshot!(sums_hidden(&told_alike(wrong_machines)));
}
