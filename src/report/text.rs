//! Text for people: colours, widths, plurals and durations.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use console::Style as Ansi;
use textwrap::{Options, WordSplitter};

/// The columns that everything for people fits into, unless a terminal says otherwise.
pub(super) const COLUMNS: usize = 80;

/// The longest text between backticks that is kept on one line, columns.
const KEPT: usize = 60;

/// Whether text may hold colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Plain text.
    Plain,
    /// ANSI colours, for a terminal.
    Colored,
}

impl Style {
    /// Colours for a terminal that has them, unless `NO_COLOR` is set.
    pub fn of(stream: &impl IsTerminal) -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if unwanted || !is_terminal(stream) { Self::Plain } else { Self::Colored }
    }

    fn paint(self, ansi: Ansi, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Colored => ansi.force_styling(true).apply_to(text).to_string(),
        }
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.paint(Ansi::new().bold(), text)
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.paint(Ansi::new().dim(), text)
    }

    pub(super) fn red(self, text: &str) -> String {
        self.paint(Ansi::new().red(), text)
    }

    pub(super) fn green(self, text: &str) -> String {
        self.paint(Ansi::new().green(), text)
    }

    pub(super) fn yellow(self, text: &str) -> String {
        self.paint(Ansi::new().yellow(), text)
    }

    pub(super) fn cyan(self, text: &str) -> String {
        self.paint(Ansi::new().cyan(), text)
    }
}

/// Whether lines on `stream` can be drawn again.
pub(super) fn is_terminal(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("TERM").is_none_or(|kind| kind != "dumb")
}

/// One line of text that a host said, without anything that a terminal would obey.
pub(super) fn clean(text: &str) -> String {
    console::strip_ansi_codes(text.trim_end())
        .chars()
        .filter_map(|c| match c {
            '\t' | '\n' => Some(' '),
            c if is_invisible(c) => None,
            c => Some(c),
        })
        .collect()
}

/// What is left of a line that a progress bar wrote over and over.
pub(super) fn last_written(line: &str) -> String {
    let line = line.trim_end();
    clean(line.rsplit('\r').next().unwrap_or(line))
}

/// Control characters, and those that turn the direction of writing.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The columns that `text` takes.
pub(super) fn width(text: &str) -> usize {
    console::measure_text_width(text)
}

/// `text`, shortened with `…` to at most `columns`.
pub(super) fn fit(text: &str, columns: usize) -> String {
    console::truncate_str(text, columns, "…").into_owned()
}

/// `text`, shortened or filled up to exactly `columns`.
pub(super) fn pad(text: &str, columns: usize) -> String {
    console::pad_str(text, columns, console::Alignment::Left, Some("…")).into_owned()
}

/// Where a paragraph stands on the screen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// What its first line begins with.
    pub first: &'a str,
    /// What its other lines begin with.
    pub rest: &'a str,
    /// How far to the right it may reach.
    pub columns: usize,
}

impl Place<'_> {
    /// Writes `text` as one paragraph; commands in backticks stay whole.
    pub(super) fn write(self, out: &mut dyn Write, text: &str) -> io::Result<()> {
        let options = Options::new(self.columns)
            .initial_indent(self.first)
            .subsequent_indent(self.rest)
            .break_words(false)
            .word_splitter(WordSplitter::NoHyphenation);
        for line in textwrap::wrap(&keep_commands(text), options) {
            writeln!(out, "{}", line.replace('\u{a0}', " ").trim_end())?;
        }
        Ok(())
    }
}

/// Ties the words between backticks together, so that a command can be copied in one piece.
fn keep_commands(text: &str) -> String {
    let mut tied = String::with_capacity(text.len());
    for (index, part) in text.split('`').enumerate() {
        if index > 0 {
            tied.push('`');
        }
        if index % 2 == 1 && width(part) <= KEPT {
            tied.push_str(&part.replace(' ', "\u{a0}"));
        } else {
            tied.push_str(part);
        }
    }
    tied
}

/// `1 change`, `4 changes`.
pub(super) fn count(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// `0.4 s`, `12.0 s`, `3 min 5 s`.
pub(super) fn duration(took: Duration) -> String {
    // Rounded first: 59.96 s is a minute.
    let tenths = (took.as_millis() + 50) / 100;
    if tenths < 600 {
        return format!("{}.{} s", tenths / 10, tenths % 10);
    }
    let seconds = (took.as_millis() + 500) / 1000;
    format!("{} min {} s", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_round_to_what_is_shown() {
        let shown = |millis| duration(Duration::from_millis(millis));
        assert_eq!(shown(0), "0.0 s");
        assert_eq!(shown(2_149), "2.1 s");
        assert_eq!(shown(59_949), "59.9 s");
        assert_eq!(shown(59_950), "1 min 0 s");
        assert_eq!(shown(192_499), "3 min 12 s");
    }

    #[test]
    fn nothing_that_a_host_says_moves_the_cursor() {
        assert_eq!(clean("\u{1b}[2J\u{1b}]0;title\u{7}gone\u{8}\u{9b}1A"), "gone");
        assert_eq!(last_written("10%\r50%\r100%\n"), "100%");
        assert_eq!(clean("a\tb\u{202e}c"), "a bc");
    }

    #[test]
    fn a_command_in_backticks_is_never_broken() {
        let mut out = Vec::new();
        let place = Place { first: "  hint: ", rest: "        ", columns: 40 };
        place
            .write(&mut out, "the words before it are long; `oceanid trust styx --yes` then")
            .unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.lines().any(|line| line.contains("`oceanid trust styx --yes`")), "{text}");
    }
}
