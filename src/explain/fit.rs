//! Why a host cannot be what cluster.toml makes of it.

use super::Explanation;

pub(super) const ALL: &[Explanation] = &[
    Explanation {
        code: "network-overlap",
        means: "A host is in a network that pods or services would get.",
        why: "Packets to such addresses would stay on the node instead of reaching the other machine.",
        then: "Give `cluster.pod-cidr` or `cluster.service-cidr` a network that no host is in. It cannot be changed \
               once the cluster runs.",
    },
    Explanation {
        code: "no-such-address",
        means: "`node-ip` or `interface` in cluster.toml is not what the host has.",
        why: "The address is on another interface, or on none: k3s would not start, or speak from the wrong network.",
        then: "The hint lists what the host has; correct the node, or leave both keys out.",
    },
    Explanation {
        code: "not-one-network",
        means: "`host-gw` is wanted, but the nodes are not on one network.",
        why: "It sends pods' traffic by plain routes, which end at the first router.",
        then: "Take `wireguard-native`. If the nodes do share another network, `node-ip` and `interface` say which.",
    },
    Explanation {
        code: "other-datastore",
        means: "The cluster that runs keeps its state elsewhere than cluster.toml says.",
        why: "k3s would begin a new, empty cluster there, or move its state for good.",
        then: "Set `k3s.datastore` to what is there. To move a cluster, build a new one beside it.",
    },
    Explanation {
        code: "other-encryption",
        means: "`secrets-encryption` is not what the cluster began with.",
        why: "Only the very first start of a cluster can switch it on, and one that has it cannot read its secrets \
              without.",
        then: "Set `k3s.secrets-encryption` as the hint says.",
    },
];
