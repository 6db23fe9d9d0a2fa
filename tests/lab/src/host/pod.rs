//! The stand-in's pods: what a program sees that runs in one.

use std::process::Output;

use anyhow::Result;

use super::Host;

/// The shell command that runs `command` in the pod that every node of the stand-in has, with
/// the cluster's DNS; for a shell of root on that node.
#[must_use]
pub fn in_pod(command: &str) -> String {
    let inside = format!(
        "mount --bind \"$1\" /etc/resolv.conf && exec sh -c '{}'",
        command.replace('\'', r"'\''")
    );
    let inside = inside.replace('\'', r"'\''");
    // `ip netns exec` gives it mounts of its own. The namespace ends in the pod's number.
    format!(
        "set -- /run/netns/cni-*-000000000002; pod=${{1##*/}}; \
         of=/var/lib/rancher/k3s/agent/containerd/io.containerd.grpc.v1.cri/sandboxes/$pod; \
         exec ip netns exec \"$pod\" sh -c '{inside}' sh \"$of/resolv.conf\""
    )
}

impl Host {
    /// Runs `command` in the node's pod and returns whatever came of it.
    ///
    /// The other nodes' pods are at the address that ends in `.2` of their `podCIDR`, and answer
    /// on port 8080 with the name of their node.
    pub fn pod(&self, command: &str) -> Result<Output> {
        self.output(&in_pod(command))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_command_reaches_the_pods_shell_as_it_is() {
        let text = in_pod("printf '%s|' \"it's\" '$1' \"a  b\"");
        // A stand-in for `ip` and for `mount`, which shows what they were given.
        let script = format!("ip() {{ shift 3; \"$@\"; }}; mount() {{ :; }}; {text}")
            .replace("exec ip", "ip")
            .replace("mount --bind", ": --bind");
        let output = Command::new("sh").args(["-c", &script]).output().expect("a shell");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "it's|$1|a  b|");
    }
}
