//! What oceanid relies on in cloudflared, asked of the program in `OCEANID_LAB_CLOUDFLARED`, else of the stand-in.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};
use tempfile::TempDir;

/// What oceanid lays down for a tunnel with every kind of rule; its own tests compare what it renders with this.
const RENDERED: &str = include_str!("cloudflared/config.yml");
const ID: &str = "6ff42ae2-765d-4adf-8112-31c55c1551ef";
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder with the program under test, and nothing else of it.
struct Ground {
    folder: TempDir,
}

impl Ground {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("contract-").tempdir().expect("a folder");
        let given = env::var_os("OCEANID_LAB_CLOUDFLARED").map(PathBuf::from);
        let program = given.unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_sim")));
        let program = fs::canonicalize(program).expect("the program under test exists");
        std::os::unix::fs::symlink(program, folder.path().join("cloudflared")).expect("a link");
        Self { folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn file(&self, name: &str, text: &str) -> String {
        fs::write(self.folder.path().join(name), text).expect("ours");
        self.path(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.folder.path().join("cloudflared"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.folder.path())
            .env("SIM_EDGE_REST", "0.1");
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Said {
        Said::of(&self.command(arguments).output().expect("it runs"))
    }

    fn validate(&self, config: &str) -> Said {
        let file = self.file("config.yml", config);
        self.run(&["tunnel", "--config", &file, "ingress", "validate"])
    }

    fn credentials(&self, id: &str) -> String {
        let secret = STANDARD.encode([7; 32]);
        let account = "0123456789abcdef0123456789abcdef";
        let text =
            format!(r#"{{"AccountTag":"{account}","TunnelSecret":"{secret}","TunnelID":"{id}"}}"#);
        self.file("credentials.json", &text)
    }
}

struct Said {
    code: i32,
    text: String,
}

impl Said {
    fn of(output: &Output) -> Self {
        let both = [&output.stdout[..], &output.stderr[..]].concat();
        Self {
            code: output.status.code().unwrap_or(-1),
            text: String::from_utf8_lossy(&both).into_owned(),
        }
    }

    #[track_caller]
    fn refuses(&self, says: &str) {
        assert!(self.code != 0 && self.text.contains(says), "{}: {}", self.code, self.text);
    }
}

// observed: `cloudflared version 2026.8.2 (built …)`.
#[test]
fn it_says_its_version() {
    let said = Ground::new().run(&["--version"]);
    let mut words = said.text.split(' ');
    assert_eq!((words.next(), words.next()), (Some("cloudflared"), Some("version")));
    let version = words.next().expect("a version");
    assert_eq!(
        version.split('.').filter(|part| part.parse::<u16>().is_ok()).count(),
        3,
        "{version}"
    );
}

// facts 6.3: what oceanid renders is right, and nothing in it is unused.
#[test]
fn what_oceanid_renders_is_valid() {
    let said = Ground::new().validate(RENDERED);
    assert_eq!(said.code, 0, "{}", said.text);
    assert!(
        said.text.contains("Validating rules from ") && said.text.contains("OK"),
        "{}",
        said.text
    );
    assert!(!said.text.contains("unused keys"), "{}", said.text);
}

// observed: an unknown key at the top is passed over; facts 6.3: one in a rule is warned of, with exit 0.
#[test]
fn unknown_keys_are_warned_of_in_rules_alone() {
    let ground = Ground::new();
    let said = ground.validate(&format!("bogus: 1\n{RENDERED}"));
    assert!(said.code == 0 && said.text.contains("OK"), "{}", said.text);
    let said = ground.validate("ingress:\n  - service: http_status:404\n    bogus: 1\n");
    assert!(said.code == 0 && said.text.contains("unused keys"), "{}", said.text);
    let origin =
        "ingress:\n  - service: http_status:404\n    originRequest: { noTlsVerify: true }\n";
    assert!(ground.validate(origin).text.contains("unused keys"));
}

// facts 6.3: the rules of rules.
#[test]
fn rules_that_cannot_be_meant_are_refused() {
    let ground = Ground::new();
    let last = "  - service: http_status:404\n";
    let rule = |line: &str| ground.validate(&format!("ingress:\n  - {line}\n{last}"));
    ground.validate("ingress: []\n").refuses("any ingress rules");
    ground
        .validate("ingress:\n  - hostname: a.b\n    service: http://x\n")
        .refuses("must match all URLs");
    rule("service: http://x").refuses("will match every hostname");
    rule("{hostname: 'a.b:80', service: 'http://x'}").refuses("cannot contain a port");
    rule("{hostname: 'a.*.b', service: 'http://x'}").refuses("wildcard");
    rule("{hostname: a.b, service: 'localhost'}").refuses("a scheme and a hostname");
    rule("{hostname: a.b, service: 'http://x/y'}").refuses("a different path");
    rule("{hostname: a.b, service: 'http_status:x'}").refuses("status");
    rule("{path: '^/(v2', service: 'http://x'}").refuses("invalid regex");
}

// facts 6.2: flags of `tunnel` stand before `run`; what does not exist is refused.
#[test]
fn flags_that_do_not_exist_are_refused() {
    let ground = Ground::new();
    ground.run(&["tunnel", "--bogus", "run"]).refuses("flag provided but not defined: -bogus");
    ground.run(&["tunnel", "run", "--bogus"]).refuses("flag provided but not defined: -bogus");
}

// facts 6.3: a token is base64 of JSON; credentials are a file.
#[test]
fn what_opens_no_tunnel_is_refused() {
    let ground = Ground::new();
    let token = ground.file("token", "canary-not-a-token");
    let config = ground.file("config.yml", "no-autoupdate: true\n");
    let run =
        ["tunnel", "--config", &config, "--metrics", "127.0.0.1:0", "run", "--token-file", &token];
    let said = ground.run(&run);
    said.refuses("oken is not valid");
    assert!(!said.text.contains("canary"), "{}", said.text);
    let nowhere = ground.path("nowhere.json");
    let config = format!(
        "tunnel: {ID}\ncredentials-file: {nowhere}\ningress:\n  - service: http_status:404\n"
    );
    let config = ground.file("config.yml", &config);
    ground.run(&["tunnel", "--config", &config, "run"]).refuses("credentials file");
}

/// A connector whose edge is not there.
struct Connector {
    child: Child,
    port: u16,
    notices: UnixDatagram,
    log: PathBuf,
}

impl Connector {
    fn start(ground: &Ground) -> Self {
        let credentials = ground.credentials(ID);
        let rules = "ingress:\n  - service: http_status:404\n";
        let config = ground
            .file("config.yml", &format!("tunnel: {ID}\ncredentials-file: {credentials}\n{rules}"));
        let port =
            TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("one").port();
        let notices = UnixDatagram::bind(ground.folder.path().join("notify")).expect("a socket");
        notices.set_nonblocking(true).expect("a socket that does not block");
        let log = ground.folder.path().join("log");
        let out = fs::File::create(&log).expect("a log");
        let metrics = format!("127.0.0.1:{port}");
        let arguments = [
            "tunnel",
            "--config",
            &config,
            "--metrics",
            &metrics,
            "--no-autoupdate",
            "--protocol",
            "http2",
            "--edge-ip-version",
            "auto",
            "--edge",
            "127.0.0.1:1",
            "run",
        ];
        let mut command = ground.command(&arguments);
        command.env("NOTIFY_SOCKET", ground.path("notify")).env("SIM_EDGE_REST", "1");
        let child = command.stdout(out.try_clone().expect("a log")).stderr(out).spawn();
        Self { child: child.expect("it starts"), port, notices, log }
    }

    /// The status and the body of `path`, once it answers.
    fn get(&self, path: &str) -> (u16, String) {
        let begun = Instant::now();
        loop {
            if let Some(answer) = self.try_get(path) {
                return answer;
            }
            let log = || fs::read_to_string(&self.log).unwrap_or_default();
            assert!(begun.elapsed() < PATIENCE, "no answer: {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn try_get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let code = text.split(' ').nth(1)?.parse().ok()?;
        Some((code, text.split_once("\r\n\r\n")?.1.to_owned()))
    }
}

// facts 6.2: /ready is 503 and READY is not said before an edge is connected; SIGTERM ends it.
#[test]
fn without_an_edge_it_is_not_ready_and_ends_when_told() {
    let ground = Ground::new();
    let mut connector = Connector::start(&ground);
    let (code, body) = connector.get("/ready");
    assert_eq!(code, 503, "{body}");
    assert!(body.contains("\"readyConnections\":0"), "{body}");
    let (code, body) = connector.get("/healthcheck");
    assert_eq!((code, body.contains("OK")), (200, true), "{body}");
    let (code, body) = connector.get("/config");
    assert!(
        code == 200 && body.contains("\"version\":-1"),
        "the rules of the file are in force: {body}"
    );
    let mut buffer = [0; 64];
    assert!(connector.notices.recv(&mut buffer).is_err(), "it has nothing to tell yet");
    let pid = connector.child.id().to_string();
    Command::new("kill").arg(pid).status().expect("it runs");
    let begun = Instant::now();
    while connector.child.try_wait().expect("its state").is_none() {
        assert!(begun.elapsed() < PATIENCE, "it goes on");
        std::thread::sleep(Duration::from_millis(50));
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// facts 6.2: two of them do not share a port for metrics.
#[test]
fn a_port_that_is_taken_is_said() {
    let ground = Ground::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let metrics = taken.local_addr().expect("one").to_string();
    let credentials = ground.credentials(ID);
    let config = format!(
        "tunnel: {ID}\ncredentials-file: {credentials}\ningress:\n  - service: http_status:404\n"
    );
    let config = ground.file("config.yml", &config);
    let run =
        ["tunnel", "--config", &config, "--metrics", &metrics, "--edge", "127.0.0.1:1", "run"];
    ground.run(&run).refuses("Error opening metrics server listener");
    assert!(Path::new(&config).exists());
}
