//! Which of a change's many progress lines are worth a line in a log.

use std::time::{Duration, Instant};

/// How long a log is silent about progress that says the same again.
const SILENCE: Duration = Duration::from_secs(10);

/// How many kinds of progress of one change are told at once.
const KINDS: usize = 8;

/// Lets the first line of each kind through, and then one every ten seconds.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    kinds: Vec<String>,
    last: Option<Instant>,
}

impl Throttle {
    /// Whether `text` is worth a line at `now`.
    pub(super) fn admits(&mut self, now: Instant, text: &str) -> bool {
        let kind = kind(text);
        let new = self.kinds.len() < KINDS && !self.kinds.contains(&kind);
        let due = self.last.is_none_or(|last| now.duration_since(last) >= SILENCE);
        if new {
            self.kinds.push(kind);
        }
        if new || due {
            self.last = Some(now);
        }
        new || due
    }
}

/// What stays the same while numbers run; a journal's line behind a semicolon is no kind of its own.
fn kind(text: &str) -> String {
    let head = text.split(';').next().unwrap_or(text);
    head.chars().filter(|c| !c.is_ascii_digit()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counting_is_told_once_in_ten_seconds() {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        let told: Vec<u64> = (0..300_u64)
            .filter(|tenth| {
                let text = format!("waiting for node styx, {} s left: not Ready", 300 - tenth);
                throttle.admits(start + Duration::from_millis(tenth * 100), &text)
            })
            .collect();
        assert_eq!(told, [0, 100, 200]);
    }

    #[test]
    fn another_kind_is_told_at_once_but_never_endlessly() {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        assert!(throttle.admits(start, "apt-get update"));
        assert!(throttle.admits(start, "apt-get install curl"));
        assert!(!throttle.admits(start, "apt-get update"));
        let told = ('a'..='z').filter(|c| throttle.admits(start, &c.to_string())).count();
        assert_eq!(told, KINDS - 2);
    }
}
