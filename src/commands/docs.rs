//! `oceanid docs` and `oceanid explain`: what is to be known without a network.

use super::context::Usage;
use super::print;
use crate::report::Exit;

/// Prints what is known of a topic, or of every key.
pub fn run(topic: Option<&str>) -> anyhow::Result<Exit> {
    let text = crate::docs::render(topic).map_err(|error| Usage(error.to_string()))?;
    print(&text)?;
    Ok(Exit::Done)
}

/// Prints the explanation of an error, or of all.
pub fn explain(code: Option<&str>) -> anyhow::Result<Exit> {
    let text = crate::explain::render(code).map_err(|error| Usage(error.to_string()))?;
    print(&text)?;
    Ok(Exit::Done)
}
