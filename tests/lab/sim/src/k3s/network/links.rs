//! The devices of a node: the interface to the other nodes, `cni0` and `flannel.1`.

use super::programs::{device_exists, ip, ip_json};
use anyhow::{Context, bail};
use ipnet::Ipv4Net;
use serde_json::Value;
use std::net::Ipv4Addr;

/// The bridge that the pods of a node are on.
pub const BRIDGE: &str = "cni0";
/// The end of the tunnels to all other nodes.
pub const TUNNEL: &str = "flannel.1";
/// The device through which packets leave encrypted.
const ENCRYPTED: &str = "flannel-wg";

/// The interface that leads to the other nodes.
#[derive(Debug, Clone)]
pub struct Uplink {
    /// Its name.
    pub name: String,
    /// The largest packet that it carries, in bytes.
    pub mtu: u32,
}

impl Uplink {
    /// Finds the interface that is `named`, else the one that has `address`.
    ///
    /// # Errors
    /// There is none.
    pub fn find(named: Option<&str>, address: Ipv4Addr) -> anyhow::Result<Self> {
        let all = ip_json("-4 addr show")?;
        let found = all.iter().find(|link| match named {
            Some(name) => link["ifname"] == name,
            None => addresses(link).any(|(local, _)| local == address.to_string()),
        });
        let Some(link) = found else {
            bail!("failed to find the interface of the node's address {address}");
        };
        let name = link["ifname"].as_str().context("ifname")?.to_owned();
        let mtu = link["mtu"].as_u64().and_then(|mtu| u32::try_from(mtu).ok());
        Ok(Self { name, mtu: mtu.unwrap_or(1500) })
    }
}

fn addresses(link: &Value) -> impl Iterator<Item = (&str, u64)> {
    let all = link["addr_info"].as_array();
    all.into_iter().flatten().filter_map(|one| {
        (one["family"] == "inet").then_some(())?;
        Some((one["local"].as_str()?, one["prefixlen"].as_u64()?))
    })
}

/// Makes the encrypted device, which needs the kernel's `WireGuard`.
pub fn ensure_wireguard() -> anyhow::Result<()> {
    if device_exists(ENCRYPTED) {
        return Ok(());
    }
    ip(&format!("link add {ENCRYPTED} type wireguard"))
        .map(drop)
        .context("could not create wireguard interface: operation not supported")
}

/// Makes `cni0` with the first address of the node's pods, or mends it.
pub fn ensure_bridge(pods: Ipv4Net, gateway: Ipv4Addr, mtu: u32) -> anyhow::Result<()> {
    if !device_exists(BRIDGE) {
        ip(&format!("link add {BRIDGE} mtu {mtu} type bridge"))?;
    }
    let link = described(BRIDGE)?;
    ensure_address(&link, &format!("{gateway}/{}", pods.prefix_len()))?;
    ensure_up(&link)
}

/// Makes `flannel.1` as the tunnels' end at `address`, or mends it; its hardware address.
///
/// Where the device has to be made, it gets `kept` as its hardware address, else a new one.
pub fn ensure_tunnel(
    uplink: &Uplink,
    address: Ipv4Addr,
    pods: Ipv4Net,
    kept: Option<&str>,
) -> anyhow::Result<String> {
    if device_exists(TUNNEL) && !is_tunnel(&described(TUNNEL)?, uplink, address) {
        crate::log::warning(format!(
            "{TUNNEL:?} already exists with incompatible configuration; recreating device"
        ));
        ip(&format!("link del {TUNNEL}"))?;
    }
    if !device_exists(TUNNEL) {
        let hardware = kept.map_or_else(new_hardware_address, str::to_owned);
        let mtu = uplink.mtu - super::Backend::Vxlan.overhead();
        let device = &uplink.name;
        ip(&format!(
            "link add {TUNNEL} address {hardware} mtu {mtu} type vxlan id 1 dev {device} local {address} dstport 8472 nolearning"
        ))?;
    }
    let link = described(TUNNEL)?;
    ensure_address(&link, &format!("{}/32", pods.network()))?;
    ensure_up(&link)?;
    Ok(link["address"].as_str().context("no hardware address")?.to_owned())
}

fn described(name: &str) -> anyhow::Result<Value> {
    let found = ip_json(&format!("-d -4 addr show dev {name}"))?.into_iter().next();
    // A device without an address is left out by some versions where a family is asked for.
    let found = match found {
        Some(link) => Some(link),
        None => ip_json(&format!("-d link show dev {name}"))?.into_iter().next(),
    };
    found.with_context(|| format!("no device {name}"))
}

fn is_tunnel(link: &Value, uplink: &Uplink, address: Ipv4Addr) -> bool {
    let data = &link["linkinfo"]["info_data"];
    link["linkinfo"]["info_kind"] == "vxlan"
        && data["id"] == 1
        && data["port"] == 8472
        && data["link"] == uplink.name.as_str()
        && data["local"] == address.to_string()
}

fn ensure_address(link: &Value, wanted: &str) -> anyhow::Result<()> {
    let name = link["ifname"].as_str().unwrap_or_default();
    let mut present = addresses(link).map(|(local, length)| format!("{local}/{length}"));
    if present.next().as_deref() == Some(wanted) && present.next().is_none() {
        return Ok(());
    }
    ip(&format!("-4 addr flush dev {name}"))?;
    let broadcast = if wanted.ends_with("/32") { "" } else { "broadcast +" };
    ip(&format!("addr add {wanted} {broadcast} dev {name}")).map(drop)
}

fn ensure_up(link: &Value) -> anyhow::Result<()> {
    let flags = link["flags"].as_array();
    if flags.into_iter().flatten().any(|flag| flag == "UP") {
        return Ok(());
    }
    let name = link["ifname"].as_str().unwrap_or_default();
    ip(&format!("link set {name} up")).map(drop)
}

// Locally administered, to one receiver.
fn new_hardware_address() -> String {
    let digits = crate::k3s::token::random_hex(5);
    let pairs: Vec<&str> = (0..5).filter_map(|pair| digits.get(pair * 2..pair * 2 + 2)).collect();
    format!("0a:{}", pairs.join(":"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn hardware_addresses_are_local_and_random() {
        let (one, other) = (new_hardware_address(), new_hardware_address());
        assert_eq!((one.len(), one.matches(':').count()), (17, 5));
        assert_ne!(one, other);
    }

    #[test]
    fn only_addresses_of_version_4_count() {
        let link = json!({ "addr_info": [
            { "family": "inet6", "local": "fe80::1", "prefixlen": 64 },
            { "family": "inet", "local": "10.42.0.1", "prefixlen": 24 }] });
        assert_eq!(addresses(&link).collect::<Vec<_>>(), [("10.42.0.1", 24)]);
    }
}
