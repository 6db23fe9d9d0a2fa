//! `host`: everything of the hardening that cannot lock anybody out.

use super::remember_the_operator;
use crate::actions::{File, Masked, Modes, Packages, Reload};
use crate::cluster::Part;
use crate::step::Step;
use crate::steps::Inputs;
use crate::templates::host::{Debsums, NetworkManager};
use crate::templates::render;

mod audit;
mod bans;
mod kernel;
mod swap;
mod upkeep;

/// Brings one part of the hardening about.
type Ensure = fn(&mut Step, &Inputs<'_>) -> anyhow::Result<()>;

/// The parts, in the order in which they happen; `[harden]` switches each of them.
const PARTS: &[(Part, Ensure)] = &[
    (Part::Kernel, kernel::kernel),
    (Part::Journal, upkeep::journal),
    (Part::Upgrades, upkeep::upgrades),
    (Part::Needrestart, upkeep::needrestart),
    (Part::Time, upkeep::time),
    (Part::Audit, audit::audit),
    (Part::Swap, swap::swap),
    (Part::Sleep, sleep),
    (Part::NetworkManager, network_manager),
    (Part::Files, files),
    (Part::Bans, bans::bans),
];

/// What puts a machine to sleep.
const SLEEP: &[&str] =
    &["sleep.target", "suspend.target", "hibernate.target", "hybrid-sleep.target"];

/// What parts need on every host: apt tells root what upgrades bring, services that run on with old
/// libraries are found, and so are files of packages that somebody changed.
const PACKAGES: &[(Part, &[&str])] = &[
    (Part::Upgrades, &["unattended-upgrades", "apt-listchanges"]),
    (Part::Needrestart, &["needrestart"]),
    (Part::Files, &["debsums"]),
    (Part::Passwords, &["libpam-pwquality"]),
];

/// What only root has to read. Folders and files that a host lacks are not missed.
const CLOSED: &[(&str, u32)] = &[
    ("/etc/crontab", 0o600),
    ("/etc/cron.d", 0o700),
    ("/etc/cron.hourly", 0o700),
    ("/etc/cron.daily", 0o700),
    ("/etc/cron.weekly", 0o700),
    ("/etc/cron.monthly", 0o700),
    ("/etc/ssh/sshd_config", 0o600),
];

/// What `host` makes true on a host, in order.
pub fn host(inputs: &Inputs<'_>) -> anyhow::Result<Step> {
    let mut step = Step::new("host");
    if inputs.host.harden.has(Part::Bans) {
        remember_the_operator(&mut step, inputs);
    }
    let packages = packages(inputs);
    if !packages.is_empty() {
        // One apt for all parts: nothing else takes as long.
        step.ensure(Packages::installed(&packages));
    }
    for (part, ensure) in PARTS {
        if inputs.host.harden.has(*part) {
            ensure(&mut step, inputs)?;
        }
    }
    Ok(step)
}

fn packages(inputs: &Inputs<'_>) -> Vec<&'static str> {
    let wanted = PACKAGES.iter().filter(|(part, _)| inputs.host.harden.has(*part));
    let mut names: Vec<&str> = wanted.flat_map(|(_, names)| *names).copied().collect();
    if audit::fits(inputs) {
        names.push("auditd");
    }
    if bans::needed(inputs) {
        names.extend(bans::PACKAGES);
    }
    names
}

/// A node with a GPU is often a desktop at heart, and would go to sleep when nobody is there.
#[expect(clippy::unnecessary_wraps, reason = "every part is built alike")]
fn sleep(step: &mut Step, inputs: &Inputs<'_>) -> anyhow::Result<()> {
    if inputs.host.gpu {
        step.ensure(Masked::units(SLEEP));
    }
    Ok(())
}

fn network_manager(step: &mut Step, inputs: &Inputs<'_>) -> anyhow::Result<()> {
    if inputs.facts.has_network_manager {
        let file =
            File::new("/etc/NetworkManager/conf.d/10-oceanid.conf", render(&NetworkManager)?);
        step.ensure(file.clone());
        step.ensure(Reload::with("NetworkManager.service", &file));
    }
    Ok(())
}

fn files(step: &mut Step, _: &Inputs<'_>) -> anyhow::Result<()> {
    step.ensure(Modes::at_most(CLOSED));
    // debsums has no folder for settings of others.
    step.ensure(File::new("/etc/default/debsums", render(&Debsums)?).check("sh -n"));
    Ok(())
}
