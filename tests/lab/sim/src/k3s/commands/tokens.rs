//! `k3s token create`, `list` and `delete`.

use super::{block_on, flag};
use crate::k3s::kubectl::Api;
use crate::k3s::{bootstrap_token, token};
use crate::{clock, log};
use jiff::Timestamp;
use serde_json::Value;

const SECRETS: &str = "/api/v1/namespaces/kube-system/secrets";

/// Runs `k3s token`.
pub fn run(words: &[String]) -> Result<(), String> {
    let rest = words.get(1..).unwrap_or_default();
    match words.first().map(String::as_str) {
        Some("create") => block_on(create(rest)),
        Some("list") => block_on(list()),
        Some("delete") => block_on(delete(rest)),
        Some(other) => Err(format!("`token {other}` is not known here")),
        None => Err("a subcommand is needed: create, list or delete".to_owned()),
    }
}

async fn create(words: &[String]) -> Result<(), String> {
    let api = Api::admin()?;
    let made = token::random_hex(11);
    let (id, secret) = (made.get(..6).unwrap_or_default(), made.get(6..).unwrap_or_default());
    let given = words.iter().find(|word| token::is_bootstrap(word));
    let (id, secret) = given.and_then(|text| text.split_once('.')).unwrap_or((id, secret));
    let ttl = flag(words, "--ttl").unwrap_or("24h");
    let span = clock::go_duration(ttl)
        .ok_or_else(|| format!("invalid value {ttl:?} for flag -ttl: parse error"))?;
    let expiration = (!span.is_zero()).then(|| clock::rfc3339(Timestamp::now() + span));
    let description = flag(words, "--description").unwrap_or_default();
    let object = bootstrap_token::secret(id, secret, description, expiration.as_deref());
    api.send("POST", SECRETS, &[], object.to_string()).await?;
    let ca = api.send("GET", "/cacerts", &[], String::new()).await?;
    log::out(token::full(&ca.body, &format!("{id}.{secret}")));
    Ok(())
}

async fn list() -> Result<(), String> {
    let api = Api::admin()?;
    let all = api.object(SECRETS).await?;
    let line =
        |cells: [&str; 4]| format!("{:<27}{:<10}{:<25}{}", cells[0], cells[1], cells[2], cells[3]);
    log::out(line(["TOKEN", "TTL", "EXPIRES", "DESCRIPTION"]));
    let items = all["items"].as_array().into_iter().flatten();
    for secret in items.filter(|one| one["type"] == "bootstrap.kubernetes.io/token") {
        let text = |name: &str| bootstrap_token::field(secret, name).unwrap_or_default();
        let shown = format!("{}.{}", text("token-id"), text("token-secret"));
        let expires = text("expiration");
        let ttl = match clock::seconds_since(&expires) {
            Some(seconds) if seconds < 0 => clock::age(-seconds),
            Some(_) => "<expired>".to_owned(),
            None => "<forever>".to_owned(),
        };
        log::out(line([&shown, &ttl, &expires, &text("description")]));
    }
    Ok(())
}

async fn delete(words: &[String]) -> Result<(), String> {
    let api = Api::admin()?;
    for word in words {
        let id = word.split('.').next().unwrap_or_default();
        api.send("DELETE", &format!("{SECRETS}/bootstrap-token-{id}"), &[], String::new()).await?;
        log::out(format!(
            "bootstrap token {:?} deleted",
            Value::from(id).as_str().unwrap_or_default()
        ));
    }
    Ok(())
}
