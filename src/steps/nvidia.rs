//! `nvidia`: driver, container toolkit and CDI of the GPU, before k3s looks for them.

use super::Inputs;
use crate::step::Step;

/// What `nvidia` makes true, in order.
pub fn nvidia(_inputs: &Inputs<'_>) -> anyhow::Result<Step> {
    Ok(Step::new("nvidia"))
}
