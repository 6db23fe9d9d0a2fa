//! The path of a tunnel: every answer that it may give has its cause, and no secret is in any of it.

#[path = "path/edge.rs"]
mod edge;

use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use edge::{Edge, Page};
use insta::assert_snapshot;
use oceanid::cluster::{Cluster, ServiceToken};
use oceanid::config;
use oceanid::path::{self, Public, Told, Way};
use oceanid::remote::{Output, Progress, Remote, RemoteError};
use oceanid::report::{self, Style};
use oceanid::script::{Body, Script};
use oceanid::secret;

const CLUSTER: &str = r#"
[cluster]
name = "ocean"
[k3s]
version = "v1.36.3+k3s1"
[[node]]
name = "tethys"
role = "server"
address = "192.0.2.1"
[[node]]
name = "calypso"
role = "agent"
address = "192.0.2.4"
gpu = true
[gpu]
[triton]
image = "nvcr.io/nvidia/tritonserver:26.02-py3"
models = "/srv/models"
[[tunnel]]
hostname = "gpu.example.com"
node = "calypso"
token = { env = "TUNNEL_TOKEN" }
"#;

const GUARDED: &str = r#"access = { client-id = { command = ["printf", "canary-id"] }, client-secret = { command = ["printf", '"canary\secret'] } }"#;

const CONFIG: &str = r#"{"version":-1,"config":{"ingress":[{"hostname":"gpu.example.com","path":null,"service":"http://localhost:8000"},{"hostname":"","service":"http_status:404"}],"warp-routing":{}}}"#;
const READY: &str =
    r#"{"status":200,"readyConnections":4,"connectorId":"9ba1f5d8-2c29-4b53-a1b8-4ce1e1bd3a0a"}"#;
const MODELS: &str = r#"[{"name":"ner","version":"1","state":"READY"},{"name":"docling","version":"3","state":"READY"}]"#;
const LOGIN: &str =
    "https://team.cloudflareaccess.com/cdn-cgi/access/login/gpu.example.com?meta=canary-login";

fn cluster(access: &str) -> Cluster {
    let text = format!("{CLUSTER}{access}\n");
    let cluster = config::parse("cluster.toml", &text).expect("it is valid").cluster;
    cluster.tunnels.iter().filter_map(|tunnel| tunnel.access.token()).for_each(fetch);
    cluster
}

fn fetch(token: &ServiceToken) {
    token.fetch().expect("`printf` tells it");
}

/// A host that answers as it was told to, and takes notes.
#[derive(Debug, Default)]
struct Fake {
    node: String,
    pod: String,
    asked: Mutex<Vec<Script>>,
}

impl Remote for Fake {
    async fn run(&self, script: &Script, _: &Progress<'_>) -> Result<Output, RemoteError> {
        self.asked.lock().expect("one thread").push(script.clone());
        let pod = script.text().contains("nsenter");
        let stdout = if pod { self.pod.clone() } else { self.node.clone() };
        Ok(Output { stdout, ..Output::default() })
    }

    async fn again(&self) -> Result<Self, RemoteError> {
        unreachable!("one connection is enough")
    }
}

/// What the node's script says where `service`, `config` and `ready` are what was answered.
fn node(service: &str, config: &str, ready: &str) -> String {
    let block = |name: &str, answer: &str| match answer.strip_prefix('!') {
        Some(raw) => format!("answer {name} {raw}\n"),
        None => format!("answer {name} 0\n| {answer}\n"),
    };
    block("service", service) + &block("cloudflared", config) + &block("edge", ready)
}

fn well() -> String {
    node("200 ", &format!("{CONFIG}\n| 200 "), &format!("{READY}\n| 200 "))
}

/// One walk: what the hosts say, what the edge says, and who may come in.
struct Scene {
    access: &'static str,
    node: String,
    stranger: Page,
    token: Page,
    index: Page,
    pod: &'static str,
}

fn scene() -> Scene {
    Scene {
        access: GUARDED,
        node: well(),
        stranger: Page::of(401),
        token: Page::of(200),
        index: Page::of(200).body(MODELS),
        pod: "answer pod 0\n| \n| 200 \n",
    }
}

impl Scene {
    async fn walk(self) -> (Vec<Told>, Vec<Script>) {
        let cluster = cluster(self.access);
        let way = Way::all(&cluster).next().expect("a tunnel");
        let edge = Edge::open([self.stranger, self.token, self.index]);
        let public = Public::new(&cluster.sources, &edge.url).expect("a URL");
        let calypso = Fake { node: self.node, ..Fake::default() };
        let tethys = Fake { pod: self.pod.to_owned(), ..Fake::default() };
        let others = [("calypso", &calypso), ("tethys", &tethys)];
        let told = path::walk(way, &calypso, &others, &public).await.expect("it answers");
        let asked = [calypso, tethys].map(|host| host.asked.into_inner().expect("one thread"));
        (told, asked.concat())
    }
}

fn shown(told: &[Told]) -> String {
    let mut out = Vec::new();
    report::path(&mut out, "gpu.example.com", told, Style::Plain).expect("memory");
    String::from_utf8(out).expect("UTF-8")
}

/// What `scenes` show; nothing of any secret may be in it.
async fn all(scenes: Vec<(&str, Scene)>) -> String {
    let mut text = String::new();
    for (title, scene) in scenes {
        let (told, _) = scene.walk().await;
        let shown = shown(&told);
        assert!(!shown.contains("canary"), "{title}: {shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= 80), "{title}: {shown}");
        let _ = writeln!(text, "#### {title}\n{shown}");
    }
    text
}

#[tokio::test]
async fn a_whole_path_is_walked_to_its_end() {
    let open = "access = { open = true }";
    let others = || Page::of(200).body(r#"[{"name":"ner","state":"READY"},{"name":"new"}]"#);
    assert_snapshot!(
        all(vec![
            ("guarded", scene()),
            ("guarded by a login", Scene { stranger: Page::to(LOGIN), ..scene() }),
            ("forbidden", Scene { stranger: Page::of(403), index: others(), ..scene() }),
            ("no service token", Scene { access: "", ..scene() }),
            ("meant to be open", Scene { access: open, stranger: Page::of(200), ..scene() }),
            ("no pods", Scene { pod: "", ..scene() }),
            (
                "set up at Cloudflare",
                Scene { node: well().replace("\"version\":-1", "\"version\":3"), ..scene() }
            ),
            (
                "a cloudflared that tells little",
                Scene { node: node("200 ", "404 page not found\n| 404 ", "404 "), ..scene() }
            ),
        ])
        .await
    );
}

#[tokio::test]
async fn every_break_on_the_node_has_its_cause() {
    let refused = "!7\n| curl: (7) Failed to connect to 127.0.0.1 port 8000 after 0 ms\n| 000 ";
    let unit =
        "unit service failed\n| loading model ner\n| error: CUDA driver version is insufficient\n";
    let no_metrics = "!7\n| curl: (7) Failed to connect to 127.0.0.1 port 20241\n| 000 \nunit cloudflared inactive";
    let config = |text: &str| node("200 ", &format!("{text}\n| 200 "), "200 ");
    let ready = |journal: &str| {
        let none = r#"{"status":503,"readyConnections":0}"#;
        let config = format!("{CONFIG}\n| 200 ");
        node("200 ", &config, &format!("{none}\n| 503 \nunit edge active\n| {journal}"))
    };
    let service = |answer: &str| node(answer, "200 ", "200 ");
    let at = |node: String| Scene { node, ..scene() };
    assert_snapshot!(
        all(vec![
            ("Triton is stopped", at(service(refused) + unit)),
            ("Triton loads", at(service("400 "))),
            ("another service", at(service("404 "))),
            ("a service that hangs", at(service("!28\n| curl: (28) Operation timed out\n| 000 "))),
            ("cloudflared is stopped", at(node("200 ", no_metrics, "200 "))),
            ("wrong service", at(config(&CONFIG.replace("8000", "9000")))),
            (
                "wrong service, set up at Cloudflare",
                at(config(&CONFIG.replace("8000", "9000").replace("-1", "7")))
            ),
            ("no rule", at(config(&CONFIG.replace("gpu.", "label.")))),
            ("the edge is cut", at(ready("ERR Failed to dial a quic connection error=timeout"))),
            ("the tunnel is deleted", at(ready("ERR Register tunnel error from server side error=\"Unauthorized: Tunnel not found\""))),
        ])
        .await
    );
}

#[tokio::test]
async fn every_answer_to_a_stranger_has_its_cause() {
    let code = |status, code: u16| Page::of(status).body(&format!("error code: {code}"));
    let mut scenes = vec![("200", Scene { stranger: Page::of(200), ..scene() })];
    for (title, page) in [
        ("redirect", Page::to("https://www.example.com/")),
        ("404", Page::of(404)),
        ("429", Page::of(429)),
        ("502", Page::of(502)),
        ("521", Page::of(521)),
        ("530 with 1033", code(530, 1033)),
        ("530 with 1016", code(530, 1016)),
        ("503", Page::of(503)),
        ("hangs up", Page::nothing()),
    ] {
        scenes.push((title, Scene { stranger: page, ..scene() }));
    }
    let open = "access = { open = true }";
    scenes.push(("guarded against our will", Scene { access: open, ..scene() }));
    let ours = "[cloudflare]\ntoken = { env = \"CF\" }\nzone = \"example.com\"";
    let at = |stranger| Scene { access: ours, stranger, ..scene() };
    scenes.push(("200 where Cloudflare's side is ours", at(Page::of(200))));
    scenes.push(("530 where Cloudflare's side is ours", at(code(530, 1033))));
    assert_snapshot!(all(scenes).await);
}

#[tokio::test]
async fn every_answer_to_the_service_token_has_its_cause() {
    let mut scenes = Vec::new();
    for (title, page) in [
        ("302", Page::to(LOGIN)),
        ("401", Page::of(401)),
        ("403", Page::of(403)),
        ("403 of the firewall", Page::of(403).body("error code: 1020")),
        ("404", Page::of(404)),
        ("502", Page::of(502)),
        ("530 with 1033", Page::of(530).body("<title>Error 1033</title> | Error 1033")),
        ("530 with 1016", Page::of(530).body("error code: 1016")),
    ] {
        scenes.push((title, Scene { token: page, ..scene() }));
    }
    scenes.push(("no list", Scene { index: Page::of(403), ..scene() }));
    scenes.push(("another list", Scene { index: Page::of(200).body("<html>"), ..scene() }));
    assert_snapshot!(all(scenes).await);
}

#[tokio::test]
async fn every_answer_to_a_pod_has_its_cause() {
    let mut scenes = Vec::new();
    for (title, pod) in [
        ("no name", "answer pod 6\n| curl: (6) Could not resolve host: gpu.example.com\n| 000 \n"),
        ("refused", "answer pod 7\n| curl: (7) Failed to connect\n| 000 \n"),
        ("silent", "answer pod 28\n| curl: (28) Connection timed out\n| 000 \n"),
        (
            "no trust",
            "answer pod 60\n| curl: (60) SSL certificate problem: self-signed certificate\n| 000 \n",
        ),
        ("no certificate", "answer pod 35\n| curl: (35) sslv3 alert handshake failure\n| 000 \n"),
        ("forbidden", "answer pod 0\n| \n| 403 \n"),
        ("no tunnel", "answer pod 0\n| error code: 1033\n| 530 \n"),
        ("a pod that is on its way out", "answer pod 7\n| 000 \nanswer pod 0\n| \n| 200 \n"),
    ] {
        scenes.push((title, Scene { pod, ..scene() }));
    }
    assert_snapshot!(all(scenes).await);
}

#[tokio::test]
async fn what_no_certificate_vouches_for_gets_no_credentials() {
    let cluster = cluster(GUARDED);
    let way = Way::all(&cluster).next().expect("a tunnel");
    let calypso = Fake { node: well(), ..Fake::default() };
    for name in ["gpu.example.com", "127.0.0.1"] {
        let edge = Edge::encrypted(name, [Page::of(401), Page::of(200), Page::of(200)]);
        let mut sources = cluster.sources.clone();
        // A CA that is trusted may still vouch for another name.
        let (wanted, ca) = match name {
            "127.0.0.1" => ("untrusted-certificate", None),
            _ => ("no-certificate", edge.ca.clone()),
        };
        sources.ca = ca;
        let public = Public::new(&sources, &edge.url).expect("a URL");
        let told = path::walk(way, &calypso, &[], &public).await.expect("it answers");
        assert!(format!("{:?}", told.last()).contains(wanted), "{told:?}");
        assert_eq!(edge.heard(), Vec::<String>::new());
    }
    let edge = Edge::encrypted("127.0.0.1", [Page::of(401), Page::of(200), Page::of(200)]);
    let mut sources = cluster.sources.clone();
    sources.ca.clone_from(&edge.ca);
    let public = Public::new(&sources, &edge.url).expect("a URL");
    path::walk(way, &calypso, &[], &public).await.expect("it answers");
    let heard = edge.heard();
    let with = |line: &&String| line.contains("canary-id \"canary\\secret");
    assert_eq!((heard.len(), heard.iter().filter(with).count()), (3, 2), "{heard:?}");
}

#[tokio::test]
async fn a_name_without_an_address_is_a_missing_record() {
    let cluster = cluster(GUARDED);
    let way = Way::all(&cluster).next().expect("a tunnel");
    let calypso = Fake { node: well(), ..Fake::default() };
    let public = Public::new(&cluster.sources, "https://nonesuch.invalid").expect("a URL");
    let told = path::walk(way, &calypso, &[], &public).await.expect("it answers");
    let last = format!("{:?}", told.last());
    // A machine without DNS cannot know that there is none.
    assert!(last.contains("no-record") || last.contains("no-resolver"), "{last}");
}

#[tokio::test]
async fn credentials_go_to_one_host_and_there_through_stdin_alone() {
    let (_, asked) = scene().walk().await;
    // calypso's hops, then its pods, of which there are none, then tethys'.
    assert_eq!(asked.len(), 3);
    for script in &asked {
        assert!(!script.text().contains("canary"), "{}", script.text());
    }
    let Body::Secret(called) = asked[2].body() else { panic!("{:?}", asked[2]) };
    let text = secret::text(called);
    assert!(text.contains("header = \"CF-Access-Client-Id: canary-id\"\n"), "{text}");
    assert!(text.contains(r#"header = "CF-Access-Client-Secret: \"canary\\secret""#), "{text}");
    // What comes after a broken hop is not asked for.
    let (told, asked) = Scene { token: Page::of(401), ..scene() }.walk().await;
    assert_eq!((told.len(), asked.len()), (6, 1));
}

/// Runs the scripts for real, against servers of this test, under both shells.
#[tokio::test]
async fn the_scripts_ask_what_is_there() {
    let cluster = cluster(GUARDED);
    let way = Way::all(&cluster).next().expect("a tunnel");
    let page = |body: &str| Page::of(200).body(body);
    let service = Edge::open([page(""), page(""), page("")]);
    let config = Edge::open([page(CONFIG), page(""), page("")]);
    let calypso = Fake::default();
    let public = Public::new(&cluster.sources, "http://127.0.0.1:1").expect("a URL");
    path::walk(way, &calypso, &[], &public).await.expect("it answers");
    let asked = calypso.asked.into_inner().expect("one thread");
    for shell in ["dash", "bash"] {
        let text = asked[0]
            .text()
            .replace("127.0.0.1:8000", service.address())
            .replace("127.0.0.1:20241/config", &format!("{}/config", config.address()));
        let output = Command::new(shell).arg("-c").arg(text).output().expect("it runs");
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{output:?}");
        let seen = path::Seen::read(&stdout);
        assert_eq!(seen.service().status(), Some(200), "{output:?}");
        let ingress = seen.ingress().expect("it tells");
        let rule = ingress.rule("gpu.example.com").expect("a rule");
        assert_eq!((ingress.version, rule.service.as_str()), (-1, "http://localhost:8000"));
        assert_eq!(seen.connections(), None, "nobody listens there: {output:?}");
        assert!(stdout.contains("unit edge "), "{output:?}");
    }
}

/// curl itself reads what we write for it, and nothing of it shows in its arguments.
#[test]
fn curl_sends_the_headers_that_it_is_given_on_stdin() {
    let edge = Edge::open([Page::of(401), Page::of(200), Page::of(200)]);
    let value = r#"a"b\c d'e$f"#;
    let options = format!("url = \"{}/\"\nsilent\nwrite-out = \"%{{http_code}}\"\n", edge.url);
    let header = ("CF-Access-Client-Id", value.to_owned().into());
    let text = secret::curl_config(&options, &[header]);
    let mut curl = Command::new("curl")
        .args(["--config", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("curl runs");
    let mut stdin = curl.stdin.take().expect("piped");
    std::io::Write::write_all(&mut stdin, secret::bytes(&text)).expect("it reads");
    drop(stdin);
    let output = curl.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "200");
    assert!(edge.heard()[0].contains(value), "{:?}", edge.heard());
}
