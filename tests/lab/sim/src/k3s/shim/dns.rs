//! The pod that stands in for `CoreDNS`: a few names of the cluster, and the node's servers for the rest.

use crate::names::{self, Known, Names};
use anyhow::Context;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// The names of a cluster.
#[derive(Debug)]
struct Zone {
    domain: String,
    records: BTreeMap<String, Ipv4Addr>,
}

/// Answers on port 53, over UDP and TCP; `records` are `NAME=ADDRESS`.
pub async fn serve(domain: &str, records: &[&str]) -> anyhow::Result<()> {
    let zone = Arc::new(Zone::parse(domain, records)?);
    // As `forward . /etc/resolv.conf` does; a loopback server would be another one in here.
    let mut others = names::servers(None);
    others.retain(|address| !address.is_loopback());
    names::serve(IpAddr::V4(Ipv4Addr::UNSPECIFIED), zone, others).await
}

impl Zone {
    fn parse(domain: &str, records: &[&str]) -> anyhow::Result<Self> {
        let records = records.iter().map(|record| {
            let (name, address) = record.split_once('=').context("a record is NAME=ADDRESS")?;
            Ok((name.to_lowercase(), address.parse()?))
        });
        Ok(Self { domain: domain.to_lowercase(), records: records.collect::<anyhow::Result<_>>()? })
    }
}

impl Names for Zone {
    fn find(&self, name: &str) -> Known {
        match self.records.get(name) {
            Some(address) => Known::Address(*address),
            None if name == self.domain || name.ends_with(&format!(".{}", self.domain)) => {
                Known::Nothing
            }
            None => Known::Elsewhere,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use simple_dns::rdata::RData;
    use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, Question, RCODE, TYPE};

    fn ask(name: &str, kind: TYPE) -> (RCODE, Vec<Ipv4Addr>) {
        let records = ["kubernetes.default.svc.cluster.local=10.43.0.1"];
        let zone = Zone::parse("cluster.local", &records).expect("records");
        let mut query = Packet::new_query(7);
        query.set_flags(PacketFlag::RECURSION_DESIRED);
        let name = Name::new(name).expect("a name");
        query.questions.push(Question::new(name, kind.into(), QCLASS::CLASS(CLASS::IN), false));
        let query = query.build_bytes_vec().expect("a query");
        let (_, bytes) = names::answer(&zone, &query).expect("a reply");
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
        assert_eq!(names::answer(&zone, b"\0"), None);
        let reply = Packet::new_reply(1).build_bytes_vec().expect("a reply");
        assert_eq!(names::answer(&zone, &reply), None);
    }
}
