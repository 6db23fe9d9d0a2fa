//! `host`: everything of the hardening that cannot lock anybody out.

use crate::step::Step;
use crate::steps::Inputs;

/// What `host` makes true on a host, in order.
#[expect(clippy::unnecessary_wraps, reason = "every step is built alike")]
pub fn host(_inputs: &Inputs<'_>) -> anyhow::Result<Step> {
    Ok(Step::new("host"))
}
