//! A firewall of before: rules in INPUT and FORWARD that reject all, as the images of Oracle have them.

use std::fmt::Write as _;

use super::{file, output};
use crate::action::{Action, Answer, Change, Question, Undo};
use crate::firewall::{Live, QUESTION, State};
use crate::script::{Script, quote};
use crate::secret;

/// Where such rules come from at boot.
const FILES: [(&str, &str); 2] =
    [("/etc/iptables/rules.v4", "iptables"), ("/etc/iptables/rules.v6", "ip6tables")];

/// What such a firewall lets in before it rejects the rest, and ufw lets in by itself or by rules of
/// ours. Left in front of ufw they would be holes: anybody may choose 123 as the port to come from.
const COVERED: [&str; 6] = [
    "-m state --state RELATED,ESTABLISHED -j ACCEPT",
    "-p icmp -j ACCEPT",
    "-p ipv6-icmp -j ACCEPT",
    "-i lo -j ACCEPT",
    "-p udp --sport 123 -j ACCEPT",
    "-p tcp -m state --state NEW --dport 22 -j ACCEPT",
];

/// No rule in INPUT or FORWARD that rejects everything: what comes after it, ufw's and the pods' rules, would never count.
#[derive(Debug, Clone, Copy)]
pub struct RejectRules;

/// What is taken out of one place, in its order.
struct Taken {
    /// The file, or none for the running kernel.
    path: Option<&'static str>,
    /// `iptables` or `ip6tables`.
    program: &'static str,
    lines: Vec<String>,
}

/// Whether `line` rejects or drops whatever reaches it.
fn rejects_all(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    matches!(
        words.as_slice(),
        ["-A", "INPUT" | "FORWARD", "-j", "REJECT" | "DROP"]
            | ["-A", "INPUT" | "FORWARD", "-j", "REJECT", "--reject-with", _]
    )
}

fn is_covered(line: &str) -> bool {
    let Some(rule) = line.strip_prefix("-A INPUT ") else { return false };
    let rule = rule.replace("-m tcp ", "").replace("-m udp ", "").replace("-m icmp ", "");
    let rule = rule.replace("-m conntrack --ctstate ", "-m state --state ");
    COVERED.contains(&rule.trim())
}

/// A line without the counters that `iptables-save -c` puts before it.
fn bare(line: &str) -> &str {
    let counters = |line: &str| line.starts_with('[');
    line.split_once("] ").filter(|_| counters(line)).map_or(line, |(_, rule)| rule)
}

/// The lines to take out: with a firewall that rejects all, also what it lets in before.
fn taken<'a>(lines: impl Iterator<Item = &'a str> + Clone) -> Vec<String> {
    let walled = lines.clone().map(bare).any(|l| rejects_all(l) && l.starts_with("-A INPUT "));
    let wanted = lines.filter(|line| rejects_all(bare(line)) || (walled && is_covered(bare(line))));
    wanted.map(str::to_owned).collect()
}

impl Taken {
    fn in_kernel(live: &Live, program: &'static str) -> Self {
        Self { path: None, program, lines: taken(live.lines.iter().map(String::as_str)) }
    }

    fn shown(&self) -> String {
        let line = |line: &String| match self.path {
            Some(path) => format!("- {path}: {line}\n"),
            None => format!("- {} {line}\n", self.program),
        };
        self.lines.iter().map(line).collect()
    }

    fn apply(&self) -> String {
        let program = self.program;
        let Some(path) = self.path else {
            // Whoever dies in between must not leave a wall without its doors.
            let (walls, doors): (Vec<_>, Vec<_>) =
                self.lines.iter().partition(|line| rejects_all(line));
            let delete = |line: &String| format!("{program} -w -D {}\n", rule(line));
            return walls.into_iter().chain(doors).map(delete).collect();
        };
        let lines: Vec<String> = self.lines.iter().map(|line| quote(line)).collect();
        format!(
            "file={path} new={path}.oceanid-new\ncp -a -- \"$file\" \"$keep/{name}\"\n\
             cp -a -- \"$file\" \"$new\"\n\
             printf '%s\\n' {lines} | grep -vxFf - -- \"$file\" >\"$new\" || [ $? -eq 1 ]\n\
             {program}-restore --test <\"$new\"\nsync -- \"$new\"\nmv -f -- \"$new\" \"$file\"\n",
            name = name(path),
            lines = lines.join(" "),
        )
    }

    /// What is in the kernel goes back to the end, in its order: before ufw is gone it would be of no use.
    fn undo(&self) -> String {
        let program = self.program;
        let Some(path) = self.path else {
            // All go first, so that the doors come back before the wall.
            let rules = || self.lines.iter().map(|line| rule(line));
            let delete = rules()
                .map(|rule| format!("while {program} -w -D {rule} 2>/dev/null; do :; done\n"));
            let add = rules().map(|rule| format!("{program} -w -A {rule}\n"));
            let (walls, doors): (Vec<_>, Vec<_>) =
                delete.partition(|text| text.contains("-j REJECT") || text.contains("-j DROP"));
            return walls.into_iter().chain(doors).chain(add).collect();
        };
        format!(
            "if [ -e \"$keep/{name}\" ]; then cp -a -- \"$keep/{name}\" {path}.oceanid-old\n\
             mv -f -- {path}.oceanid-old {path}; fi\n",
            name = name(path)
        )
    }
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Chain and rule as arguments. Only lines of known, plain words are ever taken out.
fn rule(line: &str) -> String {
    line.split_whitespace().skip(1).map(quote).collect::<Vec<_>>().join(" ")
}

impl RejectRules {
    fn found(seen: &[Answer]) -> anyhow::Result<Vec<Taken>> {
        let state = State::read(output(seen, 0)?)?;
        let mut found = vec![
            Taken::in_kernel(&state.v4.live, "iptables"),
            Taken::in_kernel(&state.v6.live, "ip6tables"),
        ];
        for (index, (path, program)) in FILES.into_iter().enumerate() {
            let content = file(seen, index + 1)?.content.as_deref().unwrap_or_default();
            found.push(Taken { path: Some(path), program, lines: taken(content.lines()) });
        }
        found.retain(|taken| !taken.lines.is_empty());
        Ok(found)
    }
}

impl Action for RejectRules {
    fn subject(&self) -> String {
        String::from("rules that reject all")
    }

    fn probe(&self) -> Vec<Question> {
        let empty = secret::sha256(b"");
        let file = |(path, _): (&str, &str)| Question::File {
            path: path.to_owned(),
            unless: Some(empty.clone()),
        };
        let script = Question::Script(QUESTION.to_owned());
        [script].into_iter().chain(FILES.into_iter().map(file)).collect()
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        let found = Self::found(seen)?;
        if found.is_empty() {
            return Ok(None);
        }
        let count: usize = found.iter().map(|taken| taken.lines.len()).sum();
        let places: Vec<&str> =
            found.iter().map(|taken| taken.path.unwrap_or("the running kernel")).collect();
        let mut apply = String::from("keep=$OCEANID_UNDO\n: >\"$keep/begun\"\n");
        let mut undo = String::from("keep=$OCEANID_UNDO\n[ -e \"$keep/begun\" ] || exit 0\n");
        let mut shown = String::new();
        for taken in &found {
            apply.push_str(&taken.apply());
            undo.push_str(&taken.undo());
            let _ = write!(shown, "{}", taken.shown());
        }
        Ok(Some(Change {
            summary: format!("take {count} out of {}: ufw takes their place", places.join(", ")),
            diff: Some(shown),
            apply: Script::new(apply),
            undo: Undo::Run(Script::new(undo)),
        }))
    }

    fn notes(&self, seen: &[Answer]) -> Vec<String> {
        let Some(state) = output(seen, 0).ok().and_then(|answer| State::read(answer).ok()) else {
            return Vec::new();
        };
        let mut notes = Vec::new();
        for (live, program) in [(&state.v4.live, "iptables"), (&state.v6.live, "ip6tables")] {
            let going = taken(live.lines.iter().map(String::as_str));
            let stays = |line: &&str| !going.iter().any(|gone| gone == line) && decides(line);
            let rules = live.of("INPUT").filter(stays);
            notes.extend(
                rules.map(|line| format!("foreign rule beside ufw, left alone: {program} {line}")),
            );
        }
        notes
    }
}

/// Whether a rule decides by itself instead of leading to a chain; k3s accepts what it marked itself.
fn decides(line: &str) -> bool {
    let target = line.split(" -j ").nth(1).and_then(|rest| rest.split(' ').next());
    matches!(target, Some("ACCEPT" | "DROP" | "REJECT")) && !line.contains(" --mark ")
}

#[cfg(test)]
mod tests {
    use super::taken;

    const ORACLE: &str = "*filter
:INPUT ACCEPT [0:0]
:InstanceServices - [0:0]
-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p icmp -j ACCEPT
-A INPUT -i lo -j ACCEPT
-A INPUT -p udp --sport 123 -j ACCEPT
-A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT
-A INPUT -p tcp -m tcp --dport 443 -j ACCEPT
-A INPUT -j REJECT --reject-with icmp-host-prohibited
-A FORWARD -j REJECT --reject-with icmp-host-prohibited
-A OUTPUT -d 169.254.0.0/16 -j InstanceServices
-A InstanceServices -d 169.254.0.0/16 -p tcp -j REJECT --reject-with tcp-reset
COMMIT
";

    #[test]
    fn what_oracle_rejects_goes_and_what_it_protects_stays() {
        let gone = taken(ORACLE.lines());
        assert_eq!(gone.len(), 7, "{gone:?}");
        let stays = |part: &str| gone.iter().all(|line| !line.contains(part));
        assert!(stays("443") && stays("InstanceServices"), "{gone:?}");
        assert_eq!(gone.last().map(String::as_str), ORACLE.lines().nth(10));
    }

    #[test]
    fn counters_before_a_rule_do_not_hide_it() {
        let counted = ORACLE.replace("-A INPUT -j", "[12:3456] -A INPUT -j");
        assert_eq!(taken(counted.lines()).len(), 7);
        assert!(
            taken(counted.lines()).iter().any(|line| line.starts_with("[12:3456] -A INPUT -j"))
        );
    }

    #[test]
    fn without_a_wall_what_is_let_in_is_somebody_elses() {
        let open = ORACLE.replace("-A INPUT -j REJECT", "-A INPUT -s 10.0.0.1/32 -j REJECT");
        assert_eq!(taken(open.lines()).len(), 1, "only that of FORWARD");
        assert_eq!(taken("-A ufw-user-input -j DROP\n-A OUTPUT -j DROP\n".lines()).len(), 0);
    }
}
