//! What can only be seen by comparing hosts: clones, and clocks that disagree.

use anyhow::anyhow;

use super::{Failure, Member};
use crate::report::{Event, Observer};

/// Beyond it certificates of one host are not yet valid on another, seconds.
const SKEW_REFUSED: f64 = 30.0;
/// Beyond it something is wrong with time sync, seconds.
const SKEW_WARNED: f64 = 3.0;

/// Refuses hosts that are one another's clones or live in another time; warns of lesser trouble.
pub fn compare<R>(members: &[Member<'_, R>], observer: &impl Observer) -> Vec<Failure> {
    let mut failures = Vec::new();
    for (index, member) in members.iter().enumerate() {
        let earlier = members.iter().take(index);
        if let Some(other) =
            earlier.clone().find(|other| other.facts.machine_id == member.facts.machine_id)
        {
            failures.push(clone_of(member, other));
        } else if let Some(other) =
            earlier.clone().find(|other| other.facts.hostname == member.facts.hostname)
        {
            let text =
                format!("it calls itself `{}` like {}", member.facts.hostname, other.host.name);
            observer.on(&Event::Warning { host: Some(&member.host.name), text: &text });
        }
    }
    let middle = median(members.iter().map(|member| member.facts.ahead()).collect());
    for member in members {
        let skew = member.facts.ahead() - middle;
        let text = format!("its clock is {skew:+.1} s off the other hosts'");
        if skew.abs() > SKEW_REFUSED {
            let error = anyhow!("{text}; certificates would not be valid there")
                .context("the clocks disagree");
            failures.push(Failure { host: member.host.name.clone(), error });
        } else if skew.abs() > SKEW_WARNED {
            observer.on(&Event::Warning { host: Some(&member.host.name), text: &text });
        }
    }
    failures
}

fn clone_of<R>(member: &Member<'_, R>, other: &Member<'_, R>) -> Failure {
    let error = anyhow!(
        "it has the same machine-id as {}: one is a clone of the other\n\
         hint: on {}, `rm /etc/machine-id /var/lib/dbus/machine-id; systemd-machine-id-setup; reboot` \
         gives it one of its own",
        other.host.name,
        member.host.name
    );
    Failure { host: member.host.name.clone(), error }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
