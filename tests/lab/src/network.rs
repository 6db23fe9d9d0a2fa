//! The networks of a lab: two that all reach, and a home behind a router.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::command::{output_for, run};
use crate::topology::{HostSpec, Place};

/// Addresses and devices of one lab.
#[derive(Debug, Clone)]
pub struct Network {
    number: u8,
}

impl Network {
    /// The networks of lab `number`.
    pub fn new(number: u8) -> Self {
        Self { number }
    }

    fn prefix(&self) -> String {
        format!("ol{}", self.number)
    }

    /// This machine's address on the public network.
    pub fn machine(&self) -> Ipv4Addr {
        Ipv4Addr::new(198, 51, 100, self.number * 16 + 1)
    }

    /// This machine's address on the other network.
    fn beyond(&self) -> Ipv4Addr {
        Ipv4Addr::new(203, 0, 113, self.number * 16 + 1)
    }

    /// The address of the `index`th host of the lab.
    pub fn address(&self, index: u8, place: Place) -> Ipv4Addr {
        match place {
            Place::Public | Place::Gate => {
                Ipv4Addr::new(198, 51, 100, self.number * 16 + 2 + index)
            }
            Place::Far => Ipv4Addr::new(203, 0, 113, self.number * 16 + 2 + index),
            Place::Home => Ipv4Addr::new(192, 168, 200 + self.number, 68 + index),
        }
    }

    /// The address of the `index`th further sshd instance.
    pub fn instance(&self, index: u16) -> Ipv4Addr {
        let low = u8::try_from(index + 2).expect("fewer instances than a /24 holds");
        Ipv4Addr::new(10, 213, self.number, low)
    }

    fn inside(&self) -> Ipv4Addr {
        Ipv4Addr::new(192, 168, 200 + self.number, 1)
    }

    /// The device of host `name` on a bridge of this machine.
    pub fn port(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix())
    }

    /// What `host.sh` plugs in: device, address, bridge, port; one line each.
    pub fn links(&self, index: u8, host: &HostSpec) -> String {
        let bridge = |name: &str| format!("{}-{name}", self.prefix());
        let address = self.address(index, host.place);
        let port = self.port(&host.name);
        match host.place {
            Place::Public => format!("eth0 {address}/28 {} {port}", bridge("wan")),
            Place::Far => format!("eth0 {address}/28 {} {port}", bridge("far")),
            Place::Home => format!("eth0 {address}/24 {} {port}", bridge("home")),
            Place::Gate => format!(
                "eth0 {address}/28 {} {port}\neth1 {}/24 {} {port}-in",
                bridge("wan"),
                self.inside(),
                bridge("home")
            ),
        }
    }

    /// Where a host's packets go that are for elsewhere.
    pub fn gateway(&self, place: Place) -> Ipv4Addr {
        match place {
            Place::Home => self.inside(),
            Place::Far => self.beyond(),
            Place::Public | Place::Gate => self.machine(),
        }
    }

    /// Makes the bridges and the rules; a host reaches Debian's mirror and nothing else outside.
    pub fn up(&self) -> Result<()> {
        let [wan, far, home] = ["wan", "far", "home"].map(|end| format!("{}-{end}", self.prefix()));
        for bridge in [&wan, &far, &home] {
            run("ip", &["link", "add", bridge, "type", "bridge"])?;
            run("ip", &["link", "set", bridge, "up"])?;
        }
        for (bridge, address) in [(&wan, self.machine()), (&far, self.beyond())] {
            run("ip", &["address", "add", &format!("{address}/28"), "dev", bridge])?;
        }
        run("sysctl", &["-qw", "net.ipv4.ip_forward=1"])?;
        nft(&self.rules(&format!("{{ {wan}, {far} }}")))
    }

    /// The rules for the bridges `open`, as a set.
    fn rules(&self, open: &str) -> String {
        let table = self.prefix();
        let list = |set: &BTreeSet<Ipv4Addr>| {
            set.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        let outside: Vec<String> = [(nameservers(), "53"), (mirrors(), "{ 80, 443, 3128, 8080 }")]
            .iter()
            .filter(|(addresses, _)| !addresses.is_empty())
            .map(|(addresses, ports)| {
                format!(
                    "iifname {open} ip daddr {{ {} }} meta l4proto {{ tcp, udp }} \
                     th dport {ports} accept\n",
                    list(addresses)
                )
            })
            .collect();
        let outside = outside.concat();
        format!(
            "table ip {table} {{
    chain forward {{
        type filter hook forward priority filter; policy accept;
        iifname {open} oifname {open} accept
        iifname {open} ct state established,related accept
        {outside}
        iifname {open} reject with icmp type admin-prohibited
    }}
    chain postrouting {{
        type nat hook postrouting priority srcnat;
        ip saddr {{ {machine}/28, {beyond}/28 }} oifname != {open} masquerade
    }}
}}
table bridge {table} {{
    set cut {{ type ifname; }}
    chain forward {{
        type filter hook forward priority 0;
        ether type {{ ip, ip6 }} iifname @cut drop
        ether type {{ ip, ip6 }} oifname @cut drop
    }}
    chain input {{
        type filter hook input priority 0;
        ether type {{ ip, ip6 }} iifname @cut drop
    }}
    chain output {{
        type filter hook output priority 0;
        ether type {{ ip, ip6 }} oifname @cut drop
    }}
}}
",
            machine = self.machine(),
            beyond = self.beyond()
        )
    }

    /// Drops every packet to and from host `name`, silently.
    pub fn cut(&self, name: &str) -> Result<()> {
        nft(&format!("add element bridge {} cut {{ \"{}\" }}", self.prefix(), self.port(name)))
    }

    /// Ends [`Network::cut`].
    pub fn mend(&self, name: &str) -> Result<()> {
        nft(&format!("delete element bridge {} cut {{ \"{}\" }}", self.prefix(), self.port(name)))
    }

    /// Gives this machine an address beside the further instances' on the public bridge.
    pub fn serve_instances(&self) -> Result<()> {
        let wan = format!("{}-wan", self.prefix());
        let address = format!("10.213.{}.1/24", self.number);
        run("ip", &["address", "add", &address, "dev", &wan]).map(drop)
    }
}

fn nft(rules: &str) -> Result<()> {
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start `nft`")?;
    child.stdin.take().context("no stdin")?.write_all(rules.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("nft refused:\n{rules}\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

fn nameservers() -> BTreeSet<Ipv4Addr> {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    text.lines()
        .filter_map(|line| line.strip_prefix("nameserver"))
        .filter_map(|address| address.trim().parse().ok())
        .collect()
}

/// The addresses of the mirrors and proxies that this machine's apt uses.
fn mirrors() -> BTreeSet<Ipv4Addr> {
    let limit = std::time::Duration::from_secs(20);
    let mut text = "http://deb.debian.org/ http://security.debian.org/\n".to_owned();
    for (program, arguments) in [
        ("apt-config", vec!["dump"]),
        ("apt-get", vec!["indextargets", "--format", "$(SITE)", "Created-By: Packages"]),
    ] {
        if let Ok(output) = output_for(limit, program, &arguments) {
            text += &String::from_utf8_lossy(&output.stdout);
        }
    }
    let words = text.split(|c: char| c.is_whitespace() || c == '"');
    let names: BTreeSet<&str> = words
        .filter_map(|word| word.split_once("://"))
        .filter_map(|(_, rest)| rest.split(['/', ':']).next())
        .filter(|name| !name.is_empty())
        .collect();
    names
        .into_iter()
        .filter_map(|name| (name, 80).to_socket_addrs().ok())
        .flatten()
        .filter_map(|address| match address.ip() {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        })
        .collect()
}
