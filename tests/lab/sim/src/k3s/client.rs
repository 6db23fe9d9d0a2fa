//! A small HTTPS client: one connection a request.

use super::pki::Pair;
use crate::clock;
use anyhow::Context;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use jiff::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Asks one server.
#[derive(Clone)]
pub struct Client {
    host: String,
    port: u16,
    config: Arc<ClientConfig>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub code: StatusCode,
    /// The whole body.
    pub body: Bytes,
}

impl Answer {
    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    /// Builds a client that trusts whoever answers: the hash in the token is the check.
    pub fn trusting(host: &str, port: u16) -> Self {
        let config = ClientConfig::builder()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone))
            .with_no_client_auth();
        Self { host: host.to_owned(), port, config: Arc::new(config) }
    }

    /// Builds a client that trusts the authority `ca` and shows `user`, where there is one.
    pub fn new(host: &str, port: u16, ca: &str, user: Option<&Pair>) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
            roots.add(certificate?)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_details(provider, Arc::new(Clock))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let config = match user {
            Some(pair) => {
                let chain: Result<Vec<_>, _> =
                    CertificateDer::pem_slice_iter(pair.certificate.as_bytes()).collect();
                let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes())?;
                builder.with_client_auth_cert(chain?, key)?
            }
            None => builder.with_no_client_auth(),
        };
        Ok(Self { host: host.to_owned(), port, config: Arc::new(config) })
    }

    /// Asks for `path` with a method, header fields and a body.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: String,
    ) -> anyhow::Result<Answer> {
        let whole = self.exchange(method, path, fields, body);
        tokio::time::timeout(Duration::from_secs(10), whole).await.context("i/o timeout")?
    }

    /// Asks for `path`.
    pub async fn get(&self, path: &str, fields: &[(&str, &str)]) -> anyhow::Result<Answer> {
        self.send("GET", path, fields, String::new()).await
    }

    async fn exchange(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: String,
    ) -> anyhow::Result<Answer> {
        let address = (self.host.as_str(), self.port);
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("dial tcp {}:{}", self.host, self.port))?;
        let name = ServerName::try_from(self.host.clone())?;
        let tls = TlsConnector::from(Arc::clone(&self.config)).connect(name, stream).await;
        let tls = tls.map_err(in_words_of_go)?;
        let io = hyper_util::rt::TokioIo::new(tls);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
        let running = tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path).header("Host", &self.host);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let answer = sender.send_request(request.body(Full::new(Bytes::from(body)))?).await?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        running.abort();
        Ok(Answer { code: head.status, body })
    }
}

/// Returns the value of an `Authorization: Basic` header.
pub fn basic(user: &str, password: &str) -> String {
    use base64::Engine;
    let text = format!("{user}:{password}");
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text))
}

/// The clock by which this host judges certificates.
#[derive(Debug)]
struct Clock;

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(clock::of_certificates().as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// Says that a certificate is not valid now as a program in Go says it; other errors stay as they are.
fn in_words_of_go(error: std::io::Error) -> anyhow::Error {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::InvalidCertificate(cause)) = cause else { return error.into() };
    let at = |time: &UnixTime| {
        let seconds = i64::try_from(time.as_secs()).unwrap_or_default();
        Timestamp::from_second(seconds).map(clock::rfc3339).unwrap_or_default()
    };
    let (now, side, limit) = match cause {
        CertificateError::ExpiredContext { time, not_after } => (time, "after", not_after),
        CertificateError::NotValidYetContext { time, not_before } => (time, "before", not_before),
        _ => return error.into(),
    };
    anyhow::anyhow!(
        "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time {} is {side} {}",
        at(now),
        at(limit)
    )
}

/// Accepts any server.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
