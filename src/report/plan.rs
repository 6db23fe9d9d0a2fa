//! A plan for people: every change on every host, with diffs where they are wanted.

use std::io::{self, Write};

use super::text::{self, Place, Style, clean, count};
use crate::action::{Change, Undo};
use crate::engine::Planned;
use crate::script::Body;

/// Whether a plan shows what is inside its changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Diffs {
    /// Only what changes.
    Hidden,
    /// Also how.
    Shown,
}

/// The plan for one host.
#[derive(Debug, Clone, Copy)]
pub struct HostPlan<'a> {
    /// The host's name.
    pub host: &'a str,
    /// What would be changed, in order.
    pub changes: &'a [Planned],
    /// What is worth knowing although it is left alone.
    pub notes: &'a [String],
}

/// Writes what would be changed on `hosts`; as JSON the same is the event `planned`.
///
/// # Errors
/// When `out` takes no more.
pub fn plan(
    out: &mut dyn Write,
    hosts: &[HostPlan<'_>],
    diffs: Diffs,
    style: Style,
) -> io::Result<()> {
    if hosts.iter().all(|host| host.changes.is_empty()) {
        notes(out, hosts)?;
        return writeln!(out, "nothing to change");
    }
    for host in hosts.iter().filter(|host| !host.changes.is_empty()) {
        writeln!(out, "{}: {}", style.bold(host.host), count(host.changes.len(), "change"))?;
        write_changes(out, host.changes, diffs, style)?;
        writeln!(out)?;
    }
    let idle: Vec<&str> =
        hosts.iter().filter(|host| host.changes.is_empty()).map(|host| host.host).collect();
    if !idle.is_empty() {
        paragraph(out, "", &format!("{}: nothing to change", idle.join(", ")))?;
    }
    notes(out, hosts)?;
    write_end(out, hosts)
}

/// Writes what is worth knowing of `hosts`; what several have in common is said once.
///
/// # Errors
/// When `out` takes no more.
pub fn notes(out: &mut dyn Write, hosts: &[HostPlan<'_>]) -> io::Result<()> {
    let mut said: Vec<&str> = Vec::new();
    for note in hosts.iter().flat_map(|host| host.notes) {
        if said.contains(&note.as_str()) {
            continue;
        }
        said.push(note);
        let on = hosts.iter().filter(|host| host.notes.contains(note));
        let names: Vec<&str> = on.map(|host| host.host).collect();
        paragraph(out, "", &format!("note: {}: {}", names.join(", "), clean(note)))?;
    }
    Ok(())
}

fn write_changes(
    out: &mut dyn Write,
    changes: &[Planned],
    diffs: Diffs,
    style: Style,
) -> io::Result<()> {
    let mut last = "";
    for Planned { step, subject, change } in changes {
        if *step != last {
            writeln!(out, "  {}", style.cyan(step))?;
            last = step;
        }
        paragraph(out, "    ", &format!("{subject}: {}", described(change)))?;
        if let (Diffs::Shown, Some(diff)) = (diffs, &change.diff) {
            write_diff(out, diff, style)?;
        }
    }
    Ok(())
}

fn described(change: &Change) -> String {
    let mut text = clean(&change.summary);
    if is_later(change) && !text.contains("known after apply") {
        text.push_str(" (known after apply)");
    }
    if matches!(change.undo, Undo::Never) {
        text.push_str(" (stays)");
    }
    text
}

/// A diff is the one thing that is never wrapped: it is what will be in the file.
fn write_diff(out: &mut dyn Write, diff: &str, style: Style) -> io::Result<()> {
    for line in diff.lines() {
        let text = line.split('\t').map(clean).collect::<Vec<_>>().join("\t");
        let text = match line.as_bytes().first() {
            Some(b'+') => style.green(&text),
            Some(b'-') => style.red(&text),
            Some(b'@') => style.dim(&text),
            _ => text,
        };
        writeln!(out, "      {text}")?;
    }
    Ok(())
}

fn write_end(out: &mut dyn Write, hosts: &[HostPlan<'_>]) -> io::Result<()> {
    let touched = hosts.iter().filter(|host| !host.changes.is_empty()).count();
    let changes: Vec<&Change> =
        hosts.iter().flat_map(|host| host.changes).map(|planned| &planned.change).collect();
    writeln!(
        out,
        "{} on {touched} of {}",
        count(changes.len(), "change"),
        count(hosts.len(), "host")
    )?;
    if changes.iter().any(|change| matches!(change.undo, Undo::Never)) {
        paragraph(out, "", "(stays): `oceanid rollback` does not take it back.")?;
    }
    if changes.iter().any(|change| is_later(change)) {
        let note = "(known after apply): a forecast. An earlier host has to be done first; every \
                    step is planned again right before it is changed.";
        paragraph(out, "", note)?;
    }
    Ok(())
}

/// Whether something that does not exist yet is part of the change.
fn is_later(change: &Change) -> bool {
    matches!(change.apply.body(), Body::Later) || change.summary.contains("(known after apply)")
}

fn paragraph(out: &mut dyn Write, first: &str, text: &str) -> io::Result<()> {
    let rest = format!("{first}    ");
    Place { first, rest: &rest, columns: text::COLUMNS }.write(out, text)
}
