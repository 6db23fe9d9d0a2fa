//! Why Docker or Triton does not come up on a GPU node.

use super::Explanation;

pub(super) const ALL: &[Explanation] = &[
    Explanation {
        code: "no-space",
        means: "The disk is too full for Triton's image.",
        why: "Images of Triton take many gigabytes, and Docker keeps former ones.",
        then: "`docker system df` on the node shows what Docker holds, `docker image prune -a` removes images that no container uses.",
    },
    Explanation {
        code: "no-image",
        means: "The registry does not have the image by the digest in `oceanid.lock`.",
        why: "It was removed there, or `triton.image` names another registry than the one that was asked.",
        then: "`oceanid lock` asks for the digest that the image has now.",
    },
    Explanation {
        code: "no-registry",
        means: "The node does not reach the registry of Triton's image.",
        why: "There is no way out, a proxy is needed, or something in between shows a certificate of its own.",
        then: "`docker pull` of the image on the node says more. `[sources]` has `proxy` and `ca`.",
    },
    Explanation {
        code: "driver-too-old",
        means: "The NVIDIA driver is too old for Triton's image.",
        why: "Each image is built for a CUDA that wants a certain driver.",
        then: "Install a newer driver, or set an older image in `triton.image` and run `oceanid lock`.",
    },
    Explanation {
        code: "no-cdi-device",
        means: "Docker does not know a device called nvidia.com/gpu=all.",
        why: "The specification of the devices is missing or of another driver, or Docker has not read it.",
        then: "`oceanid bootstrap --only nvidia,docker NODE` has it generated anew, and Docker read it.",
    },
    Explanation {
        code: "no-gpu",
        means: "Triton runs, and sees no GPU.",
        why: "The driver was changed under it, or the card does not answer any more.",
        then: "If `nvidia-smi` on the node shows the card, `systemctl restart tritonserver` is enough. If it does not, mend the driver first.",
    },
    Explanation {
        code: "gpu-memory",
        means: "The models need more memory than the GPU has left.",
        why: "Too many or too large models, or another program holds memory of the card.",
        then: "`nvidia-smi` shows who holds it. Fewer or smaller models, or a lower `count` in `instance_group`, need less.",
    },
    Explanation {
        code: "host-memory",
        means: "Triton needs more memory than the node has left; the kernel ended it.",
        why: "Models are read into the node's memory before the GPU gets them.",
        then: "`free -m` on the node shows what there is. Fewer models need less.",
    },
    Explanation {
        code: "port-taken",
        means: "Another program listens on a port of Triton.",
        why: "Something else was there first.",
        then: "Stop it, or set another `http-port`, `grpc-port` or `metrics-port` in `[triton]`.",
    },
    Explanation {
        code: "not-loaded",
        means: "A model was put there after Triton had started.",
        why: "Triton loads its models when it starts, and then no more.",
        then: "`systemctl restart tritonserver` on the node loads it; no model answers meanwhile.",
    },
    Explanation {
        code: "unknown-argument",
        means: "This Triton does not know an argument that it is given.",
        why: "`triton.arguments` has one that is mistyped, or of another version.",
        then: "Take it out there, then `oceanid bootstrap --only triton NODE`.",
    },
    Explanation {
        code: "permission",
        means: "Triton may not read its models.",
        why: "They belong to another user, or a folder above them is closed.",
        then: "`chmod -R a+rX FOLDER` on the node opens them, or `triton.user` names who may.",
    },
    Explanation {
        code: "broken-model",
        means: "A model cannot be loaded.",
        why: "Its configuration, its files or its backend do not fit together; the evidence names it.",
        then: "Mend it in the folder of the models, or take it out, then `oceanid bootstrap --only triton NODE`.",
    },
];
