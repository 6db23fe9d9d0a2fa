//! What an operator reads when a host cannot be entered: the shipped program before real hosts.
#![expect(clippy::unwrap_used, reason = "a test")]

#[path = "links/desk.rs"]
mod desk;

use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use lab::{HostSpec, Lab, Privilege, Topology};

use desk::{Desk, Node, keygen};

const PASSWORD: &str = "canary-sudo-meliae";

fn lab() -> Lab {
    Lab::up(Topology::of(vec![
        HostSpec::new("tethys"),
        HostSpec::new("meliae").login("ubuntu", Privilege::SudoPassword(PASSWORD.to_owned())),
        HostSpec::new("calypso").at_home(),
    ]))
    .unwrap()
}

#[test]
fn each_way_to_be_turned_away_has_a_message_and_an_end_of_its_own() {
    let lab = lab();
    thread::scope(|scope| {
        scope.spawn(|| keys(&lab));
        scope.spawn(|| host_keys(&lab));
        scope.spawn(|| sudo(&lab));
        scope.spawn(|| jumps(&lab));
        scope.spawn(|| silence(&lab));
    });
    broken_lines(&lab);
    at_a_terminal(&lab);
}

/// Wrong user, wrong key, no key.
fn keys(lab: &Lab) {
    let desk = Desk::new(lab);
    let tethys = Node::of(lab.host("tethys"));
    desk.tells("wrong_user", &[tethys.clone().user("stranger")], 3, 20);
    let stranger = desk.path("stranger");
    keygen(&stranger, "");
    desk.tells("wrong_key", &[tethys.clone().key(&stranger)], 3, 20);
    desk.tells("missing_key", &[tethys.clone().key(&desk.path("nowhere"))], 1, 20);
    let locked = desk.path("locked");
    keygen(&locked, "sesame");
    let public = std::fs::read_to_string(locked.with_extension("pub")).unwrap();
    let add = format!("echo '{}' >>/root/.ssh/authorized_keys", public.trim());
    lab.host("tethys").exec(&add).unwrap();
    desk.tells("encrypted_key_without_a_terminal", &[tethys.key(&locked)], 3, 20);
}

fn host_keys(lab: &Lab) {
    let desk = Desk::new(lab);
    let host = lab.host("tethys");
    let tethys = Node::of(host);
    desk.know("");
    desk.tells("unknown_host_key", std::slice::from_ref(&tethys), 3, 20);
    let other = lab.host("meliae").host_key("ed25519").unwrap();
    desk.know(&format!("{} {other}\n", host.address));
    desk.tells("changed_host_key", std::slice::from_ref(&tethys), 3, 20);
    desk.know(&format!("@revoked {} {}\n", host.address, host.host_key("ed25519").unwrap()));
    desk.tells("revoked_host_key", std::slice::from_ref(&tethys), 3, 20);
    desk.know("");
    desk.tells("pinned_key_differs", &[tethys.set("host-key", &format!("'{other}'"))], 3, 20);
}

fn sudo(lab: &Lab) {
    let desk = Desk::new(lab);
    let host = lab.host("meliae");
    let meliae = Node::of(host);
    let with =
        |secret: &str| meliae.clone().set("sudo-password", &format!("{{ env = '{secret}' }}"));
    desk.tells("no_sudo_password", std::slice::from_ref(&meliae), 3, 30);
    desk.tells("wrong_sudo_password", &[with("WRONG")], 3, 30);
    host.exec("mv /usr/bin/sudo /usr/bin/sudo.away").unwrap();
    desk.tells("no_sudo", &[with("RIGHT")], 3, 30);
    host.exec("mv /usr/bin/sudo.away /usr/bin/sudo").unwrap();
    host.exec("mkdir /root/away; mv /etc/sudoers.d/* /root/away").unwrap();
    desk.tells("not_in_sudoers", &[with("RIGHT")], 3, 30);
    host.exec("echo 'ubuntu ALL=(ALL) /bin/true' >/etc/sudoers.d/little").unwrap();
    desk.tells("sudo_allows_something_else", &[with("RIGHT")], 3, 30);
    host.exec("rm /etc/sudoers.d/little; mv /root/away/* /etc/sudoers.d/").unwrap();
    desk.run(&[with("RIGHT")]).exits(0);
}

fn jumps(lab: &Lab) {
    let desk = Desk::new(lab);
    let (gate, calypso) = (lab.host("gate"), Node::of(lab.host("calypso")));
    desk.tells(
        "jump_host_lets_nobody_in",
        &[calypso.clone().set("jump", &format!("['jump@{}:22']", gate.address))],
        3,
        20,
    );
    desk.configure_jump(&gate.address.to_string());
    let through =
        |port: u16| calypso.clone().set("jump", &format!("['jump@{}:{port}']", gate.address));
    desk.tells("jump_host_refuses", &[through(2)], 3, 20);
    desk.tells("host_behind_the_jump_refuses", &[through(22).set("port", "2")], 3, 20);
    let other = lab.host("meliae").host_key("ed25519").unwrap();
    desk.know(&format!("{} {other}\n", gate.address));
    desk.tells("jump_host_changed_its_key", &[through(22)], 3, 20);
}

/// Nothing listens, nobody answers, nothing is said.
fn silence(lab: &Lab) {
    let mut desk = Desk::new(lab);
    let tethys = Node::of(lab.host("tethys"));
    desk.tells("connection_refused", &[tethys.clone().set("port", "2")], 3, 20);
    // The lab's network has sixteen addresses, and only the first are hosts.
    let nobody = std::net::Ipv4Addr::from(u32::from(lab.machine()) + 12).to_string();
    desk.call(&nobody, "<nobody>");
    let nobody = tethys.clone().address(&nobody);
    desk.tells("nobody_at_that_address", &[nobody], 3, 20);
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = mute.local_addr().unwrap().port();
    desk.tells("says_nothing", &[tethys.clone().address("127.0.0.1").port(port)], 3, 30);
    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = web.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut client in web.incoming().flatten() {
            let page =
                "HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\n<html>no</html>\r\n".repeat(9);
            std::io::Write::write_all(&mut client, page.as_bytes()).ok();
        }
    });
    desk.tells("no_ssh_server", &[tethys.address("127.0.0.1").port(port)], 3, 30);
}

/// Links that end while a script runs; needs the hosts for itself.
fn broken_lines(lab: &Lab) {
    let desk = Desk::new(lab);
    let host = lab.host("tethys");
    let tethys = [Node::of(host)];
    host.exec(
        "printf '#!/bin/sh\\nsleep 60\\n' >/usr/local/sbin/date; chmod 755 /usr/local/sbin/date",
    )
    .unwrap();
    thread::scope(|scope| {
        scope.spawn(|| desk.tells("link_ends_while_a_script_runs", &tethys, 1, 25));
        thread::sleep(Duration::from_secs(4));
        host.exec("pkill -KILL -f 'sshd: [r]oot@notty'").unwrap();
    });
    thread::scope(|scope| {
        scope.spawn(|| desk.tells("line_is_cut_while_a_script_runs", &tethys, 1, 30));
        thread::sleep(Duration::from_secs(4));
        host.cut().unwrap();
    });
    desk.tells("host_is_cut_off", &tethys, 3, 20);
    host.mend().unwrap();
    host.exec("rm /usr/local/sbin/date").unwrap();
}

fn at_a_terminal(lab: &Lab) {
    let desk = Desk::new(lab);
    let (tethys, meliae) = (Node::of(lab.host("tethys")), Node::of(lab.host("meliae")));
    let known = std::fs::read_to_string(lab.known_hosts()).unwrap();
    desk.know("");
    let fingerprint = lab.host("tethys").fingerprint().unwrap();
    let screen = desk.type_at(std::slice::from_ref(&tethys), &[("Is it the right one?", "n\r")]);
    assert!(screen.text.contains(&fingerprint), "{}", screen.text);
    assert_eq!((screen.code, desk.known().as_str()), (3, ""), "{}", screen.text);
    let screen = desk.type_at(std::slice::from_ref(&tethys), &[("Is it the right one?", "y\r")]);
    assert_eq!(screen.code, 0, "{}", screen.text);
    assert!(desk.known().contains(&lab.host("tethys").host_key("ed25519").unwrap()));
    let screen = desk.type_at(std::slice::from_ref(&tethys), &[]);
    assert_eq!(screen.code, 0, "{}", screen.text);

    desk.know(&known);
    let screen = desk.type_at(std::slice::from_ref(&meliae), &[("for sudo on meliae", "wrong\r")]);
    assert_eq!(screen.code, 3, "{}", screen.text);
    assert_eq!(screen.text.matches("the sudo password is wrong").count(), 1, "{}", screen.text);
    assert_eq!(screen.text.matches("[hidden]").count(), screen.asked, "{}", screen.text);
    let answer = format!("{PASSWORD}\r");
    let screen = desk.type_at(std::slice::from_ref(&meliae), &[("for sudo on meliae", &answer)]);
    assert_eq!(screen.code, 0, "{}", screen.text);
    assert!(!screen.text.contains(PASSWORD), "{}", screen.text);

    let locked = desk.path("locked");
    keygen(&locked, "sesame");
    let public = std::fs::read_to_string(locked.with_extension("pub")).unwrap();
    for host in ["tethys", "calypso"] {
        let line = public.trim();
        let add = format!("echo '{line}' >>/root/.ssh/authorized_keys");
        lab.host(host).exec(&add).unwrap();
    }
    let gate = lab.host("gate");
    desk.configure_jump(&gate.address.to_string());
    let calypso = Node::of(lab.host("calypso"))
        .set("jump", &format!("['jump@{}:22']", gate.address))
        .key(&locked);
    let both = [tethys.key(&locked), calypso];
    let screen = desk.type_at(&both, &[("Passphrase of", "sesame\r")]);
    assert_eq!(screen.code, 0, "{}", screen.text);
    assert!(!screen.text.contains("sesame"), "{}", screen.text);
    let screen = desk.type_at(&both, &[("Passphrase of", "wrong\r")]);
    assert_eq!(screen.code, 3, "{}", screen.text);
    assert!(screen.text.contains("passphrase is wrong"), "{}", screen.text);
}

#[test]
fn a_changed_host_key_ends_the_talk_before_any_login() {
    let lab = Lab::up(Topology::one()).unwrap();
    let host = lab.host("tethys");
    let desk = Desk::new(&lab);
    let node = [Node::of(host)];
    desk.run(&node).exits(0);
    let log = |since: usize| {
        let text = host.journal("ssh").unwrap();
        text.chars().skip(since).collect::<String>()
    };
    let before = log(0).chars().count();
    host.change_host_keys().unwrap();
    desk.run(&node).exits(3);
    let seen = log(before);
    assert!(seen.contains("Connection from "), "{seen}");
    for word in ["userauth", "Accepted", "Failed", "authenticating user", "Starting session"] {
        assert!(!seen.contains(word), "{word}: {seen}");
    }
}
