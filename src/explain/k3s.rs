//! Why k3s does not run: the causes that the doctor knows.

use super::Explanation;

pub(super) const ALL: &[Explanation] = &[
    Explanation {
        code: "disk-full",
        means: "The disk, or its last inode, is used up: k3s cannot write its state.",
        why: "Images, logs or something beside k3s filled it. etcd and sqlite stop at the first failed write.",
        then: "`du -xh --max-depth=2 /var | sort -h | tail` shows what takes the room; `journalctl --vacuum-size=100M` \
               and `k3s crictl rmi --prune` give some back.",
    },
    Explanation {
        code: "clock-skew",
        means: "The clocks of this host and of the others differ: certificates are not yet valid, or no more.",
        why: "No time daemon runs, or it reaches no server: UDP port 123 may be closed.",
        then: "`timedatectl` shows whether the clock is synchronized; `oceanid bootstrap --only host NODE` installs a \
               time daemon where none runs.",
    },
    Explanation {
        code: "cgroup-v1",
        means: "The host has cgroups of version 1, which Kubernetes refuses from 1.35 on.",
        why: "An old image, or a boot parameter, mounts the old hierarchy.",
        then: "Boot with `systemd.unified_cgroup_hierarchy=1`. If it must stay, `kubelet-arg = \
               [\"fail-cgroupv1=false\"]` in `[k3s.server]` and `[k3s.agent]` lets the kubelet run.",
    },
    Explanation {
        code: "cgroup-memory",
        means: "The kernel's memory controller is off, so that containers cannot be limited.",
        why: "Kernels of Raspberry Pi OS and some others switch it off at boot.",
        then: "Add `cgroup_memory=1 cgroup_enable=memory` to the kernel's command line, then reboot.",
    },
    Explanation {
        code: "unknown-key",
        means: "config.yaml has a key that this version of k3s does not know.",
        why: "A key of `[k3s.server]` or `[k3s.agent]` is mistyped, or of another version or role.",
        then: "`k3s server --help` lists the keys. Mend cluster.toml, then run `oceanid bootstrap` again.",
    },
    Explanation {
        code: "missing-file",
        means: "A file that config.yaml names is not there.",
        why: "Somebody removed it, or a key of `[k3s.server]` names one of your own that oceanid does not bring.",
        then: "`oceanid bootstrap NODE` writes oceanid's own files again; bring your own there yourself.",
    },
    Explanation {
        code: "sysctls",
        means: "Kernel parameters are not those that `protect-kernel-defaults` insists on.",
        why: "Another file in /etc/sysctl.d sorts later, or somebody set them by hand.",
        then: "`oceanid bootstrap --only prepare NODE` sets them; `oceanid plan --diff` names what differs.",
    },
    Explanation {
        code: "no-wireguard",
        means: "The kernel has no WireGuard, which `flannel-backend = \"wireguard-native\"` needs on every node.",
        why: "It is a kernel of one's own, or of a container host. Those of Debian and Ubuntu have it.",
        then: "Boot a kernel that has it. `vxlan` does without, and does not encrypt what pods of different nodes say.",
    },
    Explanation {
        code: "port-blocked",
        means: "The host does not reach the API of the first server.",
        why: "A firewall rejects or drops TCP port 6443: the host's, the server's, or the provider's. At Oracle both \
              iptables on the host and the security list count.",
        then: "`nc -zv SERVER 6443` on the host tries the same. `oceanid plan --only firewall` shows what ufw should \
               let in.",
    },
    Explanation {
        code: "ca-hash",
        means: "The join token belongs to another cluster: the server shows another CA.",
        why: "The server was installed anew, or the agent still has the token of a former one.",
        then: "`oceanid join NODE` writes the present token. It is read from the server each time and kept nowhere.",
    },
    Explanation {
        code: "wrong-token",
        means: "The server does not accept the token.",
        why: "It was rotated, cut off, or edited. On a server: its state was encrypted with another one.",
        then: "`oceanid join NODE` writes the present one. For a server whose token is lost, use the token of the \
               snapshot that its state comes from.",
    },
    Explanation {
        code: "duplicate-hostname",
        means: "Another machine is the node of this name in the cluster.",
        why: "Two hosts have one name, or a clone took the name along.",
        then: "Give one of them another `name`. If the other machine is gone for good, `oceanid join NODE --replace` \
               removes its node.",
    },
    Explanation {
        code: "node-password",
        means: "The cluster knows the node by another password than the host has.",
        why: "The host was set up anew under its old name. k3s gives every node a password at its first join, so that \
              nobody else takes its name.",
        then: "`oceanid join NODE --replace` removes the old node, and its password with it.",
    },
    Explanation {
        code: "expired-certificate",
        means: "A certificate of k3s has expired.",
        why: "They last a year; k3s renews its own when it starts within 120 days of the end. A node that was off for \
              long, or never restarted, misses that.",
        then: "Restart k3s on the servers first, then on the agents. `oceanid status` shows how long each lasts.",
    },
    Explanation {
        code: "not-running",
        means: "k3s is installed and does not run, and none of the known causes shows.",
        why: "It was stopped, or fails for a reason that its journal tells.",
        then: "`journalctl -u k3s -n 100` on a server, `journalctl -u k3s-agent -n 100` on an agent.",
    },
];
