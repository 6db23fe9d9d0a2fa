//! HTTPS from this machine: one provider of cryptography for every client.

/// The start of an HTTPS client.
pub fn client() -> reqwest::ClientBuilder {
    // A second installation changes nothing: it is the same provider.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder()
}
