//! The API as a kubeconfig opens it: called from here, with its certificates and nothing else.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use reqwest::{Certificate, Identity, Url};
use serde::Deserialize;

use super::Access;
use crate::secret;
use crate::tls;

/// How long the API may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    git_version: String,
}

impl Access {
    /// Asks the API for its version with exactly what the kubeconfig says: `v1.36.3+k3s1`.
    ///
    /// # Errors
    /// When it cannot be reached, shows another certificate or does not let us in.
    pub async fn call(&self) -> anyhow::Result<String> {
        let mut url = Url::parse(&self.server).context("its address is no URL")?;
        let mut builder = tls::client()
            .tls_certs_only(Certificate::from_pem_bundle(&self.ca).context("its CA is none")?)
            .identity(self.identity()?)
            .timeout(ANSWER);
        if let (Some(name), Some(address)) = (&self.tls_name, address(&url)) {
            // The connection goes to the address, and the certificate is that of the name.
            builder = builder.no_proxy().resolve(name, address);
            url.set_host(Some(name)).context("its name is none")?;
        }
        let client = builder.build().context("its certificates cannot be used")?;
        let url = url.join("/version").context("its address is no URL")?;
        let answer = client.get(url).send().await?.error_for_status()?;
        let version: Version = answer.json().await.context("what answers is not the API")?;
        Ok(version.git_version)
    }

    fn identity(&self) -> anyhow::Result<Identity> {
        let pem = secret::decoded_after(&self.certificate, &self.key)?;
        // The cause would be harmless, but a reader should not have to know that.
        Identity::from_pem(&pem).ok().context("its certificate and key are none")
    }
}

fn address(url: &Url) -> Option<SocketAddr> {
    let address: IpAddr = url.host_str()?.trim_matches(['[', ']']).parse().ok()?;
    Some(SocketAddr::new(address, url.port_or_known_default()?))
}

/// Whether nobody answered at all: what answers and is refused, or refuses us, is another matter.
#[must_use]
pub fn is_unreachable(error: &anyhow::Error) -> bool {
    let Some(error) = error.downcast_ref::<reqwest::Error>() else { return false };
    error.is_timeout() || error.is_connect() && !tls::is_about_tls(error)
}
