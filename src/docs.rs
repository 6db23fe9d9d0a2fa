//! The reference: the keys of cluster.toml, made from the types; the steps; the exit codes.

use std::fmt::Write;

use anyhow::bail;
use serde_json::Value;

use crate::config::reference::{Key, Kind, Need, SECTIONS};
use crate::config::suggest::{closest, either};
use crate::report::Exit;

mod steps;

/// The width of the text.
const COLUMNS: usize = 80;

/// Explains one key, section or step, `steps` or `exit-codes`; without `key` every key.
///
/// # Errors
/// When there is no such key: then with the closest one.
pub fn render(key: Option<&str>) -> anyhow::Result<String> {
    let Some(path) = key else {
        let all: Vec<String> = SECTIONS.iter().map(section).collect();
        return Ok(all.join("\n"));
    };
    let plain = path.trim_matches(['[', ']', '.', '`']);
    match plain {
        "steps" => return Ok(steps::all()),
        "exit-codes" => return Ok(exit_codes()),
        _ => {}
    }
    let step = steps::find(plain).map(|(entry, more)| steps::one(entry, more));
    match (key_or_section(path, plain), step) {
        (Ok(keys), Some(step)) => Ok(format!("{keys}\n{step}")),
        (Err(_), Some(step)) => Ok(step),
        (keys, None) => keys,
    }
}

fn key_or_section(path: &str, plain: &str) -> anyhow::Result<String> {
    if let Some(found) = SECTIONS.iter().find(|key| key.name == plain) {
        return Ok(section(found));
    }
    // A key without its section is explained wherever it occurs.
    let found: Vec<(String, &Key)> =
        paths().filter(|(path, key)| path == plain || key.name == plain).collect();
    if found.is_empty() {
        bail!(unknown(path, plain));
    }
    Ok(found.iter().map(|(path, key)| entry(path, key)).collect::<Vec<_>>().join("\n"))
}

/// What the exit status says.
fn exit_codes() -> String {
    let mut text = String::from("What oceanid's exit status says:\n\n");
    for exit in Exit::ALL {
        row(&mut text, &exit.code().to_string(), exit.meaning(), 3);
    }
    let status =
        "`oceanid status` has 1 where something is not well, and 3 only if no node can be reached.";
    text.push('\n');
    wrap(&mut text, status, 0);
    text
}

/// `name` and what it is, beside each other.
fn row(out: &mut String, name: &str, about: &str, width: usize) {
    let (first, rest) = (format!("  {name:width$}  "), " ".repeat(width + 4));
    let options = textwrap::Options::new(COLUMNS).initial_indent(&first).subsequent_indent(&rest);
    for line in textwrap::wrap(about, options) {
        let _ = writeln!(out, "{line}");
    }
}

/// Every key below a section, with its path.
fn paths() -> impl Iterator<Item = (String, &'static Key)> {
    SECTIONS.iter().flat_map(|section| {
        let path = |key: &Key| format!("{}.{}", section.name, key.name);
        section.kind.keys().iter().map(move |key| (path(key), key))
    })
}

fn unknown(typed: &str, plain: &str) -> String {
    let paths: Vec<String> = paths().map(|(path, _)| path).collect();
    let sections = SECTIONS.iter().map(|key| key.name.as_str());
    let names = paths.iter().filter_map(|path| path.split_once('.')).map(|(_, name)| name);
    let steps = crate::steps::ALL.iter().map(|entry| entry.name).chain(["steps", "exit-codes"]);
    let known = sections.chain(paths.iter().map(String::as_str)).chain(names).chain(steps);
    let hint = match closest(plain, known) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "`oceanid docs` explains every key".to_owned(),
    };
    format!("there is no key `{typed}` in cluster.toml, and no step of that name\n  hint: {hint}")
}

fn section(section: &Key) -> String {
    let header = match section.kind {
        Kind::List(_) => format!("[[{}]]", section.name),
        _ => format!("[{}]", section.name),
    };
    let mut text = header;
    text.push('\n');
    wrap(&mut text, &section.meaning, 2);
    for key in section.kind.keys() {
        text.push('\n');
        for line in entry(&key.name, key).lines() {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}

fn entry(name: &str, key: &Key) -> String {
    let default = match (&key.default, key.need) {
        (_, Need::Required) => ", required".to_owned(),
        (Some(default), _) => format!(", default {}", value(default)),
        (None, _) => String::new(),
    };
    let mut text = String::new();
    let facts = format!("{}{default}", kind(&key.kind));
    if name.len() + 2 + facts.len() + 2 <= COLUMNS {
        let _ = writeln!(text, "{name}: {facts}");
    } else {
        let _ = writeln!(text, "{name}:");
        wrap(&mut text, &facts, 4);
    }
    wrap(&mut text, &key.meaning, 4);
    for (choice, meaning) in choices(&key.kind).iter().filter(|(_, meaning)| !meaning.is_empty()) {
        wrap(&mut text, &format!("`{choice}`: {meaning}"), 4);
    }
    text
}

fn choices(kind: &Kind) -> &[(String, String)] {
    match kind {
        Kind::Choice(choices) => choices,
        Kind::List(element) => choices(element),
        _ => &[],
    }
}

fn kind(kind: &Kind) -> String {
    match kind {
        Kind::Text => "string".to_owned(),
        Kind::Integer { least, most } => format!("whole number, {least} to {most}"),
        Kind::Switch => "`true` or `false`".to_owned(),
        Kind::Choice(choices) => either(choices.iter().map(|(name, _)| name.as_str())),
        Kind::List(element) if !choices(element).is_empty() => {
            format!("list of {}", self::kind(element))
        }
        Kind::List(element) => format!("list of {}s", self::kind(element)),
        Kind::Map(element) => format!("table of {}s", self::kind(element)),
        Kind::Section(_) => "table".to_owned(),
        Kind::ChoiceOrSecret(words) => {
            format!("{}, or {}", either(words.iter().map(String::as_str)), self::kind(&Kind::Secret))
        }
        Kind::Secret => {
            "`{ env = \"NAME\" }`, `{ file = \"/path\" }` or `{ command = [\"program\", \"argument\"] }`"
                .to_owned()
        }
        Kind::Anything => "value".to_owned(),
    }
}

fn value(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{text}\""),
        other => other.to_string(),
    }
}

/// Appends `text`, indented, in lines of at most [`COLUMNS`].
fn wrap(out: &mut String, text: &str, indent: usize) {
    // What stands in a section is indented once more.
    let width = COLUMNS - 2;
    let mut column = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width {
            out.push('\n');
            column = 0;
        }
        let gap = if column == 0 { indent } else { 1 };
        let _ = write!(out, "{:gap$}{word}", "");
        column += gap + length;
    }
    if column > 0 {
        out.push('\n');
    }
}
