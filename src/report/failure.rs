//! How an error is shown: what failed, its causes, what the host's script said last, and what to type next.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use super::diagnosis;
use super::hint::{self, Explained};
use super::kind::Kind;
use super::text::{Place, Style, clean, count, last_written};
use crate::config::Invalid;
use crate::doctor::{Diagnosed, Finding};
use crate::engine::{ChangeFailed, Interrupted, NotHeld, NotPutBack, PutBack};
use crate::fleet::Unfit;
use crate::guard::{TakenBack, Unconfirmed};
use crate::lock::Held;
use crate::releases::NoSums;
use crate::remote::{Output, RemoteError};

/// How much of a failed script's output is shown, lines.
const SHOWN_LINES: usize = 20;
/// Up to this many lines of output are the cause itself.
const SHORT: usize = 3;

/// Something to know about an error: a fingerprint, the keys that were tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Detail {
    /// What the lines are.
    pub label: &'static str,
    /// One or more lines.
    pub lines: Vec<String>,
}

/// An error taken apart, ready to be shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Failure {
    /// What kind of error it is.
    pub kind: Kind,
    /// What `oceanid explain` knows of it.
    pub codes: Vec<&'static str>,
    /// What failed.
    pub message: String,
    /// What else there is to know.
    pub details: Vec<Detail>,
    /// Why, the nearest cause first.
    pub causes: Vec<String>,
    /// The last lines of the failed script's output.
    pub output: Vec<String>,
    /// Known causes that the host shows.
    pub findings: Vec<Finding>,
    /// What to type next.
    pub hint: Option<String>,
    /// The host, unless the message names it.
    #[serde(skip)]
    prefix: Option<String>,
}

impl Failure {
    /// Takes `error` apart; `host` is the one on which it happened.
    #[must_use]
    pub fn new(host: Option<&str>, error: &anyhow::Error) -> Self {
        if let Some(invalid) = error.downcast_ref::<Invalid>() {
            return Self {
                kind: Kind::Configuration,
                codes: Kind::Configuration.code().into_iter().collect(),
                message: invalid.to_string(),
                ..Self::default()
            };
        }
        let explained = explain(host, error);
        let mut failure = Self {
            kind: explained.kind,
            codes: explained.kind.code().into_iter().collect(),
            message: String::new(),
            details: explained.details,
            causes: Vec::new(),
            output: Vec::new(),
            findings: Vec::new(),
            hint: explained.hint,
            prefix: None,
        };
        if let Some(unfit) = error.downcast_ref::<Unfit>() {
            failure.codes.extend(&unfit.codes);
        }
        // Found out after the error, in whose words it speaks.
        let diagnosed = error.downcast_ref::<Diagnosed>();
        failure.findings.extend(diagnosed.iter().flat_map(|found| found.findings.clone()));
        let mut texts = error
            .chain()
            .skip(usize::from(diagnosed.is_some()))
            .map(|cause| failure.take_hint(&cause.to_string()))
            .collect::<Vec<_>>()
            .into_iter();
        failure.message = texts.next().unwrap_or_default();
        failure.causes = texts.chain(explained.causes).collect();
        failure.causes.dedup();
        if let Some(failed) = error.downcast_ref::<ChangeFailed>() {
            failure.take_output(&failed.output);
        }
        let names = |name: &&str| !failure.message.contains(&format!("`{name}`"));
        failure.prefix = host.filter(names).map(str::to_owned);
        failure
    }

    /// A message may end in a line of its own with what to do: `hint: …`.
    fn take_hint(&mut self, text: &str) -> String {
        let Some((text, hint)) = text.split_once("\nhint: ") else {
            return text.trim_end().to_owned();
        };
        self.hint = Some(hint.trim().to_owned());
        text.trim_end().to_owned()
    }

    fn take_output(&mut self, output: &Output) {
        let both = output.stdout.lines().chain(output.stderr.lines()).map(last_written);
        let mut lines: Vec<String> = both.filter(|line| !line.trim().is_empty()).collect();
        if lines.is_empty() {
            self.causes.push(ended(output.status));
        } else if lines.len() <= SHORT {
            self.causes.append(&mut lines);
        } else {
            self.causes.extend(lines.last().map(|line| line.trim().to_owned()));
            self.output = lines.split_off(lines.len().saturating_sub(SHOWN_LINES));
        }
    }

    /// What failed, in one line.
    #[must_use]
    pub fn headline(&self) -> String {
        clean(self.message.lines().next().unwrap_or_default())
    }

    /// Writes it for people, within `columns` except for words that are longer.
    pub(super) fn write(
        &self,
        out: &mut dyn Write,
        style: Style,
        columns: usize,
    ) -> io::Result<()> {
        let error = style.red(&style.bold("error:"));
        // An error of the configuration points into its file and draws itself.
        if self.kind == Kind::Configuration {
            writeln!(out, "{}", self.message.trim_end())?;
        } else {
            let prefix = self.prefix.as_ref().map_or(String::new(), |host| format!("{host}: "));
            paragraphs(
                out,
                &format!("{error} "),
                "  ",
                &format!("{prefix}{}", self.message),
                columns,
            )?;
        }
        for detail in &self.details {
            detail.write(out, columns)?;
        }
        for cause in &self.causes {
            paragraphs(out, "  caused by: ", "             ", cause, columns)?;
        }
        if !self.output.is_empty() {
            writeln!(out, "  its last {}:", count(self.output.len(), "line"))?;
        }
        for line in &self.output {
            Place { first: "    ", rest: "        ", columns }.write(out, line)?;
        }
        for finding in &self.findings {
            diagnosis::write(finding, out, style, columns)?;
        }
        if let Some(text) = &self.hint {
            let first = format!("  {} ", style.cyan("hint:"));
            paragraphs(out, &first, "        ", text, columns)?;
        }
        // What points into cluster.toml says more than an explanation could.
        if self.kind != Kind::Configuration {
            diagnosis::more(&self.codes, out, "  ", style, columns)?;
        }
        Ok(())
    }
}

impl Detail {
    fn write(&self, out: &mut dyn Write, columns: usize) -> io::Result<()> {
        let indent = " ".repeat(self.label.len() + 4);
        if let [line] = self.lines.as_slice() {
            return paragraphs(out, &format!("  {}: ", self.label), &indent, line, columns);
        }
        if !self.lines.is_empty() {
            writeln!(out, "  {}:", self.label)?;
        }
        for line in &self.lines {
            paragraphs(out, "    ", "        ", line, columns)?;
        }
        Ok(())
    }
}

/// One paragraph for each line of `text`.
pub(super) fn paragraphs(
    out: &mut dyn Write,
    first: &str,
    rest: &str,
    text: &str,
    columns: usize,
) -> io::Result<()> {
    let mut first = first;
    for line in text.lines() {
        Place { first, rest, columns }.write(out, &clean(line))?;
        first = rest;
    }
    Ok(())
}

fn ended(status: i32) -> String {
    if status > 128 {
        return format!("signal {} ended its script, which said nothing", status - 128);
    }
    format!("its script ended with status {status} and said nothing")
}

fn explain(host: Option<&str>, error: &anyhow::Error) -> Explained {
    if let Some(back) = error.downcast_ref::<TakenBack>() {
        hint::taken_back(back)
    } else if let Some(back) = error.downcast_ref::<PutBack>() {
        hint::put_back(back)
    } else if let Some(lost) = error.downcast_ref::<NotPutBack>() {
        hint::not_put_back(lost)
    } else if let Some(remote) = error.downcast_ref::<RemoteError>() {
        hint::remote(remote, host.unwrap_or("NODE"))
    } else if let Some(failed) = error.downcast_ref::<ChangeFailed>() {
        hint::change(failed)
    } else if let Some(not_held) = error.downcast_ref::<NotHeld>() {
        hint::not_held(not_held)
    } else if let Some(unconfirmed) = error.downcast_ref::<Unconfirmed>() {
        hint::unconfirmed(unconfirmed)
    } else if let Some(held) = error.downcast_ref::<Held>() {
        hint::held(held)
    } else if let Some(missing) = error.downcast_ref::<NoSums>() {
        hint::no_sums(missing)
    } else if error.downcast_ref::<Interrupted>().is_some() {
        hint::interrupted()
    } else {
        Explained::default()
    }
}

/// Writes `error` to `out` for people: what failed, its causes, and what to type next.
///
/// # Errors
/// When `out` takes no more.
pub fn failure(
    out: &mut dyn Write,
    host: Option<&str>,
    error: &anyhow::Error,
    style: Style,
) -> io::Result<()> {
    Failure::new(host, error).write(out, style, super::text::COLUMNS)
}

/// The failures of a run; what several hosts have in common is shown once.
#[derive(Debug, Default)]
pub(super) struct Failures(Vec<Failure>);

impl Failures {
    pub(super) fn push(&mut self, failure: Failure) {
        self.0.push(failure);
    }

    /// Writes each, with an empty line before and after it.
    pub(super) fn write(
        &self,
        out: &mut dyn Write,
        style: Style,
        columns: usize,
    ) -> io::Result<()> {
        let mut alike: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
        for (index, failure) in self.0.iter().enumerate() {
            let first = self.0.iter().position(|other| other.is_like(failure)).unwrap_or(index);
            alike.entry(first).or_default().extend(failure.prefix.as_deref());
        }
        for (index, failure) in self.0.iter().enumerate() {
            let Some(hosts) = alike.get(&index) else { continue };
            let prefix = (!hosts.is_empty()).then(|| hosts.join(", "));
            writeln!(out)?;
            Failure { prefix, ..failure.clone() }.write(out, style, columns)?;
        }
        if !self.0.is_empty() {
            writeln!(out)?;
        }
        Ok(())
    }
}

impl Failure {
    /// Whether both say the same of two hosts; what to type may differ.
    fn is_like(&self, other: &Self) -> bool {
        let key = |failure: &Self| {
            (failure.message.clone(), failure.details.clone(), failure.causes.clone())
        };
        key(self) == key(other)
    }
}
