//! `gpu`: the GPU as the cluster sees it.

use super::Inputs;
use crate::step::Step;

/// What `gpu` makes true, in order.
pub fn gpu(_inputs: &Inputs<'_>) -> anyhow::Result<Step> {
    Ok(Step::new("gpu"))
}
