//! The way through a host to one of its own ports.

use std::time::Duration;

use russh::client::Msg;
use russh::{ChannelOpenFailure, ChannelStream};

use super::{Connection, RemoteError, host_key};

/// How long a host may take to open it.
const OPEN: Duration = Duration::from_secs(15);

impl Connection {
    /// Opens a way to `port` on the host's own loopback.
    ///
    /// # Errors
    /// [`RemoteError::Lost`] when the connection is gone, [`RemoteError::Unusable`] when it is not,
    /// and yet nothing comes of it.
    pub async fn forward(&self, port: u16) -> Result<ChannelStream<Msg>, RemoteError> {
        let there = self.link.session.channel_open_direct_tcpip(
            "127.0.0.1",
            u32::from(port),
            "127.0.0.1",
            0,
        );
        let opened = tokio::time::timeout(OPEN, there).await;
        let reason = match opened {
            Ok(Ok(channel)) => return Ok(channel.into_stream()),
            Ok(Err(russh::Error::ChannelOpenFailure(
                ChannelOpenFailure::AdministrativelyProhibited,
            ))) => String::from("its sshd does not forward connections (`AllowTcpForwarding`)"),
            Ok(Err(russh::Error::ChannelOpenFailure(_))) => {
                format!("nothing answers there on port {port}")
            }
            Ok(Err(error)) => return Err(self.lost(&host_key::plain(&error))),
            Err(_) => return Err(self.lost("it does not answer")),
        };
        Err(RemoteError::Unusable { address: self.address.clone(), reason })
    }

    /// Why the connection ended; `None` while it is there.
    #[must_use]
    pub fn ended(&self) -> Option<String> {
        self.link.session.is_closed().then(|| self.link.end.text())
    }
}
