//! How the nodes are, for people: one line a node, and below it what there is to say of them.

use std::io::{self, Write};

use jiff::Timestamp;

use super::text::{COLUMNS, Place, Style, clean, count, pad, width};
use crate::cluster::Role;
use crate::health::{Drift, Health, State};

/// The longest name of a node that is shown in full, columns.
const LONGEST: usize = 20;
/// What stands above the columns after the first.
const HEADS: [&str; 6] = ["ROLE", "VERSION", "ADDRESS", "CERTS", "DRIFT", "STATE"];

/// Writes a table of `nodes`, what is wrong with them, and then `remarks` on the whole cluster.
///
/// # Errors
/// When `out` takes no more.
pub fn status(
    out: &mut dyn Write,
    nodes: &[Health],
    remarks: &[String],
    now: Timestamp,
    style: Style,
) -> io::Result<()> {
    let mut rows: Vec<Vec<String>> = nodes.iter().map(|node| cells(node, now)).collect();
    let heads = std::iter::once("NODE").chain(HEADS).map(str::to_owned).collect();
    rows.insert(0, heads);
    // Long addresses get lines of their own.
    let apart = total(&rows) > COLUMNS;
    if apart {
        for row in &mut rows {
            row.remove(3);
        }
    }
    let widths = widths(&rows);
    let states = std::iter::once(None).chain(nodes.iter().map(|node| Some(node.state)));
    for (row, state) in rows.iter().zip(states) {
        let last = row.len().saturating_sub(1);
        for (cell, columns) in row.iter().zip(&widths).take(last) {
            write!(out, "{}  ", pad(cell, *columns))?;
        }
        let text = row.last().map_or("", String::as_str);
        writeln!(out, "{}", state.map_or_else(|| text.to_owned(), |state| paint(state, style)))?;
    }
    if apart {
        for node in nodes.iter().filter(|node| !node.addresses.is_empty()) {
            say(out, &format!("{}: {}", node.name, node.addresses.join(" ")))?;
        }
    }
    for node in nodes {
        for text in node.trouble.iter().chain(&node.notes) {
            say(out, &format!("{}: {}", node.name, clean(text)))?;
        }
        if let Drift::Pending(changes) = &node.drift
            && node.has_drifted()
        {
            let text = format!("{} pending", count(changes.len(), "change"));
            say(out, &format!("{}: {text}; `oceanid plan {}` shows more", node.name, node.name))?;
        }
    }
    remarks.iter().try_for_each(|remark| say(out, &clean(remark)))
}

fn cells(node: &Health, now: Timestamp) -> Vec<String> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| String::from("-"));
    vec![
        node.name.clone(),
        String::from(match node.role {
            Role::Server => "server",
            Role::Agent => "agent",
        }),
        or_dash(node.version.as_deref().map(clean)),
        or_dash(node.addresses.first().map(|address| clean(address))),
        or_dash(node.first_to_end().map(|(_, one)| format!("{} d", one.days_left(now)))),
        match &node.drift {
            Drift::Pending(changes) if changes.is_empty() => String::from("no"),
            Drift::Pending(_) => String::from("yes"),
            Drift::Unknown(_) => String::from("?"),
        },
        String::from(node.state.word()),
    ]
}

fn widths(rows: &[Vec<String>]) -> Vec<usize> {
    let count = rows.first().map_or(0, Vec::len);
    let column = |index: usize| {
        let cells = rows.iter().filter_map(|row| row.get(index));
        let widest = cells.map(|cell| width(cell)).max().unwrap_or_default();
        if index == 0 { widest.min(LONGEST) } else { widest }
    };
    (0..count).map(column).collect()
}

fn total(rows: &[Vec<String>]) -> usize {
    let widths = widths(rows);
    widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1)
}

fn paint(state: State, style: Style) -> String {
    let word = state.word();
    match state {
        State::Ready => style.green(word),
        State::Troubled | State::Unknown => style.yellow(word),
        State::NotReady | State::Missing | State::Unreachable => style.red(word),
    }
}

fn say(out: &mut dyn Write, text: &str) -> io::Result<()> {
    Place { first: "", rest: "    ", columns: COLUMNS }.write(out, text)
}
