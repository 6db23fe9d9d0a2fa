//! HTTPS from this machine: one provider of cryptography for every client.

/// The start of an HTTPS client.
pub fn client() -> reqwest::ClientBuilder {
    // A second installation changes nothing: it is the same provider.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder()
}

/// Whether an error is about certificates or ciphers: somebody answered, and not as trusted.
#[must_use]
pub fn is_about_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    if error.is::<rustls::Error>() {
        return true;
    }
    // An I/O error names the source of what it holds as its own, and skips what it holds.
    let held = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    match held {
        Some(held) => is_about_tls(held),
        None => error.source().is_some_and(is_about_tls),
    }
}
