//! What stands in for Cloudflare's edge: one page for strangers, one for the service token, one list of models.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What is answered.
#[derive(Debug, Clone)]
pub struct Page {
    status: u16,
    location: String,
    body: String,
}

impl Page {
    pub fn of(status: u16) -> Self {
        Self { status, location: String::new(), body: String::new() }
    }

    /// A redirection.
    pub fn to(location: &str) -> Self {
        Self { location: location.to_owned(), ..Self::of(302) }
    }

    /// No answer: the connection ends.
    pub fn nothing() -> Self {
        Self::of(0)
    }

    pub fn body(mut self, text: &str) -> Self {
        text.clone_into(&mut self.body);
        self
    }

    fn text(&self) -> String {
        let Self { status, location, body } = self;
        let location =
            if location.is_empty() { String::new() } else { format!("location: {location}\r\n") };
        let length = body.len();
        format!(
            "HTTP/1.1 {status} Status\r\n{location}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
        )
    }
}

/// The edge.
#[derive(Debug)]
pub struct Edge {
    pub url: String,
    /// The certificate of its CA.
    pub ca: Option<String>,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Edge {
    /// Without encryption; the pages are for strangers, for the token, and the list of models.
    pub fn open(pages: [Page; 3]) -> Self {
        Self::serve(pages, None, None)
    }

    /// With a certificate for `name`, of a CA of its own.
    pub fn encrypted(name: &str, pages: [Page; 3]) -> Self {
        let (config, ca) = certified(name);
        Self::serve(pages, Some(Arc::new(config)), Some(ca))
    }

    fn serve(pages: [Page; 3], tls: Option<Arc<ServerConfig>>, ca: Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let heard = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&heard);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                match &tls {
                    None => answer(stream, &pages, &notes),
                    Some(config) => {
                        let session = ServerConnection::new(Arc::clone(config)).expect("TLS");
                        answer(StreamOwned::new(session, stream), &pages, &notes);
                    }
                }
            }
        });
        Self { url: format!("{scheme}://{address}"), ca, heard }
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        self.url.split_once("://").expect("a URL").1
    }

    /// Every request: method, path, id and secret.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("no panic").clone()
    }
}

fn answer(mut stream: impl Read + Write, pages: &[Page; 3], notes: &Mutex<Vec<String>>) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        // A client that does not like the certificate goes away.
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8(head).expect("UTF-8");
    let header = |name: &str| {
        let mut pairs = head.lines().filter_map(|line| line.split_once(": "));
        pairs.find(|(key, _)| key.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    };
    let (id, secret) = (header("cf-access-client-id"), header("cf-access-client-secret"));
    let line = head.lines().next().expect("a line").trim_end_matches(" HTTP/1.1").to_owned();
    let [stranger, token, index] = pages;
    let page = match (line.contains("/v2/repository/index"), id.is_empty()) {
        (true, _) => index,
        (false, true) => stranger,
        (false, false) => token,
    };
    notes.lock().expect("no panic").push(format!("{line} {id} {secret}"));
    if page.status > 0 {
        // What it makes of the answer is the client's affair.
        let _ = stream.write_all(page.text().as_bytes()).and_then(|()| stream.flush());
    }
}

fn certified(name: &str) -> (ServerConfig, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let ca = params.self_signed(&key).expect("a certificate").pem();
    let issuer = Issuer::new(params, key);
    let leaf = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    let key = KeyPair::generate().expect("a key");
    let certificate = leaf.signed_by(&key, &issuer).expect("a certificate");
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], private)
        });
    (config.expect("a key that fits"), ca)
}
