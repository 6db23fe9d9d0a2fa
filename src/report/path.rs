//! How the path of a tunnel is shown: a line for each hop, and why the last one is broken.

use std::io::{self, Write};

use super::diagnosis;
use super::text::{COLUMNS, Place, Style, pad};
use crate::path::{Told, Verdict};

/// The column of the hops' names.
const NAMES: usize = 19;

/// Writes what came of every hop of the path to `name`.
///
/// # Errors
/// When `out` takes no more.
pub fn path(out: &mut dyn Write, name: &str, told: &[Told], style: Style) -> io::Result<()> {
    writeln!(out, "{}:", style.bold(name))?;
    for Told { hop, verdict } in told {
        let first = format!("  {}  ", pad(hop.title(), NAMES));
        let rest = " ".repeat(NAMES + 4);
        let place = Place { first: &first, rest: &rest, columns: COLUMNS };
        match verdict {
            Verdict::Holds(text) => place.write(out, &super::text::clean(text))?,
            Verdict::Unknown(text) => {
                let text = super::text::clean(text);
                place.write(out, &format!("{} {text}", style.yellow("not verified:")))?;
            }
            Verdict::Broken(finding) => {
                place.write(out, &style.red("broken"))?;
                diagnosis::write(finding, out, style, COLUMNS)?;
            }
        }
    }
    Ok(())
}
