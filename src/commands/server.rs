//! The first server that lets us in, for what any of them can tell.

use super::context::{Context, Dialer};
use crate::cluster::Host;
use crate::fleet::Dial as _;
use crate::remote::AnyRemote;
use crate::report::{Event, Exit, Observer as _, exit_code};

/// A server that we are in.
pub struct Server<'a> {
    /// Its place among the servers.
    pub index: usize,
    /// cluster.toml's view.
    pub host: &'a Host,
    /// The connection.
    pub remote: AnyRemote,
}

/// Logs in to the first server that lets us in; what stands in the way was told of, and is the exit status.
pub async fn enter<'a>(context: &'a Context, dialer: &Dialer) -> Result<Server<'a>, Exit> {
    let mut failures = Vec::new();
    for (index, host) in context.cluster.servers().enumerate() {
        match dialer.dial(host, &context.teller).await {
            Ok(remote) => {
                context.teller.on(&Event::Connected { host: &host.name });
                return Ok(Server { index, host, remote });
            }
            Err(error) => {
                let error = error.into();
                context.teller.on(&Event::HostFailed { host: &host.name, error: &error });
                failures.push(error);
            }
        }
    }
    Err(exit_code(&failures))
}
