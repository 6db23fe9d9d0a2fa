//! What a change keeps on its host, its deadline, and its wait for an earlier one; needs root.
#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use oceanid::actions::Command;
use oceanid::engine::{ChangeFailed, Run};
use oceanid::receipt::{self, Entry};
use oceanid::report::{Event, Observer};
use oceanid::script::Script;
use oceanid::step::Step;
use support::{Deaf, Here};

#[derive(Debug, Default)]
struct Hears(Mutex<Vec<String>>);

impl Observer for Hears {
    fn on(&self, event: &Event<'_>) {
        if let Event::Progress { text, .. } = event {
            self.0.lock().unwrap().push((*text).to_owned());
        }
    }
}

fn step(here: &Here, script: &str, seconds: u64) -> Step {
    let mut step = Step::new("law");
    let done = here.path("done");
    let script = Script::new(format!("{script}\n: >{done}\n"));
    let script = script.deadline(Duration::from_secs(seconds));
    step.ensure(Command::new("thing", "do it", format!("[ -e {done} ]"), script));
    step
}

async fn apply(here: &Here, wanted: &Step, observer: &impl Observer) -> anyhow::Result<()> {
    let stop = AtomicBool::new(false);
    let mut run =
        Run { host: "here", remote: here, observer, name: "run", stop: &stop, changes: 0 };
    run.apply(&[wanted], None).await
}

#[tokio::test]
async fn a_change_that_hangs_is_ended_at_its_deadline_and_its_words_are_kept() {
    for shell in ["dash", "bash"] {
        let here = Here::new(shell);
        let step = step(&here, "echo 'waiting for godot' >&2\nsleep 30", 1);
        let begun = Instant::now();
        let error = apply(&here, &step, &Deaf).await.unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(10), "{shell}: {:?}", begun.elapsed());
        let failed = error.downcast_ref::<ChangeFailed>().expect("the change failed");
        assert_eq!(failed.output.status, 124, "{shell}");
        assert_eq!(
            failed.output.stderr.trim(),
            "waiting for godot\nit was still running after 1 s and was ended",
            "{shell}"
        );
        let entries = receipt::read(&here.receipt()).unwrap();
        assert_eq!(entries.last(), Some(&Entry::Outcome { number: 0, status: 124 }), "{shell}");
    }
}

#[tokio::test]
async fn a_wait_for_an_earlier_change_is_told_and_does_not_eat_the_deadline() {
    for shell in ["dash", "bash"] {
        let here = Here::new(shell);
        fs::write(here.state("running"), "packages\n").unwrap();
        let lock = here.state("change.flock");
        let mut earlier = std::process::Command::new("flock");
        let mut earlier = earlier.arg(&lock).args(["sleep", "3"]).spawn().unwrap();
        while !lock.exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(100));
        let hears = Hears::default();
        let step = step(&here, "sleep 1", 2);
        apply(&here, &step, &hears).await.expect("the wait is not the change's own time");
        earlier.wait().unwrap();
        let told = hears.0.into_inner().unwrap();
        assert_eq!(
            told,
            ["waiting up to 600 s for a change of an earlier run: packages"],
            "{shell}"
        );
    }
}

#[tokio::test]
async fn a_change_whose_end_nobody_hears_still_gets_its_outcome() {
    let here = Here::new("dash");
    let step = step(&here, "progress one\nprogress two", 10);
    apply(&here, &step, &Deaf).await.unwrap();
    let entries = receipt::read(&here.receipt()).unwrap();
    assert!(matches!(entries.as_slice(), [Entry::Intent(_), Entry::Outcome { status: 0, .. }]));
    assert!(!here.state("running").exists(), "nothing runs any more");
    assert_eq!(here.tree().len(), 1, "nothing else was made");
}
