//! What may stand in `[triton]`.

use insta::assert_snapshot;
use oceanid::cluster::{Engine, ModelControl, Ports, User};

use crate::{least_with, refused, valid};

/// A node with a GPU, and Triton on it with `more`.
fn triton(more: &str) -> String {
    least_with(&format!(
        "gpu = true\n[triton]\nimage = \"nvcr.io/nvidia/tritonserver:26.02-py3\"\n\
         models = \"/opt/triton/models\"\n{more}"
    ))
}

#[test]
fn a_bad_triton_is_refused() {
    let folder = |path: &str| {
        least_with(&format!("gpu = true\n[triton]\nimage = \"x:1\"\nmodels = \"{path}\"\n"))
    };
    let said = refused([
        ("folder of Docker's own syntax", folder("/models:/etc")),
        ("root folder", folder("/")),
        ("engine", triton("docker = \"podman\"\n")),
        ("model control", triton("model-control = \"auto\"\n")),
        ("load without explicit", triton("load = [\"resnet50\"]\n")),
        (
            "load",
            triton("model-control = \"explicit\"\nload = [\"a b\", \"../x\", \".git\", \"*\"]\n"),
        ),
        (
            "arguments",
            triton(
                "arguments = [\"log-verbose\", \"--http-port=1\", \"--allow-gpu-metrics=false\", \"--\"]\n",
            ),
        ),
        (
            "environment",
            triton("environment = { \"1A\" = \"x\", A = \"x\\ny\", HF_TOKEN = \"hunter2\" }\n"),
        ),
        ("literal secret", triton("secrets = { HF_TOKEN = \"hunter2\" }\n")),
        ("no reference", triton("secrets = { HF_TOKEN = { value = \"hunter2\" } }\n")),
        (
            "in both",
            triton(
                "environment = { A = \"x\" }\nsecrets = { A = { env = \"A\" }, \"b c\" = { env = \"A\" } }\n",
            ),
        ),
        ("ports", triton("http-port = 0\ngrpc-port = 70000\nmetrics-port = \"8002\"\n")),
        ("one port twice", triton("grpc-port = 8000\nmetrics-port = 8000\n")),
        ("a default port twice", triton("http-port = 8002\n")),
        ("shm", triton("shm-mib = 1\n")),
        ("user", triton("user = \"triton-server\"\n")),
        ("seconds", triton("ready-seconds = 0\npull-seconds = 1\n")),
        ("exit on error", triton("exit-on-error = \"yes\"\n")),
        ("another word", triton("arguements = []\n")),
    ]);
    assert!(!said.contains("hunter2"), "{said}");
    assert_snapshot!(said);
}

#[test]
fn what_is_not_said_of_triton_is_as_upstream_has_it() {
    let least = valid(&triton("")).triton.expect("a section");
    assert_eq!((least.docker, least.control), (Engine::Distribution, ModelControl::None));
    assert_eq!(least.ports, Ports { http: 8000, grpc: 8001, metrics: 8002 });
    assert_eq!(least.user, User { uid: 1000, gid: 1000 });
    assert!(least.exit_on_error && least.load.is_empty() && least.secrets.is_empty());
    let more = valid(&triton(
        "docker = \"docker-ce\"\nmodel-control = \"explicit\"\nload = [\"*\"]\nuser = \"7\"\n\
         arguments = [\"--log-verbose=1\"]\nenvironment = { A = \"it's $x\" }\n\
         secrets = { HF_TOKEN = { env = \"HF_TOKEN\" } }\nhttp-port = 9000\n",
    ));
    let more = more.triton.expect("a section");
    assert_eq!((more.docker, more.control), (Engine::DockerCe, ModelControl::Explicit));
    assert_eq!((more.user.uid, more.user.gid, more.ports.http), (7, 7, 9000));
    assert!(more.environment["A"] == "it's $x" && more.secrets.contains_key("HF_TOKEN"));
}
