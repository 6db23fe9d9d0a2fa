//! `docker`: the container engine that Triton runs in.

use super::Inputs;
use crate::step::Step;

/// What `docker` makes true, in order.
pub fn docker(_inputs: &Inputs<'_>) -> anyhow::Result<Step> {
    Ok(Step::new("docker"))
}
