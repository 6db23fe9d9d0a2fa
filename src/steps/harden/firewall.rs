//! `firewall`: ufw lets in only what the cluster needs.

use crate::step::Step;
use crate::steps::Inputs;

/// What `firewall` makes true on a host, in order.
#[expect(clippy::unnecessary_wraps, reason = "every step is built alike")]
pub fn firewall(_inputs: &Inputs<'_>) -> anyhow::Result<Step> {
    Ok(Step::new("firewall"))
}
