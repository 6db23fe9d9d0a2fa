//! A step whose unit does not come up gets back what was there before, under the real dash and bash; needs root.

mod support;

use std::fs;
use std::sync::atomic::AtomicBool;

use oceanid::action::{Action, Answer, Change, Question, Undo};
use oceanid::actions::{File, Made};
use oceanid::engine::{ChangeFailed, NotPutBack, PutBack, Run};
use oceanid::receipt;
use oceanid::remote::Remote as _;
use oceanid::script::Script;
use oceanid::step::Step;
use support::{Deaf, Here};

/// A restart that always fails; `undo` is what takes it back.
#[derive(Debug)]
struct Fails(Undo);

impl Action for Fails {
    fn subject(&self) -> String {
        String::from("unit here.service")
    }

    fn probe(&self) -> Vec<Question> {
        Vec::new()
    }

    fn diff(&self, _: &[Answer]) -> anyhow::Result<Option<Change>> {
        Ok(Some(Change {
            summary: String::from("restart"),
            diff: None,
            apply: Script::new("echo 'it does not start' >&2\nexit 1\n"),
            undo: self.0.clone(),
        }))
    }
}

/// A step that replaces a file, and then fails in a unit.
fn failing(here: &Here, undo: Undo, proof: &str) -> Step {
    fs::write(here.path("config"), "old\n").expect("it is ours");
    let mut step = Step::new("law");
    step.ensure(File::new(here.path("config"), "new\n"));
    step.ensure(Made::new(here.path("token"), ":"));
    step.ensure(Fails(undo));
    step.put_back_unless_up(proof);
    step
}

async fn apply(here: &Here, step: &Step) -> anyhow::Error {
    let (name, stopped) = ("run", AtomicBool::new(false));
    let mut run =
        Run { host: "here", remote: here, observer: &Deaf, name, stop: &stopped, changes: 0 };
    run.apply(&[step], None).await.expect_err("the unit does not start")
}

fn restarts(here: &Here) -> Undo {
    Undo::Last(Script::new(format!("cat {} >>{}\n", here.path("config"), here.path("started"))))
}

fn config(here: &Here) -> String {
    fs::read_to_string(here.path("config")).expect("it is there")
}

#[tokio::test]
async fn a_unit_that_ran_gets_back_its_files_before_it_is_started_again() {
    for shell in ["dash", "bash"] {
        let here = Here::new(shell);
        let proof = format!("grep -qx old {}", here.path("started"));
        let step = failing(&here, restarts(&here), &proof);
        let before = here.tree();
        let error = apply(&here, &step).await;
        assert!(error.is::<PutBack>() && error.is::<ChangeFailed>(), "{error:?}");
        let mut after = here.tree();
        after.remove(&here.path("started"));
        assert_eq!(after, before);
        // Whoever rolls that run back finds it done.
        fs::write(here.path("config"), "newer\n").expect("it is ours");
        let undo = receipt::undo(&receipt::read(&here.receipt()).expect("a receipt"));
        here.run(&undo, &|_: &str| ()).await.expect("it runs");
        assert_eq!(config(&here), "newer\n");
    }
}

#[tokio::test]
async fn what_does_not_come_up_either_is_said() {
    for shell in ["dash", "bash"] {
        let here = Here::new(shell);
        let undo = Undo::Last(Script::new("exit 1\n"));
        let error = apply(&here, &failing(&here, undo, "false")).await;
        let lost = error.downcast_ref::<NotPutBack>().expect("it says so");
        assert!(lost.why.contains("cannot undo unit here.service"), "{lost}");
        assert!(error.is::<ChangeFailed>(), "and why it came to that: {error:?}");
    }
}

#[tokio::test]
async fn a_unit_that_never_ran_keeps_what_was_made_for_it() {
    for shell in ["dash", "bash"] {
        let here = Here::new(shell);
        let undo = Undo::Run(Script::new(":\n"));
        let error = apply(&here, &failing(&here, undo, "true")).await;
        assert!(!error.is::<PutBack>() && error.is::<ChangeFailed>(), "{error:?}");
        assert_eq!(config(&here), "new\n");
    }
}
