//! A tunnel from a bare node to the edge and back: connected, changed, refused, put back, looked after; needs root.

mod ground;
#[path = "../support/lab.rs"]
mod operator;

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ground::{ACCOUNT, Ground, ONLY, OWN, REMOTE, SECRETS, base64};
use operator::Said;
use serde_json::json;

/// What was changed, by subject.
fn changed(said: &Said) -> Vec<String> {
    let all = said.events("change-done");
    all.iter().map(|event| event["subject"].as_str().expect("text").to_owned()).collect()
}

/// The names of the known causes that were found.
fn found(said: &Said) -> Vec<String> {
    let failures = said.events("host-failed");
    let findings =
        failures.iter().flat_map(|event| event["findings"].as_array().cloned().unwrap_or_default());
    findings.map(|finding| finding["name"].as_str().expect("text").to_owned()).collect()
}

#[test]
fn a_tunnel_is_connected_changed_refused_put_back_and_looked_after() {
    let mut ground = Ground::up();
    what_cannot_work_is_said_and_nothing_serves(&mut ground);
    a_bare_node_is_connected_and_a_second_run_does_nothing(&mut ground);
    ingress_restarts_cloudflared_alone_and_a_wrong_one_nothing(&mut ground);
    a_new_token_proves_a_new_connection_and_a_bad_one_is_put_back(&mut ground);
    the_watchdog_starts_it_again(&ground);
    another_connector_is_refused_or_taken_over(&mut ground);
    the_units_are_well_made(&ground);
    secrets_are_in_their_files_alone(&ground);
}

fn what_cannot_work_is_said_and_nothing_serves(ground: &mut Ground) {
    ground.operator.run(&["bootstrap", "--yes", "--only", "prepare"]).exits(0);
    ground.opens("own", REMOTE, SECRETS[0]);
    let said = ground.operator.run(&ONLY).exits(1);
    assert!(said.stderr.contains("it opens another tunnel:"), "{}", said.stderr);
    ground.opens("own", OWN, SECRETS[1]);
    let said = ground.run("tethys", 1);
    assert_eq!(found(&said), ["tunnel-unauthorized"], "{}", said.stdout);
    ground.opens("own", OWN, SECRETS[0]);
    ground.exec("tethys", "iptables -I OUTPUT -p tcp --dport 7844 -j REJECT; iptables -I OUTPUT -p udp --dport 7844 -j DROP");
    let said = ground.run("tethys", 1);
    assert_eq!(found(&said), ["edge-blocked"], "{}", said.stdout);
    ground.exec(
        "tethys",
        "iptables -F OUTPUT; systemctl stop cloudflared; systemctl reset-failed cloudflared || :",
    );
    assert_eq!(ground.get("own.example.com", "/"), 530);
}

fn a_bare_node_is_connected_and_a_second_run_does_nothing(ground: &mut Ground) {
    ground.run("tethys", 0);
    assert_eq!(ground.get("own.example.com", "/"), 200);
    assert_eq!(ground.get("none.example.com", "/"), 404);
    let start = ground.start("tethys");
    let second = ground.run("tethys", 0);
    assert_eq!(changed(&second), Vec::<String>::new());
    assert_eq!(ground.start("tethys"), start);
    let plan =
        ground.operator.run(&["plan", "--only", "cloudflared", "tethys", "--detailed-exitcode"]);
    plan.exits(0);
    let lock = fs::read_to_string(ground.operator.folder.join("oceanid.lock")).expect("written");
    assert!(lock.contains("[cloudflared]") && lock.contains("2026.8.2"), "{lock}");
}

fn ingress_restarts_cloudflared_alone_and_a_wrong_one_nothing(ground: &mut Ground) {
    let rule = |path: &str| {
        let mut rule = toml::Table::new();
        rule.insert("path".into(), path.into());
        rule.insert("service".into(), "http_status:418".into());
        toml::Value::Array(vec![rule.into()])
    };
    ground.tunnel(0, |tunnel| drop(tunnel.insert("ingress".into(), rule("^/tea"))));
    let said = ground.run("tethys", 0);
    assert_eq!(
        changed(&said),
        ["file /etc/oceanid/cloudflared/config.yml", "unit cloudflared.service"]
    );
    assert_eq!(
        (ground.get("own.example.com", "/tea"), ground.get("own.example.com", "/")),
        (418, 200)
    );
    let start = ground.start("tethys");
    ground.tunnel(0, |tunnel| drop(tunnel.insert("ingress".into(), rule("^/(tea"))));
    let said = ground.run("tethys", 1);
    assert!(said.stdout.contains("Rule #1 has an invalid regex"), "{}", said.stdout);
    assert_eq!(ground.start("tethys"), start);
    assert_eq!(ground.get("own.example.com", "/tea"), 418);
    ground.tunnel(0, |tunnel| drop(tunnel.remove("ingress")));
    ground.run("tethys", 0);
}

fn a_new_token_proves_a_new_connection_and_a_bad_one_is_put_back(ground: &mut Ground) {
    let before = ground.connectors(OWN);
    ground.secrets[0] = SECRETS[1];
    ground.know();
    ground.opens("own", OWN, SECRETS[1]);
    let said = ground.run("tethys", 0);
    assert_eq!(
        changed(&said),
        ["file /etc/oceanid/cloudflared/credentials", "unit cloudflared.service"]
    );
    let after = ground.connectors(OWN);
    assert!(after.len() == 1 && after != before, "{before:?} and {after:?}");
    ground.opens("own", OWN, SECRETS[0]);
    let begun = Instant::now();
    let said = ground.run("tethys", 5);
    assert!(begun.elapsed() < Duration::from_secs(60), "it was away for {:?}", begun.elapsed());
    assert_eq!(found(&said), ["tunnel-unauthorized"], "{}", said.stdout);
    assert_eq!(ground.get("own.example.com", "/"), 200);
    ground.opens("own", OWN, SECRETS[1]);
    let start = ground.start("tethys");
    ground.run("tethys", 0);
    assert_eq!(ground.start("tethys"), start, "it runs with what it ran with");
}

fn the_watchdog_starts_it_again(ground: &Ground) {
    let watch = || {
        ground.exec("tethys", "systemctl start cloudflared-watchdog.service; cat /var/lib/oceanid/cloudflared/watchdog 2>/dev/null || :")
    };
    assert_eq!(watch(), "", "it is well");
    let start = ground.start("tethys");
    ground.exec("tethys", "systemctl kill -s STOP cloudflared");
    let noted = watch();
    assert!(noted.contains("runs, and /ready is bad"), "{noted}");
    sleep(Duration::from_secs(11));
    let restarted = watch();
    assert!(restarted.contains(" 1 ") && restarted.contains("restarted: "), "{restarted}");
    let limit = Instant::now() + Duration::from_secs(70);
    let up = || {
        ground
            .operator
            .lab
            .host("tethys")
            .output("systemctl is-active cloudflared")
            .expect("a shell")
            .status
            .success()
    };
    while !up() || ground.start("tethys") == start {
        assert!(
            Instant::now() < limit,
            "{}",
            ground.exec("tethys", "systemctl status cloudflared || :")
        );
        sleep(Duration::from_millis(300));
    }
    assert!(watch().contains("connected again"), "{}", watch());
    let said =
        ground.exec("tethys", "journalctl --sync; journalctl -q -u cloudflared-watchdog -o cat");
    for line in ["/ready is bad", "restarting cloudflared.service, bad for", "is connected again"] {
        assert!(said.contains(line), "no `{line}` in {said}");
    }
    assert_eq!(ground.exec("tethys", "systemctl is-enabled cloudflared-watchdog.timer"), "enabled");
    ground.exec("tethys", "systemctl stop cloudflared");
    watch();
    let stopped = ground
        .operator
        .lab
        .host("tethys")
        .output("systemctl is-active cloudflared")
        .expect("a shell");
    assert!(!stopped.status.success(), "what was stopped on purpose stays");
    ground.exec("tethys", "systemctl start cloudflared");
}

fn another_connector_is_refused_or_taken_over(ground: &mut Ground) {
    let token = base64(&json!({ "a": ACCOUNT, "t": REMOTE, "s": SECRETS[2] }).to_string());
    let program = ground.exec("tethys", "sha256sum /usr/local/lib/oceanid/cloudflared");
    let root = |name: &str| ground.operator.lab.host(name).root();
    fs::create_dir_all(root("styx").join("etc/cloudflared")).expect("ours");
    fs::copy(
        root("tethys").join("usr/local/lib/oceanid/cloudflared"),
        root("styx").join("usr/bin/cloudflared"),
    )
    .expect("ours");
    fs::write(root("styx").join("etc/cloudflared/token"), token).expect("ours");
    let unit = "[Unit]\nDescription=cloudflared\nAfter=network-online.target\n[Service]\nTimeoutStartSec=15\nType=notify\n\
                ExecStart=/usr/bin/cloudflared --no-autoupdate tunnel run --token-file /etc/cloudflared/token\n\
                Restart=on-failure\nRestartSec=5s\n[Install]\nWantedBy=multi-user.target\n";
    for name in ["cloudflared", "second"] {
        fs::write(root("styx").join(format!("etc/systemd/system/{name}.service")), unit)
            .expect("ours");
    }
    ground.exec("styx", "systemctl daemon-reload; systemctl -q enable --now cloudflared second");
    assert_eq!(ground.connectors(REMOTE).len(), 2);
    let refused = ground.run("styx", 1);
    for says in [
        "set up there already, by somebody else",
        "/etc/systemd/system/second.service",
        "take-over = true",
    ] {
        assert!(refused.stdout.contains(says), "no `{says}` in {}", refused.stdout);
    }
    ground.tunnel(1, |tunnel| drop(tunnel.insert("take-over".into(), true.into())));
    ground.operator.edit(|table| {
        table["k3s"].as_table_mut().expect("a section").insert("delivery".into(), "push".into());
    });
    ground.settings("protocol", "quic");
    ground.exec("styx", "iptables -I OUTPUT -p udp --dport 7844 -j DROP");
    let blocked = ground.run("styx", 5);
    assert_eq!(found(&blocked), ["edge-udp-blocked"], "{}", blocked.stdout);
    assert_eq!(
        ground.exec("styx", "grep -c oceanid /etc/systemd/system/cloudflared.service || :"),
        "0"
    );
    ground.settings("protocol", "auto");
    ground.run("styx", 0);
    assert_eq!(ground.connectors(REMOTE).len(), 1);
    let (code, _) = ground
        .edge
        .get("far.example.com", "/k3s/v1.36.3+k3s1/sha256sum-amd64.txt", &[])
        .expect("an answer");
    assert_eq!(code, 200);
    assert_eq!(changed(&ground.run("styx", 0)), Vec::<String>::new());
    assert_eq!(ground.exec("styx", "sha256sum /usr/local/lib/oceanid/cloudflared"), program);
    let asked = ground.operator.lab.releases().expect("served").requests();
    let downloads = asked.iter().filter(|path| path.ends_with("cloudflared-linux-amd64")).count();
    assert_eq!(downloads, 2, "once to lock it and to send it to styx, once by tethys");
}

fn the_units_are_well_made(ground: &Ground) {
    for node in ["tethys", "styx"] {
        let units =
            "/etc/systemd/system/cloudflared.service /etc/systemd/system/cloudflared-watchdog.*";
        let verdict = ground.exec(node, &format!("systemd-analyze verify --man=no {units} 2>&1"));
        assert!(!verdict.contains("cloudflared"), "{node}: {verdict}");
        // It fails where the exposure is more than 2.5.
        for unit in ["cloudflared", "cloudflared-watchdog"] {
            let command = "systemd-analyze security --no-pager --threshold=25";
            ground.exec(node, &format!("{command} {unit}.service"));
        }
    }
}

fn secrets_are_in_their_files_alone(ground: &Ground) {
    let credentials = "/etc/oceanid/cloudflared/credentials";
    // What it had before is kept for who takes it back.
    let kept = |file: &str| file.starts_with("/var/lib/oceanid/undo/") && file.ends_with("/file");
    let handed = |file: &str| file.starts_with("/run/credentials/cloudflared.service/");
    for (number, secret) in SECRETS.iter().enumerate() {
        assert!(!ground.said.contains(secret), "it was said");
        // In a token it stands once more in base64, after as many bytes as here.
        let inner = &base64(&format!("\"{secret}"))[8..60];
        // In two halves: who looks for it must not have it in its own arguments.
        let halves = |text: &str| format!("{}''{}", &text[..9], &text[9..]);
        let needles = format!("-e {} -e {}", halves(secret), halves(inner));
        for node in ["tethys", "styx"] {
            let roots = "/etc /var /root /home /run /opt /usr/local /srv /tmp";
            let files = ground.exec(node, &format!("grep -rlsF {needles} {roots} | sort || :"));
            let here = ["tethys", "tethys", "styx"][number] == node;
            let in_use = number != 0 && here;
            assert_eq!(files.lines().any(|file| file == credentials), in_use, "{node}: {files}");
            for file in files.lines().filter(|file| *file != "/etc/cloudflared/token") {
                assert!(file == credentials || kept(file) || handed(file), "{node}: {file}");
                let mode = ground.exec(node, &format!("stat -c %a {file}"));
                let own = if handed(file) { ["400", "440"] } else { ["600", "600"] };
                assert!(own.contains(&mode.as_str()), "{node}: {file} {mode}");
            }
            let all =
                "all=$(cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n')";
            let processes = format!("{all}; printf '%s' \"$all\" | grep -cF {needles} || :");
            assert_eq!(
                ground.exec(node, &processes),
                "0",
                "{node}: {}",
                ground.exec(node, "ps ax")
            );
            let journal =
                format!("journalctl --sync; journalctl -q -b -o cat | grep -cF {needles} || :");
            assert_eq!(ground.exec(node, &journal), "0", "{node}");
        }
    }
}
