//! Changes at Cloudflare: one by one, each looked at again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use reqwest::Method;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::api::{Api, Request};
use super::area::Area;
use super::deed::{Call, Deed};
use super::error::ApiError;
use super::plan::plan;
use super::seen::Seen;
use super::wanted::Wanted;
use super::{NAME, store};
use crate::engine::Interrupted;
use crate::report::{Event, Observer};
use crate::secret;

/// How often a change is looked for that does not show at once.
const LOOKS: u32 = 5;

/// Brings about what is wanted; `made` counts the changes.
///
/// # Errors
/// At the first change that cannot be made, or does not show; the same command goes on from there.
pub async fn apply(
    api: &Api,
    wanted: &Wanted<'_>,
    seen: &mut Seen,
    (observer, stop): (&dyn Observer, &AtomicBool),
    made: &mut usize,
) -> anyhow::Result<()> {
    while let Some(deed) = plan(wanted, seen)?.deeds.into_iter().next() {
        if stop.load(Ordering::SeqCst) {
            return Err(Interrupted.into());
        }
        let (subject, summary) = (deed.subject.as_str(), deed.summary.as_str());
        let begun = Instant::now();
        observer.on(&Event::ChangeStarted { host: NAME, step: NAME, subject, summary });
        perform(api, wanted, &seen.account, &deed).await.map_err(|error| told(&deed, error))?;
        *made += 1;
        shows(api, wanted, seen, &deed).await?;
        let took = begun.elapsed();
        observer.on(&Event::ChangeDone { host: NAME, step: NAME, subject, summary, took });
    }
    Ok(())
}

/// Waits until a change shows.
async fn shows(api: &Api, wanted: &Wanted<'_>, seen: &mut Seen, deed: &Deed) -> anyhow::Result<()> {
    let undone = |seen: &Seen| -> anyhow::Result<bool> {
        let next = plan(wanted, seen)?.deeds.into_iter().next();
        Ok(next.is_some_and(|next| next.subject == deed.subject && next.summary == deed.summary))
    };
    for look in 0..LOOKS {
        tokio::time::sleep(Duration::from_secs(u64::from(look))).await;
        seen.refresh(api, wanted, deed.area).await?;
        if !undone(seen)? {
            return Ok(());
        }
    }
    bail!(
        "Cloudflare took the change `{}: {}`, and does not show it\n\
         hint: something else may set it back; the same command goes on from here",
        deed.subject,
        deed.summary
    )
}

/// Makes one change.
///
/// # Errors
/// When Cloudflare refuses it, or a secret could not be stored.
pub async fn perform(
    api: &Api,
    wanted: &Wanted<'_>,
    account: &str,
    deed: &Deed,
) -> anyhow::Result<()> {
    match &deed.call {
        Call::Send(request) => drop(api.send(request).await?),
        Call::Tunnel(request) => {
            let mut request = request.clone();
            if let Some(body) = &mut request.body {
                // Known to Cloudflare and to the node, which asks for the token that holds it.
                body["tunnel_secret"] = json!(secret::text(&secret::random()?));
            }
            api.send(&request).await?;
        }
        Call::Token { request, named } => token(api, wanted, account, request, named).await?,
        Call::Later => bail!("it depends on something that Cloudflare does not show"),
    }
    Ok(())
}

/// Makes a secret, stores it, and only then gives the token the name by which it counts.
async fn token(
    api: &Api,
    wanted: &Wanted<'_>,
    account: &str,
    request: &Request,
    named: &Value,
) -> anyhow::Result<()> {
    let gate = wanted.settings.gate.as_ref().context("`[cloudflare.access]` is off")?;
    store::prepare(&gate.store)?;
    let mut shown = api.send(request).await?;
    let text =
        |shown: &Value, field: &str| shown.get(field).and_then(Value::as_str).map(str::to_owned);
    let secret = match shown.get_mut("client_secret").map(Value::take) {
        Some(Value::String(secret)) => SecretString::from(secret),
        _ => bail!("Cloudflare made a service token and showed no secret"),
    };
    let id = text(&shown, "id").context("Cloudflare made a service token and showed no id")?;
    let client = text(&shown, "client_id").unwrap_or_default();
    store::keep(&gate.store, &secret, &client).await.map_err(|error| {
        error.context(
            "the service token was made, but its secret could not be stored, and is lost\n\
             hint: mend `store` in `[cloudflare.access]`; the same command then makes a new secret",
        )
    })?;
    let path = format!("/accounts/{account}/access/service_tokens/{id}");
    let request = Request::new(Area::ServiceTokens, Method::PUT, path, Some(named.clone()));
    api.send(&request).await?;
    Ok(())
}

/// Says which change it was, and what the token lacks where it may read alone.
pub fn told(deed: &Deed, error: anyhow::Error) -> anyhow::Error {
    let Deed { subject, summary, .. } = deed;
    let what = format!("cannot change `{subject}` at Cloudflare ({summary})");
    let Some(area) = error.downcast_ref().and_then(ApiError::denied) else {
        return error.context(what);
    };
    let permission = area.permission();
    anyhow!(
        "{error:#}\nhint: the token may look at it, but not change it: give it `{permission}`; \
         the same command goes on from here"
    )
    .context(what)
}
