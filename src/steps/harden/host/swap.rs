//! A swap file for the host itself: k3s gives none of it to pods.

use std::time::Duration;

use crate::actions::{Command, File, Sysctls, Unit};
use crate::cluster::Part;
use crate::facts::Facts;
use crate::script::Script;
use crate::step::Step;
use crate::steps::Inputs;
use crate::templates::host::{SwapSysctls, SwapUnit};
use crate::templates::render;

/// Who has more does not need it, MiB: a little less than what is sold as 4 GB.
const LARGE_MEMORY: u64 = 3900;
/// What must be free before the file is made, MiB.
const LEAST_DISK: u64 = 5 * 1024;
/// File systems on which a plain file can be swapped to.
const FIT: &[&str] = &["ext2/ext3", "xfs"];

const IS_THERE: &str = "[ \"$(stat -c '%F %a %u' /var/swapfile)\" = 'regular file 600 0' ]\n";

/// It gets its name only once it is whole.
const MAKE: &str = r#"path=/var/swapfile
if [ -f "$path" ] && [ ! -L "$path" ]; then stat -c %a -- "$path" >"$OCEANID_UNDO/mode"; chmod 0600 -- "$path"; exit 0; fi
new=$path.oceanid-new
trap 'rm -f -- "$new"' EXIT
trap 'exit 143' HUP INT TERM
rm -f -- "$new"
( umask 077; : >"$new" )
progress 'making room for /var/swapfile'
fallocate -l 1G -- "$new" 2>/dev/null || dd if=/dev/zero of="$new" bs=1M count=1024 status=none
mkswap "$new" >/dev/null
: >"$OCEANID_UNDO/made"
mv -f -- "$new" "$path"
"#;

const UNMAKE: &str = r#"if [ -e "$OCEANID_UNDO/made" ]; then rm -f -- /var/swapfile
elif read -r mode <"$OCEANID_UNDO/mode"; then chmod "$mode" -- /var/swapfile; fi 2>/dev/null
"#;

/// The file, the unit that uses it at every boot, and a kernel that is in no hurry to.
pub fn swap(step: &mut Step, inputs: &Inputs<'_>) -> anyhow::Result<()> {
    if !is_wanted(inputs) {
        return Ok(());
    }
    if let Some(obstacle) = obstacle(inputs.facts) {
        step.note(format!("no swap file: {obstacle}"));
        return Ok(());
    }
    step.ensure(
        Command::new(
            "file /var/swapfile",
            "create, 1 GiB, 0600",
            IS_THERE,
            Script::new(MAKE).deadline(Duration::from_secs(300)),
        )
        .undo(Script::new(UNMAKE)),
    );
    let unit = File::new("/etc/systemd/system/var-swapfile.swap", render(&SwapUnit)?);
    step.ensure(unit.clone());
    step.ensure(Unit::running("var-swapfile.swap").restarts_with(&unit));
    step.ensure(File::new("/etc/sysctl.d/62-oceanid-swap.conf", render(&SwapSysctls)?));
    step.ensure(Sysctls::live(&[("vm.swappiness", "10")]));
    Ok(())
}

/// Ours does not count as swap that is there already: a second run wants what the first one did.
fn is_wanted(inputs: &Inputs<'_>) -> bool {
    let facts = inputs.facts;
    let small = facts.memory_mib < LARGE_MEMORY && !facts.has_swap;
    inputs.host.harden.choice(Part::Swap).unwrap_or(small)
}

fn obstacle(facts: &Facts) -> Option<String> {
    if facts.container {
        return Some(String::from("it is a container, and memory is the machine's"));
    }
    if !FIT.contains(&facts.disk_kind.as_str()) {
        return Some(format!("a plain file cannot be swapped to on {}", facts.disk_kind));
    }
    // Once it is there, it takes its own room.
    if facts.disk_free_mib < LEAST_DISK && !facts.has_swap_file {
        return Some(format!("only {} MiB are free in /var", facts.disk_free_mib));
    }
    None
}
