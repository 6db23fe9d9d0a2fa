//! Requests to Cloudflare's API: the envelope, pages, and patience.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, Method, Response, StatusCode, redirect};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use super::area::Area;
use super::error::ApiError;
use crate::cluster::Sources;
use crate::releases::downloads::Downloads;
use crate::secret;

/// How long all the waiting for one request may take: Cloudflare shuts a token out for 5 minutes.
const PATIENCE: Duration = Duration::from_secs(330);
/// How often an answer that says nothing is asked for again.
const TRIES: u32 = 4;
/// Before the second try.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Where Cloudflare does not say how long to wait.
const PAUSE: Duration = Duration::from_secs(5);
/// Things on a page.
const PAGE: usize = 50;
/// More pages than anybody has.
const LAST_PAGE: usize = 1000;

/// Hears what is waited for.
pub type Progress = Box<dyn Fn(&str) + Send + Sync>;

/// The way to the API.
pub struct Api {
    client: Client,
    base: String,
    token: SecretString,
    progress: Progress,
}

impl fmt::Debug for Api {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Api({})", self.base)
    }
}

/// What every answer comes in.
#[derive(Debug, Deserialize)]
struct Envelope {
    success: bool,
    errors: Option<Vec<Trouble>>,
    #[serde(default)]
    result: Value,
    result_info: Option<Info>,
}

#[derive(Debug, Default, Deserialize)]
struct Trouble {
    #[serde(default)]
    code: u64,
    #[serde(default)]
    message: String,
    documentation_url: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Info {
    total_pages: Option<usize>,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Request {
    /// The part of the API.
    pub area: Area,
    /// The method.
    pub method: Method,
    /// The path below the API's address, with its query.
    pub path: String,
    /// What is sent.
    pub body: Option<Value>,
}

impl Request {
    /// A question.
    #[must_use]
    pub fn get(area: Area, path: impl Into<String>) -> Self {
        Self { area, method: Method::GET, path: path.into(), body: None }
    }

    /// Something that changes what is there.
    #[must_use]
    pub fn new(area: Area, method: Method, path: impl Into<String>, body: Option<Value>) -> Self {
        Self { area, method, path: path.into(), body }
    }

    /// The path without its query, for people.
    fn place(&self) -> String {
        self.path.split('?').next().unwrap_or_default().to_owned()
    }
}

/// What one try came to.
enum Tried {
    Answered(Envelope),
    /// It was not carried out: Cloudflare wants fewer requests.
    Throttled(Duration),
    /// Nobody knows whether it was carried out.
    Lost(ApiError),
    Failed(ApiError),
}

impl Api {
    /// The way to the API at the place that `sources` names.
    ///
    /// # Errors
    /// When this machine's CA certificates cannot be read.
    pub fn new(sources: &Sources, token: SecretString, progress: Progress) -> anyhow::Result<Self> {
        // A redirection would lead the token elsewhere.
        let client = Downloads::new(sources).client(redirect::Policy::none());
        let client = client.context("cannot read the CA certificates of this machine")?;
        Ok(Self { client, base: sources.cloudflare_api.clone(), token, progress })
    }

    /// Asks for one thing.
    ///
    /// # Errors
    /// When Cloudflare refuses, or does not answer.
    pub async fn get(&self, area: Area, path: impl Into<String>) -> Result<Value, ApiError> {
        self.send(&Request::get(area, path)).await
    }

    /// Asks for one thing that may not be there.
    ///
    /// # Errors
    /// When Cloudflare refuses for another reason, or does not answer.
    pub async fn find(
        &self,
        area: Area,
        path: impl Into<String>,
    ) -> Result<Option<Value>, ApiError> {
        match self.get(area, path).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks for a list, page after page.
    ///
    /// # Errors
    /// When Cloudflare refuses, or does not answer.
    pub async fn list(&self, area: Area, path: &str) -> Result<Vec<Value>, ApiError> {
        let glue = if path.contains('?') { '&' } else { '?' };
        let mut all = Vec::new();
        for page in 1..=LAST_PAGE {
            let request = Request::get(area, format!("{path}{glue}page={page}&per_page={PAGE}"));
            let Envelope { result, result_info, .. } = self.exchange(&request).await?;
            let Value::Array(found) = result else { break };
            let pages = result_info.and_then(|info| info.total_pages).unwrap_or(1);
            let empty = found.is_empty();
            all.extend(found);
            if empty || page >= pages {
                break;
            }
        }
        Ok(all)
    }

    /// Sends a request, and returns what Cloudflare answers.
    ///
    /// # Errors
    /// When Cloudflare refuses, or does not answer.
    pub async fn send(&self, request: &Request) -> Result<Value, ApiError> {
        self.exchange(request).await.map(|envelope| envelope.result)
    }

    async fn exchange(&self, request: &Request) -> Result<Envelope, ApiError> {
        let begun = Instant::now();
        let (mut tries, mut pause) = (1, FIRST_PAUSE);
        // What may have been done already is not asked for twice unless twice is the same as once.
        let repeatable = [Method::GET, Method::PUT].contains(&request.method);
        loop {
            let wait = match self.once(request).await {
                Tried::Answered(envelope) => return Ok(envelope),
                Tried::Failed(error) => return Err(error),
                Tried::Throttled(wait) if begun.elapsed() + wait > PATIENCE => {
                    let (method, path) = (request.method.to_string(), request.place());
                    return Err(ApiError::Throttled { method, path, wait: wait.as_secs() });
                }
                Tried::Throttled(wait) => {
                    let seconds = wait.as_secs();
                    (self.progress)(&format!(
                        "Cloudflare asks to wait {seconds} s: too many requests"
                    ));
                    wait
                }
                Tried::Lost(error) if !repeatable || tries == TRIES => return Err(error),
                Tried::Lost(error) => {
                    (self.progress)(&format!("asking again: {error}"));
                    tries += 1;
                    let now = pause;
                    pause *= 2;
                    now
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    async fn once(&self, request: &Request) -> Tried {
        let url = format!("{}{}", self.base, request.path);
        let mut begun =
            self.client.request(request.method.clone(), url).bearer_auth(secret::text(&self.token));
        if let Some(body) = &request.body {
            begun = begun.json(body);
        }
        match begun.send().await {
            Ok(response) => read(request, response).await,
            Err(cause) => Tried::Lost(unanswered(request, cause)),
        }
    }
}

fn unanswered(request: &Request, cause: reqwest::Error) -> ApiError {
    let (method, path) = (request.method.to_string(), request.place());
    ApiError::Unanswered { method, path, cause: cause.without_url() }
}

async fn read(request: &Request, response: Response) -> Tried {
    let status = response.status();
    if status == StatusCode::TOO_MANY_REQUESTS {
        let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let wait = wait.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
        return Tried::Throttled(wait.unwrap_or(PAUSE));
    }
    let text = match response.text().await {
        Ok(text) => text,
        Err(cause) => return Tried::Lost(unanswered(request, cause)),
    };
    let (method, path) = (request.method.to_string(), request.place());
    let envelope = serde_json::from_str::<Envelope>(&text);
    let error = match envelope {
        Ok(envelope) if envelope.success && status.is_success() => {
            return Tried::Answered(envelope);
        }
        Ok(envelope) => {
            let Trouble { code, message, documentation_url } =
                envelope.errors.into_iter().flatten().next().unwrap_or_default();
            let (area, status) = (request.area, status.as_u16());
            let documentation = documentation_url;
            ApiError::Refused { area, method, path, status, code, message, documentation }
        }
        // Their text may be anything, so it is not shown.
        Err(_) => ApiError::Foreign { method, path, status: status.as_u16() },
    };
    if status.is_server_error() { Tried::Lost(error) } else { Tried::Failed(error) }
}

/// A value within a query.
#[must_use]
pub fn encoded(value: &str) -> String {
    percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC).to_string()
}
