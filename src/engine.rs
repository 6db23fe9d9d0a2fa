//! The one path: look, compare, change, look again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::action::{Action, Change, Undo};
use crate::guard::{Marker, TakenBack, Watch};
use crate::probe::Probe;
use crate::receipt::Intent;
use crate::remote::{Output, Progress, Remote};
use crate::report::{Event, Observer};
use crate::step::Step;

pub use put_back::{NotPutBack, PutBack};

mod put_back;

/// A change that a look showed to be needed.
#[derive(Debug)]
pub struct Planned {
    /// The step that needs it.
    pub step: &'static str,
    /// The thing that is changed.
    pub subject: String,
    /// The change itself.
    pub change: Change,
}

impl Planned {
    /// Whether `later` has nothing left to do after this.
    fn covers(&self, later: &Self) -> bool {
        self.subject == later.subject && self.change.apply.text() == later.change.apply.text()
    }
}

/// A change that did not end well.
#[derive(Debug, thiserror::Error)]
#[error("cannot change `{subject}` on `{host}`")]
pub struct ChangeFailed {
    /// The host's name.
    pub host: String,
    /// The step's name.
    pub step: &'static str,
    /// The thing that was to be changed.
    pub subject: String,
    /// What the script left behind.
    pub output: Output,
}

/// A change that ended well and yet is not true.
#[derive(Debug, thiserror::Error)]
#[error("`{subject}` on `{host}` did not hold: after the change it still wants `{summary}`")]
pub struct NotHeld {
    /// The host's name.
    pub host: String,
    /// The step's name.
    pub step: &'static str,
    /// The thing that was changed.
    pub subject: String,
    /// What would be changed once more.
    pub summary: String,
}

/// Asked for by the operator: no further change is begun.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// What a look at a host showed.
#[derive(Debug, Default)]
pub struct Seen {
    /// What is to change, in order.
    pub changes: Vec<Planned>,
    /// What is worth knowing although it is left alone.
    pub notes: Vec<String>,
}

/// Compares every step with the host: one execution, however many steps there are.
///
/// # Errors
/// When the host cannot be looked at, or is in a state that must not be changed.
pub async fn plan<R: Remote>(remote: &R, steps: &[&Step]) -> anyhow::Result<Vec<Planned>> {
    Ok(look(remote, steps).await?.changes)
}

/// As [`plan`], with what is worth knowing beside it.
///
/// # Errors
/// As [`plan`].
pub async fn look<R: Remote>(remote: &R, steps: &[&Step]) -> anyhow::Result<Seen> {
    let actions: Vec<(&'static str, &dyn Action)> = steps
        .iter()
        .flat_map(|step| step.actions().iter().map(|action| (step.name, action.as_ref())))
        .collect();
    let mut all = Seen {
        notes: steps.iter().flat_map(|step| step.notes.clone()).collect(),
        ..Seen::default()
    };
    if actions.is_empty() {
        return Ok(all);
    }
    let asked: Vec<_> = actions.iter().map(|(_, action)| action.probe()).collect();
    let probe = Probe::new(asked.iter().flatten().cloned().collect());
    let output = remote.run(&probe.script(), &|_: &str| ()).await?;
    let mut answers = probe.answers(&output).context("cannot read the host's state")?.into_iter();
    for ((step, action), questions) in actions.iter().zip(&asked) {
        let seen: Vec<_> = answers.by_ref().take(questions.len()).collect();
        let change = action.diff(&seen).with_context(|| {
            format!("step `{step}`: `{}` cannot be brought there", action.subject())
        })?;
        if let Some(change) = change {
            let planned = Planned { step, subject: action.subject(), change };
            // Steps that can be selected alone may want the same; the first one brings it about.
            if all.changes.iter().all(|earlier| !earlier.covers(&planned)) {
                all.changes.push(planned);
            }
        }
        all.notes.extend(action.notes(&seen));
    }
    Ok(all)
}

/// One host in a run that changes things.
#[derive(Debug)]
pub struct Run<'a, R, O> {
    /// The host's name.
    pub host: &'a str,
    /// The connected host.
    pub remote: &'a R,
    /// Hears what happens.
    pub observer: &'a O,
    /// The run's name, the same on every host.
    pub name: &'a str,
    /// Set when the operator wants to stop.
    pub stop: &'a AtomicBool,
    /// How many changes this run has begun on this host.
    pub changes: u32,
}

impl<R: Remote, O: Observer> Run<'_, R, O> {
    /// Brings `steps` about, one after the other, and proves each.
    ///
    /// A step that `forecast` does not mention is not looked at again unless something before it changed.
    ///
    /// # Errors
    /// At the first change that fails or does not hold, or when the operator stops the run.
    pub async fn apply(
        &mut self,
        steps: &[&Step],
        forecast: Option<&[Planned]>,
    ) -> anyhow::Result<()> {
        let before = self.changes;
        for step in steps {
            let idle = forecast
                .is_some_and(|forecast| forecast.iter().all(|planned| planned.step != step.name));
            if idle && self.changes == before {
                continue;
            }
            self.step(step).await?;
        }
        Ok(())
    }

    /// Brings one step about; a guarded one is confirmed through a new login, or taken back.
    async fn step(&mut self, step: &Step) -> anyhow::Result<()> {
        let mut watch = None;
        let mut made = Vec::new();
        let result = self.converge(step, &mut watch, &mut made).await;
        let Some(watch) = watch else { return self.put_back_unless_up(step, made, result).await };
        let (host, observer) = (self.host, self.observer);
        let progress = |text: &str| observer.on(&Event::Progress { host, text });
        let Err(error) = result else { return watch.confirm(&progress).await };
        if error.is::<TakenBack>() {
            return Err(error);
        }
        match watch.take_back(&progress).await {
            Ok(back) => Err(error.context(back)),
            Err(lost) => Err(lost.context(format!("{error:#}"))),
        }
    }

    /// Looks, changes, and looks again until nothing is left.
    async fn converge<'s>(
        &mut self,
        step: &'s Step,
        watch: &mut Option<Watch<'s, R>>,
        made: &mut Vec<Intent>,
    ) -> anyhow::Result<()>
    where
        Self: 's,
    {
        let mut done: Vec<String> = Vec::new();
        loop {
            let planned = plan(self.remote, &[step]).await?;
            if planned.is_empty() {
                return Ok(());
            }
            // A change may make another one necessary, a restart a wait; none is necessary twice.
            if let Some(left) = planned.iter().find(|planned| done.contains(&planned.subject)) {
                return Err(NotHeld {
                    host: self.host.to_owned(),
                    step: step.name,
                    subject: left.subject.clone(),
                    summary: left.change.summary.clone(),
                }
                .into());
            }
            let mut armed = false;
            for (index, change) in planned.iter().enumerate() {
                if self.stop.load(Ordering::SeqCst) {
                    return Err(Interrupted.into());
                }
                let undoable = !matches!(change.change.undo, Undo::Never);
                if let (Some(limit), true, false) = (step.guard, undoable, armed) {
                    let rest = planned.get(index..).unwrap_or_default();
                    self.arm(step, limit, rest, watch).await?;
                    armed = true;
                }
                let guard = watch.as_ref().map(|watch| &watch.marker);
                self.change(change, guard, made).await?;
                done.push(change.subject.clone());
            }
        }
    }

    /// Has the host undo `planned` by itself unless it is confirmed.
    async fn arm<'s>(
        &self,
        step: &'s Step,
        limit: Duration,
        planned: &[Planned],
        watch: &mut Option<Watch<'s, R>>,
    ) -> anyhow::Result<()>
    where
        Self: 's,
    {
        let fresh = || Watch::new(self.host, self.remote, self.name, step, limit);
        let mut armed = watch.clone().unwrap_or_else(fresh);
        armed.add((self.changes..).zip(planned).map(|(number, planned)| {
            Intent::new(self.name, number, planned.step, &planned.subject, &planned.change)
        }));
        armed.arm().await?;
        *watch = Some(armed);
        Ok(())
    }

    async fn change(
        &mut self,
        planned: &Planned,
        guard: Option<&Marker>,
        made: &mut Vec<Intent>,
    ) -> anyhow::Result<()> {
        let Planned { step, subject, change } = planned;
        let (host, summary) = (self.host, change.summary.as_str());
        self.observer.on(&Event::ChangeStarted { host, step, subject, summary });
        let begun = Instant::now();
        let intent = Intent::new(self.name, self.changes, step, subject, change);
        self.changes += 1;
        made.push(intent.clone());
        let progress = |text: &str| self.observer.on(&Event::Progress { host, text });
        let progress: &Progress<'_> = &progress;
        let output = self
            .remote
            .run(&intent.wrap(&change.apply, guard), progress)
            .await
            .with_context(|| format!("cannot change `{subject}` on `{host}`"))?;
        if output.status == 0 {
            let took = begun.elapsed();
            self.observer.on(&Event::ChangeDone { host, step, subject, summary, took });
            return Ok(());
        }
        Err(ChangeFailed { host: host.to_owned(), step, subject: subject.clone(), output }.into())
    }
}
