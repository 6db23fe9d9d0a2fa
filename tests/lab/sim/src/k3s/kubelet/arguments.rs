//! Arguments of the kubelet that it parses before it starts.

use crate::k3s::flags::Options;
use crate::stamp::Version;
use std::fs;
use std::path::Path;

const NAME: &str = "kubelet-arg";
const SIGNALS: &[&str] = &[
    "memory.available",
    "nodefs.available",
    "nodefs.inodesFree",
    "imagefs.available",
    "imagefs.inodesFree",
    "containerfs.available",
    "containerfs.inodesFree",
    "pid.available",
];

/// Checks the kubelet's own arguments, and the host against them.
///
/// # Errors
/// What the kubelet says when it does not start.
pub fn check(options: &Options, version: &Version) -> Result<(), String> {
    let get = |key: &str| options.component_argument(NAME, key);
    let allows_v1 = get("fail-cgroupv1").is_some_and(|value| value == "false");
    let v2 = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    if version.minor() >= 35 && !v2 && !allows_v1 {
        return Err("kubelet is configured to not run on a host using cgroup v1. cgroup v1 support is unsupported and will be removed in a future release".to_owned());
    }
    for entry in get("eviction-hard").iter().flat_map(|list| list.split(',')) {
        threshold(entry)?;
    }
    let mut reserved = 0;
    for key in ["system-reserved", "kube-reserved"] {
        for entry in get(key).iter().flat_map(|list| list.split(',')) {
            reserved += quantity(key, entry)?;
        }
    }
    let capacity = memory();
    if reserved > capacity {
        return Err(format!(
            "invalid Node Allocatable configuration. Resource \"memory\" has a reservation of {reserved} but capacity of {capacity}. Expected capacity >= reservation."
        ));
    }
    let percent = |key: &str, default: u8| {
        get(key).map_or(Ok(default), |text| {
        text.parse().map_err(|_| format!("invalid argument {text:?} for \"--{key}\" flag: strconv.ParseInt: parsing {text:?}: invalid syntax"))
    })
    };
    let (high, low) =
        (percent("image-gc-high-threshold", 85)?, percent("image-gc-low-threshold", 80)?);
    if high > 100 || low >= high {
        return Err(format!(
            "invalid configuration: imageGCLowThresholdPercent (--image-gc-low-threshold) {low} must be less than imageGCHighThresholdPercent (--image-gc-high-threshold) {high}"
        ));
    }
    Ok(())
}

/// `memory.available<100Mi` or `nodefs.available<5%`.
fn threshold(entry: &str) -> Result<(), String> {
    let (signal, value) = entry.split_once('<').ok_or_else(|| {
        format!("invalid eviction threshold syntax {entry}, expected <signal><operator><value>")
    })?;
    if !SIGNALS.contains(&signal) {
        return Err(format!("unsupported eviction signal {signal}"));
    }
    let good = match value.strip_suffix('%') {
        Some(percent) => {
            percent.parse::<f32>().is_ok_and(|percent| (0.0..=100.0).contains(&percent))
        }
        None => bytes(value).is_some(),
    };
    if good {
        Ok(())
    } else {
        Err(format!(
            "eviction threshold {signal}: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        ))
    }
}

/// The bytes of memory that an entry reserves.
fn quantity(key: &str, entry: &str) -> Result<u64, String> {
    let (resource, value) = entry.split_once('=').ok_or_else(|| {
        format!("invalid argument for \"--{key}\" flag: {entry} must be formatted as key=value")
    })?;
    let wrong =
        || format!("failed to parse quantity {value:?} for {resource:?} resource of --{key}");
    match resource {
        "memory" => bytes(value).ok_or_else(wrong),
        "ephemeral-storage" => bytes(value).map(|_| 0).ok_or_else(wrong),
        "cpu" => value.trim_end_matches('m').parse::<f32>().map(|_| 0).map_err(|_| wrong()),
        "pid" => value.parse::<u64>().map(|_| 0).map_err(|_| wrong()),
        _ => Err(format!("cannot reserve {resource:?} resource")),
    }
}

fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..)? {
        "" => 1,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

fn memory() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_and_quantities_are_parsed() {
        assert!(threshold("memory.available<100Mi").is_ok());
        assert!(threshold("nodefs.available<10%").is_ok());
        for bad in
            ["memory.available", "memory<1Mi", "memory.available<much", "nodefs.available<101%"]
        {
            assert!(threshold(bad).is_err(), "{bad}");
        }
        assert_eq!(quantity("kube-reserved", "memory=2Mi"), Ok(2 << 20));
        assert_eq!(quantity("kube-reserved", "cpu=100m"), Ok(0));
        for bad in ["memory", "memory=x", "disk=1Gi"] {
            assert!(quantity("kube-reserved", bad).is_err(), "{bad}");
        }
    }
}
