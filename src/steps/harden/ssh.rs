//! `ssh`: sshd takes keys and good algorithms only.

use crate::step::Step;
use crate::steps::Inputs;

/// What `ssh` makes true on a host, in order.
pub fn ssh(_inputs: &Inputs<'_>) -> anyhow::Result<Step> {
    Ok(Step::new("ssh"))
}
