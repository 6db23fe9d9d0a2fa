//! Rules of the zone, one ruleset a phase: ours among others', which stay as and where they are.

use anyhow::ensure;
use reqwest::Method;
use serde_json::{Value, json};

use super::api::Request;
use super::area::Area;
use super::deed::{Call, Deed, difference, differing};
use super::plan::Plan;
use super::seen::{LIMITS, Ruleset, SHIELD, Seen};
use super::wanted::{Rule, Wanted};

/// Adds what is to change.
///
/// # Errors
/// When the zone's plan does not allow what is wanted.
pub fn plan(wanted: &Wanted<'_>, seen: &Seen, plan: &mut Plan) -> anyhow::Result<()> {
    // A run that has to do with no tunnel has to do with no rule.
    if wanted.ways.is_empty() {
        return Ok(());
    }
    let limits = wanted.limits(seen.zone.plan())?;
    for (phase, most, rules) in [(SHIELD, 5, wanted.shield()), (LIMITS, 1, limits)] {
        let ruleset = seen.rulesets.get(phase);
        if seen.zone.plan() == "free" {
            fits(wanted, ruleset, &rules, most)?;
        }
        for left in ours(wanted, ruleset).filter(|rule| !is_wanted(rule, &rules)) {
            let about = left.get("description").and_then(Value::as_str).unwrap_or_default();
            plan.notes.push(format!(
                "the rule `{about}` is no longer wanted; `oceanid remove cloudflare --leftovers` removes it"
            ));
        }
        plan.deeds.extend(phase_deeds(seen, phase, ruleset, rules));
    }
    Ok(())
}

fn phase_deeds(seen: &Seen, phase: &str, ruleset: Option<&Ruleset>, rules: Vec<Rule>) -> Vec<Deed> {
    let base = format!("/zones/{}/rulesets", seen.zone.id);
    let area = Area::Rules;
    let Some(ruleset) = ruleset else {
        if rules.is_empty() {
            return Vec::new();
        }
        let bodies: Vec<Value> = rules.into_iter().map(|rule| rule.body).collect();
        let lines = bodies.iter().map(|body| difference(&Value::Null, body));
        let diff = Some(lines.collect::<Vec<_>>().join("\n"));
        let path = format!("{base}/phases/{phase}/entrypoint");
        let body = json!({ "rules": bodies });
        let call = Call::Send(Request::new(area, Method::PUT, path, Some(body)));
        let summary = format!("create, with {} of ours", counted(bodies.len()));
        return vec![Deed { subject: format!("ruleset {phase}"), summary, diff, area, call }];
    };
    // Rule by rule: a list that is replaced as a whole would lose what others change meanwhile.
    let base = format!("{base}/{}/rules", ruleset.id);
    let deeds = rules.into_iter().filter_map(|Rule { reference, body }| {
        let subject = format!("rule {}", body.get("description").and_then(Value::as_str)?);
        let Some(live) = ruleset.rules.iter().find(|rule| is(rule, &reference)) else {
            return Some(Deed::create(area, subject, &base, body));
        };
        let fields = differing(live, &body);
        let summary = format!("change {}", fields.join(", "));
        if fields.is_empty() {
            return None;
        }
        let diff = Some(difference(live, &body));
        let path = format!("{base}/{}", live.get("id").and_then(Value::as_str)?);
        let call = Call::Send(Request::new(area, Method::PATCH, path, Some(body)));
        Some(Deed { subject, summary, diff, area, call })
    });
    deeds.collect()
}

/// The free plan has few rules: said before anything is changed.
fn fits(
    wanted: &Wanted<'_>,
    ruleset: Option<&Ruleset>,
    rules: &[Rule],
    most: usize,
) -> anyhow::Result<()> {
    let all = ruleset.map_or(0, |ruleset| ruleset.rules.len());
    let others = all - ours(wanted, ruleset).filter(|rule| is_wanted(rule, rules)).count();
    ensure!(
        rules.is_empty() || others + rules.len() <= most,
        "the zone `{}` has the free plan: {most} of such rules, of which others have {others}, \
         and {} are wanted\n\
         hint: nothing was changed; take away others' rules, or `waf` or `rate-limit` out of `[cloudflare]`",
        wanted.settings.zone,
        rules.len()
    );
    Ok(())
}

/// The rules of a ruleset that this cluster's oceanid made.
pub fn ours<'s>(
    wanted: &Wanted<'_>,
    ruleset: Option<&'s Ruleset>,
) -> impl Iterator<Item = &'s Value> {
    let references = wanted.references();
    let rules = ruleset.into_iter().flat_map(|ruleset| &ruleset.rules);
    rules.filter(move |rule| references.iter().any(|reference| is(rule, reference)))
}

fn is(rule: &Value, reference: &str) -> bool {
    rule.get("ref").and_then(Value::as_str) == Some(reference)
}

/// Whether a rule is among `rules`.
pub fn is_wanted(rule: &Value, rules: &[Rule]) -> bool {
    rules.iter().any(|wanted| is(rule, &wanted.reference))
}

fn counted(rules: usize) -> String {
    if rules == 1 { String::from("1 rule") } else { format!("{rules} rules") }
}
