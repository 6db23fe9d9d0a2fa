//! `triton`: the inference server, serving its models.

use super::Inputs;
use crate::step::Step;

/// What `triton` makes true, in order.
pub fn triton(_inputs: &Inputs<'_>) -> anyhow::Result<Step> {
    Ok(Step::new("triton"))
}
