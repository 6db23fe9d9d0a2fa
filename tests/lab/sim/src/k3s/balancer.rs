//! The agent's local load balancer: 127.0.0.1:6444 to the servers.

use crate::log;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// The servers (`host:port`) in the order in which they are tried.
#[derive(Debug, Clone)]
pub struct Servers(Arc<Mutex<Vec<String>>>);

impl Servers {
    /// Begins with the one that was configured.
    pub fn new(server: String) -> Self {
        Self(Arc::new(Mutex::new(vec![server])))
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes what a server says of all; the configured one stays the first.
    pub fn update(&self, listed: Vec<String>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.truncate(1);
        for server in listed {
            if !all.contains(&server) {
                all.push(server);
            }
        }
    }
}

/// Carries connections to the first of `servers` that takes them, for ever.
pub async fn run(listener: TcpListener, servers: Servers) {
    loop {
        let Ok((mut near, _)) = listener.accept().await else { continue };
        let servers = servers.all();
        tokio::spawn(async move {
            for server in servers {
                match TcpStream::connect(&server).await {
                    Ok(mut far) => {
                        let _ = copy_bidirectional(&mut near, &mut far).await;
                        return;
                    }
                    Err(error) => log::error(format!(
                        "Load balancer k3s-agent-load-balancer failed to dial {server}: {error}"
                    )),
                }
            }
            // A reset, as the real balancer gives, not an orderly end.
            let _ = near.set_zero_linger();
        });
    }
}
