//! `ssh`: sshd takes keys and good algorithms only.

use crate::step::Step;
use crate::steps::Inputs;

/// What `ssh` makes true on a host, in order.
#[expect(clippy::unnecessary_wraps, reason = "every step is built alike")]
pub fn ssh(_inputs: &Inputs<'_>) -> anyhow::Result<Step> {
    Ok(Step::new("ssh"))
}
