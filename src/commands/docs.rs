//! `oceanid docs`: the keys of cluster.toml.

use super::context::Usage;
use super::print;
use crate::report::Exit;

/// Prints the reference of a key, or of all.
pub fn run(key: Option<&str>) -> anyhow::Result<Exit> {
    let text = crate::docs::render(key).map_err(|error| Usage(error.to_string()))?;
    print(&text)?;
    Ok(Exit::Done)
}
