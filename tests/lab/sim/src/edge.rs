//! The lab's Cloudflare edge: connectors come in on 7844, the public on 443, and asks for names on 53.
//!
//! `sim edge STATE ADDRESS CA KEY [CONNECTORS-PORT HTTPS-PORT]`: what there is of tunnels, names and Access stands in
//! the JSON file STATE, which is read anew whenever it is needed. Beside it, STATE.connections tells who is connected.

mod access;
mod connectors;
mod dns;
mod public;
mod state;
mod tls;

use crate::log;
use connectors::Edge;
use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::{TcpListener, UdpSocket};

/// Serves for ever.
pub fn main(arguments: &[String]) -> ExitCode {
    let (state, address, ca, key, ports) = match arguments {
        [state, address, ca, key] => (state, address, ca, key, ["7844", "443"]),
        [state, address, ca, key, connect, https] => {
            (state, address, ca, key, [connect.as_str(), https.as_str()])
        }
        _ => {
            log::plain(
                "sim: call it as `sim edge STATE ADDRESS CA KEY [CONNECTORS-PORT HTTPS-PORT]`",
            );
            return ExitCode::from(64);
        }
    };
    let Ok(address) = address.parse() else { return ExitCode::from(64) };
    let [Ok(connect), Ok(https)] = ports.map(str::parse) else { return ExitCode::from(64) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        runtime.block_on(serve(Arc::new(Edge::new(state)), address, (ca, key), (connect, https)))
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::plain(format!("edge: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn serve(
    edge: Arc<Edge>,
    address: IpAddr,
    (ca, key): (&str, &str),
    (connect, https): (u16, u16),
) -> anyhow::Result<()> {
    let tls = tls::acceptor(ca, key)?;
    let connectors = TcpListener::bind((address, connect)).await?;
    let packets = UdpSocket::bind((address, connect)).await?;
    let public = TcpListener::bind((address, https)).await?;
    tokio::spawn(connectors::accept(Arc::clone(&edge), connectors));
    tokio::spawn(connectors::echo(packets));
    // With other ports it is no edge of a whole lab, and nobody looks names up.
    if https == 443 {
        tokio::spawn(dns::serve(Arc::clone(&edge), address));
    }
    log::plain(format!("edge: listens on {address}"));
    public::accept(edge, public, tls).await;
    Ok(())
}
