//! `oceanid verify`: an empty plan, what is open past our rules, the paths of tunnels, and the API as
//! it is seen from here.

mod paths;

use std::time::Duration;

use anyhow::Context as _;
use futures::future::try_join_all;

use super::context::{Context, Look};
use super::plan::{show, show_notes};
use super::{print, say};
use crate::cli::Target;
use crate::exposure::exposure;
use crate::firewall::paths_hold;
use crate::fleet::{Member, first_server};
use crate::remote::{AnyRemote, Remote as _};
use crate::report::{Diffs, Event, Exit, Observer as _};
use crate::script::Script;
use crate::secret;
use crate::tls;

/// Proves that nothing is left to change, tells what is open besides, then asks the API from here.
pub async fn run(context: &Context, target: Target) -> anyhow::Result<Exit> {
    let selection = context.selection(target)?;
    let ways = paths::selected(context, &selection);
    paths::fetch_tokens(&ways)?;
    let dialer = context.dialer()?;
    let fleet = context.fleet(&dialer, &selection, 10, "verify");
    let Look { members, plans, guarded, .. } = match context.look(&fleet).await? {
        Ok(look) => look,
        Err(exit) => return Ok(exit),
    };
    if guarded {
        return Ok(Exit::RolledBack);
    }
    let pending = plans.iter().any(|plan| !plan.changes.is_empty());
    if !context.json {
        if pending {
            show(&plans, Diffs::Hidden)?;
        } else {
            show_notes(&plans)?;
        }
    }
    if !selection.has_hosts() {
        if !context.json && !pending {
            print("Cloudflare is as cluster.toml says\n")?;
        }
        return Ok(if pending { Exit::Pending } else { Exit::Done });
    }
    if !pending {
        let selected: Vec<_> =
            members.iter().filter(|member| fleet.is_selected(&member.host.name)).collect();
        tell_exposure(context, &selected).await?;
        prove_paths(context, &selected).await?;
    }
    // Also where changes are pending: what the path lacks may be why.
    let walked = paths::prove(context, &ways, &members).await?;
    if pending {
        return Ok(if walked == Exit::Done { Exit::Pending } else { walked });
    }
    ask_api(context, &members).await?;
    Ok(walked)
}

/// Asks the API from here; that it does not answer here is no failure, another CA is one.
async fn ask_api(context: &Context, members: &[Member<'_, AnyRemote>]) -> anyhow::Result<()> {
    let token = first_server(&context.cluster, members).and_then(|facts| facts.join_token.as_ref());
    let hash =
        token.and_then(secret::ca_hash).context("the server has no join token with a CA hash")?;
    let (endpoint, hosts) = (&context.cluster.k3s.endpoint, members.len());
    match ca_seen_from_here(endpoint).await {
        Ok(seen) if seen == hash => {
            if context.json {
                return Ok(());
            }
            print(&format!(
                "{hosts} hosts are as cluster.toml says; the API answers from here with the cluster's CA\n"
            ))
        }
        Ok(seen) => anyhow::bail!(
            "https://{endpoint}:6443 shows a CA with sha256 {seen}, not the cluster's {hash}"
        ),
        Err(error) => {
            say(&format!(
                "{hosts} hosts are as cluster.toml says; not verified: the API from here ({error:#})"
            ));
            Ok(())
        }
    }
}

/// Tells what of each host is open to everybody although no rule of ours says so.
async fn tell_exposure(
    context: &Context,
    members: &[&Member<'_, AnyRemote>],
) -> anyhow::Result<()> {
    let cluster = &context.cluster;
    let asked =
        members.iter().map(|member| exposure(&member.remote, cluster, member.host, &member.facts));
    for (member, lines) in members.iter().zip(try_join_all(asked).await?) {
        let host = member.host.name.as_str();
        for line in lines {
            tell(context, host, &line)?;
        }
    }
    Ok(())
}

fn tell(context: &Context, host: &str, line: &str) -> anyhow::Result<()> {
    if !context.json {
        return print(&format!("{host}: {line}\n"));
    }
    context.teller.on(&Event::Warning { host: Some(host), text: line });
    Ok(())
}

/// Asks on each host whether it reaches the API, and its pods the services and DNS.
async fn prove_paths(context: &Context, members: &[&Member<'_, AnyRemote>]) -> anyhow::Result<()> {
    let cluster = &context.cluster;
    let asked = members.iter().map(|member| async move {
        let script = Script::new(format!("set -eu\n{}", paths_hold(cluster, member.host)));
        member.remote.run(&script, &|_: &str| ()).await
    });
    let mut broken = Vec::new();
    for (member, output) in members.iter().zip(try_join_all(asked).await?) {
        let host = &member.host;
        let said = output.stdout.lines().last().unwrap_or("it does not say why").to_owned();
        if output.status == 0 {
            continue;
        }
        // Without encryption pods reach a host behind NAT as little as others do.
        if host.behind_nat && !cluster.k3s.wants_wireguard() {
            let backend = &cluster.k3s.flannel_backend;
            tell(
                context,
                &host.name,
                &format!("{said}: it is behind NAT, which `{backend}` does not cross"),
            )?;
        } else {
            broken.push(format!("{}: {said}", host.name));
        }
    }
    if broken.is_empty() {
        return Ok(());
    }
    anyhow::bail!("what pods need does not hold\n{}", broken.join("\n"))
}

/// SHA-256 of the CA that the API shows to anybody; the join token tells whether it is the right one.
async fn ca_seen_from_here(endpoint: &str) -> anyhow::Result<String> {
    let client = tls::client()
        .tls_danger_accept_invalid_certs(true)
        .no_proxy()
        .timeout(Duration::from_secs(10))
        .build()?;
    let answer = client.get(format!("https://{endpoint}:6443/cacerts")).send().await?;
    Ok(secret::sha256(&answer.error_for_status()?.bytes().await?))
}
