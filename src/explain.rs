//! What is known of each error and each cause that has a name, for whoever has no network at hand.

use std::fmt::Write as _;

use anyhow::bail;

use crate::config::suggest::closest;

mod fit;
mod k3s;
mod path;
mod reach;
mod run;
mod triton;

/// The width of the text.
const COLUMNS: usize = 80;

/// What is known of an error or a cause.
#[derive(Debug, Clone, Copy)]
pub struct Explanation {
    /// The word by which errors name it; it stays the same from version to version.
    pub code: &'static str,
    /// What it means, in a sentence.
    pub means: &'static str,
    /// Where it comes from.
    pub why: &'static str,
    /// What to do.
    pub then: &'static str,
}

/// Every explanation.
pub fn all() -> impl Iterator<Item = &'static Explanation> {
    [reach::ALL, run::ALL, fit::ALL, k3s::ALL, triton::ALL, path::ALL].into_iter().flatten()
}

/// The explanation of `code`.
#[must_use]
pub fn find(code: &str) -> Option<&'static Explanation> {
    all().find(|one| one.code == code)
}

/// The text for people; without `code` a line for each.
///
/// # Errors
/// When nothing is called `code`: then with the closest name.
pub fn render(code: Option<&str>) -> anyhow::Result<String> {
    let Some(typed) = code else {
        let width = all().map(|one| one.code.len()).max().unwrap_or_default() + 2;
        let rest = " ".repeat(width);
        let mut text = String::new();
        for one in all() {
            let first = format!("{:width$}", one.code);
            paragraph(&mut text, &first, &rest, one.means);
        }
        return Ok(text);
    };
    let plain = typed.trim_matches(['`', '[', ']']).to_lowercase().replace(['_', ' '], "-");
    let Some(one) = find(&plain) else {
        let hint = match closest(&plain, all().map(|one| one.code)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => String::from("`oceanid explain` lists every code"),
        };
        bail!("no error is called `{typed}`\n  hint: {hint}");
    };
    let mut text = format!("{}\n", one.code);
    paragraph(&mut text, "  ", "  ", one.means);
    for (title, body) in [("Why", one.why), ("What to do", one.then)] {
        let _ = writeln!(text, "\n  {title}:");
        paragraph(&mut text, "    ", "    ", body);
    }
    Ok(text)
}

fn paragraph(out: &mut String, first: &str, rest: &str, text: &str) {
    let options = textwrap::Options::new(COLUMNS)
        .initial_indent(first)
        .subsequent_indent(rest)
        .break_words(false)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    for line in textwrap::wrap(text, options) {
        let _ = writeln!(out, "{line}");
    }
}
