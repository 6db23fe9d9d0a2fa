//! Cloudflare's side of a run: looked at before the hosts, and brought about before them.

use super::context::{Context, Dialer, Teller, Usage};
use crate::cloudflare::{Desk, NAME, Progress};
use crate::cluster::Cluster;
use crate::fleet::{Failure, Fleet, HostPlan, Selection};
use crate::report::{Deed, Event, Exit, Observer, Totals, exit_code};

/// Refuses a selection of Cloudflare's side alone where there is none.
pub fn check(selection: &Selection, cluster: &Cluster) -> anyhow::Result<()> {
    if selection.has_hosts() || (selection.has_step(NAME) && cluster.cloudflare.is_some()) {
        return Ok(());
    }
    let text = match cluster.cloudflare {
        None if selection.has_step(NAME) => "there is no `[cloudflare]` in cluster.toml",
        _ => "no step is left to do",
    };
    Err(Usage(text.to_owned()).into())
}

/// Tells what Cloudflare is waited for.
pub fn progress(teller: &Teller) -> Progress {
    let teller = teller.clone();
    Box::new(move |text| teller.on(&Event::Progress { host: NAME, text }))
}

/// Looks at Cloudflare's side where the run has to do with it; what stands in the way was told of.
pub async fn look<'f>(
    context: &Context,
    fleet: &Fleet<'f, Dialer, Teller>,
) -> Result<Option<(Desk<'f>, HostPlan)>, Exit> {
    let looked = find(fleet.cluster, fleet.selection, progress(&context.teller)).await;
    let found = looked.map_err(|error| {
        let failure = Failure { host: NAME.to_owned(), error };
        context.give_up(fleet, &[failure])
    })?;
    if let Some((_, HostPlan { changes, notes, .. })) = &found {
        context.teller.on(&Event::Planned { host: NAME, changes, notes });
    }
    Ok(found)
}

/// Looks at Cloudflare's side where the selection has to do with it, and asks for tunnels' tokens.
///
/// # Errors
/// When Cloudflare does not answer or refuses, or something foreign is in the way.
pub async fn find<'f>(
    cluster: &'f Cluster,
    selection: &Selection,
    progress: Progress,
) -> anyhow::Result<Option<(Desk<'f>, HostPlan)>> {
    let Some(settings) = &cluster.cloudflare else { return Ok(None) };
    let concerned = cluster.tunnels.iter().any(|tunnel| selection.has_node(&tunnel.node));
    if !concerned || !selection.has_step(NAME) {
        return Ok(None);
    }
    let desk = Desk::open(cluster, settings, |node| selection.has_node(node), progress).await?;
    let plan = desk.plan()?;
    desk.bring_tokens().await?;
    Ok(Some((desk, plan)))
}

/// Brings Cloudflare's side about; without it no host is changed. What it came to, or the exit status.
pub async fn apply(
    context: &Context,
    fleet: &Fleet<'_, Dialer, Teller>,
    desk: Option<Desk<'_>>,
) -> Result<Totals, Exit> {
    let Some(mut desk) = desk else { return Ok(Totals::default()) };
    let teller = &context.teller;
    let mut changes = 0;
    let mut done = desk.apply(teller, fleet.stop, &mut changes).await;
    if done.is_ok() {
        done = desk.bring_tokens().await;
    }
    let Err(error) = done else {
        teller.on(&Event::HostDone { host: NAME, changes });
        let touched = usize::from(changes > 0);
        let unchanged = 1 - touched;
        return Ok(Totals { changed: touched, unchanged, changes, ..Totals::default() });
    };
    teller.on(&Event::HostFailed { host: NAME, error: &error });
    let hosts = fleet.hosts();
    for host in &hosts {
        let reason = "Cloudflare's side comes first";
        teller.on(&Event::HostSkipped { host: &host.name, reason });
    }
    let (skipped, took) = (hosts.len(), fleet.begun.elapsed());
    let deed = Deed::Apply;
    teller.on(&Event::Finished {
        totals: &Totals { deed, changes, failed: 1, skipped, took, ..Totals::default() },
    });
    Err(exit_code([&error]))
}
