//! cluster.toml as text in which every line says why it is there.

use std::fmt::Write as _;

use toml::Value;

use super::entry::Entry;

/// The width of the text.
const COLUMNS: usize = 100;

/// A section.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// `[k3s]`, `[[node]]`; empty for the top of the file.
    pub header: String,
    /// What stands above its keys.
    pub about: Vec<String>,
    /// Its keys.
    pub lines: Vec<Line>,
    /// What could be added, switched off by `#`.
    pub further: Vec<Further>,
}

/// A key with its value and its reason.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The key.
    pub key: String,
    /// The value.
    pub value: Value,
    /// Why it is that; empty where that needs no saying.
    pub why: String,
}

/// A line that is only offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Further {
    /// The line as it would stand there.
    pub text: String,
    /// What it would do.
    pub why: String,
}

impl Line {
    /// `key` is `value`, since `why`.
    #[must_use]
    pub fn new(key: &str, value: impl Into<Value>, why: &str) -> Self {
        Self { key: key.to_owned(), value: value.into(), why: why.to_owned() }
    }
}

/// The nodes alone, as far as they are known before anybody has looked at them.
#[must_use]
pub fn draft(entries: &[&Entry]) -> Vec<Table> {
    let cluster = Table {
        header: String::from("[cluster]"),
        lines: vec![Line::new("name", "draft", "")],
        ..Table::default()
    };
    let k3s = Table {
        header: String::from("[k3s]"),
        lines: vec![Line::new("version", "stable", "")],
        ..Table::default()
    };
    let nodes = entries.iter().enumerate().map(|(index, entry)| {
        let role = if index == 0 { "server" } else { "agent" };
        let mut lines =
            vec![Line::new("name", format!("node-{index}"), ""), Line::new("role", role, "")];
        lines.extend(way(entry));
        if let Some(key) = &entry.host_key {
            lines.push(Line::new("host-key", key.as_str(), ""));
        }
        Table { header: String::from("[[node]]"), lines, ..Table::default() }
    });
    [cluster, k3s].into_iter().chain(nodes).collect()
}

/// How a node is reached, as it was typed.
pub(super) fn way(entry: &Entry) -> Vec<Line> {
    let mut lines = vec![Line::new("address", entry.address.as_str(), "")];
    if let Some(user) = &entry.user {
        lines.push(Line::new("user", user.as_str(), ""));
    }
    if let Some(port) = entry.port {
        lines.push(Line::new("port", i64::from(port), ""));
    }
    if !entry.jump.is_empty() {
        lines.push(Line::new("jump", entry.jump.clone(), ""));
    }
    lines
}

/// The text of the whole file.
#[must_use]
pub fn render(tables: &[Table]) -> String {
    let blocks: Vec<String> = tables.iter().map(block).collect();
    blocks.join("\n")
}

fn block(table: &Table) -> String {
    let mut text = String::new();
    // Above the whole file they stand by themselves.
    if table.header.is_empty() {
        comment(&mut text, &table.about);
    } else {
        let _ = writeln!(text, "{}", table.header);
        comment(&mut text, &table.about);
    }
    for Line { key, value, why } in &table.lines {
        comment(&mut text, std::slice::from_ref(why));
        let _ = writeln!(text, "{} = {value}", written(key));
    }
    for Further { text: line, why } in &table.further {
        comment(&mut text, std::slice::from_ref(why));
        let _ = writeln!(text, "# {line}");
    }
    text
}

/// Keys of labels have slashes and dots; those are quoted within their table by the crate.
fn written(key: &str) -> String {
    let plain = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if plain { key.to_owned() } else { Value::from(key).to_string() }
}

fn comment(out: &mut String, paragraphs: &[String]) {
    let options = textwrap::Options::new(COLUMNS)
        .initial_indent("# ")
        .subsequent_indent("# ")
        .break_words(false)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    for paragraph in paragraphs.iter().filter(|paragraph| !paragraph.is_empty()) {
        for line in textwrap::wrap(paragraph, &options) {
            let _ = writeln!(out, "{line}");
        }
    }
}
