//! `oceanid remove`: what oceanid made, shown, asked for, and taken away.

use std::time::Instant;

use super::beside::progress;
use super::context::{Context, Usage};
use super::plan::show;
use crate::cloudflare::{NAME, Removal, Which};
use crate::report::{Diffs, Event, Exit, Observer as _, Totals};

/// Takes away what carries our tag at Cloudflare.
pub async fn run(context: &Context, which: Which, yes: bool) -> anyhow::Result<Exit> {
    let begun = Instant::now();
    let Some(settings) = &context.cluster.cloudflare else {
        return Err(Usage(String::from("there is no `[cloudflare]` in cluster.toml")).into());
    };
    let found = Removal::find(&context.cluster, settings, which, progress(&context.teller)).await?;
    let plan = found.plan();
    let count = plan.changes.len();
    context.teller.on(&Event::Planned { host: NAME, changes: &plan.changes, notes: &plan.notes });
    if !context.json {
        show(&[plan], Diffs::Hidden)?;
    }
    if count == 0 {
        return Ok(Exit::Done);
    }
    if !yes && !context.confirm(&format!("Take away these {count} things at Cloudflare?"))? {
        return Ok(Exit::Interrupted);
    }
    let changes = found.apply(&context.teller).await?;
    context.teller.on(&Event::HostDone { host: NAME, changes });
    let took = begun.elapsed();
    let totals = Totals { changed: 1, changes, took, ..Totals::default() };
    context.teller.on(&Event::Finished { totals: &totals });
    Ok(Exit::Done)
}
