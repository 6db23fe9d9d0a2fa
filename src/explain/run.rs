//! What ends a run: changes that fail, guards, locks.

use super::Explanation;

pub(super) const ALL: &[Explanation] = &[
    Explanation {
        code: "configuration",
        means: "cluster.toml is wrong; no host was contacted.",
        why: "A key is unknown or missing, a value does not fit, or two things contradict each other. Every mistake is \
              shown at once, with its line.",
        then: "Mend what the carets point at. `oceanid docs KEY` explains a key, `oceanid validate` checks the file \
               without contacting anyone.",
    },
    Explanation {
        code: "change-failed",
        means: "A change on a host did not end well; those before it stay, and nothing after it was begun.",
        why: "The last lines of the script's output say it. Often packages cannot be fetched, a disk is full, or a \
              service does not start.",
        then: "Mend the cause, then run the same command again: it goes on from there. `oceanid plan --diff NODE` shows \
               what is still to be done, `oceanid rollback NODE` takes the run back.",
    },
    Explanation {
        code: "not-held",
        means: "A change ended well, and yet what it made is not there.",
        why: "Something else on the host sets it back at once: a configuration manager, an agent of the provider, a \
              unit that writes the same file.",
        then: "`oceanid plan --diff NODE` shows what it is now. Find who else owns it, or switch that part off in \
               cluster.toml.",
    },
    Explanation {
        code: "held",
        means: "Another run of oceanid has the host.",
        why: "Runs that change a host take its lock first, so that two never mix. The lock of a run that died ends by \
              itself at the time that is shown.",
        then: "Wait for that run. If it is dead, `oceanid unlock NODE` takes its lock away.",
    },
    Explanation {
        code: "taken-back",
        means: "The host took a guarded step back by itself; it is as it was before that step.",
        why: "After a change to sshd or the firewall oceanid logs in anew, and k3s must answer as before. That did not \
              come about within `cluster.guard-seconds`, so the host undid the step.",
        then: "`oceanid plan --diff --only STEP NODE` shows the changes. Mend what kept you out, then run the same \
               command again.",
    },
    Explanation {
        code: "put-back",
        means: "k3s did not come up with a new configuration, and has its former one back; it runs.",
        why: "The new settings, or the new version, do not work on this host. The diagnosis above the error says what \
              k3s said.",
        then: "Mend cluster.toml, look at `oceanid plan --diff NODE`, then run the same command again.",
    },
    Explanation {
        code: "not-put-back",
        means: "k3s came up neither with its new configuration nor with its former one.",
        why: "What keeps it from running is not the change alone: the disk, the clock, the datastore or the network.",
        then: "`oceanid doctor NODE` looks for the cause. `oceanid rollback NODE` takes the run's changes back.",
    },
    Explanation {
        code: "unconfirmed",
        means: "Nobody gets in any more since a guarded step; whether the host took it back is not known.",
        why: "The host may be down, or cut off for a reason of its own. Its guard undoes the step by itself, also after \
              a reboot.",
        then: "Wait for `cluster.guard-seconds`, then `oceanid facts NODE`. Otherwise use the host's console, where \
               `cat /var/lib/oceanid/guard/*` tells how far it is.",
    },
    Explanation {
        code: "interrupted",
        means: "The run was stopped by Ctrl-C.",
        why: "The first Ctrl-C lets the running change end, the second leaves it to the host.",
        then: "The same command goes on from there.",
    },
];
