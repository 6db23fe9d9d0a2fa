//! The lab, its edge, and a cluster.toml with two tunnels.

use std::fs;
use std::process::Command;

use lab::{Edge, HostSpec, Release, Topology};
use serde_json::{Value, json};

use crate::operator::{Operator, Said};

pub const ACCOUNT: &str = "0123456789abcdef0123456789abcdef";
/// tethys' tunnel, which its own file routes.
pub const OWN: &str = "11111111-2222-3333-4444-555555555555";
/// styx', which Cloudflare routes.
pub const REMOTE: &str = "66666666-7777-8888-9999-aaaaaaaaaaaa";
/// Base64 of `canary secret of a tunnel, 1 of 3`, and so on.
pub const SECRETS: [&str; 3] = [
    "Y2FuYXJ5IHNlY3JldCBvZiBhIHR1bm5lbCwgMSBvZiAz",
    "Y2FuYXJ5IHNlY3JldCBvZiBhIHR1bm5lbCwgMiBvZiAz",
    "Y2FuYXJ5IHNlY3JldCBvZiBhIHR1bm5lbCwgMyBvZiAz",
];
pub const ONLY: [&str; 4] = ["bootstrap", "--yes", "--only", "cloudflared"];

/// The lab, its edge, and everything that was said.
pub struct Ground {
    pub operator: Operator,
    pub edge: Edge,
    /// The secrets of both tunnels, as the edge knows them.
    pub secrets: [&'static str; 2],
    pub said: String,
}

impl Ground {
    pub fn up() -> Self {
        let styx = HostSpec::new("styx").release(Release::Debian13);
        let operator = Operator::before(Topology::of(vec![HostSpec::new("tethys"), styx]));
        let edge = Edge::start(&operator.lab).expect("it listens");
        for host in operator.lab.hosts() {
            edge.lead(host, &[]).expect("its files are ours");
            host.exec("echo SIM_EDGE_REST=0.2 >>/etc/sim.env").expect("a shell");
        }
        let ground =
            Self { operator, edge, secrets: [SECRETS[0], SECRETS[2]], said: String::new() };
        ground.know();
        ground.tunnel(0, |tunnel| {
            for (key, value) in [("node", "tethys"), ("hostname", "own.example.com"), ("id", OWN)] {
                tunnel.insert(key.into(), value.into());
            }
            tunnel.insert("service".into(), "hello_world".into());
            tunnel.insert("credentials".into(), file("own").into());
        });
        ground.tunnel(1, |tunnel| {
            for (key, value) in [("node", "styx"), ("hostname", "far.example.com")] {
                tunnel.insert(key.into(), value.into());
            }
            tunnel.insert("service".into(), "http://127.0.0.1:1".into());
            tunnel.insert("managed".into(), "remote".into());
            tunnel.insert("token".into(), file("far").into());
        });
        ground.settings("edge-seconds", 15);
        ground.settings("watchdog-seconds", 10);
        ground.opens("own", OWN, SECRETS[0]);
        ground.opens("far", REMOTE, SECRETS[2]);
        ground
    }

    /// Sets what the edge knows.
    pub fn know(&self) {
        let url = self.operator.lab.releases().expect("served").url();
        let tunnel = |id: &str, secret: &str, source: &str, config: Value| {
            json!({ "id": id, "account_tag": ACCOUNT, "name": id, "secret": secret,
                    "config_src": source, "deleted_at": null, "config": config })
        };
        let dns = |name: &str, id: &str| json!({ "name": name, "type": "CNAME", "content": format!("{id}.cfargotunnel.com"), "proxied": true });
        let rules = json!({ "ingress": [
            { "hostname": "far.example.com", "service": url }, { "service": "http_status:404" } ] });
        let state = json!({
            "tunnels": [tunnel(OWN, self.secrets[0], "local", Value::Null),
                        tunnel(REMOTE, self.secrets[1], "cloudflare", rules)],
            "dns": [dns("own.example.com", OWN), dns("far.example.com", REMOTE)],
        });
        self.edge.set(&state).expect("ours");
    }

    pub fn tunnel(&self, index: usize, change: impl FnOnce(&mut toml::Table)) {
        self.operator.edit(|table| {
            let tunnels = table.entry("tunnel").or_insert_with(|| toml::Value::Array(Vec::new()));
            let tunnels = tunnels.as_array_mut().expect("tunnels");
            if tunnels.len() == index {
                tunnels.push(toml::Table::new().into());
            }
            change(tunnels[index].as_table_mut().expect("a table"));
        });
    }

    pub fn settings(&self, key: &str, value: impl Into<toml::Value>) {
        self.operator.edit(|table| {
            let section = table.entry("cloudflared").or_insert_with(|| toml::Table::new().into());
            section.as_table_mut().expect("a section").insert(key.into(), value.into());
        });
    }

    /// Writes what opens a tunnel: tethys has a credentials file, styx a token.
    pub fn opens(&self, name: &str, id: &str, secret: &str) {
        let text = if name == "own" {
            json!({ "AccountTag": ACCOUNT, "TunnelSecret": secret, "TunnelID": id }).to_string()
        } else {
            let token = json!({ "a": ACCOUNT, "t": id, "s": secret }).to_string();
            base64(&token)
        };
        fs::write(self.operator.folder.join(name), text).expect("ours");
    }

    /// Brings a node's tunnel about.
    pub fn run(&mut self, node: &str, code: i32) -> Said {
        let arguments = [&ONLY[..], &["--json", node]].concat();
        let said = self.operator.run(&arguments).exits(code);
        self.said.push_str(&said.stdout);
        self.said.push_str(&said.stderr);
        said
    }

    pub fn exec(&self, node: &str, command: &str) -> String {
        self.operator.lab.host(node).exec(command).expect("it works").trim().to_owned()
    }

    /// Which start of cloudflared it is.
    pub fn start(&self, node: &str) -> String {
        self.exec(node, "systemctl show -p InvocationID -p NRestarts --value cloudflared")
    }

    pub fn get(&self, name: &str, path: &str) -> u16 {
        self.edge.get(name, path, &[]).expect("an answer").0
    }

    /// The connectors of a tunnel, each once.
    pub fn connectors(&self, id: &str) -> Vec<String> {
        let all = self.edge.connections().expect("readable");
        let own = all.iter().filter(|one| one["tunnel"] == id);
        let mut ids: Vec<String> = own.map(|one| one["connector"].to_string()).collect();
        ids.sort();
        ids.dedup();
        ids
    }
}

fn file(name: &str) -> toml::Table {
    // The file lies beside cluster.toml, whose folder is known only once there is a lab.
    let mut reference = toml::Table::new();
    reference.insert("command".into(), vec!["cat", name].into());
    reference
}

pub fn base64(text: &str) -> String {
    let script = "printf %s \"$1\" | base64 -w0";
    let run = Command::new("sh").args(["-c", script, "sh", text]).output();
    String::from_utf8(run.expect("it runs").stdout).expect("text")
}
