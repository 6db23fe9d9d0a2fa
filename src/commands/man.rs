//! `oceanid man`: a manual page for each command.

use std::path::Path;

use anyhow::Context as _;
use clap::CommandFactory as _;

use super::print;
use crate::cli::Cli;
use crate::report::Exit;

/// Writes the pages into `folder`, which is made if it is not there.
pub fn run(folder: &Path) -> anyhow::Result<Exit> {
    let place = || format!("cannot write manual pages to `{}`", folder.display());
    std::fs::create_dir_all(folder).with_context(place)?;
    let command = Cli::command();
    let pages = 1 + command.get_subcommands().filter(|command| !command.is_hide_set()).count();
    clap_mangen::generate_to(command, folder).with_context(place)?;
    print(&format!("{pages} pages in {}; `man -l FILE` reads one\n", folder.display()))?;
    Ok(Exit::Done)
}
