//! `oceanid plan`: what would change, on stdout; nothing is written to any host.

use std::time::Duration;

use super::context::{Context, Look};
use crate::cli::Target;
use crate::fleet::HostPlan;
use crate::report::{self, Deed, Diffs, Event, Exit, Observer as _, Style, Totals};

/// Looks at every selected host and prints what would change.
pub async fn run(
    context: &Context,
    target: Target,
    diff: bool,
    detailed_exitcode: bool,
) -> anyhow::Result<Exit> {
    context.caution();
    let selection = context.selection(target)?;
    let dialer = context.dialer()?;
    let fleet = context.fleet(&dialer, &selection, 10, "plan");
    let Look { plans, guarded, .. } = match context.look(&fleet).await? {
        Ok(look) => look,
        Err(exit) => return Ok(exit),
    };
    let diffs = if diff { Diffs::Shown } else { Diffs::Hidden };
    if !context.json {
        show(&plans, diffs)?;
    }
    let pending = plans.iter().any(|plan| !plan.changes.is_empty());
    context.teller.on(&Event::Finished { totals: &totals(&plans, fleet.begun.elapsed()) });
    Ok(match (guarded, pending && detailed_exitcode) {
        (true, _) => Exit::RolledBack,
        (_, true) => Exit::Pending,
        _ => Exit::Done,
    })
}

/// What a plan comes to.
pub fn totals(plans: &[HostPlan], took: Duration) -> Totals {
    let changed = plans.iter().filter(|plan| !plan.changes.is_empty()).count();
    Totals {
        deed: Deed::Plan,
        unchanged: plans.len() - changed,
        changed,
        changes: plans.iter().map(|plan| plan.changes.len()).sum(),
        took,
        ..Totals::default()
    }
}

/// Prints the plans of all hosts.
pub fn show(plans: &[HostPlan], diffs: Diffs) -> anyhow::Result<()> {
    let stdout = std::io::stdout();
    let style = Style::of(&stdout);
    report::plan(&mut stdout.lock(), &shown(plans), diffs, style)?;
    Ok(())
}

/// Prints what is worth knowing of all hosts.
pub fn show_notes(plans: &[HostPlan]) -> anyhow::Result<()> {
    report::notes(&mut std::io::stdout().lock(), &shown(plans))?;
    Ok(())
}

fn shown(plans: &[HostPlan]) -> Vec<report::HostPlan<'_>> {
    plans
        .iter()
        .map(|plan| report::HostPlan {
            host: &plan.host,
            changes: &plan.changes,
            notes: &plan.notes,
        })
        .collect()
}
