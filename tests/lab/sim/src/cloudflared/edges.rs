//! Where the edge is, and how it is reached: over UDP first, over TCP where that is blocked.

use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio::time::timeout;

/// The names of the edge.
pub const REGIONS: [&str; 2] = ["region1.v2.argotunnel.com", "region2.v2.argotunnel.com"];
/// How long the edge may take to answer.
const DIAL: Duration = Duration::from_secs(3);
/// The same over UDP, of which nothing comes back where it is blocked.
const DIAL_UDP: Duration = Duration::from_millis(1500);

/// How packets go to the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Over UDP.
    Quic,
    /// Over TCP.
    Http2,
}

impl Protocol {
    /// Returns the name that logs have for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quic => "quic",
            Self::Http2 => "http2",
        }
    }
}

/// Finds the edge: where the flag says, else by its names.
///
/// # Errors
/// No name leads anywhere.
pub async fn find(flag: Option<String>) -> Result<Vec<SocketAddr>, String> {
    let given = flag.map(|list| list.split(',').map(str::to_owned).collect::<Vec<_>>());
    let names = given.unwrap_or_else(|| REGIONS.map(|name| format!("{name}:7844")).into());
    let mut found = Vec::new();
    let mut why = String::new();
    for name in &names {
        match lookup_host(name.as_str()).await {
            Ok(addresses) => found.extend(addresses),
            Err(error) => why = format!("lookup {}: {error}", name.trim_end_matches(":7844")),
        }
    }
    if found.is_empty() {
        super::log::error(format!(
            "edge discovery: error looking up Cloudflare edge IPs: the DNS query failed error={why:?} event=0"
        ));
        return Err(format!(
            "Could not lookup srv records on _v2-origintunneld._tcp.argotunnel.com: {why}"
        ));
    }
    Ok(found)
}

/// Opens a connection to the edge at `address`.
///
/// # Errors
/// The line that the real one writes.
pub async fn dial(address: SocketAddr, protocol: Protocol) -> Result<TcpStream, String> {
    if protocol == Protocol::Quic && !udp(address).await {
        return Err("Failed to dial a quic connection error=\"failed to dial to edge with quic: timeout: no recent network activity\"".to_owned());
    }
    let why = match timeout(DIAL, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => return Ok(stream),
        Ok(Err(error)) => {
            let text = error.to_string().to_lowercase();
            format!("connect: {}", text.split(" (os error").next().unwrap_or_default())
        }
        Err(_) => "i/o timeout".to_owned(),
    };
    Err(format!(
        "Unable to establish connection with Cloudflare edge error=\"DialContext error: dial tcp {address}: {why}\""
    ))
}

/// Says whether a packet comes back.
async fn udp(address: SocketAddr) -> bool {
    let asked = async {
        let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).await.ok()?;
        socket.connect(address).await.ok()?;
        socket.send(b"hello").await.ok()?;
        let mut buffer = [0; 16];
        socket.recv(&mut buffer).await.ok()
    };
    matches!(timeout(DIAL_UDP, asked).await, Ok(Some(_)))
}
