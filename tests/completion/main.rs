//! What a tab offers in bash, zsh and fish, each asked for real; and the manual pages.
#![expect(clippy::panic, reason = "a test")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use clap::CommandFactory as _;
use oceanid::cli::Cli;
use tempfile::TempDir;

const NODES: [&str; 4] = ["tethys", "styx", "meliae", "calypso"];

/// A folder with the example's cluster.toml, another one beside it, and oceanid on the path.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        fs::create_dir(path.join("bin")).expect("it is ours");
        symlink(env!("CARGO_BIN_EXE_oceanid"), path.join("bin/oceanid")).expect("it is ours");
        fs::copy("cluster.toml", path.join("cluster.toml")).expect("the example");
        let other = "[[node]]\nname = \"naiad\"\nrole = \"server\"\naddress = \"192.0.2.7\"\n";
        fs::write(path.join("other.toml"), other).expect("it is ours");
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What `shell` says when it is started with `arguments`.
    fn ask(&self, shell: &str, arguments: &[&str]) -> String {
        let path = std::env::var("PATH").expect("a path");
        let bin = self.path().join("bin");
        let output = Command::new(shell)
            .args(arguments)
            .current_dir(self.path())
            .env("PATH", format!("{}:{path}", bin.display()))
            .env("HOME", self.path())
            .env("TERM", "xterm")
            .env_remove("OCEANID_FILE")
            .output()
            .unwrap_or_else(|error| panic!("{shell} does not start: {error}; see tests/setup.sh"));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{shell}: {said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        said
    }

    /// What bash's completion function answers when the tab comes after the last of `words`.
    fn bash(&self, words: &[&str]) -> Vec<String> {
        let script = r#"source <(oceanid completions bash)
function=$(complete -p oceanid); function=${function##*-F }; function=${function%% *}
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_TYPE=9 COMP_KEY=9
"$function" oceanid "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}""#;
        let arguments = [&["--norc", "--noprofile", "-c", script, "bash"], words].concat();
        self.ask("bash", &arguments).lines().map(str::to_owned).collect()
    }

    /// What fish offers for `line`.
    fn fish(&self, line: &str) -> Vec<String> {
        let script = "oceanid completions fish | source; complete -C $argv[1]";
        let said = self.ask("fish", &["--no-config", "-c", script, line]);
        said.lines().map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect()
    }

    /// What zsh shows at a terminal after `line` and a tab.
    fn zsh(&self, line: &str) -> Vec<String> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/completion/zsh.zsh");
        let said = self.ask("zsh", &["-f", script, line]);
        let said = console::strip_ansi_codes(&said);
        let shown = said.split(|c: char| c.is_whitespace() || c.is_control());
        shown.map(str::to_owned).collect()
    }
}

fn offers(shown: &[String], wanted: &[&str]) {
    for name in wanted {
        assert!(shown.iter().any(|one| one == name), "`{name}` is not offered: {shown:?}");
    }
}

fn offers_none_of(shown: &[String], unwanted: &[&str]) {
    for name in unwanted {
        assert!(!shown.iter().any(|one| one == name), "`{name}` is offered: {shown:?}");
    }
}

#[test]
fn every_shell_offers_the_nodes_of_the_cluster_file() {
    let desk = Desk::new();
    let shown = desk.bash(&["oceanid", "join", ""]);
    assert_eq!(shown[..4], NODES, "{shown:?}");
    assert_eq!(desk.fish("oceanid join ")[..4], NODES);
    offers(&desk.zsh("oceanid join "), &NODES);
    assert_eq!(desk.bash(&["oceanid", "join", "ca"]), ["calypso"]);
    for shown in [
        desk.bash(&["oceanid", "-f", "other.toml", "join", ""]),
        desk.fish("oceanid -f other.toml join "),
        desk.zsh("oceanid --file other.toml join "),
    ] {
        offers(&shown, &["naiad"]);
        offers_none_of(&shown, &NODES);
    }
}

#[test]
fn every_shell_offers_steps_commands_and_nothing_wrong() {
    let desk = Desk::new();
    let steps = ["prepare", "ssh", "k3s-server", "k3s-agent", "harden"];
    offers(&desk.bash(&["oceanid", "plan", "--only", ""]), &steps);
    offers(&desk.fish("oceanid plan --only "), &steps);
    offers(&desk.zsh("oceanid plan --only "), &steps);
    assert_eq!(desk.bash(&["oceanid", "plan", "--only", "prepare,k3s-a"]), ["prepare,k3s-agent"]);
    for shown in [desk.bash(&["oceanid", ""]), desk.fish("oceanid "), desk.zsh("oceanid ")] {
        offers(&shown, &["bootstrap", "join", "completions"]);
        offers_none_of(&shown, &NODES);
    }
    // Where there is no cluster.toml there are no nodes, and no complaint in the middle of a line.
    fs::remove_file(desk.path().join("cluster.toml")).expect("it is ours");
    offers_none_of(&desk.bash(&["oceanid", "join", ""]), &NODES);
}

#[test]
fn every_command_has_a_manual_page_with_its_examples() {
    let desk = Desk::new();
    let said = desk.ask("oceanid", &["man", "pages"]);
    let read = |name: &str| {
        fs::read_to_string(desk.path().join("pages").join(name))
            .unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    let command = Cli::command();
    let names: Vec<String> =
        command.get_subcommands().map(|one| format!("oceanid-{}.1", one.get_name())).collect();
    assert!(said.starts_with(&format!("{} pages in pages", names.len() + 1)), "{said}");
    for name in names.iter().map(String::as_str).chain(["oceanid.1"]) {
        let page = read(name);
        assert!(page.contains(".TH oceanid"), "{name}: {page}");
        assert!(page.contains("Example"), "{name} has no example:\n{page}");
    }
    // Two builds of a release hold the same bytes.
    desk.ask("oceanid", &["man", "again"]);
    for name in &names {
        let again = fs::read_to_string(desk.path().join("again").join(name)).expect("written");
        assert_eq!(again, read(name));
    }
}
