//! Why Triton does not serve: a table of known causes, matched with what a failed change left behind.

use super::Finding;
use crate::cluster::{Cluster, Host};
use crate::remote::Output;

/// A known cause.
#[derive(Debug, Clone, Copy)]
struct Cause {
    /// What it is called: part of the JSON schema.
    name: &'static str,
    /// What is said of it: each group's parts are in one line.
    said: &'static [&'static [&'static str]],
    /// The cause, in a sentence.
    meaning: &'static str,
    /// What to type next; `{host}`, `{models}` and `{image}` stand for those of this cluster.
    command: &'static str,
}

/// Every known cause, the nearest to the root first.
const CAUSES: &[Cause] = &[
    Cause {
        name: "no-space",
        said: &[&["no space left"]],
        meaning: "the disk is too full for the image",
        command: "on {host}, `docker system df` shows what Docker holds, and `docker image prune -a` removes \
                  images that no container uses; `data-root` in /etc/docker/daemon.json puts it on another disk",
    },
    Cause {
        name: "no-image",
        said: &[&["manifest unknown"], &["manifest for", "not found"], &["No such image"]],
        meaning: "the registry does not have the image by this digest",
        command: "`oceanid lock` asks for the digest that `{image}` has now",
    },
    Cause {
        name: "no-registry",
        said: &[
            &["Get \"https://", "dial tcp"],
            &["Get \"https://", "x509:"],
            &["Get \"https://", "timeout"],
            &["failed to resolve reference"],
        ],
        meaning: "{host} does not reach the registry of the image",
        command: "on {host}, `docker pull` of the image says more; `[sources]` in cluster.toml has `proxy` and `ca`",
    },
    Cause {
        name: "driver-too-old",
        said: &[
            &["built for NVIDIA Driver Release"],
            &["driver version is insufficient for CUDA runtime"],
            &["unsatisfied condition: cuda"],
            &["unsupported display driver / cuda driver combination"],
        ],
        meaning: "the NVIDIA driver is too old for the image",
        command: "on {host}, `nvidia-smi` shows the driver: install a newer one, or set an older image than \
                  `{image}` in `triton.image`, then `oceanid lock`",
    },
    Cause {
        name: "no-cdi-device",
        said: &[
            &["unresolvable CDI devices"],
            &["CDI device injection failed"],
            &["could not select device driver"],
            &["no CDI specification names it"],
        ],
        meaning: "Docker does not know a device of the name nvidia.com/gpu=all",
        command: "`oceanid bootstrap --only nvidia,docker {host}` has it generated, and Docker read it",
    },
    Cause {
        name: "no-gpu",
        said: &[
            &["sees no GPU in its container"],
            &["no CUDA-capable device is detected"],
            &["Failed to initialize NVML"],
        ],
        meaning: "Triton runs, and sees no GPU",
        command: "on {host}, `nvidia-smi` tells whether the host sees it; if so, `systemctl restart tritonserver`",
    },
    Cause {
        name: "gpu-memory",
        said: &[
            &["CUDA", "out of memory"],
            &["Failed to allocate CUDA memory"],
            &["cudaErrorMemoryAllocation"],
            &["CUDNN_STATUS_ALLOC_FAILED"],
        ],
        meaning: "the models need more memory than the GPU has left",
        command: "on {host}, `nvidia-smi` shows who holds it; fewer models, or smaller ones, or a lower `count` \
                  in `instance_group`, need less",
    },
    Cause {
        name: "host-memory",
        said: &[&["the kernel ended the container: it was out of memory"]],
        meaning: "Triton needs more memory than {host} has left",
        command: "on {host}, `free -m` shows what there is; fewer models need less",
    },
    Cause {
        name: "port-taken",
        said: &[
            &["port", "is taken by"],
            &["port is already allocated"],
            &["address already in use"],
        ],
        meaning: "another program listens on a port of Triton",
        command: "stop it, or set another `http-port`, `grpc-port` or `metrics-port` in `[triton]`",
    },
    Cause {
        name: "not-loaded",
        said: &[&["not there when Triton started"]],
        meaning: "a model was put there since Triton started, which loads models at its start alone",
        command: "on {host}, `systemctl restart tritonserver` loads it, and no model answers meanwhile",
    },
    Cause {
        name: "unknown-argument",
        said: &[&["unrecognized option"], &["unrecognized argument"]],
        meaning: "this Triton does not know an argument that it is given",
        command: "take it out of `triton.arguments`, then `oceanid bootstrap --only triton {host}`",
    },
    Cause {
        name: "permission",
        said: &[&["of Triton cannot read"], &["/models", "ermission denied"]],
        meaning: "Triton may not read its models",
        command: "on {host}, `chmod -R a+rX {models}`, or set `triton.user` to who may",
    },
    Cause {
        name: "broken-model",
        said: &[
            &["failed to load '"],
            &["Poll failed for model directory"],
            &["model `", "`: "],
            &["not ready:"],
        ],
        meaning: "a model cannot be loaded",
        command: "mend it in {models} on {host}, or take it out, then `oceanid bootstrap --only triton {host}`",
    },
];

/// The cause that `output` shows, of a change of Docker or Triton on `host`.
#[must_use]
pub fn diagnose(output: &Output, cluster: &Cluster, host: &Host) -> Vec<Finding> {
    let newest_first = || output.stderr.lines().rev().chain(output.stdout.lines().rev());
    let said = |cause: &Cause| {
        let has = |line: &&str| {
            cause.said.iter().any(|parts| parts.iter().all(|part| line.contains(part)))
        };
        newest_first().find(has).map(|line| line.trim().to_owned())
    };
    let found = CAUSES.iter().find_map(|cause| Some((cause, said(cause)?)));
    let triton = cluster.triton.as_ref();
    let filled = |text: &str| {
        text.replace("{host}", &host.name)
            .replace("{models}", triton.map_or("", |triton| &triton.models))
            .replace("{image}", triton.map_or("", |triton| &triton.image))
    };
    let finding = |(cause, line): (&Cause, String)| Finding {
        name: cause.name,
        cause: filled(cause.meaning),
        evidence: vec![line],
        command: filled(cause.command),
    };
    found.map(finding).into_iter().collect()
}
