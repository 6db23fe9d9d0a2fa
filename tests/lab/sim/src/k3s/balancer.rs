//! The agent's local load balancer: 127.0.0.1:6444 to a server.

use crate::log;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// Carries connections to `server` (`host:port`) for ever.
pub async fn run(listener: TcpListener, server: String) {
    loop {
        let Ok((mut near, _)) = listener.accept().await else { continue };
        let server = server.clone();
        tokio::spawn(async move {
            match TcpStream::connect(&server).await {
                Ok(mut far) => {
                    let _ = copy_bidirectional(&mut near, &mut far).await;
                }
                Err(error) => {
                    // A reset, as the real balancer gives, not an orderly end.
                    log::error(format!(
                        "Load balancer k3s-agent-load-balancer failed to dial {server}: {error}"
                    ));
                    let _ = near.set_zero_linger();
                }
            }
        });
    }
}
