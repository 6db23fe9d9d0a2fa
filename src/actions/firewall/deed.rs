//! The scripts that change ufw, and that take the change back.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Difference, Setting, Start};
use crate::firewall::Rule;
use crate::script::{Script, quote};

/// ufw takes seconds for each rule on a small host.
const DEADLINE: Duration = Duration::from_secs(300);

/// What must come back, the kernel's policies among it, and a mark that it was kept.
const KEEP: &str = r#"export LC_ALL=C
keep=$OCEANID_UNDO
for file in /etc/ufw/user.rules /etc/ufw/user6.rules /etc/ufw/ufw.conf /etc/default/ufw; do
  cp -a -- "$file" "$keep/$(printf %s "$file" | tr / _)"
done
for tables in iptables ip6tables; do "$tables" -w -S 2>/dev/null | grep '^-P ' >"$keep/$tables" || :; done
if ! systemctl -q is-enabled ufw.service 2>/dev/null; then : >"$keep/not-at-boot"; fi
: >"$keep/kept"
run() {
  progress "ufw $*"
  ufw "$@" >"$keep/said" 2>&1 || { cat -- "$keep/said" >&2; exit 1; }
}
set_default() {
  new=/etc/default/ufw.oceanid-new
  cp -a -- /etc/default/ufw "$new"
  if grep -q "^$1=" /etc/default/ufw; then sed "s/^$1=.*/$1=$2/" /etc/default/ufw >"$new"
  else printf '%s=%s\n' "$1" "$2" >>"$new"; fi
  mv -f -- "$new" /etc/default/ufw
}
"#;

/// `sweep` removes ufw's chains whole. ufw itself leaves the outer ones, and does not put the jumps to
/// them back where somebody flushed INPUT: its policy alone would then shut everybody out.
const SWEEP: &str = r#"sweep() {
  for tables in iptables ip6tables; do
    "$tables" -w -S 2>/dev/null | while read -r verb chain to target rest; do
      case "$verb $chain $to $target" in "-A INPUT -j ufw"*|"-A OUTPUT -j ufw"*|"-A FORWARD -j ufw"*)
        "$tables" -w -D "$chain" -j "$target" || : ;;
      esac
    done
    for verb in -F -X; do
      "$tables" -w -S 2>/dev/null | while read -r new chain rest; do
        case "$new $chain" in "-N ufw"*) "$tables" -w "$verb" "$chain" || : ;; esac
      done
    done
  done
}
"#;

/// `open` is the last resort where ufw itself fails: nothing of it is left, and everybody gets in.
const OPEN: &str = r#"open() {
  for tables in iptables ip6tables; do
    for chain in INPUT OUTPUT FORWARD; do "$tables" -w -P "$chain" ACCEPT || :; done
  done
}
"#;

/// Harmless where the change never began; what it restores it can restore again.
const RESTORE: &str = r#"export LC_ALL=C
keep=$OCEANID_UNDO
if [ ! -e "$keep/kept" ]; then exit 0; fi
ufw --force disable >/dev/null 2>&1 || open
sweep
for file in /etc/ufw/user.rules /etc/ufw/user6.rules /etc/ufw/ufw.conf /etc/default/ufw; do
  cp -a -- "$keep/$(printf %s "$file" | tr / _)" "$file.oceanid-old"
  mv -f -- "$file.oceanid-old" "$file"
done
if [ -e "$keep/not-at-boot" ]; then systemctl -q disable ufw.service 2>/dev/null || :; fi
if grep -qi '^ENABLED=yes' /etc/ufw/ufw.conf; then
  # ufw does not say when it fails to start with what was enabled already.
  ufw --force enable >/dev/null 2>&1 || :
  iptables -w -n -L ufw-user-input >/dev/null 2>&1 || { open; sweep; echo 'ufw does not start with its old rules' >&2; exit 1; }
else
  for tables in iptables ip6tables; do
    while read -r verb chain policy; do "$tables" -w "$verb" "$chain" "$policy" || :; done <"$keep/$tables"
  done
fi
"#;

/// Adds before it deletes, and enables last: what is let in is never less than before and after.
pub(super) fn apply(difference: &Difference) -> Script {
    let anew = matches!(difference.start, Start::Anew(_));
    let mut text = format!("{KEEP}{SWEEP}");
    if anew {
        // From here on ufw only writes its record: of rules that are not in force it may fail to delete one.
        text.push_str("run --force disable\nsweep\n");
    }
    for Setting { key, value, .. } in &difference.settings {
        let _ = writeln!(text, "set_default {key} {}", quote(value));
    }
    for rule in &difference.add {
        let _ = writeln!(text, "run {}", words(rule));
    }
    for rule in &difference.remove {
        let words = words(rule);
        let _ = match words.strip_prefix("route ") {
            Some(words) => writeln!(text, "run route delete {words}"),
            None => writeln!(text, "run delete {words}"),
        };
    }
    if difference.start != Start::Nothing {
        text.push_str("run --force enable\n");
    }
    text.push_str(
        "systemctl -q is-enabled ufw.service 2>/dev/null || systemctl -q enable ufw.service\n",
    );
    Script::new(text).deadline(DEADLINE)
}

pub(super) fn undo() -> Script {
    Script::new(format!("{SWEEP}{OPEN}{RESTORE}")).deadline(DEADLINE)
}

fn words(rule: &Rule) -> String {
    rule.words().iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ")
}
