//! What an operator brings along for every cluster: mirrors, keys, versions.

use std::path::Path;

use anyhow::{Context as _, bail};
use toml::{Table, Value};

use super::document::{self, Line};

/// Sections that go into the new file before what is proposed.
#[derive(Debug, Clone, Default)]
pub struct Additions {
    name: String,
    sections: Table,
}

impl Additions {
    /// Reads a file of sections as cluster.toml has them.
    ///
    /// # Errors
    /// When it cannot be read, is not TOML, or has nodes.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        let sections: Table =
            text.parse().with_context(|| format!("`{}` is not TOML", path.display()))?;
        if sections.contains_key("node") {
            bail!(
                "`{}` has a `[[node]]`\nhint: nodes come from the hosts that you name; take it out there",
                path.display()
            );
        }
        Ok(Self { name: path.display().to_string(), sections })
    }

    /// Where a mistake in `proposal` with these sections is.
    #[must_use]
    pub fn place(&self, proposal: &str) -> String {
        if self.name.is_empty() {
            return proposal.to_owned();
        }
        format!("{proposal} with {}", self.name)
    }

    /// What is brought along as `[section] key`, if it is text.
    #[must_use]
    pub fn text(&self, section: &str, key: &str) -> Option<&str> {
        self.sections.get(section)?.get(key)?.as_str()
    }

    /// Puts them into `tables`: what is brought along takes the place of what is proposed.
    #[must_use]
    pub fn merge(&self, mut tables: Vec<document::Table>) -> Vec<document::Table> {
        for (name, section) in &self.sections {
            match section {
                Value::Table(keys) => self.merge_section(&mut tables, name, keys),
                Value::Array(items) => {
                    let items = items.iter().filter_map(Value::as_table);
                    tables.extend(items.map(|keys| self.table(format!("[[{name}]]"), keys)));
                }
                // Nothing of cluster.toml is like that: validation says so.
                other => tables.insert(
                    0,
                    document::Table {
                        header: String::new(),
                        lines: vec![Line::new(name, other.clone(), "")],
                        ..document::Table::default()
                    },
                ),
            }
        }
        tables
    }

    fn merge_section(&self, tables: &mut Vec<document::Table>, name: &str, keys: &Table) {
        let header = format!("[{name}]");
        let addition = self.table(header.clone(), keys);
        let Some(table) = tables.iter_mut().find(|table| table.header == header) else {
            tables.push(addition);
            return;
        };
        for line in addition.lines {
            match table.lines.iter_mut().find(|proposed| proposed.key == line.key) {
                Some(proposed) => *proposed = line,
                None => table.lines.push(line),
            }
        }
    }

    fn table(&self, header: String, keys: &Table) -> document::Table {
        let why = format!("From {}.", self.name);
        let line = |(key, value): (&String, &Value)| Line::new(key, value.clone(), &why);
        document::Table { header, lines: keys.iter().map(line).collect(), ..Default::default() }
    }
}
