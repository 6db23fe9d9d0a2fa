//! HTTPS from this machine: one provider of cryptography for every client.

/// The start of an HTTPS client.
pub fn client() -> reqwest::ClientBuilder {
    // A second installation changes nothing: it is the same provider.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder()
}

/// Whether an error is about certificates or ciphers: somebody answered, and not as trusted.
#[must_use]
pub fn is_about_tls(error: &dyn std::error::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if error.is::<rustls::Error>()
            || inner.is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>)
        {
            return true;
        }
        cause = error.source();
    }
    false
}
