//! The HTTPS listener: TLS, who is asking, and the way to the router.

use super::cluster::Cluster;
use super::etcd::peer;
use super::reply::Reply;
use super::{api, supervisor, watch};
use anyhow::Context;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Response};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// The body of an answer.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Which of the server's listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// 6443: supervisor and API.
    Public,
    /// 6444 on loopback: the API alone.
    Local,
    /// 2379: the clients of etcd.
    Clients,
    /// 2380: the other members of etcd.
    Peers,
}

/// A request that was read whole.
#[derive(Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path without the query.
    pub path: String,
    /// The decoded query.
    pub query: Vec<(String, String)>,
    /// The header fields.
    pub headers: hyper::HeaderMap,
    /// The body.
    pub body: Bytes,
    /// What the client certificate says, where one was shown.
    pub identity: Identity,
    /// Where the request came from.
    pub peer: SocketAddr,
}

impl Request {
    /// Returns a header's text.
    pub fn header(&self, name: impl hyper::header::AsHeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Returns a query parameter.
    pub fn parameter(&self, name: &str) -> &str {
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// Says whether credentials of any kind came along.
    pub fn has_credentials(&self) -> bool {
        self.headers.contains_key(AUTHORIZATION) || self.identity != Identity::Anonymous
    }
}

/// Who asks, as the client certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// No certificate.
    Anonymous,
    /// A certificate that our authority did not sign, or that is not valid now.
    Untrusted,
    /// A user with its groups.
    User(String, Vec<String>),
}

/// Answers requests on `listener` for ever.
pub async fn serve(cluster: Arc<Cluster>, listener: TcpListener, tls: TlsAcceptor, port: Port) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let (cluster, tls) = (Arc::clone(&cluster), tls.clone());
                tokio::spawn(async move {
                    // A client that goes away in the middle is its own affair.
                    let _ = connection(cluster, stream, peer, tls, port).await;
                });
            }
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    }
}

async fn connection(
    cluster: Arc<Cluster>,
    stream: TcpStream,
    peer: SocketAddr,
    tls: TlsAcceptor,
    port: Port,
) -> anyhow::Result<()> {
    let stream = tls.accept(stream).await?;
    let certificates = stream.get_ref().1.peer_certificates().map(<[_]>::to_vec);
    let identity = cluster.identify(certificates.as_deref().unwrap_or_default());
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let (cluster, identity) = (Arc::clone(&cluster), identity.clone());
        async move { answer(cluster, request, identity, peer, port).await }
    });
    let io = hyper_util::rt::TokioIo::new(stream);
    hyper::server::conn::http1::Builder::new().serve_connection(io, service).await?;
    Ok(())
}

async fn answer(
    cluster: Arc<Cluster>,
    request: hyper::Request<Incoming>,
    identity: Identity,
    peer: SocketAddr,
    port: Port,
) -> anyhow::Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let request = Request {
        method: head.method,
        path: decode(head.uri.path()),
        query: query(head.uri.query().unwrap_or_default()),
        headers: head.headers,
        body: body.collect().await?.to_bytes(),
        identity,
        peer,
    };
    let reply = decide(&cluster, &request, port).await;
    respond(&cluster, reply)
}

/// Answers a request, here or through the member of etcd that decides.
pub async fn decide(cluster: &Arc<Cluster>, request: &Request, port: Port) -> Reply {
    if matches!(port, Port::Clients | Port::Peers) {
        return peer::route(cluster, request, port).await;
    }
    if let Some(reply) = peer::elsewhere(cluster, request, port).await {
        return reply;
    }
    let reply = match port {
        Port::Public => supervisor::route(cluster, request),
        _ => api::route(cluster, request),
    };
    peer::commit(cluster, request).await.unwrap_or(reply)
}

fn respond(cluster: &Arc<Cluster>, reply: Reply) -> anyhow::Result<Response<Body>> {
    let response = Response::builder().status(reply.code).header(CONTENT_TYPE, reply.kind);
    let body = match reply.watch {
        Some(watch) => watch::stream(cluster, watch).boxed_unsync(),
        None => Full::new(Bytes::from(reply.body)).boxed_unsync(),
    };
    Ok(response.body(body)?)
}

/// Decodes `%XX` and returns the text.
pub fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let hex = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        if byte != b'%' {
            bytes.push(byte);
        } else if let (Some(high), Some(low)) = (hex(rest.next()), hex(rest.next())) {
            bytes.extend(u8::try_from(high * 16 + low));
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Splits a query into names and values, both decoded.
pub fn query(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|part| !part.is_empty())
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(key, value)| (decode(key), decode(&value.replace('+', " "))))
        .collect()
}

/// Builds the TLS side of a server that shows `certificate`.
pub fn acceptor(certificate: &str, key: &str, verifier: &Verifier) -> anyhow::Result<TlsAcceptor> {
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
    let mut config = rustls::ServerConfig::builder()
        .with_client_cert_verifier(Arc::new(Lenient(verifier.clone())))
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Checks client certificates against the client authority.
pub type Verifier = Arc<dyn ClientCertVerifier>;

/// Builds the check of client certificates.
pub fn verifier(client_ca: &str) -> anyhow::Result<Verifier> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(client_ca.as_bytes()) {
        roots.add(certificate?)?;
    }
    WebPkiClientVerifier::builder(Arc::new(roots)).build().context("client authority")
}

/// Lets any certificate through the handshake, as Go's `RequestClientCert` does: a wrong one
/// is answered with 401, not with an alert.
#[derive(Debug)]
struct Lenient(Verifier);

impl ClientCertVerifier for Lenient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
