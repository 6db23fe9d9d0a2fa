//! Every question of every step as one read-only script, and its output as answers.

use std::fmt::Write as _;

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::action::{Answer, FileKind, FileState, Question, UnitState};
use crate::remote::Output;
use crate::script::{Script, quote};

/// How much of a differing file is read for `plan --diff`, bytes.
const SHOWN_CONTENT: usize = 65_536;

/// All questions of one look at a host, asked with one process for each kind.
#[derive(Debug)]
pub struct Probe {
    questions: Vec<Question>,
    /// For each question as it was put, its place in `questions`.
    places: Vec<usize>,
    nonce: String,
}

impl Probe {
    /// Makes a look that asks `asked`; a question put twice is asked once.
    #[must_use]
    pub fn new(asked: Vec<Question>) -> Self {
        let mut questions: Vec<Question> = Vec::new();
        let places = asked
            .into_iter()
            .map(|question| {
                questions.iter().position(|known| *known == question).unwrap_or_else(|| {
                    questions.push(question);
                    questions.len() - 1
                })
            })
            .collect();
        Self { questions, places, nonce: nonce() }
    }

    /// The script: it only reads. Each part is framed by a nonce that a file's content cannot know.
    #[must_use]
    pub fn script(&self) -> Script {
        let mut text = format!(
            "begin() {{ printf '\\n%s %s\\n' {nonce} \"$1\"; printf '\\n%s %s\\n' {nonce} \"$1\" >&2; }}\n\
             end() {{ printf '\\n%s = %s\\n' {nonce} \"$1\"; printf '\\n%s = %s\\n' {nonce} \"$1\" >&2; }}\n",
            nonce = self.nonce
        );
        self.write_files(&mut text);
        self.write_units(&mut text);
        self.write_packages(&mut text);
        self.write_sysctls(&mut text);
        for (index, question) in self.questions.iter().enumerate() {
            if let Question::Script(script) = question {
                let _ = write!(text, "begin {index}\n( set -eu\n{script}\n) </dev/null\nend $?\n");
            }
        }
        text.push_str("exit 0\n");
        Script::new(text)
    }

    fn write_files(&self, text: &mut String) {
        let paths: Vec<String> = self.paths().map(quote).collect();
        if paths.is_empty() {
            return;
        }
        let paths = paths.join(" ");
        let _ = write!(
            text,
            "begin file\nstat -c '%F|%a|%U:%G|%n' -- {paths} 2>/dev/null\nend 0\n\
             begin sum\nsums=$(sha256sum -- {paths} 2>/dev/null)\nprintf '%s\\n' \"$sums\"\nend 0\n\
             sums=\"\n$sums\n\"\n"
        );
        for (index, question) in self.questions.iter().enumerate() {
            if let Question::File { path, unless: Some(sum) } = question {
                let _ = write!(
                    text,
                    "case $sums in *{known}*) ;; *) if [ -f {path} ]; then begin {index}\n\
                     head -c {SHOWN_CONTENT} -- {path} | base64 -w0\nend $?\nfi ;; esac\n",
                    known = quote(&format!("\n{sum}  {path}\n")),
                    path = quote(path),
                );
            }
        }
    }

    fn write_units(&self, text: &mut String) {
        let units: Vec<String> = self.units().map(quote).collect();
        if !units.is_empty() {
            let _ = write!(
                text,
                "begin unit\nsystemctl show --timestamp=utc -p Id,LoadState,ActiveState,SubState,UnitFileState,\
                 NeedDaemonReload,NRestarts,ExecMainStartTimestamp -- {} 2>/dev/null\nend $?\n",
                units.join(" ")
            );
        }
    }

    fn write_packages(&self, text: &mut String) {
        let packages: Vec<String> = self.packages().map(quote).collect();
        if !packages.is_empty() {
            let _ = write!(
                text,
                "begin package\ndpkg-query -W -f '${{Package}}|${{db:Status-Status}}|${{Version}}\\n' \
                 {} 2>/dev/null\nend 0\n",
                packages.join(" ")
            );
        }
    }

    /// The kernel gives a number to its first read alone, so the shell, which reads byte by byte, cannot.
    fn write_sysctls(&self, text: &mut String) {
        let files: Vec<String> = self.sysctls().map(|key| quote(&sysctl_file(key))).collect();
        if !files.is_empty() {
            let _ = writeln!(
                text,
                "begin sysctl\ngrep -sH '' -- {} </dev/null\nend 0",
                files.join(" ")
            );
        }
    }

    fn paths(&self) -> impl Iterator<Item = &str> {
        self.questions.iter().filter_map(|question| match question {
            Question::File { path, .. } => Some(path.as_str()),
            _ => None,
        })
    }

    fn units(&self) -> impl Iterator<Item = &str> {
        self.questions.iter().filter_map(|question| match question {
            Question::Unit(unit) => Some(unit.as_str()),
            _ => None,
        })
    }

    fn packages(&self) -> impl Iterator<Item = &str> {
        self.questions.iter().filter_map(|question| match question {
            Question::Package(package) => Some(package.as_str()),
            _ => None,
        })
    }

    fn sysctls(&self) -> impl Iterator<Item = &str> {
        self.questions.iter().filter_map(|question| match question {
            Question::Sysctl(key) => Some(key.as_str()),
            _ => None,
        })
    }

    /// Reads the script's output back into one answer for each question, in order.
    ///
    /// # Errors
    /// When the output is not a whole answer: the script was cut off or the host lacks a tool.
    pub fn answers(&self, output: &Output) -> anyhow::Result<Vec<Answer>> {
        if output.status != 0 {
            bail!("the probe ended with status {}: {}", output.status, output.stderr.trim());
        }
        let stdout = Frames::read(&output.stdout, &self.nonce)?;
        let stderr = Frames::read(&output.stderr, &self.nonce)?;
        let mut units = self.read_units(&stdout)?.into_iter();
        let answers = self
            .questions
            .iter()
            .enumerate()
            .map(|(index, question)| {
                Ok(match question {
                    Question::File { path, .. } => Answer::File(read_file(&stdout, index, path)?),
                    Question::Unit(unit) => Answer::Unit(
                        units
                            .next()
                            .with_context(|| format!("systemd says nothing of `{unit}`"))?,
                    ),
                    Question::Package(name) => Answer::Package(read_package(&stdout, name)),
                    Question::Sysctl(key) => Answer::Sysctl(
                        stdout.line("sysctl", &format!("{}:", sysctl_file(key))).map(normal_spaces),
                    ),
                    Question::Script(_) => Answer::Script(read_script(&stdout, &stderr, index)?),
                })
            })
            .collect::<anyhow::Result<Vec<Answer>>>()?;
        Ok(self.places.iter().filter_map(|place| answers.get(*place).cloned()).collect())
    }

    fn read_units(&self, stdout: &Frames<'_>) -> anyhow::Result<Vec<UnitState>> {
        let Some(frame) = stdout.get("unit") else { return Ok(Vec::new()) };
        if frame.status != 0 {
            bail!("systemctl show failed with status {}: is systemd running there?", frame.status);
        }
        let blocks: Vec<UnitState> = frame.body.trim().split("\n\n").map(read_unit).collect();
        if blocks.len() == self.units().count() {
            return Ok(blocks);
        }
        bail!("systemctl show described {} of {} units", blocks.len(), self.units().count())
    }
}

fn read_unit(block: &str) -> UnitState {
    let mut state = UnitState::default();
    for (key, value) in block.lines().filter_map(|line| line.split_once('=')) {
        match key {
            "Id" => value.clone_into(&mut state.id),
            "LoadState" => value.clone_into(&mut state.load),
            "ActiveState" => value.clone_into(&mut state.active),
            "SubState" => value.clone_into(&mut state.sub),
            "UnitFileState" => value.clone_into(&mut state.enabled),
            "NeedDaemonReload" => state.stale = value == "yes",
            "NRestarts" => state.restarts = value.parse().unwrap_or(0),
            "ExecMainStartTimestamp" => state.started = second(value),
            _ => {}
        }
    }
    state
}

/// The second of `Tue 2026-11-24 17:09:52 UTC`.
fn second(time: &str) -> Option<i64> {
    let mut words = time.strip_suffix(" UTC")?.split(' ').skip(1);
    let time: jiff::Timestamp = format!("{}T{}Z", words.next()?, words.next()?).parse().ok()?;
    Some(time.as_second())
}

fn read_file(stdout: &Frames<'_>, index: usize, path: &str) -> anyhow::Result<FileState> {
    let tail = format!("|{path}");
    let body = stdout.get("file").map_or("", |frame| frame.body);
    let Some(line) = body.lines().find_map(|line| line.strip_suffix(&tail)) else {
        return Ok(FileState::default());
    };
    let mut fields = line.split('|');
    let kind = match fields.next().unwrap_or_default() {
        "regular file" | "regular empty file" => FileKind::File,
        "directory" => FileKind::Directory,
        _ => FileKind::Other,
    };
    let mode = u32::from_str_radix(fields.next().unwrap_or_default(), 8)
        .with_context(|| format!("cannot read the mode of `{path}` in `{line}`"))?;
    let owner = fields.next().unwrap_or_default().to_owned();
    let sums = stdout.get("sum").map_or("", |frame| frame.body);
    let end = format!("  {path}");
    let sha256 = sums.lines().find_map(|line| line.strip_suffix(&end)).unwrap_or_default();
    Ok(FileState {
        kind,
        mode,
        owner,
        sha256: if kind == FileKind::File { sha256.to_owned() } else { String::new() },
        content: stdout
            .get(&index.to_string())
            .and_then(|frame| String::from_utf8(BASE64.decode(frame.body.trim()).ok()?).ok()),
    })
}

fn read_package(stdout: &Frames<'_>, name: &str) -> Option<String> {
    stdout.line("package", &format!("{name}|installed|")).map(str::to_owned)
}

fn read_script(stdout: &Frames<'_>, stderr: &Frames<'_>, index: usize) -> anyhow::Result<Output> {
    let key = index.to_string();
    let frame = stdout.get(&key).context("the probe's output was cut off")?;
    Ok(Output {
        status: frame.status,
        stdout: frame.body.to_owned(),
        stderr: stderr.get(&key).map_or("", |frame| frame.body).to_owned(),
    })
}

fn sysctl_file(key: &str) -> String {
    format!("/proc/sys/{}", key.replace('.', "/"))
}

fn normal_spaces(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

struct Frame<'a> {
    name: &'a str,
    body: &'a str,
    status: i32,
}

struct Frames<'a>(Vec<Frame<'a>>);

impl<'a> Frames<'a> {
    fn read(text: &'a str, nonce: &str) -> anyhow::Result<Self> {
        let mark = format!("\n{nonce} ");
        let mut frames = Vec::new();
        let mut rest = text;
        while let Some((_, after)) = rest.split_once(&mark) {
            let (name, after) = after.split_once('\n').context("the probe's output was cut off")?;
            let (body, after) =
                after.split_once(&format!("{mark}= ")).context("the probe's output was cut off")?;
            let (status, after) =
                after.split_once('\n').context("the probe's output was cut off")?;
            frames.push(Frame { name, body, status: status.trim().parse()? });
            rest = after;
        }
        Ok(Self(frames))
    }

    fn get(&self, name: &str) -> Option<&Frame<'a>> {
        self.0.iter().find(|frame| frame.name == name)
    }

    fn line(&self, name: &str, start: &str) -> Option<&'a str> {
        self.get(name)?.body.lines().find_map(|line| line.strip_prefix(start))
    }
}

/// A random word of 128 bits that nothing on a host can guess.
///
/// # Panics
/// When the operating system has no random bytes to give.
#[must_use]
pub fn nonce() -> String {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes.iter().fold(String::from("o"), |mut word, byte| {
        let _ = write!(word, "{byte:02x}");
        word
    })
}
