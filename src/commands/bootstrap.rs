//! `oceanid bootstrap` and `oceanid join`: the plan, a question, then the deed.

use super::beside;
use super::context::{Context, Look};
use super::delivery;
use super::plan::show;
use crate::cli::Apply;
use crate::fleet::{HostPlan, Selection};
use crate::releases::Releases;
use crate::report::{Diffs, Event, Exit, Observer as _, Totals, exit_code};

/// Brings the selected hosts to what cluster.toml says.
pub async fn run(
    context: &Context,
    selection: Selection,
    apply: &Apply,
    purpose: &str,
) -> anyhow::Result<Exit> {
    context.caution();
    let dialer = context.dialer()?;
    let fleet = context.fleet(&dialer, &selection, apply.parallel, purpose);
    let Look { cloudflare, members, releases, new, plans, .. } =
        match context.look_to_change(&fleet).await? {
            Ok(look) => look,
            Err(exit) => return Ok(exit),
        };
    if plans.iter().all(|plan| plan.changes.is_empty()) {
        fleet.bury(&members).await?;
        let totals =
            Totals { unchanged: plans.len(), took: fleet.begun.elapsed(), ..Totals::default() };
        context.teller.on(&Event::Finished { totals: &totals });
        return Ok(Exit::Done);
    }
    if !apply.yes && !agreed(context, &plans)? {
        return Ok(Exit::Interrupted);
    }
    delivery::bring(context, &releases, &plans).await?;
    fleet.bury(&members).await?;
    if new {
        releases.save(&Releases::path(&context.file))?;
    }
    let before = match beside::apply(context, &fleet, cloudflare).await {
        Ok(totals) => totals,
        Err(exit) => return Ok(exit),
    };
    let (_, failures) = fleet.apply(members, &plans, &releases, &before).await;
    Ok(exit_code(failures.iter().map(|failure| &failure.error)))
}

/// Shows what would change and asks whether it may.
fn agreed(context: &Context, plans: &[HostPlan]) -> anyhow::Result<bool> {
    if !context.json {
        show(plans, Diffs::Hidden)?;
    }
    let changes: usize = plans.iter().map(|plan| plan.changes.len()).sum();
    context.confirm(&format!("Make these {changes} changes?"))
}
