//! `harden`: the steps `host`, `ssh` and `firewall`. The last two could lock us out, so the host guards them.

pub use firewall::firewall;
pub use host::host;
pub use ssh::ssh;

use super::Inputs;
use crate::actions::File;
use crate::receipt::OPERATOR;
use crate::step::Step;

mod firewall;
mod host;
mod ssh;

/// Where the operator comes from: `admin-networks`, or else the address of the first time.
fn operators(inputs: &Inputs<'_>) -> Vec<String> {
    let networks = &inputs.host.harden.admin_networks;
    if networks.is_empty() {
        return inputs.facts.login.operator().iter().map(ToString::to_string).collect();
    }
    networks.iter().map(ToString::to_string).collect()
}

/// What lets the operator in is made for one address: a later run from elsewhere keeps it.
fn remember_the_operator(step: &mut Step, inputs: &Inputs<'_>) {
    if let Some(address) = inputs.facts.login.operator() {
        step.ensure(File::new(OPERATOR, format!("{address}\n")).mode(0o600));
    }
}
