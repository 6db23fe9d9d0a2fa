//! Guards of earlier runs: waited for and heard before anything is changed.

use futures::future::join_all;

use super::{Dial, Failure, Fleet, Member};
use crate::guard::{self, Guard};
use crate::lock::{self, Lock};
use crate::report::{Event, Observer};

impl<'a, D: Dial, O: Observer> Fleet<'a, D, O> {
    /// Waits for the guards of runs that died; a host that took something back has failed until somebody knows.
    pub async fn settle(&self, members: &[Member<'a, D::Remote>]) -> Vec<Failure> {
        let waits = members.iter().map(|member| async move {
            let guard = member.facts.guard.as_ref()?;
            let alive = member.facts.lock.as_ref().is_some_and(Lock::is_alive);
            if matches!(guard, Guard::Armed(_)) && alive {
                return None;
            }
            let host = member.host.name.as_str();
            let progress = |text: &str| self.observer.on(&Event::Progress { host, text });
            let told = guard::settle(&member.remote, host, guard, &progress).await;
            let buried = match &member.facts.lock {
                Some(dead) if !alive => lock::release(&member.remote, dead, "died").await,
                _ => Ok(()),
            };
            let error = match (told, buried) {
                (Ok(_), Err(error)) | (Err(error), _) => error,
                (Ok(back), Ok(())) => back.into(),
            };
            Some(Failure { host: host.to_owned(), error })
        });
        join_all(waits).await.into_iter().flatten().collect()
    }

    /// Warns of guards without waiting for them or touching them; whether there are any.
    pub fn warn_of_guards(&self, members: &[Member<'a, D::Remote>]) -> bool {
        let mut any = false;
        for member in members {
            let Some(guard) = &member.facts.guard else { continue };
            any = true;
            let host = Some(member.host.name.as_str());
            let text = match guard {
                Guard::Armed(marker) => format!(
                    "the step `{}` of run {} is not confirmed yet: the host may take it back",
                    marker.step, marker.run
                ),
                Guard::Fired(marker) => format!(
                    "the host took the step `{}` of run {} back by itself; \
                     the next `oceanid bootstrap` tells why, and changes nothing",
                    marker.step, marker.run
                ),
            };
            self.observer.on(&Event::Warning { host, text: &text });
        }
        any
    }
}
