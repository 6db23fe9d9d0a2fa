//! What a run needs for its tunnels before it looks at a host: what opens them, and which program.

use anyhow::Context as _;

use super::Context;
use crate::fleet::{Member, Selection};
use crate::releases::Releases;
use crate::report::{Event, Observer as _};

impl Context {
    /// Fetches what opens the selected tunnels; what opens another one is refused before any host is contacted.
    pub(super) fn ask_for_tunnels(&self, selection: &Selection) -> anyhow::Result<()> {
        if !selection.has_step("cloudflared") {
            return Ok(());
        }
        for tunnel in self.cluster.tunnels.iter().filter(|one| selection.has_node(&one.node)) {
            if let Some(token) = &tunnel.token {
                token.fetch_lines().with_context(|| {
                    format!(
                        "cannot get what opens the tunnel `{}` on `{}`",
                        tunnel.name, tunnel.node
                    )
                })?;
            }
            tunnel.credentials()?;
        }
        Ok(())
    }

    /// Locks cloudflared for the hosts whose tunnels this run sees to.
    pub(super) async fn lock_cloudflared<R>(
        &self,
        releases: &mut Releases,
        members: &[Member<'_, R>],
        selection: &Selection,
    ) -> anyhow::Result<bool> {
        let wanted = members.iter().filter(|member| {
            let name = &member.host.name;
            selection.has_step("cloudflared")
                && selection.has_node(name)
                && self.cluster.tunnel(name).is_some()
        });
        let wanted: Vec<&Member<'_, R>> = wanted.collect();
        let Some(first) = wanted.first() else { return Ok(false) };
        let host = first.host.name.as_str();
        let progress = |text: &str| self.teller.on(&Event::Progress { host, text });
        let arches = wanted.iter().map(|member| member.facts.arch());
        let mut arches = arches.collect::<anyhow::Result<Vec<_>>>()?;
        arches.sort_unstable();
        arches.dedup();
        releases.resolve_cloudflared(&self.cluster, &arches, &progress).await
    }
}
