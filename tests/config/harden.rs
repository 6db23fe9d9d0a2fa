//! What may stand in `[harden]`, and what a node may say of its own.

use insta::assert_snapshot;
use oceanid::cluster::{Firewall, Part};

use crate::{least_with, refused, valid};

#[test]
fn bad_hardening_is_refused() {
    let named = "[[node]]\nname = \"two\"\nrole = \"agent\"\naddress = \"two.example.com\"\n";
    let said = refused([
        ("host bits", least_with("[harden]\nadmin-networks = [\"192.0.2.7/24\"]\n")),
        ("no network", least_with("[harden]\nadmin-networks = [\"home\"]\n")),
        ("block of sshd", least_with("[harden]\nsshd = [\"Match User admin\"]\n")),
        ("lines of sshd", least_with("[harden]\nsshd = [\"AllowUsers a\\nDenyUsers b\"]\n")),
        ("firewall", least_with("[harden]\nfirewall = \"iptables\"\n")),
        ("of a node", least_with("harden = { swap = \"no\" }\n")),
        ("a node that firewalls cannot know", least_with(named)),
    ]);
    assert_snapshot!(said);
    valid(&least_with(&format!("{named}behind-nat = true\n")));
    valid(&least_with(&format!("{named}node-ip = \"10.0.0.2\"\n")));
    valid(&least_with(&format!("{named}[harden]\nfirewall = \"off\"\n")));
}

#[test]
fn what_a_node_says_goes_before_what_is_said_of_all() {
    let cluster = valid(&least_with(
        "harden = { swap = false, firewall = \"off\" }\n\
         [[node]]\nname = \"two\"\nrole = \"agent\"\naddress = \"10.0.0.2\"\n\
         [harden]\nswap = true\njournal = false\nadmin-networks = [\"198.51.100.0/24\", \"203.0.113.7\"]\n",
    ));
    let [one, two] = cluster.hosts.as_slice() else { panic!("two nodes") };
    assert_eq!(one.harden.choice(Part::Swap), Some(false));
    assert_eq!(two.harden.choice(Part::Swap), Some(true));
    assert_eq!((one.harden.firewall, two.harden.firewall), (Firewall::Off, Firewall::Ufw));
    assert!(!one.harden.has(Part::Journal) && one.harden.has(Part::Kernel));
    assert_eq!(one.harden.admin_networks[1].to_string(), "203.0.113.7/32");
    assert_eq!(one.harden.admin_networks, two.harden.admin_networks);
    assert!(two.behind_nat && !one.behind_nat, "the server is public, this node is not");
}
