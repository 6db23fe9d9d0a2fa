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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{CAUSES, diagnose};
    use crate::remote::Output;

    /// What Docker, Triton and oceanid's own checks say, and the cause that it shows.
    const SAID: &[(&str, &str)] = &[
        ("no-space", "write /var/lib/docker/tmp/GetImageBlob1: no space left on device"),
        (
            "no-image",
            "Error response from daemon: manifest for nvcr.io/nvidia/tritonserver@sha256:0 not found: manifest unknown: manifest unknown",
        ),
        (
            "no-registry",
            "Error response from daemon: Get \"https://nvcr.io/v2/\": dial tcp: lookup nvcr.io: no such host",
        ),
        (
            "driver-too-old",
            "ERROR: This container was built for NVIDIA Driver Release 610.43 or later, but\n       version 580.82.07 was detected and compatibility mode is UNAVAILABLE.\nfailed to load 'a' version 1: Internal",
        ),
        (
            "no-cdi-device",
            "Error response from daemon: could not select device driver \"cdi\" with capabilities: []",
        ),
        (
            "no-cdi-device",
            "CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=all",
        ),
        ("no-gpu", "it does not serve: Triton sees no GPU in its container"),
        (
            "gpu-memory",
            "failed to load 'a' version 1: Internal: CUDA error: out of memory\nit does not serve: not ready: a",
        ),
        ("host-memory", "the kernel ended the container: it was out of memory"),
        ("port-taken", "port 8000 of 127.0.0.1 is taken by python3 (process 7)"),
        ("port-taken", "Bind for 127.0.0.1:8000 failed: port is already allocated"),
        (
            "not-loaded",
            "it does not serve: not ready: a (not there when Triton started; it loads models at its start alone: systemctl restart x)",
        ),
        ("unknown-argument", "tritonserver: unrecognized option '--nonesuch=1'"),
        ("permission", "the user 1000:1000 of Triton cannot read ./a/1"),
        ("broken-model", "model `a`: config.pbtxt, line 2: a string does not end"),
        (
            "broken-model",
            "E1124 20:11:11.1 1 model_lifecycle.cc:654] \"failed to load 'a' version 1: Internal: Protobuf parsing failed.\"",
        ),
    ];

    #[test]
    fn every_cause_is_known_by_what_is_said() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster.toml");
        let cluster = crate::config::load(&file).expect("the example is valid").cluster;
        let host = cluster.host("calypso").expect("a node of the example");
        let found = |said: &str| {
            let output = Output { status: 1, stderr: said.to_owned(), ..Output::default() };
            diagnose(&output, &cluster, host)
        };
        for (name, said) in SAID {
            let findings = found(said);
            let [one] = findings.as_slice() else { panic!("{said}: {findings:?}") };
            assert_eq!(one.name, *name, "{said}");
            let text = format!("{} {}", one.cause, one.command);
            assert!(!text.contains(['{', '}']), "something is not filled in: {text}");
            assert!(said.contains(&one.evidence[0]), "{:?}", one.evidence);
        }
        assert!(found("some other trouble").is_empty());
        let tried = |cause: &&super::Cause| SAID.iter().any(|(name, _)| *name == cause.name);
        assert_eq!(CAUSES.iter().filter(tried).count(), CAUSES.len(), "one is never tried");
    }
}
