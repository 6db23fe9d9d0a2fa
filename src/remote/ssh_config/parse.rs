//! The lines of an `ssh_config` file.

use std::fs;
use std::path::{Path, PathBuf};

/// How deep files may include each other, as in OpenSSH.
const DEEPEST: usize = 16;

/// A line that matters.
#[derive(Debug, Clone)]
pub enum Line {
    /// `Host`, with its patterns.
    Host(Vec<String>),
    /// `Match`, with its criteria.
    Match(Vec<Criterion>),
    /// `Include`, with the files it named.
    Include(Vec<Vec<Line>>),
    /// Anything else: the key in lower case, and its values.
    Set(String, Vec<String>),
}

/// One criterion of a `Match` line.
#[derive(Debug, Clone)]
pub struct Criterion {
    /// In lower case, without `!`.
    pub name: String,
    /// It stood there with a `!`.
    pub negated: bool,
    /// Its argument; empty for `all`.
    pub argument: String,
}

/// Reads `file`; relative includes are looked for in `folder`.
pub fn file(file: &Path, folder: &Path, home: &Path, depth: usize) -> Result<Vec<Line>, String> {
    let bytes =
        fs::read(file).map_err(|error| format!("cannot read `{}`: {error}", file.display()))?;
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = Vec::new();
    for (number, raw) in text.lines().enumerate() {
        let place = format!("{}:{}", file.display(), number + 1);
        let Some((key, values)) = split(raw).map_err(|error| format!("{place}: {error}"))? else {
            continue;
        };
        lines.push(match key.as_str() {
            "host" => Line::Host(values),
            "match" => Line::Match(criteria(&values, &place)),
            "include" => Line::Include(include(&values, folder, home, depth, &place)?),
            _ => Line::Set(key, values),
        });
    }
    Ok(lines)
}

fn include(
    patterns: &[String],
    folder: &Path,
    home: &Path,
    depth: usize,
    place: &str,
) -> Result<Vec<Vec<Line>>, String> {
    if depth >= DEEPEST {
        return Err(format!("{place}: files include each other more than {DEEPEST} deep"));
    }
    let mut files = Vec::new();
    for pattern in patterns {
        let path = folder.join(super::super::auth::expand(Path::new(pattern), home));
        for found in expand(&path) {
            // OpenSSH passes over an included file that it cannot read.
            if found.is_file() {
                files.push(file(&found, folder, home, depth + 1)?);
            }
        }
    }
    Ok(files)
}

fn expand(pattern: &Path) -> Vec<PathBuf> {
    let Ok(paths) = glob::glob(&pattern.to_string_lossy()) else { return Vec::new() };
    paths.filter_map(Result::ok).collect()
}

/// The criteria of a `Match` line; those that we cannot judge are said once, in the log.
fn criteria(values: &[String], place: &str) -> Vec<Criterion> {
    let mut found = Vec::new();
    let mut words = values.iter();
    while let Some(word) = words.next() {
        let (name, inline) =
            word.split_once('=').map_or((word.as_str(), None), |(name, rest)| (name, Some(rest)));
        let negated = name.starts_with('!');
        let name = name.trim_start_matches('!').to_ascii_lowercase();
        let alone = matches!(name.as_str(), "all" | "canonical" | "final");
        if !matches!(name.as_str(), "all" | "host" | "originalhost" | "user" | "localuser") {
            tracing::warn!("{place}: `Match {name}` is not supported, its lines are skipped");
        }
        let argument = match inline {
            Some(text) => text.to_owned(),
            None if alone => String::new(),
            None => words.next().cloned().unwrap_or_default(),
        };
        found.push(Criterion { name, negated, argument });
    }
    found
}

/// Splits a line into its key in lower case and its words; `None` for an empty line or comment.
fn split(line: &str) -> Result<Option<(String, Vec<String>)>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let line =
        line.strip_prefix('"').map_or_else(|| line.to_owned(), |rest| rest.replacen('"', "", 1));
    let end = line.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(line.len());
    let (key, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest);
    let values = words(rest)?;
    if values.is_empty() {
        return Err(format!("`{key}` has no value"));
    }
    Ok(Some((key.to_ascii_lowercase(), values)))
}

/// Splits at blanks outside quotes; a `#` that begins a word begins a comment.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let mut characters = text.chars().peekable();
    loop {
        while characters.next_if(|c| c.is_whitespace()).is_some() {}
        match characters.peek() {
            None | Some('#') => return Ok(found),
            Some(_) => {}
        }
        let mut word = String::new();
        let mut quote = None;
        while let Some(character) = characters.next_if(|c| quote.is_some() || !c.is_whitespace()) {
            match (character, quote) {
                ('\\', _) => match characters
                    .next_if(|c| matches!(c, '"' | '\'' | '\\') || (*c == ' ' && quote.is_none()))
                {
                    Some(escaped) => word.push(escaped),
                    None => word.push('\\'),
                },
                ('"' | '\'', None) => quote = Some(character),
                (_, Some(open)) if open == character => quote = None,
                _ => word.push(character),
            }
        }
        if quote.is_some() {
            return Err("a quote is not closed".to_owned());
        }
        found.push(word);
    }
}
