//! Everything that a host's process list showed during a while, to find secrets in it.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use crate::host::Host;

/// Collects until [`Sampler::stop`].
#[derive(Debug)]
pub struct Sampler {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Observed>,
}

/// What the process list showed.
#[derive(Debug, Default)]
pub struct Observed {
    /// Every argument list, with spaces between.
    pub arguments: BTreeSet<String>,
    /// Every environment, with spaces between.
    pub environments: BTreeSet<String>,
    /// How often the list was read.
    pub rounds: usize,
}

impl Observed {
    /// The argument lists and environments that contain `secret`.
    #[must_use]
    pub fn mentions(&self, secret: &str) -> Vec<&str> {
        let all = self.arguments.iter().chain(&self.environments);
        all.filter(|text| text.contains(secret)).map(String::as_str).collect()
    }
}

impl Sampler {
    pub(crate) fn start(host: Host) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut seen = Observed::default();
            while !flag.load(Ordering::Relaxed) {
                for pid in host.processes() {
                    let read = |name: &str| {
                        let bytes = fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
                        String::from_utf8_lossy(&bytes).replace('\0', " ")
                    };
                    seen.arguments.insert(read("cmdline"));
                    seen.environments.insert(read("environ"));
                }
                seen.rounds += 1;
                sleep(Duration::from_millis(2));
            }
            seen
        });
        Self { stop, thread }
    }

    /// Ends the collecting.
    #[must_use]
    pub fn stop(self) -> Observed {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}
