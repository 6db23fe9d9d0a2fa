//! Objects in the cluster, by server-side apply: what others set is shown and never overwritten.

use std::sync::Arc;

use anyhow::Context;

use super::output;
use crate::action::{Action, Answer, Change, Question, Undo};
use crate::kube::compare::{self, Difference};
use crate::kube::object::{Kind, MADE, Object};
use crate::kube::survey::{Seen, Survey};

pub use self::removed::Removed;

mod removed;
mod requests;
mod shown;

/// Some of the objects that a step wants.
#[derive(Debug)]
pub struct Objects {
    subject: String,
    wanted: Vec<Object>,
    survey: Arc<Survey>,
    first: Option<String>,
}

/// What happens to one object.
#[derive(Debug)]
struct Deed<'a> {
    wanted: &'a Object,
    live: Option<&'a Object>,
    difference: Difference,
}

impl Objects {
    /// Requires `wanted`; `survey` is the look that all actions of the step share.
    pub fn new(subject: impl Into<String>, wanted: Vec<Object>, survey: &Arc<Survey>) -> Self {
        Self { subject: subject.into(), wanted, survey: Arc::clone(survey), first: None }
    }

    /// Names what must be up before the API knows these objects.
    #[must_use]
    pub fn after(mut self, first: impl Into<String>) -> Self {
        self.first = Some(first.into());
        self
    }

    /// What differs, objects with conflicts included.
    fn deeds<'a>(&'a self, live: &'a [Object]) -> Vec<Deed<'a>> {
        let deeds = self.wanted.iter().map(|wanted| {
            let found = live.iter().find(|live| live.is(wanted));
            let sent = compare::to_send(wanted, found);
            let difference =
                found.map_or_else(Difference::default, |live| compare::compare(&sent, &live.body));
            Deed { wanted, live: found, difference }
        });
        deeds.filter(|deed| deed.live.is_none() || !deed.difference.is_empty()).collect()
    }
}

fn change(deeds: &[Deed<'_>], when: &str) -> anyhow::Result<Change> {
    let mut apply = requests::Requests::default();
    let mut undo = requests::Requests::default();
    let mut spaces = Vec::new();
    let mut diff = String::new();
    for deed in deeds {
        let sent = compare::to_send(deed.wanted, deed.live);
        apply.apply(deed.wanted, &sent);
        diff.push_str(&shown::of(deed, &sent)?);
        match deed.live {
            Some(live) => undo.apply(live, &compare::sent_before(live)),
            None if deed.wanted.kind.name == "Namespace" => {
                spaces.push(deed.wanted.name.as_str());
            }
            None => undo.delete(deed.wanted, None),
        }
    }
    Ok(Change {
        summary: format!("{}{when}", summary(deeds)),
        diff: Some(diff),
        apply: apply.script(),
        undo: Undo::Run(undo.undo(&spaces)),
    })
}

impl Deed<'_> {
    fn verb(&self) -> &'static str {
        match self.live {
            None => "create",
            Some(_) if self.difference.adopted => "adopt",
            Some(_) => "change",
        }
    }
}

/// `create 3, change 1`.
fn summary(deeds: &[Deed<'_>]) -> String {
    let parts: Vec<String> = ["create", "adopt", "change"]
        .into_iter()
        .filter_map(|verb| {
            let count = deeds.iter().filter(|deed| deed.verb() == verb).count();
            (count > 0).then(|| format!("{verb} {count}"))
        })
        .collect();
    parts.join(", ")
}

impl Action for Objects {
    fn subject(&self) -> String {
        self.subject.clone()
    }

    fn probe(&self) -> Vec<Question> {
        vec![Question::Script(self.survey.script())]
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        let seen = self.survey.read(output(seen, 0)?).context("the cluster cannot be read")?;
        let (live, silent) = match seen {
            Seen::Objects(live) => (live, None),
            Seen::Silent(reason) => (Vec::new(), Some(reason)),
        };
        let mut deeds = self.deeds(&live);
        deeds.retain(|deed| deed.difference.conflicts.is_empty());
        if deeds.is_empty() {
            return Ok(None);
        }
        let when = match (silent, &self.first) {
            (Some(_), _) => String::from(", once the API answers"),
            (None, Some(first)) if deeds.iter().any(|deed| deed.live.is_none()) => {
                format!(", after {first} is up")
            }
            _ => String::new(),
        };
        change(&deeds, &when).map(Some)
    }

    fn notes(&self, seen: &[Answer]) -> Vec<String> {
        let read = output(seen, 0).and_then(|seen| self.survey.read(seen));
        let Ok(Seen::Objects(live)) = read else { return Vec::new() };
        let deeds = self.deeds(&live);
        let all = deeds.iter().flat_map(|deed| {
            deed.difference.conflicts.iter().map(|(field, manager)| {
                format!(
                    "{} is left alone: `{manager}` set `{field}` to something else; \
                     once it lets go of the field, oceanid sets it",
                    deed.wanted
                )
            })
        });
        all.collect()
    }
}

/// Whether an object that is wanted no more is to be taken away as a whole.
fn is_made(object: &Object) -> bool {
    object.mark("annotations", MADE).is_some()
}

/// Whether objects of that kind hold what others made.
fn holds_others(kind: &Kind) -> bool {
    kind.name == "Namespace"
}
