//! The questions to the person at the terminal.

use std::io::ErrorKind;
use std::path::Path;

use dialoguer::{Confirm, Input, Select};

use super::super::context::Usage;
use super::super::say;
use super::survey::{self, Survey};
use super::{Left, is_attended, name_of, text, write};
use crate::config::syntax;
use crate::init::{Additions, Entry, Found, Proposal, propose};
use crate::report::Exit;

/// The answer to a question; Ctrl-C leaves.
pub fn asked<T>(answer: dialoguer::Result<T>) -> anyhow::Result<T> {
    answer.map_err(|dialoguer::Error::IO(error)| match error.kind() {
        ErrorKind::Interrupted | ErrorKind::UnexpectedEof => Left.into(),
        _ => anyhow::Error::from(error).context("cannot ask at this terminal"),
    })
}

/// Asks for the hosts one by one, and for everything that is not to be guessed.
pub async fn run(
    file: &Path,
    additions: Additions,
    name: Option<String>,
) -> anyhow::Result<Result<Proposal, Exit>> {
    if !is_attended() {
        let hint = "`oceanid init` asks, and there is no terminal; `--from HOST…` asks nothing";
        return Err(Usage(String::from(hint)).into());
    }
    let name = match name {
        Some(name) => name,
        None => asked(
            Input::new().with_prompt("Name of the cluster").default(name_of(file)).interact_text(),
        )?,
    };
    say("Now the hosts, one by one: they are only looked at. Leave it empty after the last one.");
    let found = hosts(&additions).await?;
    let mut proposal = propose(&name, &found);
    choose(&mut proposal, &found)?;
    let text = text(&proposal, &found, &additions)?;
    say(&format!("\n{text}"));
    let question = format!("Write this to {}?", file.display());
    if !asked(Confirm::new().with_prompt(question).default(true).interact())? {
        return Err(Left.into());
    }
    write(file, &text)?;
    Ok(Ok(proposal))
}

/// Every host that can be looked at.
async fn hosts(additions: &Additions) -> anyhow::Result<Vec<Found>> {
    let survey = Survey::attended();
    let mut found: Vec<Found> = Vec::new();
    loop {
        let typed: String = asked(
            Input::new()
                .with_prompt("Host (user@address, more with :port and jump=user@host)")
                .allow_empty(!found.is_empty())
                .interact_text(),
        )?;
        if typed.trim().is_empty() {
            return Ok(found);
        }
        let look = async {
            let entry: Entry = typed.parse()?;
            let place = entry.place();
            if found.iter().any(|one| one.entry.place() == place) {
                return Err(survey::refused(&place));
            }
            survey.look(&entry, additions).await
        };
        match look.await {
            Ok(one) => {
                say(&seen(&one));
                found.push(one);
            }
            Err(error) if error.is::<Left>() => return Err(error),
            Err(error) => survey::complain(typed.split_whitespace().next().unwrap_or(""), &error),
        }
    }
}

/// What was seen, in a line.
fn seen(one: &Found) -> String {
    let facts = &one.facts;
    let mut text = format!(
        "  {}: {} {}, {}, {} cpus, {} MiB memory",
        facts.hostname, facts.os, facts.os_version, facts.machine, facts.cpus, facts.memory_mib
    );
    for gpu in one.gpus() {
        text.push_str(", ");
        text.push_str(gpu);
    }
    text
}

/// Lets names and server be chosen otherwise.
fn choose(proposal: &mut Proposal, found: &[Found]) -> anyhow::Result<()> {
    for (index, one) in found.iter().enumerate().filter(|(_, one)| one.entry.name.is_none()) {
        let question = format!("Name of the node at {}", one.entry.place());
        let others: Vec<String> = proposal
            .names
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != index)
            .map(|(_, name)| name.clone())
            .collect();
        let Some(name) = proposal.names.get_mut(index) else { continue };
        let fits = |typed: &String| -> Result<(), String> {
            if others.contains(typed) {
                return Err(format!("another node is called `{typed}`"));
            }
            syntax::node_name(typed).map_err(|wrong| wrong.what)
        };
        *name = asked(
            Input::new()
                .with_prompt(question)
                .default(name.clone())
                .validate_with(fits)
                .interact_text(),
        )?;
    }
    if found.len() > 1 {
        say(&format!("  {}", proposal.why_server));
        let server = asked(
            Select::new()
                .with_prompt("The server, which runs the control plane")
                .items(&proposal.names)
                .default(proposal.server)
                .interact(),
        )?;
        if server != proposal.server {
            proposal.server = server;
            proposal.why_server = String::from("Runs the control plane, as you chose.");
        }
    }
    Ok(())
}
