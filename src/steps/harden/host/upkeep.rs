//! What keeps a host well while nobody looks: journal, updates, clock.

use std::time::Duration;

use crate::actions::{File, OnlyOne, Unit, Wait};
use crate::step::Step;
use crate::steps::Inputs;
use crate::steps::prepare::TIME_DAEMONS;
use crate::templates::host::{AptConf, Journald, Needrestart};
use crate::templates::render;

/// What the names of packages begin with that a driver and its libraries come in, and what uses them.
const HELD_WITH_GPU: &[&str] = &[
    "nvidia-",
    "libnvidia-",
    "linux-modules-nvidia-",
    "linux-objects-nvidia-",
    "cuda",
    "libcuda",
    "docker",
    "containerd",
];

/// What starts the daily look for updates, and their installation.
const TIMERS: &[&str] = &["apt-daily.timer", "apt-daily-upgrade.timer"];

/// Each daemon's own word for it; asking `timedatectl` would wake up two services.
const IN_SYNC: &str = "if [ -e /run/systemd/timesync/synchronized ]; then exit 0; fi\n\
    if [ -d /run/systemd/timesync ]; then echo 'systemd-timesyncd has reached no server yet'; exit 1; fi\n\
    if [ -e /run/chrony/chronyd.pid ]; then\n\
    case $(chronyc -n tracking 2>&1) in *'Leap status'*Normal*) exit 0 ;; esac\n\
    echo 'chronyd is not in sync yet'; exit 1\nfi\n\
    case $(ntpq -c 'rv 0 leap' 2>&1) in *leap=00*|*leap=01*|*leap=10*) exit 0 ;; esac\n\
    case $(ntpctl -s status 2>&1) in *'clock synced'*) exit 0 ;; esac\n\
    echo 'no time daemon says that it is in sync'\nexit 1\n";

const WHY_NOT_IN_SYNC: &str = "echo 'do packets to port 123 (UDP) get out? the daemons say:'\n\
    journalctl -q -b -n 10 --no-pager -o cat -u systemd-timesyncd -u chrony -u ntpsec -u ntp -u openntpd";

/// The journal survives reboots and cannot fill the disk.
pub fn journal(step: &mut Step, _: &Inputs<'_>) -> anyhow::Result<()> {
    let file = File::new("/etc/systemd/journald.conf.d/10-oceanid.conf", render(&Journald)?);
    step.ensure(file.clone());
    step.ensure(Unit::running("systemd-journald.service").restarts_with(&file));
    Ok(())
}

/// Security updates come in daily; nothing is upgraded by ourselves.
pub fn upgrades(step: &mut Step, inputs: &Inputs<'_>) -> anyhow::Result<()> {
    let held = if inputs.host.gpu { HELD_WITH_GPU } else { &[] };
    // A file that apt cannot read would stop every apt on the host.
    step.ensure(
        File::new("/etc/apt/apt.conf.d/52oceanid", render(&AptConf { held })?)
            .check("apt-config dump >/dev/null -c"),
    );
    for timer in TIMERS {
        step.ensure(Unit::running(*timer));
    }
    Ok(())
}

/// What `needrestart` leaves alone: it looks after every apt for services with old libraries.
pub fn needrestart(step: &mut Step, _: &Inputs<'_>) -> anyhow::Result<()> {
    step.ensure(
        File::new("/etc/needrestart/conf.d/oceanid.conf", render(&Needrestart)?).check("perl -c"),
    );
    Ok(())
}

/// A clock that is off makes certificates invalid; two daemons pull it to and fro.
#[expect(clippy::unnecessary_wraps, reason = "every part is built alike")]
pub fn time(step: &mut Step, inputs: &Inputs<'_>) -> anyhow::Result<()> {
    // The clock of a container is the machine's.
    if !inputs.facts.container {
        step.ensure(OnlyOne::of("time daemon", TIME_DAEMONS));
        step.ensure(
            Wait::until("the clock in sync", IN_SYNC, Duration::from_secs(60))
                .diagnosis(WHY_NOT_IN_SYNC),
        );
    }
    Ok(())
}
