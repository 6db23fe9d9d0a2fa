//! A real terminal, and a person before it who reads and types.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long an answer may take to appear.
const LIMIT: Duration = Duration::from_secs(60);
/// How long work on hosts may take.
const LONG: Duration = Duration::from_secs(240);

/// A program at a terminal of its own: `script` makes it.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    keys: ChildStdin,
    screen: Receiver<Vec<u8>>,
    /// Everything that was shown.
    pub shown: String,
    /// Up to where it was read, without what only moves the cursor.
    read: usize,
    limit: Duration,
}

impl Terminal {
    /// Starts what `program` names, with its environment and folder, at a terminal.
    pub fn start(program: &Command) -> Self {
        let quoted = |word: &std::ffi::OsStr| {
            format!("'{}'", word.to_str().expect("UTF-8").replace('\'', r"'\''"))
        };
        let words = std::iter::once(program.get_program()).chain(program.get_args());
        let line = words.map(quoted).collect::<Vec<_>>().join(" ");
        let mut command = Command::new("script");
        command.args([
            "-q",
            "-e",
            "-f",
            "-c",
            &format!("stty -echo rows 50 cols 200; exec {line}"),
            "/dev/null",
        ]);
        command.env_clear();
        for (key, value) in program.get_envs() {
            if let Some(value) = value {
                command.env(key, value);
            }
        }
        command.env("TERM", "xterm").env("SHELL", "/bin/sh");
        if let Some(folder) = program.get_current_dir() {
            command.current_dir(folder);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("`script` starts");
        let keys = child.stdin.take().expect("piped");
        let mut output = child.stdout.take().expect("piped");
        let (send, screen) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                if send.send(bytes[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { child, keys, screen, shown: String::new(), read: 0, limit: LIMIT }
    }

    /// Waits until `text` is on the screen, after what was waited for before.
    #[track_caller]
    pub fn sees(&mut self, text: &str) {
        let begun = Instant::now();
        loop {
            let plain = console::strip_ansi_codes(&self.shown).into_owned();
            let unread = plain.get(self.read..).unwrap_or_default();
            if let Some(found) = unread.find(text) {
                self.read += found + text.len();
                return;
            }
            match self.screen.recv_timeout(self.limit.saturating_sub(begun.elapsed())) {
                Ok(bytes) => self.shown.push_str(&String::from_utf8_lossy(&bytes)),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("`{text}` does not appear; the screen:\n{}", self.shown)
                }
            }
        }
    }

    /// The same, for work that takes its time.
    pub fn patient(&mut self) -> &mut Self {
        self.limit = LONG;
        self
    }

    /// Types `text` and Enter.
    pub fn types(&mut self, text: &str) {
        self.presses(&format!("{text}\r"));
    }

    /// Presses keys.
    pub fn presses(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the terminal is there");
        self.keys.flush().expect("the terminal is there");
    }

    /// Waits for the end; the exit status.
    pub fn ends(mut self) -> (i32, String) {
        let begun = Instant::now();
        while let Ok(bytes) = self.screen.recv_timeout(self.limit.saturating_sub(begun.elapsed())) {
            self.shown.push_str(&String::from_utf8_lossy(&bytes));
        }
        drop(self.keys);
        let status = self.child.wait().expect("`script` ends");
        (status.code().unwrap_or(-1), console::strip_ansi_codes(&self.shown).into_owned())
    }
}
