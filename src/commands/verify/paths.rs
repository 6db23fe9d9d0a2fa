//! The paths of the tunnels, as far as `oceanid verify` walks them.

use anyhow::Context as _;
use futures::future::try_join_all;
use jiff::Timestamp;
use serde_json::json;

use crate::cluster::ServiceToken;
use crate::commands::context::Context;
use crate::commands::print;
use crate::fleet::{Member, Selection};
use crate::path::{Public, Told, Verdict, Way, walk};
use crate::remote::AnyRemote;
use crate::report::{self, Exit, Style};

/// The ways that end on a selected node, where the step that opens them is selected.
pub fn selected<'a>(context: &'a Context, selection: &Selection) -> Vec<Way<'a>> {
    let selects = |node: &str| {
        let nodes = &selection.nodes;
        nodes.is_empty() || nodes.iter().any(|name| name == node)
    };
    let ways = Way::all(&context.cluster);
    ways.filter(|way| selection.has_step("cloudflared") && selects(&way.host.name)).collect()
}

/// Fetches the service tokens: before any host is contacted.
pub fn fetch_tokens(ways: &[Way<'_>]) -> anyhow::Result<()> {
    ways.iter().filter_map(|way| way.tunnel.access.token()).try_for_each(ServiceToken::fetch)
}

/// Walks every way, side by side, and tells of each; a broken one is a failure.
pub async fn prove(
    context: &Context,
    ways: &[Way<'_>],
    members: &[Member<'_, AnyRemote>],
) -> anyhow::Result<Exit> {
    let hosts: Vec<(&str, &AnyRemote)> =
        members.iter().map(|member| (member.host.name.as_str(), &member.remote)).collect();
    let walks = ways.iter().map(|way| async {
        let public = Public::new(&context.cluster.sources, &format!("https://{}", way.hostname()))?;
        let node = hosts.iter().find(|(name, _)| *name == way.host.name);
        let (_, node) = node.context("the node of the tunnel is not there")?;
        let told = walk(*way, *node, &hosts, &public).await;
        told.with_context(|| format!("cannot look at `{}` on `{}`", way.hostname(), way.host.name))
    });
    let mut exit = Exit::Done;
    for (way, told) in ways.iter().zip(try_join_all(walks).await?) {
        if told.iter().any(|one| matches!(one.verdict, Verdict::Broken(_))) {
            exit = Exit::Failed;
        }
        tell(context, *way, &told)?;
    }
    Ok(exit)
}

fn tell(context: &Context, way: Way<'_>, told: &[Told]) -> anyhow::Result<()> {
    if !context.json {
        let mut text = Vec::new();
        report::path(&mut text, way.hostname(), told, Style::of(&std::io::stdout()))?;
        return print(&String::from_utf8(text)?);
    }
    for Told { hop, verdict } in told {
        let time = Timestamp::now().strftime("%FT%T.%3fZ").to_string();
        let (state, text, finding) = match verdict {
            Verdict::Holds(text) => ("holds", text, None),
            Verdict::Unknown(text) => ("not-verified", text, None),
            Verdict::Broken(finding) => ("broken", &finding.cause, Some(finding)),
        };
        let line = json!({
            "schema": report::json::SCHEMA, "time": time, "event": "hop",
            "host": way.host.name, "name": way.hostname(), "hop": hop,
            "state": state, "text": text, "finding": finding,
        });
        print(&format!("{line}\n"))?;
    }
    Ok(())
}
