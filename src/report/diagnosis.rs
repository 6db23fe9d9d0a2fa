//! How a diagnosis is shown: cause, evidence, and what to type next.

use std::io::{self, Write};

use super::failure::paragraphs;
use super::text::{COLUMNS, Style};
use crate::doctor::Finding;
use crate::explain;

/// Writes what was found on one host; without findings one calm line with `calm`.
///
/// # Errors
/// When `out` takes no more.
pub fn host(
    out: &mut dyn Write,
    host: &str,
    calm: &str,
    findings: &[Finding],
    style: Style,
) -> io::Result<()> {
    if findings.is_empty() {
        return writeln!(out, "{host}: {calm}");
    }
    writeln!(out, "{host}:")?;
    findings.iter().try_for_each(|finding| write(finding, out, style, COLUMNS))
}

/// Writes one finding, within `columns` except for words that are longer.
pub(super) fn write(
    finding: &Finding,
    out: &mut dyn Write,
    style: Style,
    columns: usize,
) -> io::Result<()> {
    let first = format!("  {} ", style.yellow(&style.bold("cause:")));
    paragraphs(out, &first, "    ", &finding.cause, columns)?;
    for line in &finding.evidence {
        paragraphs(out, "    evidence: ", "      ", line, columns)?;
    }
    let first = format!("    {} ", style.cyan("try:"));
    paragraphs(out, &first, "      ", &finding.command, columns)?;
    more(&[finding.name], out, "    ", style, columns)
}

/// Says where more is to be read of `codes`.
pub(super) fn more(
    codes: &[&str],
    out: &mut dyn Write,
    indent: &str,
    style: Style,
    columns: usize,
) -> io::Result<()> {
    debug_assert!(
        codes.iter().all(|code| explain::find(code).is_some()),
        "no explanation: {codes:?}"
    );
    if codes.is_empty() {
        return Ok(());
    }
    let commands: Vec<String> =
        codes.iter().map(|code| format!("`oceanid explain {code}`")).collect();
    let first = format!("{indent}{} ", style.cyan("more:"));
    let rest = format!("{indent}      ");
    paragraphs(out, &first, &rest, &commands.join(", "), columns)
}
