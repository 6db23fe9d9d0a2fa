//! What can be reached from where: something listens on many ports, and everybody tries them all.

use std::collections::BTreeSet;
use std::process::Command;

use lab::Host;

use super::{NODES, Operator, shell};

/// Something listens on each of them, so that what does not answer is kept away.
const PORTS: [u16; 10] = [22, 80, 443, 2379, 2380, 6443, 8000, 10250, 10256, 30080];

/// Lets something listen on every port of every node.
pub fn listen(operator: &Operator) {
    let program = "import socket, sys, time\n\
        for port in sys.argv[1:]:\n\
        \x20   try: server = socket.create_server((\"\", int(port))); globals()[port] = server\n\
        \x20   except OSError as error: print(port, error)\n\
        time.sleep(10000)\n";
    let ports = PORTS.map(|port| port.to_string()).join(" ");
    for host in NODES.map(|name| operator.lab.host(name)) {
        std::fs::write(host.root().join("root/listen.py"), program).expect("its root is ours");
        shell(
            host,
            &format!(
                "systemctl -q stop listen 2>/dev/null; systemd-run -q --unit listen python3 /root/listen.py {ports}\n\
                 until ss -Htln | grep -q ':30080 '; do sleep 0.1; done"
            ),
        );
    }
}

/// The ports of `to` that can be reached with the shell that runs `command`.
fn reached(mut command: Command, to: &Host) -> BTreeSet<u16> {
    let ports = PORTS.map(|port| port.to_string()).join(" ");
    let script = format!(
        "for port in {ports}; do\n\
         ( timeout 2 bash -c \"exec 3<>/dev/tcp/{}/$port\" 2>/dev/null && echo \"$port\" ) &\ndone\nwait",
        to.address
    );
    let output = command.arg(script).output().expect("it runs");
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    said.lines().map(|port| port.parse().expect("a port")).collect()
}

fn from_host(host: &Host) -> Command {
    let mut command = Command::new("nsenter");
    command.args([
        "--target",
        &host.leader().expect("it is up").to_string(),
        "--net",
        "bash",
        "-c",
    ]);
    command
}

fn from_here() -> Command {
    let mut command = Command::new("bash");
    command.arg("-c");
    command
}

#[track_caller]
pub fn only_what_was_meant_is_open(operator: &Operator) {
    let host = |name: &str| operator.lab.host(name);
    let expected: [(&str, &str, &[u16]); 10] = [
        ("here", "tethys", &[22, 6443]),
        ("outer", "tethys", &[22]),
        ("styx", "tethys", &[22, 6443, 10250]),
        ("meliae", "tethys", &[22, 6443, 10250]),
        ("tethys", "styx", &[22, 10250]),
        ("outer", "styx", &[22]),
        ("here", "styx", &[22]),
        ("tethys", "meliae", &[22, 10250]),
        ("outer", "meliae", &[22]),
        ("here", "meliae", &[22]),
    ];
    std::thread::scope(|scope| {
        let scan = |(from, to, ports)| {
            let command = if from == "here" { from_here() } else { from_host(host(from)) };
            (from, to, ports, scope.spawn(move || reached(command, host(to))))
        };
        for (from, to, ports, scan) in expected.map(scan) {
            let open: Vec<u16> = scan.join().expect("a scan").into_iter().collect();
            assert_eq!(open, ports, "from {from} to {to}");
        }
    });
    let rules = shell(host("styx"), "iptables -S ufw-user-input | grep 8472");
    for name in ["tethys", "meliae"] {
        let rule = format!("-s {}/32 -p udp -m udp --dport 8472 -j ACCEPT", host(name).address);
        assert!(rules.contains(&rule), "{rules}");
    }
    assert_eq!(rules.lines().count(), 2, "{rules}");
}
