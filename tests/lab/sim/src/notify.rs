//! Tells the service manager about readiness, as `sd_notify(3)` does.

use std::env;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Sends `state` (`READY=1`) to the service manager; does nothing where none listens.
pub fn notify(state: &str) {
    let Ok(name) = env::var("NOTIFY_SOCKET") else { return };
    let address = match name.strip_prefix('@') {
        Some(abstract_name) => SocketAddr::from_abstract_name(abstract_name),
        None => SocketAddr::from_pathname(&name),
    };
    let sent = address
        .and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address));
    if let Err(error) = sent {
        crate::log::warning(format!("Failed to notify systemd: {error}"));
    }
}
