//! What the shell offers on a tab: commands and flags, and the nodes and steps of cluster.toml.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::CommandFactory as _;
use clap_complete::engine::CompletionCandidate;
use clap_complete::env::{Bash, EnvCompleter, Fish, Shells, Zsh};
use toml::de::DeTable;

use crate::cli::{Cli, Shell};
use crate::config::reference::SECTIONS;
use crate::{cloudflare, explain, steps};

/// The variable by which a shell's script asks for what fits.
const ASKED: &str = "OCEANID_COMPLETE";

/// The shells that are known.
const SHELLS: Shells<'static> = Shells(&[&Bash, &Zsh, &Fish]);

/// The script that has `shell` ask `program` on every tab.
///
/// # Errors
/// Never in practice: it is written to memory.
pub fn script(shell: Shell, program: &str) -> std::io::Result<String> {
    let completer: &dyn EnvCompleter = match shell {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &Fish,
    };
    let mut script = Vec::new();
    completer.write_registration(ASKED, "oceanid", "oceanid", program, &mut script)?;
    Ok(format!("{}\n", String::from_utf8_lossy(&script).trim()))
}

/// Answers a shell that asks; `false` when none does.
///
/// # Errors
/// When the shell is unknown, or stdout takes no more.
pub fn answer() -> clap::error::Result<bool> {
    let folder = std::env::current_dir().ok();
    let engine = clap_complete::CompleteEnv::with_factory(Cli::command);
    engine.var(ASKED).shells(SHELLS).try_complete(std::env::args_os(), folder.as_deref())
}

/// The nodes of the cluster.toml that the typed line is about.
#[must_use]
pub fn nodes() -> Vec<CompletionCandidate> {
    let text = std::fs::read_to_string(file(std::env::args_os())).unwrap_or_default();
    named(&text)
        .into_iter()
        .map(|(name, about)| CompletionCandidate::new(name).help(Some(about.into())))
        .collect()
}

/// The steps, and the names of several.
#[must_use]
pub fn steps() -> Vec<CompletionCandidate> {
    let single = steps::ALL.iter().map(|entry| (entry.name, entry.about.to_owned()));
    let several = steps::GROUPS.iter().map(|(name, steps)| (*name, steps.join(", ")));
    let beside = (cloudflare::NAME, String::from("Cloudflare's side, over its API"));
    single
        .chain(several)
        .chain([beside])
        .map(|(name, about)| CompletionCandidate::new(name).help(Some(about.into())))
        .collect()
}

/// What `oceanid docs` explains.
#[must_use]
pub fn topics() -> Vec<CompletionCandidate> {
    let sections = SECTIONS.iter().map(|section| section.name.as_str());
    let steps = steps::ALL.iter().map(|entry| entry.name);
    let mut topics: Vec<&str> = sections.chain(steps).chain(["steps", "exit-codes"]).collect();
    topics.sort_unstable();
    topics.dedup();
    topics.into_iter().map(CompletionCandidate::new).collect()
}

/// What `oceanid explain` explains.
#[must_use]
pub fn codes() -> Vec<CompletionCandidate> {
    let known = explain::all();
    known.map(|one| CompletionCandidate::new(one.code).help(Some(one.means.into()))).collect()
}

/// The file that the typed line names, or would take.
fn file(words: impl Iterator<Item = OsString>) -> PathBuf {
    let typed = typed_file(words.skip_while(|word| word != "--").skip(1));
    let file = typed
        .or_else(|| std::env::var_os("OCEANID_FILE").filter(|file| !file.is_empty()))
        .unwrap_or_else(|| OsString::from("cluster.toml"));
    // The shell completes before it expands.
    match (file.to_str().and_then(|file| file.strip_prefix("~/")), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(file),
    }
}

fn typed_file(mut words: impl Iterator<Item = OsString>) -> Option<OsString> {
    while let Some(word) = words.next() {
        if word == "-f" || word == "--file" {
            // bash breaks a word at the `=`.
            let next = words.next()?;
            return if next == "=" { words.next() } else { Some(next) };
        }
        let text = word.to_str().unwrap_or_default();
        let short = text.strip_prefix("-f").filter(|rest| !rest.is_empty());
        if let Some(file) = text.strip_prefix("--file=").or(short) {
            return Some(OsStr::new(file).to_owned());
        }
    }
    None
}

/// Names of nodes with their role and address, from as much of the text as can be read: whoever
/// types a command may have a file that is not finished.
fn named(text: &str) -> Vec<(String, String)> {
    let (root, _) = DeTable::parse_recoverable(text);
    let nodes = root.get_ref().get("node").and_then(|node| node.get_ref().as_array());
    let nodes = nodes.into_iter().flatten().filter_map(|node| node.get_ref().as_table());
    nodes
        .filter_map(|node| {
            let text = |key: &str| node.get(key).and_then(|value| value.get_ref().as_str());
            let about = [text("role"), text("address")].into_iter().flatten();
            Some((text("name")?.to_owned(), about.collect::<Vec<_>>().join(" at ")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{file, named};
    use std::path::Path;

    fn words(line: &str) -> impl Iterator<Item = std::ffi::OsString> {
        line.split(' ').map(Into::into)
    }

    #[test]
    fn the_file_is_the_one_that_the_line_names() {
        for line in [
            "/bin/oceanid -- oceanid -f staging.toml join ",
            "/bin/oceanid -- oceanid join -fstaging.toml ",
            "/bin/oceanid -- oceanid join --file=staging.toml ",
            "/bin/oceanid -- oceanid join --file = staging.toml ",
            "/bin/oceanid -- oceanid join --file staging.toml ",
        ] {
            assert_eq!(file(words(line)), Path::new("staging.toml"), "{line}");
        }
        assert_eq!(file(words("oceanid -- oceanid join ")), Path::new("cluster.toml"));
    }

    #[test]
    fn nodes_are_found_in_a_file_that_is_not_finished() {
        let nodes = named(include_str!("../cluster.toml"));
        let names: Vec<&str> = nodes.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["tethys", "styx", "meliae", "calypso"]);
        assert_eq!(nodes[0].1, "server at 157.173.210.123");
        let broken = "[[node]]\nname = \"styx\"\n[[node]]\nname = \"meliae\"\naddress = \n[k3";
        assert_eq!(named(broken).len(), 2, "{:?}", named(broken));
    }
}
