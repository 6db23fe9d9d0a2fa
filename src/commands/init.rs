//! `oceanid init`: a first cluster.toml, from hosts that are looked at.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, anyhow};

use super::context::Usage;
use super::print;
use crate::cli::{self, Global};
use crate::config;
use crate::init::{Additions, Entry, Found, Proposal, document, propose};
use crate::report::{Exit, exit_code};
use survey::Survey;

mod dialog;
mod survey;

/// The person at the terminal went away: nothing was written.
#[derive(Debug, thiserror::Error)]
#[error("left; nothing was written")]
pub struct Left;

/// Asks or takes the hosts, looks at them, and writes what it proposes.
pub async fn run(global: &Global, wanted: cli::Init) -> anyhow::Result<Exit> {
    let file = &global.file;
    refuse_existing(file)?;
    let additions = match &wanted.with {
        Some(path) => Additions::read(path)?,
        None => Additions::default(),
    };
    let name = wanted.name.clone().or_else(|| additions.text("cluster", "name").map(str::to_owned));
    let written = if wanted.from.is_empty() {
        dialog::run(file, additions, name).await
    } else {
        let entries = entries(&wanted.from)?;
        scripted(file, &additions, name.unwrap_or_else(|| name_of(file)), &entries).await
    };
    match written? {
        Ok(proposal) => told(global, &proposal).map(|()| Exit::Done),
        Err(exit) => Ok(exit),
    }
}

/// Proposes for `entries` without asking anybody.
async fn scripted(
    file: &Path,
    additions: &Additions,
    name: String,
    entries: &[Entry],
) -> anyhow::Result<Result<Proposal, Exit>> {
    let survey = Survey::silent();
    let mut found = Vec::new();
    let mut errors = Vec::new();
    let looks = entries.iter().map(|entry| survey.look(entry, additions));
    for (entry, look) in entries.iter().zip(futures::future::join_all(looks).await) {
        match look {
            Ok(one) => found.push(one),
            Err(error) => {
                survey::complain(&entry.place(), &error);
                errors.push(error);
            }
        }
    }
    if !errors.is_empty() {
        return Ok(Err(exit_code(&errors)));
    }
    let proposal = propose(&name, &found);
    write(file, &text(&proposal, &found, additions)?)?;
    Ok(Ok(proposal))
}

/// The file as it would be written; what is merged may be wrong, and is then said to be.
fn text(proposal: &Proposal, found: &[Found], additions: &Additions) -> anyhow::Result<String> {
    let text = document::render(&additions.merge(proposal.tables(found)));
    config::parse(&additions.place("the proposal"), &text)?;
    Ok(text)
}

/// Every host of `typed`; `-` stands for a list on stdin.
fn entries(typed: &[String]) -> anyhow::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for text in typed {
        if text == "-" {
            let mut list = String::new();
            std::io::stdin().lock().read_to_string(&mut list).context("cannot read stdin")?;
            entries.extend(Entry::list(&list)?);
        } else {
            entries.push(text.parse()?);
        }
    }
    if entries.is_empty() {
        return Err(Usage(String::from("`--from` names no host")).into());
    }
    Ok(entries)
}

fn refuse_existing(file: &Path) -> anyhow::Result<()> {
    // A link that leads nowhere is there, too.
    if file.symlink_metadata().is_err() {
        return Ok(());
    }
    Err(anyhow!(
        "`{}` is there already, and is never overwritten\nhint: `-f FILE` writes another one",
        file.display()
    ))
}

/// Brings the whole file there at once, unless one has come up meanwhile.
fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    let place = || format!("cannot write `{}`", file.display());
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut new = tempfile_in(folder.unwrap_or_else(|| Path::new("."))).with_context(place)?;
    let done = new.file.write_all(text.as_bytes()).and_then(|()| new.file.sync_all());
    // A link is made only where nothing is, which a rename does not heed.
    let done = done.and_then(|()| std::fs::hard_link(&new.path, file));
    drop(new);
    done.with_context(place)
}

/// A file beside the new one, which goes when it is dropped.
struct Draft {
    path: std::path::PathBuf,
    file: std::fs::File,
}

impl Drop for Draft {
    fn drop(&mut self) {
        // What cannot be removed is only a copy.
        drop(std::fs::remove_file(&self.path));
    }
}

fn tempfile_in(folder: &Path) -> std::io::Result<Draft> {
    let path = folder.join(format!(".cluster.toml.{}", std::process::id()));
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(&path)?;
    Ok(Draft { path, file })
}

/// A cluster is called as the folder of its file.
fn name_of(file: &Path) -> String {
    let folder = std::path::absolute(file).ok();
    let folder = folder.as_deref().and_then(Path::parent).and_then(Path::file_name);
    let name: String = folder
        .and_then(|name| name.to_str())
        .unwrap_or_default()
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    match name.trim_matches('-') {
        "" => String::from("ocean"),
        name => name.chars().take(40).collect(),
    }
}

fn told(global: &Global, proposal: &Proposal) -> anyhow::Result<()> {
    let file = global.file.display();
    if global.json {
        let line = serde_json::json!({
            "schema": 1, "event": "initialized", "file": file.to_string(),
            "cluster": proposal.cluster, "nodes": proposal.names,
        });
        return print(&format!("{line}\n"));
    }
    let server = proposal.names.get(proposal.server).map_or("", String::as_str);
    let option = if global.file == Path::new("cluster.toml") {
        String::new()
    } else {
        format!(" -f {file}")
    };
    print(&format!(
        "wrote {file}: cluster `{}`, {} nodes, server {server}, flannel backend {}\n\
         next: `oceanid plan{option} --diff` shows what would change, `oceanid bootstrap{option}` does it\n",
        proposal.cluster,
        proposal.names.len(),
        proposal.backend.name,
    ))
}

/// Whether a person can be asked.
fn is_attended() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}
