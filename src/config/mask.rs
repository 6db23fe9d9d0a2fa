//! Takes secrets out of text that is about to be shown.

use std::ops::Range;

/// What stands in the place of a secret, whatever its length.
const MASK: &str = "\"********\"";

/// Parts of words that say that a value is a secret.
const TELLTALES: [&str; 7] =
    ["passw", "passphrase", "token", "secret", "credential", "datastore-endpoint", "access-key"];

/// Keys that take a secret, for those that are misspelled beyond [`TELLTALES`].
const SECRET_KEYS: [&str; 4] = ["sudo-password", "password", "token", "datastore-endpoint"];

/// How alike two keys are, from 0 to 1, that are taken for the same key.
const ALIKE: f64 = 0.88;

/// Text with its secrets masked.
#[derive(Debug)]
pub struct Masked {
    text: String,
    cuts: Vec<Cut>,
}

/// A part of the old text and the part of the new text that replaces it.
#[derive(Debug)]
struct Cut {
    old: Range<usize>,
    new: Range<usize>,
}

impl Masked {
    /// Masks `secrets`, which may overlap, in `text`.
    pub fn new(text: &str, mut secrets: Vec<Range<usize>>) -> Self {
        secrets.sort_by_key(|span| span.start);
        let mut masked = Self { text: String::with_capacity(text.len()), cuts: Vec::new() };
        let mut done = 0;
        for secret in secrets {
            let (start, end) = (secret.start.max(done), secret.end);
            let Some(hidden) = text.get(start..end).filter(|hidden| !hidden.is_empty()) else {
                continue;
            };
            masked.text.push_str(text.get(done..start).unwrap_or_default());
            let from = masked.text.len();
            masked.text.push_str(MASK);
            // Line numbers below stay what they are.
            masked.text.extend(hidden.matches('\n'));
            masked.cuts.push(Cut { old: start..end, new: from..masked.text.len() });
            done = end;
        }
        masked.text.push_str(text.get(done..).unwrap_or_default());
        masked
    }

    /// The text as it may be shown.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where a part of the old text is now, on whole characters.
    pub fn shift(&self, old: &Range<usize>) -> Range<usize> {
        let start = self.offset(old.start, |cut| cut.new.start);
        let end = self.offset(old.end, |cut| cut.new.end).max(start);
        self.floor(start)..self.floor(end)
    }

    fn offset(&self, old: usize, inside: impl Fn(&Cut) -> usize) -> usize {
        match self.cuts.iter().take_while(|cut| cut.old.start <= old).last() {
            None => old,
            Some(cut) if old < cut.old.end => inside(cut),
            Some(cut) => cut.new.end + (old - cut.old.end),
        }
    }

    fn floor(&self, offset: usize) -> usize {
        let offset = offset.min(self.text.len());
        (0..=offset).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or(0)
    }
}

/// Whether the value of a key of that name is likely to be a secret.
pub fn looks_secret(key: &str) -> bool {
    let key = key.to_lowercase().replace('_', "-");
    // Such a key names the place of a secret, not the secret.
    if key.ends_with("-file") || key.ends_with("-seconds") {
        return false;
    }
    TELLTALES.iter().any(|part| key.contains(part))
        || SECRET_KEYS.iter().any(|known| strsim::jaro_winkler(&key, known) > ALIKE)
}

/// Finds what is likely to be a secret in text that is not TOML, so that no tree tells.
pub fn suspects(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut open: Option<Range<usize>> = None;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let end = start + line.trim_end().len();
        if let Some(secret) = suspect(line) {
            found.extend(open.take());
            open = Some(start + secret..end);
        } else if begins_anew(line) {
            found.extend(open.take());
        } else if let Some(open) = &mut open {
            open.end = end.max(open.end);
        }
        start += line.len();
    }
    found.extend(open);
    found
}

/// Where the value begins in a line that sets what is likely to be a secret.
fn suspect(line: &str) -> Option<usize> {
    let is_word = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    let line = line.trim_end();
    let mut words = line.split(|c| !is_word(c)).filter(|word| looks_secret(word));
    let word = words.next()?;
    let after = line.find(word)? + word.len();
    let rest = line.get(after..)?;
    let value = rest.trim_start_matches([' ', '\t', '"', '\'', '=']);
    let inner = value.strip_prefix('{').map_or(value, str::trim_start);
    let reference = ["env", "file", "command"].iter().any(|kind| inner.starts_with(kind));
    let comment = line.trim_start().starts_with('#');
    (!reference && !comment && !value.is_empty()).then(|| after + rest.len() - value.len())
}

/// Whether a line begins another key or section.
fn begins_anew(line: &str) -> bool {
    let line = line.trim();
    let key = |c: char| c.is_alphanumeric() || "-_.\"' ".contains(c);
    line.starts_with('[') || line.split_once('=').is_some_and(|(name, _)| name.chars().all(key))
}
