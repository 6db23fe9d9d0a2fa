//! A running server: its objects, its passwords, its authorities.

use super::flags::Options;
use super::http::{Identity, Verifier};
use super::layout::{Authorities, Paths};
use super::store::Store;
use crate::settings::Settings;
use crate::stamp::Version;
use rustls::pki_types::{CertificateDer, UnixTime};
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
    pub(super) store: Mutex<Store>,
}

impl Cluster {
    /// Returns the objects, locked.
    pub fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
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
