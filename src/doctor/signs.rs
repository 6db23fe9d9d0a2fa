//! What a host shows when it has a cause, in words; nothing when it does not.

use jiff::Timestamp;
use serde_json::Value;

use super::{Answered, Patient};

/// Less than this is a full disk: etcd's next file does not fit, bytes.
const LEAST_FREE: u64 = 64 << 20;
/// Fewer inodes than this are none.
const LEAST_INODES: u64 = 200;
/// Beyond it certificates of one host are not yet valid on another, seconds.
const SKEW: f64 = 30.0;
/// What the kubelet insists on.
const SYSCTLS: [(&str, &str); 4] = [
    ("vm/panic_on_oom", "0"),
    ("vm/overcommit_memory", "1"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
];

/// The journal alone shows it.
pub fn nothing(_: &Patient<'_>) -> Option<String> {
    None
}

pub fn full_disk(patient: &Patient<'_>) -> Option<String> {
    let disk = patient.seen.disk?;
    if disk.free < LEAST_FREE {
        return Some(format!("{} MiB are free where /var/lib is", disk.free >> 20));
    }
    let scarce = disk.inodes > 0 && disk.inodes_free < LEAST_INODES;
    scarce.then(|| {
        format!("{} of {} inodes are free where /var/lib is", disk.inodes_free, disk.inodes)
    })
}

/// How far the host's clock is ahead of the server's, or of the operator's, seconds.
pub fn skew(patient: &Patient<'_>) -> Option<f64> {
    let clock = patient.seen.clock;
    if clock == 0.0 {
        return None;
    }
    let skew = clock - server_clock(patient).unwrap_or(patient.now);
    (skew.abs() > SKEW).then_some(skew)
}

fn server_clock(patient: &Patient<'_>) -> Option<f64> {
    match &patient.seen.api {
        Some(Answered::Status(_, date)) => *date,
        _ => None,
    }
}

/// Whether the host's own clock agrees with the operator's: then the server's is wrong.
pub fn is_the_servers(patient: &Patient<'_>) -> bool {
    server_clock(patient).is_some() && (patient.seen.clock - patient.now).abs() <= SKEW
}

pub fn wrong_clock(patient: &Patient<'_>) -> Option<String> {
    let skew = skew(patient)?;
    let direction = if skew > 0.0 { "ahead of" } else { "behind" };
    let whose = if server_clock(patient).is_some() { "the server's" } else { "this machine's" };
    Some(format!("its clock is {} {direction} {whose}", span(skew.abs())))
}

/// `42 s`, `12 min`, `3 h`, `5 days`: people need no more.
fn span(seconds: f64) -> String {
    let (unit, length) = match seconds {
        ..120.0 => ("s", 1.0),
        ..7_200.0 => ("min", 60.0),
        ..172_800.0 => ("h", 3_600.0),
        _ => ("days", 86_400.0),
    };
    format!("{:.0} {unit}", seconds / length)
}

pub fn cgroup_v1(patient: &Patient<'_>) -> Option<String> {
    let refused = patient.cluster.k3s.refuses_old_cgroups();
    // A container shows the hierarchies of the machine below; what its k3s says is proof enough.
    let v1 = patient.seen.cgroups.as_deref() == Some("v1") && !patient.seen.container;
    (v1 && refused && !patient.seen.unit.is_active())
        .then(|| String::from("/sys/fs/cgroup has no cgroup.controllers"))
}

pub fn no_memory_controller(patient: &Patient<'_>) -> Option<String> {
    let controllers = patient.seen.cgroups.as_deref()?.strip_prefix("v2")?.trim();
    let missing = !controllers.split(' ').any(|controller| controller == "memory");
    missing.then(|| format!("/sys/fs/cgroup/cgroup.controllers has no `memory`: {controllers}"))
}

/// The key that k3s does not know.
pub fn unknown_key<'a>(patient: &'a Patient<'_>) -> Option<&'a str> {
    const SAID: &str = "flag provided but not defined: -";
    let line = patient.journal.raw(&[SAID])?;
    let (_, key) = line.split_once(SAID)?;
    let key = key.trim_start_matches('-');
    let end = key.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(key.len());
    key.get(..end).filter(|key| !key.is_empty())
}

pub fn missing_file(patient: &Patient<'_>) -> Option<String> {
    let file = patient.seen.missing.first()?;
    Some(format!("/etc/rancher/k3s/config.yaml names {file}: there is no such file"))
}

pub fn sysctls(patient: &Patient<'_>) -> Option<String> {
    if patient.seen.setting("protect-kernel-defaults") != Some(&Value::Bool(true)) {
        return None;
    }
    let wrong: Vec<String> = SYSCTLS
        .iter()
        .filter_map(|(key, wanted)| {
            let value = patient.seen.sysctls.get(*key).filter(|value| value != wanted)?;
            Some(format!("{} = {value}, not {wanted}", key.replace('/', ".")))
        })
        .collect();
    (!wrong.is_empty()).then(|| wrong.join(", "))
}

pub fn no_wireguard(patient: &Patient<'_>) -> Option<String> {
    let missing = patient.seen.wireguard == Some(false);
    missing.then(|| String::from("the kernel knows no WireGuard, as module or built in"))
}

/// Only where k3s waits for the API, or is not there yet although the server is.
pub fn api_out_of_reach(patient: &Patient<'_>) -> Option<String> {
    let error = match patient.seen.api.as_ref()? {
        Answered::Status(..) => return None,
        Answered::Silence(error) | Answered::Refused(error) | Answered::Other(error) => error,
    };
    let wanted = patient.seen.unit.is_installed() || patient.server.ca.is_some();
    let endpoint = &patient.cluster.k3s.endpoint;
    wanted.then(|| format!("from there, https://{endpoint}:6443/ping: {error}"))
}

pub fn other_ca(patient: &Patient<'_>) -> Option<String> {
    let shown = patient.seen.ca.as_ref()?;
    let wanted = patient.seen.token_ca.as_ref().or(patient.server.ca.as_ref())?;
    let endpoint = &patient.cluster.k3s.endpoint;
    (wanted != shown).then(|| {
        format!("the CA at https://{endpoint}:6443 is {shown} there, the token wants {wanted}")
    })
}

pub fn namesake(patient: &Patient<'_>) -> Option<String> {
    let other = patient.server.namesake.as_ref()?;
    Some(format!(
        "the node `{}` is at {} and Ready; its machine-id is {}, this host's {}",
        other.name, other.address, other.machine_id, patient.seen.machine_id
    ))
}

pub fn expired(patient: &Patient<'_>) -> Option<String> {
    // What is over by the operator's clock; a clock that is wrong is another cause.
    let over = |ends: &Timestamp| ends.as_duration().as_secs_f64() < patient.now;
    let found = patient
        .seen
        .certificates
        .iter()
        .map(|(path, certificate)| (certificate.ends, path))
        .filter(|(ends, _)| over(ends))
        .min()?;
    let (ends, path) = found;
    Some(format!("{path} was valid until {}", ends.strftime("%F %H:%M UTC")))
}
