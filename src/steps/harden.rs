//! `harden`: the steps `host`, `ssh` and `firewall`. The last two could lock us out, so the host guards them.

pub use firewall::firewall;
pub use host::host;
pub use ssh::ssh;

mod firewall;
mod host;
mod ssh;
