//! The digest behind an image's tag, as its registry says it (OCI distribution, API v2).

use anyhow::{Context as _, bail};
use reqwest::header::{ACCEPT, WWW_AUTHENTICATE};
use reqwest::{Client, Response, StatusCode, redirect};
use serde::Deserialize;

use super::downloads::Downloads;

/// An index first: its digest is the same for every architecture.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// An image's name, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Image<'a> {
    registry: &'a str,
    repository: String,
    tag: &'a str,
}

/// What a registry hands to somebody who is nobody.
#[derive(Debug, Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// The digest that `image`'s tag stands for now; `None` where the name holds its digest itself.
///
/// # Errors
/// When the registry does not answer, or shows the image to nobody without a login.
pub async fn digest(downloads: &Downloads, image: &str) -> anyhow::Result<Option<String>> {
    if image.contains('@') {
        return Ok(None);
    }
    let client = downloads.client(redirect::Policy::default())?;
    let Image { registry, repository, tag } = Image::read(image);
    let url = format!("{}/v2/{repository}/manifests/{tag}", base(registry));
    let found = ask(&client, &url)
        .await
        .with_context(|| format!("cannot learn the digest of `{image}` from `{registry}`"))?;
    Ok(Some(found))
}

async fn ask(client: &Client, url: &str) -> anyhow::Result<String> {
    let mut answer = head(client, url, None).await?;
    if answer.status() == StatusCode::UNAUTHORIZED {
        let token = anonymous(client, &answer).await?;
        answer = head(client, url, Some(&token)).await?;
    }
    let status = answer.status();
    if !status.is_success() {
        bail!("it answers {status}");
    }
    let digest =
        answer.headers().get("docker-content-digest").and_then(|value| value.to_str().ok());
    match digest.filter(|digest| is_digest(digest)) {
        Some(digest) => Ok(digest.to_owned()),
        None => bail!("it does not say the digest"),
    }
}

async fn head(client: &Client, url: &str, token: Option<&str>) -> reqwest::Result<Response> {
    let mut request = client.head(url).header(ACCEPT, MANIFESTS);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    request.send().await
}

/// A token that anybody gets.
async fn anonymous(client: &Client, refused: &Response) -> anyhow::Result<String> {
    let challenge = refused.headers().get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
    let challenge = challenge
        .and_then(|text| text.strip_prefix("Bearer "))
        .context("it wants a login, and says no way to one")?;
    let field = |name: &str| {
        let (_, rest) = challenge.split_once(&format!("{name}=\""))?;
        rest.split_once('"').map(|(value, _)| value.to_owned())
    };
    let realm = field("realm").context("it does not say where to log in")?;
    let mut url = reqwest::Url::parse(&realm).context("it says no address to log in at")?;
    for name in ["service", "scope"] {
        if let Some(value) = field(name) {
            url.query_pairs_mut().append_pair(name, &value);
        }
    }
    let answer = client.get(url).send().await?.error_for_status()?;
    let token: Token = answer.json().await?;
    token.token.or(token.access_token).context("it gives no token to nobody")
}

/// As Docker does, a registry on this machine is asked without encryption.
fn base(registry: &str) -> String {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    let scheme = if ["localhost", "127.0.0.1"].contains(&host) { "http" } else { "https" };
    format!("{scheme}://{registry}")
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

impl<'a> Image<'a> {
    fn read(text: &'a str) -> Self {
        // A first part with a dot or a port is a registry; Docker's own is not written.
        let named = text
            .split_once('/')
            .filter(|(first, _)| first.contains(['.', ':']) || *first == "localhost");
        let (registry, rest) = named.unwrap_or(("docker.io", text));
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, tag),
            _ => (rest, "latest"),
        };
        if registry != "docker.io" {
            return Self { registry, repository: path.to_owned(), tag };
        }
        let library = if path.contains('/') { "" } else { "library/" };
        Self { registry: "registry-1.docker.io", repository: format!("{library}{path}"), tag }
    }
}

#[cfg(test)]
mod tests;
