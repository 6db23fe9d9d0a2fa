//! `cloudflared`: the tunnel that ends on a node.

use super::Inputs;
use crate::step::Step;

/// What `cloudflared` makes true, in order.
pub fn cloudflared(_inputs: &Inputs<'_>) -> anyhow::Result<Step> {
    Ok(Step::new("cloudflared"))
}
