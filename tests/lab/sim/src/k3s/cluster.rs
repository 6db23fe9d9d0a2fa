//! A running server: its objects, its passwords, its authorities.

use super::etcd::{Etcd, Standing};
use super::flags::Options;
use super::http::{Identity, Verifier};
use super::layout::{Authorities, Paths};
use super::network::address_in;
use super::store::Store;
use crate::settings::Settings;
use crate::stamp::Version;
use ipnet::Ipv4Net;
use rustls::pki_types::{CertificateDer, UnixTime};
use std::net::Ipv4Addr;
use std::sync::{Mutex, MutexGuard};
use x509_parser::prelude::FromDer;

/// What the listeners share.
#[derive(Debug)]
pub struct Cluster {
    /// Where the files are.
    pub paths: Paths,
    /// What `--version` says.
    pub version: Version,
    /// The server's own options.
    pub options: Options,
    /// How fast things go.
    pub settings: Settings,
    /// Who signs.
    pub authorities: Authorities,
    /// The server token's password.
    pub server_password: String,
    /// The agent token's password; the server's where none was set.
    pub agent_password: String,
    /// Checks client certificates.
    pub verifier: Verifier,
    /// The name of this server's node.
    pub node: String,
    /// The address that agents are told to use.
    pub advertise: String,
    /// The other servers, where the datastore is embedded etcd.
    pub etcd: Option<Etcd>,
    pub(super) store: Mutex<Store>,
}

impl Cluster {
    /// Returns the objects, locked.
    pub fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Returns where the API of every server is that is up.
    pub fn addresses(&self) -> Vec<String> {
        let Some(etcd) = &self.etcd else { return vec![self.advertise.clone()] };
        etcd.alive().into_iter().map(|member| member.advertise).collect()
    }

    /// Says whether this server decides: what is to be done once in the cluster is done here.
    pub fn decides(&self) -> bool {
        self.etcd.as_ref().is_none_or(|etcd| etcd.standing() == Standing::Leader)
    }

    /// Says whether what is written is kept.
    pub fn is_kept(&self) -> bool {
        let lost = self.etcd.as_ref().is_some_and(|etcd| etcd.standing() == Standing::Lost);
        !lost && self.store().is_reached()
    }

    /// Returns the network of all pods.
    pub fn pod_network(&self) -> Ipv4Net {
        self.network("cluster-cidr", Ipv4Addr::new(10, 42, 0, 0))
    }

    /// Returns the network of all services.
    pub fn service_network(&self) -> Ipv4Net {
        self.network("service-cidr", Ipv4Addr::new(10, 43, 0, 0))
    }

    /// Returns the `number`th address of the services.
    pub fn service_address(&self, number: u32) -> Ipv4Addr {
        address_in(self.service_network(), number)
    }

    // The one of version 4, where there are two.
    fn network(&self, option: &str, default: Ipv4Addr) -> Ipv4Net {
        let all = self.options.list(option);
        let found = all.iter().find_map(|text| text.parse().ok());
        found.unwrap_or_else(|| Ipv4Net::new_assert(default, 16)).trunc()
    }

    /// Says who showed these certificates.
    pub fn identify(&self, certificates: &[CertificateDer<'_>]) -> Identity {
        let Some((leaf, rest)) = certificates.split_first() else { return Identity::Anonymous };
        if self.verifier.verify_client_cert(leaf, rest, UnixTime::now()).is_err() {
            return Identity::Untrusted;
        }
        let Ok((_, certificate)) = x509_parser::certificate::X509Certificate::from_der(leaf) else {
            return Identity::Untrusted;
        };
        let subject = certificate.subject();
        let text = |name: &x509_parser::x509::AttributeTypeAndValue<'_>| {
            name.as_str().unwrap_or_default().to_owned()
        };
        let name = subject.iter_common_name().next().map(text).unwrap_or_default();
        Identity::User(name, subject.iter_organization().map(text).collect())
    }
}
