//! What oceanid itself fetches: through the proxy, and trusting the CA, of `[sources]`.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures::StreamExt as _;
use reqwest::{Certificate, Client, NoProxy, Proxy, redirect};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;

use super::NoSums;
use crate::cluster::Sources;
use crate::tls;

/// How long a short answer may take to arrive.
const DEADLINE: Duration = Duration::from_secs(20);

/// How long a download may stand still.
const STALLED: Duration = Duration::from_secs(30);

/// Hears how far a download is.
pub type Progress<'a> = dyn Fn(&str) + Send + Sync + 'a;

/// The way to everything that oceanid itself fetches.
#[derive(Debug, Clone)]
pub struct Downloads {
    sources: Sources,
    only_encrypted: bool,
}

impl Downloads {
    /// Takes the way that `sources` says.
    #[must_use]
    pub fn new(sources: &Sources) -> Self {
        Self { sources: sources.clone(), only_encrypted: false }
    }

    /// Takes nothing in the open, not even where a redirection leads.
    #[must_use]
    pub fn only_encrypted(self) -> Self {
        Self { only_encrypted: true, ..self }
    }

    /// Where things are.
    #[must_use]
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    fn builder(&self) -> reqwest::Result<reqwest::ClientBuilder> {
        let mut builder = tls::client()
            .connect_timeout(DEADLINE)
            .https_only(self.only_encrypted)
            .user_agent(concat!("oceanid/", env!("CARGO_PKG_VERSION")));
        if let Some(proxy) = &self.sources.proxy {
            let around = NoProxy::from_string(&self.sources.no_proxy.join(","));
            builder = builder.proxy(Proxy::all(proxy)?.no_proxy(around));
        }
        if let Some(ca) = &self.sources.ca {
            builder = builder.tls_certs_merge(Certificate::from_pem_bundle(ca.as_bytes())?);
        }
        Ok(builder)
    }

    /// A client for short answers, which follows redirections or does not.
    ///
    /// # Errors
    /// When this machine's CA certificates cannot be read.
    pub fn client(&self, follow: redirect::Policy) -> reqwest::Result<Client> {
        self.builder()?.timeout(DEADLINE).redirect(follow).build()
    }

    /// Gets a short text.
    ///
    /// # Errors
    /// When it is not to be had.
    pub async fn text(&self, url: &str) -> Result<String, NoSums> {
        let client = self
            .client(redirect::Policy::default())
            .map_err(|cause| NoSums::NoAuthorities { url: url.to_owned(), cause })?;
        let got = async { client.get(url).send().await?.error_for_status()?.text().await };
        got.await
            .map_err(|cause| NoSums::NotServed { url: url.to_owned(), cause: cause.without_url() })
    }

    /// Streams `url` into the new file at `path`; the SHA-256 of what came.
    ///
    /// # Errors
    /// When it is not to be had, or stands still for too long.
    pub async fn file(
        &self,
        url: &str,
        path: &Path,
        progress: &Progress<'_>,
    ) -> anyhow::Result<String> {
        let client = self.builder()?.read_timeout(STALLED).build()?;
        let answer = client.get(url).send().await.and_then(reqwest::Response::error_for_status);
        let answer = answer.map_err(|cause| NoSums::NotServed {
            url: url.to_owned(),
            cause: cause.without_url(),
        })?;
        let whole = answer.content_length();
        let mut file = tokio::fs::File::create_new(path)
            .await
            .with_context(|| format!("cannot write `{}`", path.display()))?;
        let (mut stream, mut hash, mut count) = (answer.bytes_stream(), Sha256::new(), 0_u64);
        while let Some(piece) = stream.next().await {
            let piece = piece
                .map_err(reqwest::Error::without_url)
                .with_context(|| format!("the download of `{url}` broke off"))?;
            hash.update(&piece);
            file.write_all(&piece)
                .await
                .with_context(|| format!("cannot write `{}`", path.display()))?;
            let before = count / 1_000_000;
            count += piece.len() as u64;
            if count / 1_000_000 != before {
                let of =
                    whole.map_or_else(String::new, |whole| format!(" of {}", whole / 1_000_000));
                progress(&format!("{}{of} MB from {url}", count / 1_000_000));
            }
        }
        if whole.is_some_and(|whole| whole != count) {
            bail!("the download of `{url}` ended after {count} bytes");
        }
        file.sync_all().await.with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(format!("{:x}", hash.finalize()))
    }
}
