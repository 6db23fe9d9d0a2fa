//! What k3s said: lines of its unit's journal, without what is secret in them.

/// The longest evidence that is shown, characters.
const SHOWN: usize = 300;
/// What k3s says when it is up: what it said before is settled.
const UP: [&str; 2] = ["k3s is up and running", "k3s agent is up and running"];
/// What systemd says before it starts a unit again by itself.
const AGAIN: &str = "Scheduled restart job";
/// What it says when it starts one: without the other before it, somebody asked for that.
const STARTS: [&str; 2] = ["Starting ", "Lightweight Kubernetes"];

/// What a secret follows, in any case of letters.
const MARKS: &[&str] =
    &["password", "passwd", "secret", "token", "authorization", "bearer", "apikey", "api-key"];

/// What k3s said lately, oldest first.
#[derive(Debug, Clone, Default)]
pub struct Journal {
    lines: Vec<String>,
}

impl Journal {
    /// Takes lines as the journal has them; those before k3s was last up, or last started by hand, are left out.
    #[must_use]
    pub fn new<'a>(lines: impl IntoIterator<Item = &'a str>) -> Self {
        let mut kept: Vec<String> = Vec::new();
        let mut again = false;
        for line in lines {
            let starts = STARTS.iter().all(|part| line.contains(part));
            let asked = starts && !std::mem::take(&mut again);
            again |= line.contains(AGAIN);
            if asked || UP.iter().any(|up| line.contains(up)) {
                kept.clear();
            } else if !line.trim().is_empty() {
                kept.push(line.to_owned());
            }
        }
        Self { lines: kept }
    }

    /// The newest line that holds each of `parts`, as it may be shown.
    #[must_use]
    pub fn find(&self, parts: &[&str]) -> Option<String> {
        let holds = |line: &&String| parts.iter().all(|part| line.contains(part));
        self.lines.iter().rev().find(holds).map(|line| shown(line))
    }

    /// The newest line that holds each of `parts`, as k3s wrote it: not to be shown.
    #[must_use]
    pub fn raw(&self, parts: &[&str]) -> Option<&str> {
        let holds = |line: &&String| parts.iter().all(|part| line.contains(part));
        self.lines.iter().rev().find(holds).map(String::as_str)
    }

    /// The newest line that looks like an error.
    #[must_use]
    pub fn worst(&self) -> Option<String> {
        let bad = |line: &&String| {
            let line = line.to_lowercase();
            // Modules that are built in cannot be loaded, and need not be.
            !line.contains("modprobe: fatal")
                && ["level=fatal", "level=error", "panic", "fatal", "error", "fail"]
                    .iter()
                    .any(|word| line.contains(word))
        };
        self.lines.iter().rev().find(bad).map(|line| shown(line))
    }
}

/// A line as it may be shown: the message alone, masked, of a bearable length.
#[must_use]
pub fn shown(line: &str) -> String {
    let text = masked(&message(line.trim()));
    if text.chars().count() <= SHOWN {
        return text;
    }
    let start: String = text.chars().take(SHOWN).collect();
    format!("{start}…")
}

/// The message of a logrus or klog line; any other line is its own message.
fn message(line: &str) -> String {
    if let Some((head, quoted)) = line.split_once(" msg=\"")
        && head.starts_with("time=")
    {
        let text = quoted.strip_suffix('"').unwrap_or(quoted);
        return text.replace("\\\"", "\"").replace("\\n", " ");
    }
    let klog = line.starts_with(['E', 'F', 'W', 'I'])
        && line.get(1..5).is_some_and(|date| date.bytes().all(|byte| byte.is_ascii_digit()));
    match line.split_once("] ") {
        Some((_, text)) if klog => text.to_owned(),
        _ => line.to_owned(),
    }
}

/// `text` without tokens and what follows the word password.
#[must_use]
pub fn masked(text: &str) -> String {
    let mut after_mark = false;
    let words = text.split(' ').map(|word| {
        let secret = std::mem::take(&mut after_mark);
        let lower = word.to_lowercase();
        if secret && matches!(lower.as_str(), "bearer" | "basic") {
            after_mark = true;
            return word.to_owned();
        }
        // `--token=x`, `password: x`, `token "x"`; an explanation has neither.
        let mark = MARKS.iter().find_map(|mark| lower.find(mark).map(|at| at + mark.len()));
        if let Some(end) = mark {
            let rest = word.get(end..).unwrap_or_default();
            if let Some(at) = rest.find(['=', ':']) {
                let (head, value) = word.split_at(end + at + 1);
                after_mark = value.is_empty() || value == "\"";
                if !after_mark {
                    return format!("{head}***");
                }
            }
            return unmarked(word);
        }
        if secret && !word.is_empty() { String::from("***") } else { unmarked(word) }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A word without what stands behind the hash of a full token: `K10<hash>::***`.
fn unmarked(word: &str) -> String {
    if let Some(at) = word.find("K10")
        && let Some(length) = word.get(at..).and_then(|token| token.find("::"))
    {
        let head = word.get(..at + length + 2).unwrap_or_default();
        return format!("{head}***");
    }
    // A password before a host: `postgres://user:password@host`.
    if let Some((scheme, rest)) = word.split_once("://")
        && let Some((_, host)) = rest.split_once('@')
    {
        return format!("{scheme}://***@{host}");
    }
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Journal, masked, shown};

    #[test]
    fn the_message_alone_is_shown() {
        let line = r#"time="2026-11-24T17:00:00Z" level=error msg="Failed: Get \"https://x\": no""#;
        assert_eq!(shown(line), r#"Failed: Get "https://x": no"#);
        let line = r#"E1124 17:00:00.000000    1234 kubelet.go:1703] "Failed to start" err="[x]""#;
        assert_eq!(shown(line), r#""Failed to start" err="[x]""#);
        assert_eq!(shown("Incorrect Usage: x"), "Incorrect Usage: x");
        assert_eq!(shown(&"x".repeat(1000)).chars().count(), 301);
    }

    #[test]
    fn no_secret_is_shown_and_no_explanation_is_lost() {
        let hash = "a".repeat(64);
        for (line, wanted) in [
            (format!("bad K10{hash}::server:hidden here"), format!("bad K10{hash}::*** here")),
            ("--token=hidden rest".to_owned(), "--token=*** rest".to_owned()),
            ("password: hidden rest".to_owned(), "password: *** rest".to_owned()),
            ("token:hidden".to_owned(), "token:***".to_owned()),
            ("Authorization: Bearer hidden".to_owned(), "Authorization: Bearer ***".to_owned()),
            ("postgres://u:hidden@db:1/x".to_owned(), "postgres://***@db:1/x".to_owned()),
        ] {
            assert_eq!(masked(&line), wanted);
        }
        for plain in [
            "token CA hash does not match the Cluster CA certificate hash: aa != bb",
            "Node password rejected, duplicate hostname or contents of '/etc/rancher/node/password' may not match server node-passwd entry",
            "invalid token CA hash length",
            "invalid username/password combination",
            "https://127.0.0.1:6444/v1-k3s/config: 401 Unauthorized",
        ] {
            assert_eq!(masked(plain), plain);
        }
    }

    #[test]
    fn what_was_said_before_k3s_was_up_is_settled() {
        let journal = Journal::new(["no space left", "msg=\"k3s is up and running\"", "fine"]);
        assert_eq!(journal.find(&["no space left"]), None);
        assert_eq!(journal.find(&["fine"]).as_deref(), Some("fine"));
        let starts = "Starting k3s.service - Lightweight Kubernetes (server)...";
        let again = "k3s.service: Scheduled restart job, restart counter is at 1.";
        let journal = Journal::new(["stale", starts, "wrong", again, starts, "later"]);
        assert_eq!(journal.find(&["stale"]), None);
        assert_eq!(journal.find(&["wrong"]).as_deref(), Some("wrong"));
    }
}
