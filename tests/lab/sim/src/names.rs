//! DNS: answers for the names that somebody knows, and asks others about the rest.

use anyhow::Context;
use simple_dns::rdata::{A, RData};
use simple_dns::{CLASS, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;

/// Seconds for which an answer may be kept, as `CoreDNS` says it.
const TTL: u32 = 5;
/// How long somebody else may take to answer.
const FORWARD: Duration = Duration::from_secs(2);

/// What is known of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Its address.
    Address(Ipv4Addr),
    /// There is no such name.
    Nothing,
    /// Others may know.
    Elsewhere,
}

/// Who knows names, in lower case.
pub trait Names: Send + Sync + 'static {
    /// Returns what is known of `name`.
    fn find(&self, name: &str) -> Known;
}

/// Answers on port 53 of `address`, over UDP and TCP; `others` are asked in turn about the rest.
///
/// # Errors
/// The port is not to be had.
pub async fn serve(
    address: IpAddr,
    names: Arc<dyn Names>,
    others: Vec<IpAddr>,
) -> anyhow::Result<()> {
    let socket = Arc::new(UdpSocket::bind((address, 53)).await?);
    let listener = TcpListener::bind((address, 53)).await?;
    let mut buffer = [0; 4096];
    loop {
        tokio::select! {
            received = socket.recv_from(&mut buffer) => {
                let Ok((length, peer)) = received else { continue };
                let query = buffer.get(..length).unwrap_or_default().to_vec();
                let (socket, names, others) = (Arc::clone(&socket), Arc::clone(&names), others.clone());
                tokio::spawn(async move {
                    if let Some(reply) = reply(names.as_ref(), &others, &query).await {
                        let _ = socket.send_to(&reply, peer).await;
                    }
                });
            }
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let (names, others) = (Arc::clone(&names), others.clone());
                tokio::spawn(async move {
                    // A client that goes away in the middle is its own affair.
                    let _ = connection(names.as_ref(), &others, stream).await;
                });
            }
        }
    }
}

/// Returns the servers in /etc/resolv.conf, but for `own`.
pub fn servers(own: Option<IpAddr>) -> Vec<IpAddr> {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    text.lines()
        .filter_map(|line| line.strip_prefix("nameserver ")?.trim().parse().ok())
        .filter(|address| Some(*address) != own)
        .collect()
}

async fn connection(
    names: &dyn Names,
    others: &[IpAddr],
    mut stream: TcpStream,
) -> anyhow::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut query = vec![0; usize::from(length)];
        stream.read_exact(&mut query).await?;
        let reply = reply(names, others, &query).await.context("a malformed query")?;
        stream.write_u16(u16::try_from(reply.len())?).await?;
        stream.write_all(&reply).await?;
    }
}

async fn reply(names: &dyn Names, others: &[IpAddr], query: &[u8]) -> Option<Vec<u8>> {
    let (known, reply) = answer(names, query)?;
    if known == Known::Elsewhere {
        for other in others {
            if let Ok(Ok(reply)) = timeout(FORWARD, forward(*other, query)).await {
                return Some(reply);
            }
        }
    }
    Some(reply)
}

async fn forward(other: IpAddr, query: &[u8]) -> std::io::Result<Vec<u8>> {
    let any: SocketAddr = if other.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect((other, 53)).await?;
    socket.send(query).await?;
    let mut buffer = vec![0; 4096];
    let length = socket.recv(&mut buffer).await?;
    buffer.truncate(length);
    Ok(buffer)
}

/// Answers one message from what is known here; none for what is no query.
pub fn answer(names: &dyn Names, message: &[u8]) -> Option<(Known, Vec<u8>)> {
    let query = Packet::parse(message).ok()?;
    if query.has_flags(PacketFlag::RESPONSE) {
        return None;
    }
    let question = query.questions.first()?;
    let mut reply = Packet::new_reply(query.id());
    if query.has_flags(PacketFlag::RECURSION_DESIRED) {
        reply.set_flags(PacketFlag::RECURSION_DESIRED);
    }
    reply.questions.push(question.clone());
    let known = names.find(&question.qname.to_string().to_lowercase());
    if known != Known::Elsewhere {
        reply.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
    }
    match known {
        Known::Address(address) if question.qtype == QTYPE::TYPE(TYPE::A) => {
            let data = RData::A(A::from(address));
            let name = question.qname.clone();
            reply.answers.push(ResourceRecord::new(name, CLASS::IN, TTL, data));
        }
        // The name exists, but not with that type.
        Known::Address(_) => {}
        Known::Nothing => *reply.rcode_mut() = RCODE::NameError,
        // Nobody who was asked knows.
        Known::Elsewhere => *reply.rcode_mut() = RCODE::ServerFailure,
    }
    Some((known, reply.build_bytes_vec().ok()?))
}
