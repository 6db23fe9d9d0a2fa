//! How a further server joins: the token is checked, the authorities are fetched, a member is added.

use super::client::{self, Client};
use super::etcd::{Etcd, Member, peer};
use super::flags::Options;
use super::layout::Paths;
use super::pki::{Authority, Pair, Purpose};
use super::token::{Credentials, Token};
use super::{agent, bootstrap, critical};
use crate::log;
use anyhow::{Context, bail};
use hyper::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;

const PREPARING: &str = "starting kubernetes: preparing server";

/// Joins the cluster that `server` names, unless this server is a member already.
pub async fn join(
    options: &Options,
    paths: &Paths,
    given: Option<&str>,
    own: &Member,
) -> anyhow::Result<()> {
    let etcd = paths.server.join("db/etcd");
    let Some(server) = options.text("server") else { return Ok(()) };
    if Etcd::is_member(&etcd) {
        return Ok(());
    }
    let Some(given) = given else { bail!("--token is required") };
    let token = Token::parse(given).map_err(|error| anyhow::anyhow!("{PREPARING}: {error}"))?;
    let (host, port) = agent::address(server)?;
    let ca = agent::check_ca(&host, port, &token)
        .await
        .map_err(|error| anyhow::anyhow!("{PREPARING}: {error}"))?;
    let Credentials::Basic(_, password) = &token.credentials else {
        bail!("{PREPARING}: failed to normalize server token: a bootstrap token is for agents");
    };
    let client = Client::new(&host, port, &ca, None)?;
    let authorization = client::basic("server", password);
    let ask = async |path: &str| {
        let url = format!("https://{host}:{port}{path}");
        let fields = [("Authorization", authorization.as_str())];
        let answer = client.get(path, &fields).await;
        let answer = answer.with_context(|| format!("{PREPARING}: Get {url:?}"))?;
        if answer.code != StatusCode::OK {
            bail!("{PREPARING}: {url}: {}", answer.code);
        }
        Ok(serde_json::from_slice::<Value>(&answer.body)?)
    };
    let files = ask("/v1-k3s/server-bootstrap").await?;
    let differences = critical::differences(
        &critical::settings(options),
        &ask("/v1-k3s/config").await?["Critical"],
    );
    for difference in &differences {
        log::warning(format!("critical configuration mismatched: {difference}"));
    }
    if !differences.is_empty() {
        bail!(
            "{PREPARING}: failed to validate server configuration: critical configuration value mismatch between servers"
        );
    }
    bootstrap::write(paths, &files)?;
    let members = ask("/db/info").await?;
    let authority = Authority::load_or_make(&paths.server.join("tls"), "client-ca")?;
    let pair = authority.sign(Purpose::Client, peer::USER, &["system:etcd"], &[])?;
    let joined = add(&members, &ca, &pair, own).await?;
    Etcd::begin(&etcd, &joined["members"], joined["term"].as_u64().unwrap_or(1))
}

// One member after the other; another that is still joining is waited for.
async fn add(members: &Value, ca: &str, pair: &Pair, own: &Member) -> anyhow::Result<Value> {
    let addresses: Vec<&str> = members["members"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|member| member["address"].as_str())
        .collect();
    let own = json!(own).to_string();
    loop {
        let mut last = String::from("context deadline exceeded");
        for address in &addresses {
            let client = Client::new(address, peer::CLIENTS, ca, Some(pair))?;
            let sent = client.send("POST", "/members", &[], own.clone());
            let Ok(Ok(answer)) = tokio::time::timeout(Duration::from_secs(5), sent).await else {
                continue;
            };
            let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            if answer.code == StatusCode::OK {
                return Ok(said);
            }
            said["message"]
                .as_str()
                .unwrap_or("etcdserver: request timed out")
                .clone_into(&mut last);
            break;
        }
        if !last.contains("too many learner members") {
            bail!("{PREPARING}: start managed database: joining etcd cluster: {last}");
        }
        log::info(format!("Waiting for other members to finish joining etcd cluster: {last}"));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
