//! What is sent to hosts is brought here first, once.

use super::context::Context;
use crate::fleet::HostPlan;
use crate::releases::Releases;
use crate::releases::downloads::Downloads;
use crate::report::{Event, Observer as _};
use crate::script::Body;

/// Downloads every file that the plans send; nothing was changed yet when it is not to be had.
pub async fn bring(
    context: &Context,
    releases: &Releases,
    plans: &[HostPlan],
) -> anyhow::Result<()> {
    let sources = &context.cluster.sources;
    let downloads = Downloads::new(sources);
    for wanted in releases.all_wanted(sources) {
        let path = wanted.cached();
        let sends = |plan: &&HostPlan| {
            plan.changes.iter().any(|planned| match planned.change.apply.body() {
                Body::File(sent) => *sent == path,
                _ => false,
            })
        };
        let Some(plan) = plans.iter().find(sends) else { continue };
        let progress = |text: &str| context.teller.on(&Event::Progress { host: &plan.host, text });
        wanted.bring(&downloads, &progress).await?;
    }
    Ok(())
}
