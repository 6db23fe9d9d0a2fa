//! The pod that stands in for `CoreDNS`: a few names of the cluster, and nothing else.

use anyhow::Context;
use simple_dns::rdata::{A, RData};
use simple_dns::{CLASS, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// Seconds for which an answer may be kept, as `CoreDNS` says it.
const TTL: u32 = 5;

/// The names of a cluster.
#[derive(Debug)]
struct Zone {
    domain: String,
    records: BTreeMap<String, Ipv4Addr>,
}

/// Answers on port 53, over UDP and TCP; `records` are `NAME=ADDRESS`.
pub async fn serve(domain: &str, records: &[&str]) -> anyhow::Result<()> {
    let zone = Arc::new(Zone::parse(domain, records)?);
    let socket = UdpSocket::bind(("0.0.0.0", 53)).await?;
    let listener = TcpListener::bind(("0.0.0.0", 53)).await?;
    let mut buffer = [0; 4096];
    loop {
        tokio::select! {
            received = socket.recv_from(&mut buffer) => {
                let Ok((length, peer)) = received else { continue };
                if let Some(reply) = zone.answer(buffer.get(..length).unwrap_or_default()) {
                    let _ = socket.send_to(&reply, peer).await;
                }
            }
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let zone = Arc::clone(&zone);
                tokio::spawn(async move {
                    // A client that goes away in the middle is its own affair.
                    let _ = connection(&zone, stream).await;
                });
            }
        }
    }
}

async fn connection(zone: &Zone, mut stream: TcpStream) -> anyhow::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut query = vec![0; usize::from(length)];
        stream.read_exact(&mut query).await?;
        let reply = zone.answer(&query).context("a malformed query")?;
        stream.write_u16(u16::try_from(reply.len())?).await?;
        stream.write_all(&reply).await?;
    }
}

impl Zone {
    fn parse(domain: &str, records: &[&str]) -> anyhow::Result<Self> {
        let records = records.iter().map(|record| {
            let (name, address) = record.split_once('=').context("a record is NAME=ADDRESS")?;
            Ok((name.to_lowercase(), address.parse()?))
        });
        Ok(Self { domain: domain.to_lowercase(), records: records.collect::<anyhow::Result<_>>()? })
    }

    /// Answers one message; none for what is no query.
    fn answer(&self, message: &[u8]) -> Option<Vec<u8>> {
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
        let name = question.qname.to_string().to_lowercase();
        let within = name == self.domain || name.ends_with(&format!(".{}", self.domain));
        if within {
            reply.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
        }
        match self.records.get(&name) {
            Some(address) if question.qtype == QTYPE::TYPE(TYPE::A) => {
                let data = RData::A(A::from(*address));
                let name = question.qname.clone();
                reply.answers.push(ResourceRecord::new(name, CLASS::IN, TTL, data));
            }
            // The name exists, but not with that type.
            Some(_) => {}
            None if within => *reply.rcode_mut() = RCODE::NameError,
            // There is nobody to ask about the rest of the world.
            None => *reply.rcode_mut() = RCODE::ServerFailure,
        }
        reply.build_bytes_vec().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use simple_dns::{Name, QCLASS, Question};

    fn ask(name: &str, kind: TYPE) -> (RCODE, Vec<Ipv4Addr>) {
        let records = ["kubernetes.default.svc.cluster.local=10.43.0.1"];
        let zone = Zone::parse("cluster.local", &records).expect("records");
        let mut query = Packet::new_query(7);
        query.set_flags(PacketFlag::RECURSION_DESIRED);
        let name = Name::new(name).expect("a name");
        query.questions.push(Question::new(name, kind.into(), QCLASS::CLASS(CLASS::IN), false));
        let bytes = zone.answer(&query.build_bytes_vec().expect("a query")).expect("a reply");
        let reply = Packet::parse(&bytes).expect("a packet");
        assert_eq!(reply.id(), 7);
        assert_eq!(reply.questions.len(), 1);
        let answers = reply.answers.iter().map(|record| match &record.rdata {
            RData::A(address) => Ipv4Addr::from(address.address),
            other => panic!("{other:?}"),
        });
        (reply.rcode(), answers.collect())
    }

    #[test]
    fn names_of_the_cluster_are_known_in_any_case_and_others_are_not() {
        let known = "Kubernetes.default.svc.cluster.LOCAL";
        assert_eq!(ask(known, TYPE::A), (RCODE::NoError, vec![Ipv4Addr::new(10, 43, 0, 1)]));
        assert_eq!(ask(known, TYPE::AAAA), (RCODE::NoError, vec![]));
        assert_eq!(ask("other.svc.cluster.local", TYPE::A), (RCODE::NameError, vec![]));
        assert_eq!(ask("example.com", TYPE::A), (RCODE::ServerFailure, vec![]));
    }

    #[test]
    fn what_is_no_query_gets_no_answer() {
        let zone = Zone::parse("cluster.local", &[]).expect("no records");
        assert_eq!(zone.answer(b"\0"), None);
        let reply = Packet::new_reply(1).build_bytes_vec().expect("a reply");
        assert_eq!(zone.answer(&reply), None);
    }
}
