//! `oceanid completions`: the script that lets a shell complete.

use super::print;
use crate::cli::Shell;
use crate::report::Exit;

/// Prints the script for `shell`.
pub fn run(shell: Shell) -> anyhow::Result<Exit> {
    print(&crate::complete::script(shell, "oceanid")?)?;
    Ok(Exit::Done)
}
