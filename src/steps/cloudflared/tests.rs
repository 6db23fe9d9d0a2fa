use crate::cluster::{Cluster, EdgeIp, EdgeProtocol};
use crate::templates::cloudflared::{Config, quoted};
use crate::templates::render;

/// The contract suite puts the same file through cloudflared itself.
const RENDERED: &str = include_str!("../../../tests/lab/sim/tests/contract/cloudflared/config.yml");

const TUNNEL: &str = r#"[cluster]
name = "lab"
[k3s]
version = "v1.36.3+k3s1"
[[node]]
name = "one"
role = "server"
address = "192.0.2.1"
[cloudflared]
protocol = "http2"
edge-ip-version = "4"
edge-seconds = 60
[[tunnel]]
name = "100 % mine"
node = "one"
hostname = "gpu.example.com"
service = "http://127.0.0.1:8000"
id = "6ff42ae2-765d-4adf-8112-31c55c1551ef"
token = { env = "T" }
[[tunnel.ingress]]
hostname = "*.example.com"
service = "unix:/run/app.sock"
[[tunnel.ingress]]
path = "^/it's \"quoted\": #\\.(a|b)$"
service = "http://[2001:db8::1]:8080"
origin = { connect-seconds = 5, http-host-header = "inner.example.com", origin-server-name = "cert.example.com", no-tls-verify = true }
[[tunnel.ingress]]
hostname = "gone.example.com"
service = "http_status:410"
"#;

fn cluster() -> Cluster {
    let loaded = crate::config::parse("cluster.toml", TUNNEL);
    loaded.map_err(|wrong| wrong.to_string()).unwrap().cluster
}

#[test]
fn the_rules_are_rendered_as_the_contract_suite_has_them() {
    let cluster = cluster();
    let file = super::config(&cluster.tunnels[0], None).unwrap();
    assert_eq!(file.text(), Some(RENDERED));
    let read: serde_json::Value = serde_saphyr::from_str(RENDERED).unwrap();
    let rule = &cluster.tunnels[0].rules[0];
    assert_eq!(read["ingress"][0]["path"], rule.path.clone().unwrap(), "YAML reads what was meant");
}

#[test]
fn texts_of_any_kind_survive_yaml() {
    for text in ["a", "yes", "0600", "a: b # c", "'", "\"\\", "\u{e9}\t", "- x", "{{ x }}", "null"]
    {
        let rule = crate::templates::cloudflared::Rule {
            hostname: quoted(text),
            path: Some(quoted(text)),
            service: quoted(text),
            origin: vec![("httpHostHeader", quoted(text))],
        };
        let rendered = render(&Config { id: Some(quoted("x")), rules: vec![rule] }).unwrap();
        let read: serde_json::Value = serde_saphyr::from_str(&rendered).unwrap();
        let rule = &read["ingress"][0];
        let origin = &rule["originRequest"]["httpHostHeader"];
        for value in [&rule["hostname"], &rule["path"], &rule["service"], origin] {
            assert_eq!(value, text, "{rendered}");
        }
    }
}

#[test]
fn a_remote_tunnel_has_no_rules_on_the_node_and_a_token_in_place_of_a_file() {
    let mut cluster = cluster();
    cluster.tunnels[0].managed = crate::cluster::Managed::Remote;
    let tunnel = &cluster.tunnels[0];
    let text = super::config(tunnel, None).unwrap().text().unwrap().to_owned();
    assert!(text.contains("no-autoupdate: true") && !text.contains("ingress:"), "{text}");
    let unit = render(&super::service(tunnel, &cluster.cloudflared)).unwrap();
    let start = unit.lines().find(|line| line.starts_with("ExecStart=")).unwrap();
    assert!(start.ends_with(" run --token-file /run/credentials/cloudflared.service/token"));
}

#[test]
fn the_unit_has_the_settings_and_a_bounded_number_of_starts() {
    let cluster = cluster();
    let settings = &cluster.cloudflared;
    assert_eq!((settings.protocol, settings.edge_ip), (EdgeProtocol::Http2, EdgeIp::V4));
    let unit = render(&super::service(&cluster.tunnels[0], settings)).unwrap();
    for line in [
        "Description=Cloudflare Tunnel 100 %% mine",
        "LoadCredential=credentials.json:/etc/oceanid/cloudflared/credentials",
        "TimeoutStartSec=60",
        "StartLimitBurst=5",
        "StartLimitIntervalSec=720",
        "ExecStart=/usr/local/lib/oceanid/cloudflared tunnel --config /etc/oceanid/cloudflared/config.yml \
         --metrics 127.0.0.1:20241 --no-autoupdate --protocol http2 --edge-ip-version 4 run",
    ] {
        assert!(unit.lines().any(|one| one == line), "no `{line}` in {unit}");
    }
}
