//! What sshd makes of all its files for whoever logs in as we do.

use std::fmt;

use anyhow::bail;

use super::{File, file, folder, output};
use crate::action::{Action, Answer, Change, Question};
use crate::script::quote;

/// Whom sshd is asked about.
#[derive(Debug, Clone)]
pub struct Guest {
    /// The user who logs in.
    pub user: String,
    /// The address that the login comes from.
    pub from: String,
    /// The port that it comes to.
    pub port: u16,
}

/// Settings that must be in effect once the drop-in is there: it has the first word, but others may be heard before
/// it, and a `Match` block after it. Nothing is ever changed: those files are not ours.
#[derive(Debug)]
pub struct SshdValues {
    drop_in: File,
    wanted: Vec<(&'static str, String)>,
    guest: Guest,
}

/// A line of sshd's files.
#[derive(Debug, Clone, Copy)]
struct Line<'a> {
    /// `FILE:NUMBER`.
    place: &'a str,
    /// The `Match` line that it is under; empty outside.
    block: &'a str,
    keyword: &'a str,
    value: &'a str,
}

/// A setting that is another than the wanted one.
#[derive(Debug)]
struct Wrong<'a> {
    keyword: &'static str,
    wanted: &'a str,
    now: &'a str,
    /// The line that makes it so.
    by: Option<Line<'a>>,
}

/// Where sshd's drop-ins are, as `Include` names it.
const FOLDER: &str = "sshd_config.d/";

/// Prints each line of sshd's files as `FILE:NUMBER`, `Match` line and text with tabs between, in the order in which
/// sshd reads them; not comments. A function in a subshell of its own has variables of its own.
const WALK: &str = r#"walk() (
  cd /etc/ssh
  file=$1 block=${2-} number=0
  if ! [ -r "$file" ]; then exit 0; fi
  while read -r word rest || [ -n "$word" ]; do
    number=$((number + 1))
    case $word in
      ''|'#'*) continue ;;
      [Mm][Aa][Tt][Cc][Hh]) block=$rest ;;
    esac
    printf '%s:%s\t%s\t%s %s\n' "$file" "$number" "$block" "$word" "$rest"
    case $word in
      [Ii][Nn][Cc][Ll][Uu][Dd][Ee])
        for included in $rest; do
          case $included in /*) ;; *) included=/etc/ssh/$included ;; esac
          walk "$included" "$block"
        done ;;
    esac
  done <"$file"
)
"#;

impl SshdValues {
    /// Requires that `wanted`, keywords and values as `drop_in` has them, are in effect for `guest`.
    #[must_use]
    pub fn effective(drop_in: &File, wanted: Vec<(&'static str, String)>, guest: Guest) -> Self {
        Self { drop_in: drop_in.clone(), wanted, guest }
    }

    /// One `sshd -T`; its files are read only if it says something else than what is wanted.
    fn script(&self) -> String {
        let Guest { user, from, port } = &self.guest;
        let guest = format!("user={user},host={from},addr={from},lport={port}");
        let wanted: Vec<String> = self
            .wanted
            .iter()
            .map(|(keyword, value)| {
                quote(&format!("{} {}", keyword.to_ascii_lowercase(), printed(value)))
            })
            .collect();
        format!(
            "said=$(/usr/sbin/sshd -T -C {guest} 2>&1) || {{ printf '%s\\n' \"$said\" >&2; exit 1; }}\n\
             said=\"\n$said\n\" wrong=\n\
             for want in {wanted}; do\n\
             case $said in *\"\n$want\n\"*) continue ;; esac\n\
             wrong=yes now=${{said#*\"\n${{want%% *}} \"}}\n\
             printf 'now %s %s\\n' \"${{want%% *}}\" \"${{now%%\"\n\"*}}\"\ndone\n\
             [ -n \"$wrong\" ] || exit 0\n{WALK}walk /etc/ssh/sshd_config\n",
            guest = quote(&guest),
            wanted = wanted.join(" "),
        )
    }

    /// What is another than wanted, or would be with the drop-in in place.
    fn wrong<'a>(&'a self, said: &'a str, in_place: bool) -> Vec<Wrong<'a>> {
        let lines: Vec<Line<'a>> = said.lines().filter_map(Line::read).collect();
        let mut all = Vec::new();
        for (keyword, wanted) in &self.wanted {
            let Some(now) = effective(said, keyword).filter(|now| !same(now, wanted)) else {
                continue;
            };
            let by = if in_place {
                self.winner(&lines, keyword, now)
            } else {
                self.earlier(&lines, keyword).filter(|line| !same(line.value, wanted))
            };
            if in_place || by.is_some() {
                let now = by.map_or(now, |line| line.value);
                all.push(Wrong { keyword, wanted, now, by });
            }
        }
        all
    }

    /// The line that makes `keyword` what it is: a block goes before everything that is outside.
    fn winner<'a>(&self, lines: &[Line<'a>], keyword: &str, now: &str) -> Option<Line<'a>> {
        let ours = |line: &Line<'_>| line.file() == self.drop_in.path();
        let says = |line: &Line<'_>| line.sets(keyword) && same(line.value, now) && !ours(line);
        let all: Vec<Line<'a>> = lines.iter().copied().filter(says).collect();
        let blocked = all.iter().find(|line| !line.block.is_empty());
        blocked.or(all.first()).copied()
    }

    /// The first line for everybody that sshd reads before it comes to the drop-in.
    fn earlier<'a>(&self, lines: &[Line<'a>], keyword: &str) -> Option<Line<'a>> {
        let ours = self.drop_in.path();
        let includes = |line: &Line<'_>| line.sets("Include") && line.value.contains(FOLDER);
        let comes = lines.iter().position(includes).unwrap_or(lines.len());
        let before = |index: usize, line: &Line<'_>| {
            index < comes || (folder(line.file()) == folder(ours) && line.file() < ours)
        };
        let mut all = lines.iter().enumerate().filter(|(index, line)| before(*index, line));
        let found = all.find(|(_, line)| line.sets(keyword) && line.block.is_empty());
        found.map(|(_, line)| *line)
    }
}

impl<'a> Line<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (place, rest) = text.split_once('\t')?;
        let (block, line) = rest.split_once('\t')?;
        let (keyword, value) = line.split_once([' ', '='])?;
        let value = value.trim_matches([' ', '=', '"']);
        Some(Self { place, block, keyword, value })
    }

    fn file(&self) -> &'a str {
        self.place.rsplit_once(':').map_or(self.place, |(file, _)| file)
    }

    fn sets(&self, keyword: &str) -> bool {
        let older = keyword == "KbdInteractiveAuthentication"
            && self.keyword.eq_ignore_ascii_case("ChallengeResponseAuthentication");
        older || self.keyword.eq_ignore_ascii_case(keyword)
    }
}

impl fmt::Display for Wrong<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { keyword, wanted, now, by } = self;
        write!(out, "`{keyword}` is `{now}` where `{wanted}` is wanted")?;
        let Some(line) = by else { return Ok(()) };
        write!(out, ": {} says so", line.place)?;
        if line.block.is_empty() {
            return Ok(());
        }
        write!(out, " under `Match {}`", line.block)
    }
}

/// What the script said of `keyword`; nothing where it is as wanted.
fn effective<'a>(said: &'a str, keyword: &str) -> Option<&'a str> {
    said.lines().find_map(|line| {
        let (key, value) = line.strip_prefix("now ")?.split_once(' ')?;
        key.eq_ignore_ascii_case(keyword).then_some(value)
    })
}

/// A value as sshd prints it.
fn printed(value: &str) -> &str {
    if value == "prohibit-password" { "without-password" } else { value }
}

fn same(one: &str, other: &str) -> bool {
    printed(one).eq_ignore_ascii_case(printed(other))
}

impl Action for SshdValues {
    fn subject(&self) -> String {
        format!("sshd's settings for {}", self.guest.user)
    }

    fn probe(&self) -> Vec<Question> {
        vec![self.drop_in.question(), Question::Script(self.script())]
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        let in_place = self.drop_in.has_content(file(seen, 0)?);
        let said = output(seen, 1)?;
        if said.status != 0 {
            bail!("sshd cannot read its configuration: {}", said.stderr.trim());
        }
        let wrong: Vec<String> =
            self.wrong(&said.stdout, in_place).iter().map(ToString::to_string).collect();
        if wrong.is_empty() {
            return Ok(None);
        }
        bail!(
            "{}\nhint: sshd keeps the first value that it reads, and takes a `Match` block's before that: \
             take the line out, or let it come after {}",
            wrong.join("\n"),
            self.drop_in.path()
        )
    }
}
