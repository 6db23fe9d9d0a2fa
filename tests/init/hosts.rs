//! A person with only the README before bare hosts: init, plan, bootstrap, at a real terminal; needs root.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use lab::{HostSpec, Privilege, Release, Topology};

use crate::operator::{Operator, Said};
use crate::terminal::Terminal;

/// What the person types at sudo's question.
const PASSWORD: &str = "canary-sudo-calypso";

/// A folder of the person's own, with nothing in it but what a closed network needs.
struct Desk<'a> {
    operator: &'a Operator,
    folder: PathBuf,
}

impl Desk<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.operator.command(arguments);
        command.current_dir(&self.folder);
        command
    }

    fn run(&self, arguments: &[&str]) -> Said {
        Said::of(self.command(arguments))
    }

    /// At a terminal, where sudo's password is asked for.
    fn types_password(&self, arguments: &[&str]) -> Terminal {
        let mut terminal = Terminal::start(&self.command(arguments));
        terminal.sees("Password of oceanid for sudo");
        terminal.types(PASSWORD);
        terminal
    }

    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.folder.join(file)).expect("it was written")
    }
}

#[test]
fn a_person_brings_bare_hosts_to_a_cluster_by_what_is_shown_alone() {
    let operator = Operator::before(Topology::of(vec![
        HostSpec::new("tethys"),
        HostSpec::new("calypso")
            .release(Release::Debian13)
            .login("oceanid", Privilege::SudoPassword(PASSWORD.to_owned()))
            .at_home(),
    ]));
    let folder = operator.folder.join("lagoon");
    fs::create_dir(&folder).expect("ours");
    let desk = Desk { operator: &operator, folder };
    fs::write(desk.folder.join("mirrors.toml"), mirrors(&operator)).expect("ours");
    forget_calypso(&operator);
    let known = fs::read_to_string(operator.lab.known_hosts()).expect("there");
    the_dialog_writes_a_file(&desk);
    assert_eq!(fs::read_to_string(operator.lab.known_hosts()).expect("there"), known);
    what_was_written_is_what_the_hosts_are(&desk);
    a_script_asks_nothing_and_takes_no_unknown_key(&desk);
    the_file_is_planned_and_bootstrapped_as_it_is(&desk);
    let again = desk.run(&["init"]).exits(1).stderr;
    assert!(again.contains("never overwritten"), "{again}");
}

/// What this lab's network and kernel need, as an operator with a mirror would bring it along.
fn mirrors(operator: &Operator) -> String {
    let table: toml::Table =
        operator.lab.cluster_toml().expect("served").to_string().parse().expect("TOML");
    let mut k3s = toml::Table::new();
    for key in ["version", "server", "agent"] {
        k3s.extend(table["k3s"].get(key).map(|value| (key.to_owned(), value.clone())));
    }
    let mut mirrors = toml::Table::new();
    mirrors.insert("k3s".to_owned(), k3s.into());
    mirrors.insert("sources".to_owned(), table["sources"].clone());
    mirrors.to_string()
}

/// Nobody has ever seen its key.
fn forget_calypso(operator: &Operator) {
    let address = operator.lab.host("calypso").address.to_string();
    let file = operator.lab.known_hosts();
    let known = fs::read_to_string(&file).expect("the lab wrote it");
    let others: String = known
        .lines()
        .filter(|line| !line.starts_with(&address))
        .flat_map(|line| [line, "\n"])
        .collect();
    fs::write(&file, others).expect("ours");
}

fn place(desk: &Desk<'_>, name: &str) -> String {
    let host = desk.operator.lab.host(name);
    let mut place = format!("{}@{}", host.spec.login.user, host.address);
    if name == "calypso" {
        place = format!("{place} jump=jump@{}", desk.operator.lab.host("gate").address);
    }
    place
}

fn the_dialog_writes_a_file(desk: &Desk<'_>) {
    let calypso = desk.operator.lab.host("calypso");
    let fingerprint = calypso.fingerprint().expect("a host key");
    let mut terminal = Terminal::start(&desk.command(&["init", "--with", "mirrors.toml"]));
    terminal.sees("Name of the cluster [lagoon]");
    terminal.types("");
    let question = "Host (user@address";
    terminal.sees(question);
    terminal.types(&place(desk, "tethys"));
    terminal.sees("tethys: debian 12");
    terminal.sees(question);
    // A slip of the finger is said, and asked again.
    terminal.types(&format!("root@{}:1", desk.operator.lab.host("tethys").address));
    terminal.sees("connection refused");
    terminal.sees(question);
    terminal.types(&place(desk, "calypso"));
    terminal.sees(&fingerprint);
    terminal.sees("Is it the right one");
    terminal.presses("n");
    terminal.sees("without the right key");
    terminal.sees(question);
    terminal.types(&place(desk, "calypso"));
    terminal.sees("Is it the right one");
    terminal.presses("y");
    terminal.sees("Password of oceanid for sudo");
    terminal.types(PASSWORD);
    terminal.sees("calypso: debian 13");
    terminal.sees(question);
    terminal.types("");
    for name in ["tethys", "calypso"] {
        terminal.sees(&format!("[{name}]"));
        terminal.types("");
    }
    terminal.sees("The server, which runs the control plane");
    terminal.types("");
    terminal.sees("[[node]]");
    terminal.sees("Write this to cluster.toml?");
    assert!(!desk.folder.join("cluster.toml").exists(), "nothing is written before the answer");
    terminal.types("");
    let (code, shown) = terminal.ends();
    assert_eq!(code, 0, "{shown}");
    assert!(
        shown.contains("wrote cluster.toml: cluster `lagoon`, 2 nodes, server tethys"),
        "{shown}"
    );
    assert!(!shown.contains(PASSWORD), "the password is on the screen");
}

fn what_was_written_is_what_the_hosts_are(desk: &Desk<'_>) {
    let text = desk.text("cluster.toml");
    assert!(!text.contains(PASSWORD), "{text}");
    let table: toml::Table = text.parse().expect("TOML");
    let node = |index: usize| table["node"][index].as_table().expect("a node").clone();
    let fingerprint = desk.operator.lab.host("calypso").fingerprint().expect("a host key");
    assert_eq!(
        node(1)["host-key"].as_str(),
        fingerprint.split(' ').find(|word| word.starts_with("SHA256:"))
    );
    assert_eq!(node(0)["role"].as_str(), Some("server"));
    assert_eq!(node(0)["external-ip"], node(0)["address"]);
    assert_eq!(node(1)["behind-nat"].as_bool(), Some(true), "{text}");
    // Containers do not show WireGuard, and that is said.
    assert!(text.contains("NOT encrypted"), "{text}");
    assert!(text.contains("# sudo-password = { env = \"CALYPSO_SUDO\" }"), "{text}");
    let said = desk.operator.run(&["-f", "lagoon/cluster.toml", "validate"]).exits(0);
    assert!(said.stdout.contains("1 server, 1 agents"), "{}", said.stdout);
    let listed = fs::read_dir(&desk.folder).expect("readable").count();
    assert_eq!(listed, 2, "the file and the mirrors, nothing else");
}

fn a_script_asks_nothing_and_takes_no_unknown_key(desk: &Desk<'_>) {
    let (tethys, calypso) = (place(desk, "tethys"), place(desk, "calypso"));
    let fresh =
        ["-f", "fresh.toml", "init", "--with", "mirrors.toml", "--name", "lagoon", "--from"];
    let refused = desk.run(&[&fresh[..], &[&tethys, &calypso]].concat()).exits(3).stderr;
    let fingerprint = desk.operator.lab.host("calypso").fingerprint().expect("a host key");
    let known = format!("{calypso} {}", fingerprint.split(' ').next_back().expect("a word"));
    let paste = format!("`--from \"{known}\"`");
    let plain = refused.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(plain.contains(&paste), "{paste}\n{refused}");
    assert!(!desk.folder.join("fresh.toml").exists());
    let secret = "[ssh]\nsudo-password = { env = \"CALYPSO_SUDO\" }\n";
    let mirrors = desk.text("mirrors.toml");
    fs::write(desk.folder.join("closed.toml"), format!("{mirrors}{secret}")).expect("ours");
    let fresh = fresh.map(|word| if word == "mirrors.toml" { "closed.toml" } else { word });
    let mut command = desk.command(&[&fresh[..], &["-", "--json"]].concat());
    let list = desk.folder.join("hosts.txt");
    fs::write(&list, format!("# ours\n{tethys}\n{known}\n")).expect("ours");
    command.stdin(Stdio::from(fs::File::open(list).expect("there")));
    let event = Said::of(command).exits(0).events("initialized").remove(0);
    assert_eq!(event["nodes"], serde_json::json!(["tethys", "calypso"]));
    let nodes = |file: &str| {
        let table: toml::Table = desk.text(file).parse().expect("TOML");
        table["node"].as_array().expect("nodes").clone()
    };
    assert_eq!(nodes("fresh.toml"), nodes("cluster.toml"));
    desk.run(&["-f", "fresh.toml", "plan"]).exits(0);
}

fn the_file_is_planned_and_bootstrapped_as_it_is(desk: &Desk<'_>) {
    let before = desk.text("cluster.toml");
    let (code, shown) = desk.types_password(&["plan", "--diff"]).ends();
    assert_eq!(code, 0, "{shown}");
    let mut terminal = desk.types_password(&["bootstrap"]);
    terminal.sees("Make these ");
    terminal.presses("y");
    terminal.patient().sees("2 hosts: 0 unchanged, 2 changed");
    let (code, shown) = terminal.ends();
    assert_eq!(code, 0, "{shown}");
    let (code, shown) = desk.types_password(&["bootstrap"]).ends();
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("2 hosts: 2 unchanged, 0 changed"), "{shown}");
    let (code, shown) = desk.types_password(&["status"]).ends();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(shown.matches(" ready").count(), 2, "{shown}");
    assert_eq!(desk.text("cluster.toml"), before, "it was not edited");
}
