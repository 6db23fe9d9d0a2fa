//! What GPUs are called in a cluster, and which driver what runs on them needs.

/// The name of GPUs among a node's resources, and of the taint that keeps other pods away.
pub const RESOURCE: &str = "nvidia.com/gpu";
/// The label of nodes with a GPU, which the device plugin's own chart looks for too.
pub const LABEL: &str = "nvidia.com/gpu.present";
/// The namespace of the device plugin, and of nothing else.
pub const NAMESPACE: &str = "nvidia-device-plugin";

/// The oldest branch of the driver whose libraries speak CUDA 12, which the device plugin is built for.
pub const LEAST_DRIVER: u32 = 525;

/// From which release of Triton's image, year and month, which branch of the driver is needed.
///
/// Cards for desktops have no packages for newer CUDA on an older driver.
const TRITON: [(u32, u32); 12] = [
    (22_12, 525),
    (23_04, 530),
    (23_08, 535),
    (23_11, 545),
    (24_03, 550),
    (24_06, 555),
    (24_09, 560),
    (25_01, 570),
    (25_04, 575),
    (25_08, 580),
    (26_05, 595),
    (26_06, 610),
];

/// The branch of the driver that an image of Triton needs at least; `None` where its tag says no release.
#[must_use]
pub fn least_driver(image: &str) -> Option<u32> {
    let (name, _) = image.split_once('@').unwrap_or((image, ""));
    let (_, tag) = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'))?;
    let (release, variant) = tag.split_once('-').unwrap_or((tag, ""));
    let (year, month) = release.split_once('.')?;
    if (year.len(), month.len()) != (2, 2) {
        return None;
    }
    let release = year.parse::<u32>().ok()? * 100 + month.parse::<u32>().ok()?;
    // Its CUDA is older than that of the other images of that month.
    if release == 25_10 && variant.starts_with("trtllm") {
        return Some(575);
    }
    let (_, branch) = TRITON.iter().rev().find(|(first, _)| *first <= release)?;
    Some(*branch)
}

/// The branch of a version of the driver: 550 of `550.54.14`.
#[must_use]
pub fn branch(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::least_driver;

    #[test]
    fn a_release_of_triton_says_which_driver_it_needs() {
        let needs = |tag: &str| least_driver(&format!("nvcr.io/nvidia/tritonserver:{tag}"));
        assert_eq!(needs("26.02-py3"), Some(580));
        assert_eq!(needs("26.05-py3"), Some(595));
        assert_eq!(needs("27.01-vllm-python-py3"), Some(610));
        assert_eq!(needs("25.10-trtllm-python-py3"), Some(575));
        assert_eq!(needs(&format!("24.03-py3@sha256:{}", "0".repeat(64))), Some(550));
        for unknown in ["22.11-py3", "latest", "2.60.0-py3", "26-py3", "v1.2"] {
            assert_eq!(needs(unknown), None, "{unknown}");
        }
        assert_eq!(least_driver("localhost:5000/triton"), None);
        assert_eq!(least_driver("triton@sha256:26.02"), None);
    }
}
