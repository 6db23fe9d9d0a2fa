//! Calls of the public name from this machine.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::{Client, RequestBuilder, Url, redirect};
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::Way;
use super::answer::{Answer, BODY, Reply};
use crate::cluster::{Access, ServiceToken, Sources};
use crate::releases::Downloads;
use crate::secret::{self, Secret};
use crate::tls;

/// How long the name may take to be looked up.
const LOOKUP: Duration = Duration::from_secs(10);

/// The headers of a service token.
pub(super) const HEADERS: [&str; 2] = ["CF-Access-Client-Id", "CF-Access-Client-Secret"];

/// The public name, as this machine calls it.
#[derive(Debug, Clone)]
pub struct Public {
    client: Client,
    url: Url,
    proxied: bool,
}

/// What came of a call: of the service itself, and of Triton's list of models where it got that far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What the service answered.
    pub answer: Answer,
    /// What Triton answered when it was asked for its models.
    pub models: Option<Answer>,
}

impl Public {
    /// The name at `url`, trusting and going through what `sources` says.
    ///
    /// # Errors
    /// When it is no URL, or this machine's CA certificates cannot be read.
    pub fn new(sources: &Sources, url: &str) -> anyhow::Result<Self> {
        // A redirection is an answer, and one that must not get the credentials.
        let client = Downloads::new(sources).client(redirect::Policy::none())?;
        Ok(Self { client, url: Url::parse(url)?, proxied: sources.proxy.is_some() })
    }

    /// The addresses of the name; none where a proxy looks it up.
    pub(super) async fn addresses(&self) -> Result<Vec<IpAddr>, Answer> {
        if self.proxied {
            return Ok(Vec::new());
        }
        let name = self.url.host_str().unwrap_or_default().to_owned();
        let port = self.url.port_or_known_default().unwrap_or(443);
        match timeout(LOOKUP, lookup_host((name, port))).await {
            Ok(Ok(found)) => Ok(found.map(|address| address.ip()).collect()),
            Ok(Err(error)) => Err(Answer::NoName(error.to_string())),
            Err(_) => Err(Answer::Silent(format!("no answer within {} s", LOOKUP.as_secs()))),
        }
    }

    /// Calls the service behind the name; where all of Triton may be seen, asks for its models too.
    pub(super) async fn call(&self, way: Way<'_>, token: Option<&ServiceToken>) -> Call {
        let url = |path: &str| {
            let mut url = self.url.clone();
            url.set_path(path);
            url
        };
        let answer = send(self.client.get(url(way.asked())), token).await;
        let may = token.is_some() || matches!(way.tunnel.access, Access::Open);
        let models = if may && way.is_to_triton() && answer.status() == Some(200) {
            let asked = self.client.post(url("/v2/repository/index"));
            let asked = asked.header("content-type", "application/json").body("{}");
            Some(send(asked, token).await)
        } else {
            None
        };
        Call { answer, models }
    }
}

async fn send(mut request: RequestBuilder, token: Option<&ServiceToken>) -> Answer {
    if let Some(token) = token {
        for (name, half) in HEADERS.iter().zip([&token.client_id, &token.client_secret]) {
            let Some(value) = header(half) else {
                return Answer::Broken(format!("the secret for `{name}` cannot stand in a header"));
            };
            request = request.header(*name, value);
        }
    }
    match receive(request).await {
        Ok(reply) => Answer::Http(reply),
        Err(error) => failed(&error),
    }
}

fn header(half: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(secret::text(&half.known()?)).ok()?;
    value.set_sensitive(true);
    Some(value)
}

async fn receive(request: RequestBuilder) -> reqwest::Result<Reply> {
    let mut answer = request.send().await?;
    let location = answer.headers().get("location").and_then(|value| value.to_str().ok());
    let location = location.map_or_else(String::new, |text| {
        answer.url().join(text).map_or_else(|_| text.to_owned(), |url| url.to_string())
    });
    let status = answer.status().as_u16();
    let mut body = Vec::new();
    while body.len() < BODY
        && let Some(piece) = answer.chunk().await?
    {
        body.extend_from_slice(&piece);
    }
    Ok(Reply { status, location, body: String::from_utf8_lossy(&body).into_owned() })
}

/// What the error is, in terms of the network.
fn failed(error: &reqwest::Error) -> Answer {
    let mut last: &dyn std::error::Error = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    let text = last.to_string();
    if tls::is_about_tls(error) {
        Answer::Tls(text)
    } else if error.is_timeout() {
        Answer::Silent(String::from("no answer in time"))
    } else if error.is_connect() {
        Answer::Closed(text)
    } else {
        Answer::Broken(text)
    }
}
