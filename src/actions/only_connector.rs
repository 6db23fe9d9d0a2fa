//! One connector on a host: another one, of whoever, would get half of the tunnel's requests.

use anyhow::bail;

use super::output;
use crate::action::{Action, Answer, Change, Question, Undo};
use crate::cluster::Foreign;
use crate::script::{Script, quote};

/// What our files say of themselves.
const OURS: &str = "# Laid down by oceanid";
/// The unit that we lay down, in place of whatever is there.
const UNIT: &str = "cloudflared.service";

/// Unit files that run cloudflared and are not ours; then the processes of that name, by their cgroups.
const LOOK: &str = r#"found=$(grep -ls '^ExecStart=.*cloudflared' -- /etc/systemd/system/*.service /usr/lib/systemd/system/cloudflared*.service) || :
for file in $found; do
  if grep -q "^$ours" -- "$file"; then continue; fi
  name=${file##*/}
  printf 'unit %s %s %s\n' "$name" "$file" "$(systemctl show -p UnitFileState -p ActiveState --value -- "$name" | tr '\n' ' ')"
done
for file in $(grep -lsx cloudflared /proc/[0-9]*/comm); do
  pid=${file#/proc/}; pid=${pid%/comm}
  while IFS= read -r line; do
    case $line in 0::* | *:name=systemd:*) group=${line##*:}; if [ -n "${group#/}" ]; then printf 'process %s %s\n' "$pid" "$group"; fi ;; esac
  done 2>/dev/null <"/proc/$pid/cgroup" || :
done
exit 0
"#;

/// No unit but ours runs cloudflared.
#[derive(Debug)]
pub struct OnlyConnector {
    foreign: Foreign,
}

/// A unit of somebody else.
struct Found<'a> {
    name: &'a str,
    file: &'a str,
    states: Vec<&'a str>,
}

impl OnlyConnector {
    /// Requires that; `foreign` says what becomes of another one.
    #[must_use]
    pub fn or(foreign: Foreign) -> Self {
        Self { foreign }
    }

    fn stop(found: &[Found<'_>]) -> Option<Change> {
        // Ours takes the place of its namesake, which runs until then.
        let others: Vec<&Found<'_>> = found
            .iter()
            .filter(|one| one.name != UNIT)
            .filter(|one| one.states.iter().any(|state| ["enabled", "active"].contains(state)))
            .collect();
        if others.is_empty() {
            return None;
        }
        let words = |state: &str, command: &str| {
            let having = others.iter().filter(|one| one.states.contains(&state));
            let names: Vec<String> = having.map(|one| quote(one.name)).collect();
            if names.is_empty() {
                String::new()
            } else {
                format!("{command} -- {}\n", names.join(" "))
            }
        };
        let all: Vec<String> = others.iter().map(|one| quote(one.name)).collect();
        let all = all.join(" ");
        let undo = words("enabled", "systemctl -q enable")
            + &words("active", "systemctl --no-block start");
        let names: Vec<&str> = others.iter().map(|one| one.name).collect();
        Some(Change {
            summary: format!("stop and disable {}", names.join(", ")),
            diff: None,
            apply: Script::new(format!("systemctl -q disable --now -- {all}\n")),
            undo: Undo::Last(Script::new(undo)),
        })
    }
}

fn units(stdout: &str) -> Vec<Found<'_>> {
    let lines = stdout.lines().filter_map(|line| line.strip_prefix("unit "));
    let read = |line: &'_ str| -> Option<(usize, usize)> {
        let name = line.find(' ')?;
        Some((name, line.get(name + 1..)?.find(' ')? + name + 1))
    };
    lines
        .filter_map(|line| {
            let (name, file) = read(line)?;
            Some(Found {
                name: line.get(..name)?,
                file: line.get(name + 1..file)?,
                states: line.get(file..)?.split_whitespace().collect(),
            })
        })
        .collect()
}

impl Action for OnlyConnector {
    fn subject(&self) -> String {
        String::from("no other connector")
    }

    fn probe(&self) -> Vec<Question> {
        vec![Question::Script(format!("ours={}\n{LOOK}", quote(OURS)))]
    }

    fn diff(&self, seen: &[Answer]) -> anyhow::Result<Option<Change>> {
        let found = units(&output(seen, 0)?.stdout);
        match (self.foreign, found.as_slice()) {
            (_, []) => Ok(None),
            (Foreign::TakenOver, found) => Ok(Self::stop(found)),
            (Foreign::Refused, found) => {
                let files: Vec<&str> = found.iter().map(|one| one.file).collect();
                bail!(
                    "cloudflared is set up there already, by somebody else: {}\n\
                     hint: `take-over = true` in its `[[tunnel]]` replaces that; two connectors of one \
                     tunnel would share its requests",
                    files.join(", ")
                )
            }
        }
    }

    fn notes(&self, seen: &[Answer]) -> Vec<String> {
        let Ok(seen) = output(seen, 0) else { return Vec::new() };
        let known = units(&seen.stdout);
        let foreign = seen.stdout.lines().filter_map(|line| {
            let (pid, group) = line.strip_prefix("process ")?.split_once(' ')?;
            let own = group.ends_with(UNIT) || known.iter().any(|one| group.ends_with(one.name));
            (!own).then(|| {
                format!(
                    "another cloudflared runs there, process {pid} in {group}: if it opens the same tunnel, \
                     it gets a share of the requests"
                )
            })
        });
        foreign.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(stdout: &str) -> Vec<Answer> {
        vec![Answer::Script(crate::remote::Output {
            stdout: stdout.to_owned(),
            ..Default::default()
        })]
    }

    const FOREIGN: &str = "unit cloudflared.service /etc/systemd/system/cloudflared.service active enabled \n\
                           unit old.service /etc/systemd/system/old.service inactive enabled \n\
                           process 7 /system.slice/cloudflared.service\nprocess 8 /kubepods/pod1\n";

    #[test]
    fn a_foreign_unit_is_refused_or_replaced_and_other_ones_are_stopped() {
        let refused = OnlyConnector::or(Foreign::Refused).diff(&seen(FOREIGN));
        let error = refused.expect_err("it is another's").to_string();
        assert!(error.contains("/etc/systemd/system/old.service"), "{error}");
        let taken = OnlyConnector::or(Foreign::TakenOver).diff(&seen(FOREIGN));
        let change = taken.expect("it may").expect("one is to be stopped");
        assert_eq!(change.summary, "stop and disable old.service");
        let Undo::Last(undo) = change.undo else { panic!("it is enabled again") };
        assert_eq!(undo.text(), "systemctl -q enable -- old.service\n");
        let none = OnlyConnector::or(Foreign::Refused).diff(&seen(""));
        assert!(none.expect("nothing is there").is_none());
    }

    #[test]
    fn processes_of_others_are_noted() {
        let notes = OnlyConnector::or(Foreign::TakenOver).notes(&seen(FOREIGN));
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert!(notes[0].contains("process 8 in /kubepods/pod1"), "{notes:?}");
    }
}
