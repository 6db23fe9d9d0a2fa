//! The same files over TLS, with a certificate of a CA that nobody knows.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::{Releases, serve};

/// A mirror over TLS.
#[derive(Debug, Clone)]
pub struct Mirror {
    /// What stands before a path: `https://198.51.100.1:8443`.
    pub url: String,
    /// The certificate of its CA, PEM.
    pub ca: String,
}

impl Releases {
    /// Serves everything over TLS too, on another port.
    pub fn mirror(&self) -> Result<Mirror> {
        let listener = TcpListener::bind(SocketAddr::from((self.address.ip(), 0)))?;
        let address = listener.local_addr()?;
        let (config, ca) = certified(address.ip())?;
        let state = Arc::clone(&self.state);
        let config = Arc::new(config);
        std::thread::spawn(move || serve::accept(&listener, &state, Some(&config)));
        Ok(Mirror { url: format!("https://{address}"), ca })
    }
}

fn certified(address: IpAddr) -> Result<(ServerConfig, String)> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "lab's own CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate()?;
    let ca = params.self_signed(&key)?.pem();
    let issuer = Issuer::new(params, key);
    let mut leaf = CertificateParams::default();
    leaf.distinguished_name.push(DnType::CommonName, "mirror");
    leaf.subject_alt_names.push(SanType::IpAddress(address));
    let key = KeyPair::generate()?;
    let certificate = leaf.signed_by(&key, &issuer)?;
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)?;
    Ok((config, ca))
}
