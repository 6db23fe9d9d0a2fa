//! The token, the zone and the account: looked at before anything else.

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use serde::Deserialize;

use super::api::{Api, encoded};
use super::area::Area;
use super::error::ApiError;
use super::seen::{Zone, one};
use super::wanted::Wanted;

/// What a token says of itself.
#[derive(Debug, Deserialize)]
struct Verified {
    status: String,
    expires_on: Option<Timestamp>,
}

/// Verifies the token and finds the zone; also says when the token ends.
///
/// # Errors
/// When the token is not good, or does not see the zone.
pub async fn enter(api: &Api, wanted: &Wanted<'_>) -> anyhow::Result<(Zone, Option<Timestamp>)> {
    let settings = wanted.settings;
    let refused = match verify(api, "/user/tokens/verify").await {
        Ok(verified) => {
            good(&verified)?;
            let zone = zone(api, wanted).await?;
            return Ok((zone, verified.expires_on));
        }
        Err(error) if error.downcast_ref().is_some_and(ApiError::is_of_token) => error,
        Err(error) => return Err(error),
    };
    // The token of an account is verified at the account, which the zone may have to tell.
    let (account, seen) = match &settings.account {
        Some(account) => (account.clone(), None),
        None => match zone(api, wanted).await {
            Ok(zone) => (zone.account().to_owned(), Some(zone)),
            Err(_) => return Err(refused).with_context(not_taken),
        },
    };
    let verified = verify(api, &format!("/accounts/{account}/tokens/verify")).await;
    let verified = match verified {
        Err(error) if error.downcast_ref().is_some_and(ApiError::is_of_token) => {
            return Err(error).with_context(not_taken);
        }
        other => other?,
    };
    good(&verified)?;
    let zone = match seen {
        Some(zone) => zone,
        None => zone(api, wanted).await?,
    };
    Ok((zone, verified.expires_on))
}

fn not_taken() -> String {
    String::from(
        "Cloudflare does not take the token of `[cloudflare]`\n\
         hint: nothing was changed; it may have been deleted, or cut when it was copied, or belong to \
         another account than `account` says",
    )
}

async fn verify(api: &Api, path: &str) -> anyhow::Result<Verified> {
    one(api.get(Area::Token, path).await?)
}

fn good(verified: &Verified) -> anyhow::Result<()> {
    if verified.status == "active" {
        return Ok(());
    }
    let since = verified.expires_on.map_or_else(String::new, |end| format!(" since {end}"));
    bail!(
        "the token of `[cloudflare]` is {}{since}\n\
         hint: nothing was changed; make another at https://dash.cloudflare.com/profile/api-tokens",
        verified.status
    )
}

async fn zone(api: &Api, wanted: &Wanted<'_>) -> anyhow::Result<Zone> {
    let settings = wanted.settings;
    let name = &settings.zone;
    let found = api.list(Area::Zone, &format!("/zones?name={}", encoded(name))).await?;
    let zones: Vec<Zone> = found.into_iter().map(one).collect::<anyhow::Result<_>>()?;
    let Some(first) = zones.first() else {
        bail!(
            "the token of `[cloudflare]` does not see the zone `{name}`\n\
             hint: nothing was changed; is it in another account, or does the token lack `{}`?",
            Area::Zone.permission()
        );
    };
    let Some(account) = &settings.account else { return Ok(first.clone()) };
    let own = zones.iter().find(|zone| zone.account() == account);
    own.cloned().with_context(|| {
        format!(
            "the zone `{name}` belongs to the account {}, not to {account}\n\
             hint: nothing was changed; `account` in `[cloudflare]` may be left out",
            first.account()
        )
    })
}
