//! What can be learned from the program alone: help, documentation, explanations; and that what they say holds.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{CommandFactory as _, Parser as _};
use insta::assert_snapshot;
use oceanid::cli::{Cli, Command as Typed};
use oceanid::report::{Exit, Kind};
use oceanid::{docs, doctor, explain, steps};
use regex::Regex;

fn said(arguments: &[&str], code: i32) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oceanid"));
    let output = command.args(arguments).env_remove("OCEANID_FILE").output().expect("it starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    format!("{}{stderr}", String::from_utf8_lossy(&output.stdout))
}

/// Every file of Rust below `folder`.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            files.push(path);
        }
    }
    files
}

/// Every name that a diagnosis, a refusal or an error is printed with.
fn printed_codes() -> BTreeSet<String> {
    let mut codes: BTreeSet<String> =
        Kind::ALL.iter().filter_map(|kind| kind.code()).map(str::to_owned).collect();
    codes.extend(doctor::CAUSES.iter().map(|cause| cause.name.to_owned()));
    // Findings and faults that are in no table are found by how they are written.
    let written = [
        Regex::new(r#"\bname: "([a-z0-9-]+)""#).expect("a pattern"),
        Regex::new(r#"Fault::new\(\s*"([a-z0-9-]+)""#).expect("a pattern"),
        Regex::new(r#"\(\s*"([a-z]+-[a-z-]+)",\s*format!"#).expect("a pattern"),
    ];
    for file in sources(Path::new("src")) {
        let path = file.display().to_string();
        let speaks = ["src/doctor", "src/path", "src/commands/doctor", "src/fleet/fitness"];
        if !speaks.iter().any(|place| path.starts_with(place)) || path.ends_with("tests.rs") {
            continue;
        }
        let text = fs::read_to_string(&file).expect("readable");
        for pattern in &written {
            codes.extend(pattern.captures_iter(&text).map(|found| found[1].to_owned()));
        }
    }
    codes
}

#[test]
fn every_code_that_is_printed_is_explained_and_no_other() {
    let printed = printed_codes();
    assert!(printed.contains("no-edge") && printed.contains("network-overlap"), "{printed:?}");
    let explained: Vec<&str> = explain::all().map(|one| one.code).collect();
    let known: BTreeSet<String> = explained.iter().map(|code| (*code).to_owned()).collect();
    assert_eq!(explained.len(), known.len(), "a code is explained twice");
    let lacking: Vec<&String> = printed.difference(&known).collect();
    assert!(lacking.is_empty(), "printed and not explained: {lacking:?}");
    let idle: Vec<&String> = known.difference(&printed).collect();
    assert!(idle.is_empty(), "explained and never printed: {idle:?}");
    for one in explain::all() {
        for text in [one.means, one.why, one.then] {
            assert!(text.ends_with('.'), "{}: {text}", one.code);
        }
    }
    // The words of JSON are the words that are explained.
    for kind in Kind::ALL {
        let word = serde_json::to_value(kind).expect("a word");
        assert_eq!(word.as_str(), kind.code());
    }
}

#[test]
fn every_step_and_every_exit_code_is_explained() {
    for entry in steps::ALL {
        let text = docs::render(Some(entry.name)).expect("it is known");
        assert!(text.contains(&format!("step {}\n", entry.name)), "{text}");
        let more = text.split("step ").last().expect("it").lines().count();
        assert!(more > 6, "`{}` has no text of its own:\n{text}", entry.name);
    }
    let help = said(&["--help"], 0);
    let table = docs::render(Some("exit-codes")).expect("it is known");
    for exit in Exit::ALL {
        let row = format!("\n  {:<4} ", exit.code());
        assert!(help.contains(&row) && table.contains(&row), "{row}:\n{help}\n{table}");
    }
}

#[test]
fn documentation_and_explanations_are_as_they_were_proofread() {
    let topics = ["steps", "exit-codes", "k3s-agent", "firewall", "ssh"];
    let mut text = String::new();
    for topic in topics {
        let _ = write!(text, "$ oceanid docs {topic}\n{}\n", said(&["docs", topic], 0));
    }
    let _ = write!(text, "$ oceanid docs stpes\n{}\n", said(&["docs", "stpes"], 64));
    let _ =
        write!(text, "$ oceanid explain wrong-tokn\n{}\n", said(&["explain", "wrong-tokn"], 64));
    for one in explain::all() {
        let _ =
            write!(text, "$ oceanid explain {}\n{}\n", one.code, said(&["explain", one.code], 0));
    }
    assert_snapshot!("documentation", text);
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "too wide: {line}");
    }
}

#[test]
fn every_help_is_as_it_was_proofread_and_has_an_example() {
    let mut text = said(&["--help"], 0);
    for command in Cli::command().get_subcommands() {
        let name = command.get_name();
        let help = said(&[name, "--help"], 0);
        assert!(help.contains("Example"), "{name} has no example:\n{help}");
        let _ = write!(text, "\n$ oceanid {name} --help\n{help}");
    }
    assert_snapshot!("help", text);
}

/// The commands of oceanid in a line of shell: what is before and after pipes and conditions.
fn commands(line: &str) -> Vec<Vec<String>> {
    let line = line.split("  #").next().unwrap_or_default();
    let parts = line.replace("||", "\n").replace("&&", "\n").replace(['|', ';'], "\n");
    let parse = |part: &str| -> Option<Vec<String>> {
        let part = part.trim();
        let part = part.split(['>', '<']).next()?.trim();
        let words = shell_words(part);
        (words.first()? == "oceanid").then_some(words)
    };
    parts.lines().filter_map(parse).collect()
}

fn shell_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, ' ') if word.is_empty() => {}
            (None, ' ') => words.push(std::mem::take(&mut word)),
            (_, c) => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// What a person would put in the place of a word in capitals.
fn filled(words: &[String]) -> Vec<String> {
    let fill = |word: &String| match word.trim_matches(['[', ']', '…']) {
        "NODE" => String::from("calypso"),
        "KEY" => String::from("node.jump"),
        "STEP" => String::from("k3s-agent"),
        "CODE" => String::from("wrong-token"),
        "FILE" => String::from("cluster.toml"),
        "DIR" => String::from("man"),
        "RUN" => String::from("20261101T101500Z-1f2e3d"),
        word => word.to_owned(),
    };
    words.iter().map(fill).collect()
}

/// The command line is taken, and its nodes, steps, topics and codes are there.
#[track_caller]
fn holds(words: &[String], place: &str) {
    let words = filled(words);
    let line = words.join(" ");
    let parsed = Cli::try_parse_from(&words);
    let error = parsed.as_ref().err().filter(|error| error.use_stderr());
    assert!(
        error.is_none(),
        "{place}: `{line}`: {}",
        error.map(ToString::to_string).unwrap_or_default()
    );
    let Ok(cli) = parsed else { return };
    match &cli.command {
        Typed::Docs { topic: Some(topic) } => drop(docs::render(Some(topic)).expect(&line)),
        Typed::Explain { code: Some(code) } => drop(explain::render(Some(code)).expect(&line)),
        _ => {}
    }
    let example = fs::read_to_string("cluster.toml").expect("the example");
    let cluster = oceanid::config::parse("cluster.toml", &example).expect("valid").cluster;
    let (nodes, only): (&[String], &[String]) = match &cli.command {
        Typed::Plan { target, .. } | Typed::Bootstrap { target, .. } | Typed::Verify { target } => {
            (&target.nodes, &target.steps.only)
        }
        Typed::Join { nodes, steps, .. } => (nodes, &steps.only),
        Typed::Facts { nodes }
        | Typed::Doctor { nodes }
        | Typed::Unlock { nodes }
        | Typed::Rollback { nodes, .. } => (nodes, &[]),
        _ => (&[], &[]),
    };
    for node in nodes {
        assert!(cluster.host(node).is_some(), "{place}: `{line}`: no node `{node}` in the example");
    }
    for step in only {
        let known = steps::ALL.iter().any(|entry| entry.name == step)
            || steps::GROUPS.iter().any(|(name, _)| name == step);
        assert!(known, "{place}: `{line}`: no step `{step}`");
    }
}

#[test]
fn every_example_in_a_help_is_a_command_that_is_taken() {
    let root = Cli::command();
    let mut count = 0;
    for command in root.get_subcommands().chain([&root]) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let examples = help.split("Example").nth(1).unwrap_or_default();
        for words in examples.lines().flat_map(commands) {
            // In the help of all, what it does stands beside it.
            let words: Vec<String> = if command.get_name() == "oceanid" {
                let line = words.join(" ");
                shell_words(&line)
                    .into_iter()
                    .take_while(|word| {
                        word != "check" && word != "show" && word != "bring" && word != "look"
                    })
                    .collect()
            } else {
                words
            };
            holds(&words, command.get_name());
            count += 1;
        }
    }
    assert!(count > 30, "only {count} examples were found");
}

#[test]
fn every_command_that_a_text_names_is_taken() {
    let quoted = Regex::new(r"`(oceanid [^`]+)`").expect("a pattern");
    let mut texts = vec![("explanations", String::new())];
    for one in explain::all() {
        let _ = writeln!(texts[0].1, "{} {} {}", one.means, one.why, one.then);
    }
    for file in ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"] {
        texts.push((file, fs::read_to_string(file).expect("there").replace('\n', " ")));
    }
    for (place, text) in &texts {
        for found in quoted.captures_iter(text) {
            for words in commands(&found[1]) {
                holds(&words, place);
            }
        }
    }
}

/// Who runs each command of the console blocks in README.md and CONTRIBUTING.md: a file, and what in
/// it shows that. What cannot run within a test, for it runs all tests, says so.
const RUN_BY: &[(&str, &str, &str)] = &[
    ("oceanid bootstrap --yes", "tests/bootstrap.rs", "\"bootstrap\", \"--yes\""),
    ("oceanid status", "tests/init/hosts.rs", "\"status\""),
    ("oceanid --help", "tests/learning.rs", "\"--help\""),
    ("oceanid init", "tests/init/hosts.rs", "\"init\""),
    ("oceanid plan --diff", "tests/init/hosts.rs", "\"plan\", \"--diff\""),
    ("oceanid bootstrap", "tests/init/hosts.rs", "&[\"bootstrap\"]"),
    ("oceanid kubeconfig", "tests/access.rs", "&[\"kubeconfig\"]"),
    (
        "curl -fsSL https://github.com/oceanid/oceanid/releases/latest/download/install.sh | sh",
        "tests/install",
        "install.sh",
    ),
    ("mkdir ocean && cd ocean", "tests/init/hosts.rs", "create_dir"),
    ("tests/setup.sh", "tests/all.sh", "tests/setup.sh"),
    ("tests/demo.sh", "tests/learning.rs", "the_demo_uses_commands_that_are_there"),
    ("tests/all.sh", ".ci/run", "tests/all.sh"),
    ("cargo build", "tests/demo.sh", "cargo build"),
    ("cargo nextest run --test config", "tests/all.sh", "cargo nextest run"),
    ("cargo run -p lab -- up --keep", "tests/lab/src/main.rs", "keep: bool"),
    (
        "cargo run -p lab -- exec tethys -- systemctl is-system-running",
        "tests/lab/src/main.rs",
        "Exec {",
    ),
    ("cargo run -p lab -- status", "tests/lab/src/main.rs", "Status"),
    ("cargo run -p lab -- down --lab 0", "tests/lab/src/main.rs", "Down {"),
];

#[test]
fn every_command_in_a_console_block_is_run_by_a_test_that_is_named() {
    for file in ["README.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(file).expect("there");
        let blocks = text.split("```console\n").skip(1);
        let lines = blocks.flat_map(|block| block.split("```").next().unwrap_or_default().lines());
        let typed = lines.filter_map(|line| line.strip_prefix("$ ").or(line.strip_prefix("# ")));
        for command in typed {
            let found = RUN_BY.iter().find(|(known, _, _)| *known == command);
            let Some((_, place, sign)) = found else {
                panic!("{file}: nobody runs `{command}`: name the test in RUN_BY")
            };
            let mut files = vec![PathBuf::from(place)];
            if !Path::new(place).is_file() {
                let folder = Path::new(place);
                files = if folder.is_dir() {
                    sources(folder)
                } else {
                    vec![folder.with_extension("rs")]
                };
            }
            let runs = files
                .iter()
                .any(|path| fs::read_to_string(path).is_ok_and(|text| text.contains(sign)));
            assert!(runs, "{file}: `{command}` is not run by {place}: no `{sign}` there");
            for words in commands(command) {
                holds(&words, file);
            }
        }
    }
}

#[test]
fn the_demo_uses_commands_that_are_there() {
    let demo = fs::read_to_string("tests/demo.sh").expect("there");
    let list = demo.split("for words in ").nth(1).and_then(|rest| rest.split(';').next());
    let list = shell_words(list.expect("its commands"));
    assert!(list.len() >= 4, "{list:?}");
    for words in list {
        holds(&shell_words(&format!("oceanid {words}")), "tests/demo.sh");
    }
}
