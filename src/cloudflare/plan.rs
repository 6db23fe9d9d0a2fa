//! What there is against what must be: pure, and in an order that never leaves a door open.

use anyhow::bail;

use super::deed::Deed;
use super::seen::Seen;
use super::wanted::Wanted;
use super::{access, dns, rules, tunnels};

/// What is to change, and what is worth knowing.
#[derive(Debug, Default)]
pub struct Plan {
    /// The changes, in order.
    pub deeds: Vec<Deed>,
    /// What is left alone.
    pub notes: Vec<String>,
    /// What stands in the way and is not ours.
    pub foreign: Vec<String>,
}

/// Compares.
///
/// # Errors
/// When something of somebody else's is in the way, or the zone's plan does not allow what is wanted.
pub fn plan(wanted: &Wanted<'_>, seen: &Seen) -> anyhow::Result<Plan> {
    let mut plan = Plan::default();
    // Who may come in is settled before there is a way in.
    access::plan(wanted, seen, &mut plan);
    rules::plan(wanted, seen, &mut plan)?;
    tunnels::plan(wanted, seen, &mut plan);
    dns::plan(wanted, seen, &mut plan);
    zone(wanted, seen, &mut plan);
    if plan.foreign.is_empty() {
        return Ok(plan);
    }
    bail!(
        "not oceanid's, and in the way at Cloudflare:\n{}\n\
         hint: nothing was changed; take away what is not needed, or hand it over: a DNS record by \
         the comment `{tag}`, an application of Access by a name that begins with `{tag} `",
        plan.foreign.join("\n"),
        tag = wanted.tag
    )
}

fn zone(wanted: &Wanted<'_>, seen: &Seen, plan: &mut Plan) {
    let name = &wanted.settings.zone;
    if seen.zone.status != "active" {
        plan.notes.push(format!(
            "the zone `{name}` is {}: until its name servers are Cloudflare's, nobody comes in",
            seen.zone.status
        ));
    }
    if seen.zone.paused {
        plan.notes.push(format!("the zone `{name}` is paused: its tunnels lead nowhere"));
    }
    if let Some(end) = seen.token_ends {
        let days = crate::certificate::days(end.as_second() - seen.now.as_second());
        if days < 30 {
            plan.notes.push(format!("the token of `[cloudflare]` ends in {days} days"));
        }
    }
}
