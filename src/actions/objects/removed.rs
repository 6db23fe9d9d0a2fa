//! Objects that were ours and are wanted no more.

use std::sync::Arc;

use anyhow::Context;

use super::requests::Requests;
use super::{holds_others, is_made, shown};
use crate::action::{Action, Answer, Change, Question, Undo};
use crate::actions::output;
use crate::kube::compare;
use crate::kube::object::{KINDS, Object};
use crate::kube::survey::{Seen, Survey};

/// Takes away what we made and let go of what we only set fields of; nothing of others goes.
#[derive(Debug)]
pub struct Removed {
    wanted: Vec<Object>,
    /// The only namespace that is looked at, or the one that is left to others.
    place: Place,
    survey: Arc<Survey>,
}

/// Where objects are looked for.
#[derive(Debug, Clone, Copy)]
enum Place {
    Anywhere,
    Outside(&'static str),
    Within(&'static str),
}

impl Place {
    fn holds(self, object: &Object) -> bool {
        let is_in = |name: &str| {
            object.namespace == name || (object.kind.name == "Namespace" && object.name == name)
        };
        match self {
            Self::Anywhere => true,
            Self::Outside(name) => !is_in(name),
            Self::Within(name) => is_in(name),
        }
    }
}

impl Removed {
    /// Requires that nothing of ours is there but `wanted`.
    #[must_use]
    pub fn but(wanted: Vec<Object>, survey: &Arc<Survey>) -> Self {
        Self { wanted, place: Place::Anywhere, survey: Arc::clone(survey) }
    }

    /// Leaves alone what stands in the namespace `name`, and itself: another step sees to it.
    #[must_use]
    pub fn outside(mut self, name: &'static str) -> Self {
        self.place = Place::Outside(name);
        self
    }

    /// Looks at nothing but what stands in the namespace `name`, and itself.
    #[must_use]
    pub fn within(mut self, name: &'static str) -> Self {
        self.place = Place::Within(name);
        self
    }

    /// What is ours and not wanted, last made first.
    fn unwanted(&self, seen: &[Answer]) -> anyhow::Result<Vec<Object>> {
        let seen = self.survey.read(output(seen, 0)?).context("the cluster cannot be read")?;
        let Seen::Objects(live) = seen else { return Ok(Vec::new()) };
        let mut gone: Vec<Object> = live
            .into_iter()
            .filter(|live| self.place.holds(live))
            .filter(|live| self.wanted.iter().all(|wanted| !wanted.is(live)))
            .filter(|live| !compare::own(&live.body).is_empty())
            .collect();
        let place = |object: &Object| KINDS.iter().position(|kind| kind == object.kind);
        gone.sort_by_key(|object| std::cmp::Reverse(place(object)));
        Ok(gone)
    }
}

impl Action for Removed {
    fn subject(&self) -> String {
        String::from("objects of ours that are wanted no more")
    }

    fn probe(&self) -> Vec<Question> {
        vec![Question::Script(self.survey.script())]
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        let mut gone = self.unwanted(seen)?;
        gone.retain(|object| !holds_others(object.kind));
        if gone.is_empty() {
            return Ok(None);
        }
        let (mut apply, mut undo) = (Requests::default(), Requests::default());
        let mut diff = String::new();
        for object in &gone {
            let before = compare::sent_before(object);
            if is_made(object) {
                let uid = object.body.pointer("/metadata/uid").and_then(|uid| uid.as_str());
                apply.delete(object, uid);
                diff.push_str(&shown::gone(object, &before, "delete")?);
            } else {
                apply.apply(object, &object.bare());
                diff.push_str(&shown::gone(object, &before, "let go")?);
            }
        }
        for object in gone.iter().rev() {
            undo.apply(object, &compare::sent_before(object));
        }
        let deleted = gone.iter().filter(|object| is_made(object)).count();
        let summary = match (deleted, gone.len() - deleted) {
            (deleted, 0) => format!("delete {deleted}"),
            (0, freed) => format!("let go of {freed}"),
            (deleted, freed) => format!("delete {deleted}, let go of {freed}"),
        };
        Ok(Some(Change {
            summary,
            diff: Some(diff),
            apply: apply.script(),
            undo: Undo::Run(undo.undo(&[])),
        }))
    }

    fn notes(&self, seen: &[Answer]) -> Vec<String> {
        let unwanted = self.unwanted(seen).unwrap_or_default();
        let spaces = unwanted.iter().filter(|object| holds_others(object.kind));
        spaces
            .map(|space| {
                format!(
                    "{space} is wanted no more and stays: it may hold what others made; \
                     `kubectl delete namespace {}` takes it away with all that",
                    space.name
                )
            })
            .collect()
    }
}
