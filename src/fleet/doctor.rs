//! Finding out why: on every host when asked, and on the one where k3s has just failed.

use std::time::Instant;

use futures::future::join_all;

use super::{Dial, Fleet, Member, gather};
use crate::cluster::Host;
use crate::doctor::{Diagnosed, Examined, Finding, Since, examine, triton};
use crate::engine::{ChangeFailed, NotHeld};
use crate::facts::Facts;
use crate::report::{Event, Observer};
use crate::secret;

/// The steps that start k3s.
const STARTS_K3S: [&str; 2] = ["k3s-server", "k3s-agent"];

/// The steps that have Triton serve.
const SERVES: [&str; 2] = ["docker", "triton"];

impl<'a, D: Dial, O: Observer> Fleet<'a, D, O> {
    /// Looks at every selected host for itself: what keeps one from answering says nothing of the others.
    pub async fn examine(&self) -> Vec<(&'a Host, anyhow::Result<Examined>)> {
        let first = self.cluster.first_server();
        let met = join_all(self.hosts().into_iter().map(|host| async move {
            let met = self.dial.dial(host, self.observer).await;
            if met.is_ok() {
                self.observer.on(&Event::Connected { host: &host.name });
            }
            (host, met)
        }))
        .await;
        let server = met.iter().find(|(host, _)| host.name == first.name);
        let server = server.and_then(|(_, met)| met.as_ref().ok());
        let facts = match server {
            Some(remote) => gather(remote, first).await.ok(),
            None => None,
        };
        let ca = facts.as_ref().and_then(ca_hash);
        let (ca, cluster) = (&ca, self.cluster);
        let wanted = met.iter().filter(|(host, _)| self.is_selected(&host.name));
        join_all(wanted.map(|(host, met)| async move {
            let remote = match met {
                Ok(remote) => remote,
                Err(error) => return (*host, Err(error.clone().into())),
            };
            let examined = examine(cluster, host, remote, server, ca.clone(), Since::Start).await;
            (*host, examined.map_err(anyhow::Error::from))
        }))
        .await
    }

    /// Adds to an error of a step that starts k3s what the host shows of its cause; `begun` is when the host's turn came.
    pub(super) async fn diagnosed(
        &self,
        member: &Member<'a, D::Remote>,
        server: Option<&Member<'a, D::Remote>>,
        begun: Instant,
        result: anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let Err(error) = result else { return result };
        let failed = error.downcast_ref::<ChangeFailed>().map(|failed| failed.step);
        let step = failed.or_else(|| error.downcast_ref::<NotHeld>().map(|held| held.step));
        if step.is_some_and(|step| SERVES.contains(&step)) {
            return Err(self.diagnosed_triton(member.host, error));
        }
        if !step.is_some_and(|step| STARTS_K3S.contains(&step)) {
            return Err(error);
        }
        let (ca, remote) = match server {
            Some(server) => (ca_hash(&server.facts), Some(&server.remote)),
            None => (None, None),
        };
        let since = Since::Ago(begun.elapsed());
        let examined = examine(self.cluster, member.host, &member.remote, remote, ca, since).await;
        // The host just failed; that it cannot be looked at is not the news.
        match examined {
            Ok(Examined { findings, .. }) => Err(with(findings, error)),
            Err(_) => Err(error),
        }
    }

    /// What a failed change of Triton, or of the engine below it, left behind shows its cause itself.
    fn diagnosed_triton(&self, host: &Host, error: anyhow::Error) -> anyhow::Error {
        match error.downcast_ref::<ChangeFailed>() {
            Some(failed) => with(triton::diagnose(&failed.output, self.cluster, host), error),
            None => error,
        }
    }
}

fn with(findings: Vec<Finding>, error: anyhow::Error) -> anyhow::Error {
    if findings.is_empty() {
        return error;
    }
    let text = error.to_string();
    error.context(Diagnosed { findings, error: text })
}

fn ca_hash(facts: &Facts) -> Option<String> {
    facts.join_token.as_ref().and_then(secret::ca_hash)
}
