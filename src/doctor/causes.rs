//! The table: every known cause, by what it is shown, in a sentence, and with what to type next.
//!
//! The nearer to the root, the earlier: a full disk or a wrong clock makes others of them happen.

use super::{Patient, commands, signs};

/// A known cause.
#[derive(Debug, Clone, Copy)]
pub struct Cause {
    /// What it is called: part of the JSON schema.
    pub name: &'static str,
    /// What k3s says: each group's parts are in one line. The stable middle, not the whole.
    pub said: &'static [&'static [&'static str]],
    /// What the host shows besides, in words.
    pub shown: fn(&Patient<'_>) -> Option<String>,
    /// Whether both must be there, or either.
    pub proof: Proof,
    /// Causes that it brings about.
    pub explains: &'static [&'static str],
    /// The cause, in a sentence.
    pub meaning: fn(&Patient<'_>) -> String,
    /// What to type next.
    pub command: fn(&Patient<'_>) -> String,
}

/// What it takes to find a cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// What k3s says, or what the host shows.
    Either,
    /// Both.
    Both,
}

/// What shows a cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The newest line of the journal that says so.
    pub said: Option<String>,
    /// What the host shows, in words.
    pub shown: Option<String>,
}

impl Cause {
    /// What shows that `patient` has it; `None` where nothing does.
    #[must_use]
    pub fn evidence(&self, patient: &Patient<'_>) -> Option<Evidence> {
        let said = self.said.iter().find_map(|parts| patient.journal.find(parts));
        let shown = (self.shown)(patient);
        let enough = match self.proof {
            Proof::Either => said.is_some() || shown.is_some(),
            Proof::Both => said.is_some() && shown.is_some(),
        };
        enough.then_some(Evidence { said, shown })
    }
}

/// Every known cause.
pub const CAUSES: &[Cause] = &[
    Cause {
        name: "disk-full",
        said: &[&["no space left on device"], &["No space left on device"]],
        shown: signs::full_disk,
        proof: Proof::Either,
        explains: &[],
        meaning: |_| String::from("the disk is full: k3s cannot write its state"),
        command: commands::full_disk,
    },
    Cause {
        name: "clock-skew",
        said: &[&["x509: certificate has expired or is not yet valid", "is before"]],
        shown: signs::wrong_clock,
        proof: Proof::Either,
        explains: &["expired-certificate"],
        meaning: |_| String::from("the clocks differ: certificates are not yet valid, or no more"),
        command: commands::wrong_clock,
    },
    Cause {
        name: "cgroup-v1",
        said: &[&["kubelet is configured to not run on a host using cgroup v1"]],
        shown: signs::cgroup_v1,
        proof: Proof::Either,
        explains: &["cgroup-memory"],
        meaning: |_| String::from("the host uses cgroup v1, which Kubernetes refuses from 1.35 on"),
        command: commands::cgroup_v1,
    },
    Cause {
        name: "cgroup-memory",
        said: &[&["failed to find memory cgroup"]],
        shown: signs::no_memory_controller,
        proof: Proof::Either,
        explains: &[],
        meaning: |_| String::from("the kernel's memory cgroup controller is switched off"),
        command: commands::cgroup_memory,
    },
    Cause {
        name: "unknown-key",
        said: &[&["flag provided but not defined: -"]],
        shown: signs::nothing,
        proof: Proof::Either,
        explains: &[],
        meaning: commands::unknown_key_meaning,
        command: commands::unknown_key,
    },
    Cause {
        name: "missing-file",
        said: &[
            &["unable to read admission control configuration from", "no such file or directory"],
            &["loading audit policy file", "no such file or directory"],
        ],
        shown: signs::missing_file,
        proof: Proof::Either,
        explains: &[],
        meaning: |_| String::from("a file that k3s' config.yaml names is not there"),
        command: commands::missing_file,
    },
    Cause {
        name: "sysctls",
        said: &[&["Failed to start ContainerManager", "invalid kernel flag"]],
        shown: signs::sysctls,
        proof: Proof::Either,
        explains: &[],
        meaning: |_| {
            String::from(
                "kernel parameters are not those that `protect-kernel-defaults` insists on",
            )
        },
        command: commands::sysctls,
    },
    Cause {
        name: "no-wireguard",
        said: &[&["could not create wireguard interface"]],
        shown: signs::no_wireguard,
        proof: Proof::Either,
        explains: &[],
        meaning: |_| {
            String::from(
                "the kernel has no WireGuard, which the flannel backend needs on every node",
            )
        },
        command: commands::no_wireguard,
    },
    Cause {
        name: "port-blocked",
        said: &[],
        shown: signs::api_out_of_reach,
        proof: Proof::Either,
        explains: &["wrong-token", "expired-certificate"],
        meaning: commands::out_of_reach_meaning,
        command: commands::out_of_reach,
    },
    Cause {
        name: "ca-hash",
        said: &[&["token CA hash does not match the Cluster CA certificate hash"]],
        shown: signs::other_ca,
        proof: Proof::Either,
        explains: &["wrong-token"],
        meaning: |_| {
            String::from("the join token is for another cluster: the server shows another CA")
        },
        command: commands::token,
    },
    Cause {
        name: "wrong-token",
        said: &[
            &["/v1-k3s/config: 401 Unauthorized"],
            &["invalid token CA hash length"],
            &["invalid token format"],
            &["token must not be empty"],
            &["failed to normalize server token"],
            &["failed to normalize agent token"],
            &["bootstrap data already found and encrypted with different token"],
        ],
        shown: signs::nothing,
        proof: Proof::Either,
        explains: &[],
        meaning: commands::token_meaning,
        command: commands::token,
    },
    Cause {
        name: "duplicate-hostname",
        said: &[&["Node password rejected"]],
        shown: signs::namesake,
        proof: Proof::Both,
        explains: &["node-password"],
        meaning: |patient| format!("another machine is the cluster's node `{}`", patient.node()),
        command: commands::namesake,
    },
    Cause {
        name: "node-password",
        said: &[&["Node password rejected"]],
        shown: signs::nothing,
        proof: Proof::Either,
        explains: &[],
        meaning: |patient| {
            format!(
                "the cluster knows `{}` by another node password: the host was set up anew",
                patient.node()
            )
        },
        command: commands::node_password,
    },
    Cause {
        name: "expired-certificate",
        said: &[&["x509: certificate has expired or is not yet valid", "is after"]],
        shown: signs::expired,
        proof: Proof::Either,
        explains: &[],
        meaning: |_| String::from("a certificate has expired; k3s renews its own when it starts"),
        command: commands::expired,
    },
];
