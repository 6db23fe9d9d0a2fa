//! The whole way: two bare hosts, one of them at home with a GPU, end as a name that answers for those who may,
//! and each break of the path is told by its cause; needs root.

#[path = "support/lab.rs"]
mod operator;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lab::{Edge, HostSpec, Privilege, Release, Topology};
use operator::{Operator, Said};
use serde_json::{Value, json};

const NAME: &str = "gpu.example.com";
const READY: &str = "/v2/health/ready";
const API_TOKEN: &str = "canary-api-token-c0ffee";
const ACCOUNT: &str = "0123456789abcdef0123456789abcdef";
const RIGHTS: [&str; 6] =
    ["zone:read", "dns:edit", "tunnel:edit", "access:edit", "service-tokens:edit", "waf:edit"];

/// The lab, Cloudflare in it, and everything that was said.
struct Ground {
    operator: Operator,
    edge: Edge,
    said: Vec<Said>,
}

#[test]
fn a_bare_node_at_home_ends_as_a_name_that_answers_for_those_who_may() {
    let mut ground = Ground::up();
    let samplers =
        ["tethys", "calypso"].map(|name| (name, ground.operator.lab.host(name).ps_sampler()));
    ground.run(&["bootstrap", "tethys", "--yes"], 0);
    ground.run(&["join", "calypso", "--yes"], 0);
    the_name_answers_for_those_who_may(&ground);
    a_second_run_changes_nothing(&mut ground);
    every_hop_holds(&mut ground);
    let seen = samplers.map(|(name, sampler)| (name, sampler.stop()));
    on_the_node_itself_it_is_the_same(&mut ground);
    every_break_is_told_by_its_cause(&mut ground);
    let secrets = ground.secrets();
    for secret in &secrets {
        for (name, seen) in &seen {
            assert!(seen.rounds > 50, "{name} was looked at {} times", seen.rounds);
            assert_eq!(seen.mentions(secret), Vec::<&str>::new(), "on {name}");
        }
        ground.is_in_its_files_alone(secret);
    }
}

impl Ground {
    fn up() -> Self {
        let operator = Operator::before(Topology::of(vec![
            HostSpec::new("tethys"),
            HostSpec::new("calypso")
                .release(Release::Debian13)
                .login("oceanid", Privilege::Sudo)
                .at_home()
                .gpu(),
        ]));
        let edge = Edge::start(&operator.lab).expect("it listens");
        edge.set(&account()).expect("ours");
        for name in ["tethys", "calypso"] {
            let host = operator.lab.host(name);
            edge.answer_names_of(host).expect("its files are ours");
            host.exec("echo SIM_EDGE_REST=0.2 >>/etc/sim.env").expect("a shell");
        }
        let ground = Self { operator, edge, said: Vec::new() };
        let api = ground.serve_api();
        ground.write_cluster_toml(&api);
        ground.operator.run(&["validate"]).exits(0);
        for model in ["ner", "docling"] {
            ground.exec(
                "calypso",
                &format!(
                    "mkdir -p /opt/triton/models/{model}/1\n\
                     printf 'the model\\n' >/opt/triton/models/{model}/1/model.onnx\n\
                     printf 'name: \"{model}\"\\nbackend: \"onnxruntime\"\\n' >/opt/triton/models/{model}/config.pbtxt"
                ),
            );
        }
        ground
    }

    /// Starts Cloudflare's API; what it keeps is what the edge goes by.
    fn serve_api(&self) -> String {
        let lab = &self.operator.lab;
        #[expect(clippy::zombie_processes, reason = "it ends with the lab")]
        let mut child = Command::new(lab::build_sim().expect("it is built"))
            .arg("cloudflare-api")
            .args([self.edge.state(), self.api_log()])
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        lab.adopt(child.id()).expect("it ends with the lab");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("its address");
        line.trim().to_owned()
    }

    fn api_log(&self) -> PathBuf {
        self.operator.lab.dir().join("api.log")
    }

    fn token_file(&self) -> PathBuf {
        self.operator.folder.join("secrets/service-token")
    }

    fn write_cluster_toml(&self, api: &str) {
        let releases = self.operator.lab.releases().expect("served");
        let mirror = releases.mirror().expect("a port");
        let program = &self.operator.lab.k3s().expect("the stand-in").path;
        let image = ("tritonserver", program.as_path());
        releases.add_image("nvidia/tritonserver", "26.02-py3", image).expect("an image");
        let registry = mirror.url.trim_start_matches("https://");
        // One file for the CA of the registry and that of the edge.
        let ca = self.operator.folder.join("ca.pem");
        let edge = fs::read_to_string(self.edge.ca()).expect("written");
        fs::write(&ca, mirror.ca.clone() + &edge).expect("ours");
        let store = self.token_file().display().to_string();
        let further = format!(
            "[[tunnel]]\nhostname = \"{NAME}\"\nnode = \"calypso\"\n\
             [cloudflared]\nedge-seconds = 30\n\
             [cloudflare]\ntoken = {{ env = \"CF_TOKEN\" }}\n\
             access = {{ store = {{ file = \"{store}\" }} }}\n"
        );
        self.operator.edit(|table| {
            let further: toml::Table = further.parse().expect("TOML");
            table.extend(further);
            let sources = table["sources"].as_table_mut().expect("a section");
            sources.insert("ca".into(), ca.display().to_string().into());
            sources.insert("cloudflare-api".into(), api.into());
            let triton = table["triton"].as_table_mut().expect("a section");
            let image = format!("{registry}/nvidia/tritonserver:26.02-py3");
            triton.insert("image".into(), image.into());
            triton.insert("ready-seconds".into(), 20.into());
        });
    }

    /// The program, whose machine asks the edge for names.
    fn try_run(&self, arguments: &[&str]) -> Said {
        let conf = self.operator.folder.join("resolv.conf");
        fs::write(&conf, self.edge.resolv_conf()).expect("ours");
        let bind = "mount --bind \"$1\" /etc/resolv.conf; shift; exec \"$@\"";
        let conf = conf.display().to_string();
        let program = ["-m", "sh", "-ec", bind, "sh", &conf, env!("CARGO_BIN_EXE_oceanid")];
        let mut command = self.operator.program("unshare", &[&program, arguments].concat());
        command.env("CF_TOKEN", API_TOKEN);
        Said::of(command)
    }

    #[track_caller]
    fn run(&mut self, arguments: &[&str], code: i32) -> &Said {
        let said = self.try_run(arguments).exits(code);
        self.said.push(said);
        self.said.last().expect("just said")
    }

    /// What the node itself is told by its own copy.
    #[track_caller]
    fn run_on_calypso(&mut self, command: &str) -> String {
        let run = format!("cd /root/oceanid && {command}");
        let limit = Duration::from_secs(180);
        let host = self.operator.lab.host("calypso");
        let output = host.output_for(limit, &run).expect("nsenter runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = Said {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
        .exits(0);
        let stderr = said.stderr.clone();
        self.said.push(said);
        stderr
    }

    #[track_caller]
    fn exec(&self, host: &str, command: &str) -> String {
        self.operator.lab.host(host).exec(command).expect("it works").trim().to_owned()
    }

    fn state(&self) -> Value {
        let text = fs::read(self.edge.state()).expect("readable");
        serde_json::from_slice(&text).expect("JSON")
    }

    /// Waits until the path is whole again, as the node and the edge see it.
    #[track_caller]
    fn mended(&self) {
        let begun = Instant::now();
        let up = "curl -fs http://127.0.0.1:8000/v2/health/ready && curl -fs http://127.0.0.1:20241/ready";
        while !self.operator.lab.host("calypso").output(up).is_ok_and(|out| out.status.success()) {
            let state = "journalctl -n 40 -u tritonserver -u cloudflared";
            assert!(begun.elapsed() < Duration::from_secs(30), "{}", self.exec("calypso", state));
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// The API's token, the service token's secret, and the tunnel's.
    fn secrets(&self) -> Vec<String> {
        let text = fs::read_to_string(self.token_file()).expect("it was stored");
        let state = self.state();
        let tunnel = state["tunnels"][0]["secret"].as_str().expect("a secret");
        vec![API_TOKEN.to_owned(), text.trim().to_owned(), tunnel.to_owned()]
    }

    fn is_in_its_files_alone(&self, secret: &str) {
        assert!(secret.len() >= 16, "`{secret}` is no secret");
        for Said { stdout, stderr, .. } in &self.said {
            assert!(!stdout.contains(secret) && !stderr.contains(secret), "{stdout}\n{stderr}");
        }
        let log = fs::read_to_string(self.api_log()).expect("readable");
        let bodies = log.lines().filter(|line| line.contains(secret)).count();
        assert_eq!(bodies, 0, "in what the API noted");
        for name in ["tethys", "calypso"] {
            let find = format!(
                "grep -rlsF -e '{secret}' /etc /var /root /home /run /tmp /opt /usr/local /srv | \
                 while read -r file; do stat -c '%a %U %n' -- \"$file\"; done; \
                 journalctl --sync; journalctl -b --no-pager -o cat | grep -cF -e '{secret}' || :"
            );
            let host = self.operator.lab.host(name);
            let found = host.output_for(Duration::from_secs(60), &find).expect("grep runs");
            let found = String::from_utf8_lossy(&found.stdout).into_owned();
            let (files, journal) =
                found.trim_end().rsplit_once('\n').unwrap_or(("", found.trim_end()));
            assert_eq!(journal, "0", "in the journal of {name}");
            for line in files.lines() {
                let own = line == "600 root /etc/oceanid/cloudflared/credentials"
                    || line.contains(" /run/credentials/cloudflared.service/");
                assert!(own, "on {name}: {line}");
            }
        }
    }
}

/// What there is before oceanid comes.
fn account() -> Value {
    json!({
        "accounts": [{ "id": ACCOUNT }],
        "zones": [{
            "id": "zone1", "name": "example.com", "status": "active", "paused": false,
            "account": { "id": ACCOUNT, "name": "Ocean" }, "plan": { "legacy_id": "free" },
        }],
        "tokens": [{
            "value": API_TOKEN, "id": "token1", "kind": "user", "account": ACCOUNT,
            "status": "active", "permissions": RIGHTS,
        }],
    })
}

fn the_name_answers_for_those_who_may(ground: &Ground) {
    let (status, body) = ground.edge.get(NAME, READY, &[]).expect("an answer");
    assert!([401, 403].contains(&status), "{status} {body}");
    let secret = fs::read_to_string(ground.token_file()).expect("it was stored");
    let state = ground.state();
    let id = state["service_tokens"][0]["client_id"].as_str().expect("an id").to_owned();
    let headers = [
        format!("CF-Access-Client-Id: {id}"),
        format!("CF-Access-Client-Secret: {}", secret.trim()),
    ];
    let headers = headers.each_ref().map(String::as_str);
    let (status, body) = ground.edge.get(NAME, READY, &headers).expect("an answer");
    assert_eq!(status, 200, "{body}");
    let nodes = ground.exec("tethys", "/usr/local/bin/k3s kubectl get nodes --no-headers");
    assert!(nodes.lines().any(|line| line.starts_with("calypso") && line.contains(" Ready ")));
}

fn a_second_run_changes_nothing(ground: &mut Ground) {
    let inspect = "docker inspect -f '{{.Id}} {{.State.StartedAt}} {{.State.Running}}' oceanid-triton; \
                   systemctl show -p InvocationID -p NRestarts tritonserver cloudflared k3s-agent";
    let before = ground.exec("calypso", inspect);
    let second = ground.run(&["bootstrap", "--yes"], 0);
    assert!(second.stderr.contains("0 changed"), "{}", second.stderr);
    assert_eq!(ground.exec("calypso", inspect), before, "something was restarted");
}

fn every_hop_holds(ground: &mut Ground) {
    let said = ground.run(&["verify"], 0);
    let from = said.stdout.find(NAME).expect("the path is shown");
    let lines: Vec<_> = said.stdout[from..].lines().take(8).map(masked).collect();
    insta::assert_snapshot!(lines.join("\n"));
    let said = ground.run(&["verify", "--json", "-v"], 0);
    let hops = said.events("hop");
    let all =
        ["service", "cloudflared", "edge", "dns", "without-credentials", "with-credentials", "pod"];
    let told: Vec<_> = hops.iter().map(|hop| hop["hop"].as_str().expect("text")).collect();
    assert_eq!(told, all);
    assert!(hops.iter().all(|hop| hop["state"] == "holds" && hop["host"] == "calypso"), "{hops:?}");
}

/// Addresses differ from lab to lab.
fn masked(line: &str) -> String {
    match line.split_once("198.51.100.") {
        Some((before, _)) => format!("{before}[address]"),
        None => line.to_owned(),
    }
}

fn on_the_node_itself_it_is_the_same(ground: &mut Ground) {
    let host = ground.operator.lab.host("calypso");
    let root = host.root().join("root/oceanid");
    fs::create_dir_all(&root).expect("a folder");
    let put = |from: &std::path::Path, name: &str| {
        fs::copy(from, root.join(name)).expect("copied");
    };
    put(std::path::Path::new(env!("CARGO_BIN_EXE_oceanid")), "oceanid");
    put(&ground.operator.folder.join("oceanid.lock"), "oceanid.lock");
    put(&ground.operator.folder.join("ca.pem"), "ca.pem");
    let ssh = host.root().join("root/.ssh");
    fs::create_dir_all(&ssh).expect("a folder");
    fs::copy(ground.operator.lab.key(), ssh.join("id_ed25519")).expect("copied");
    fs::copy(ground.operator.lab.known_hosts(), ssh.join("known_hosts")).expect("copied");
    // Cloudflare's side is the operator's; here the tunnel's own credentials do.
    let tunnel = &ground.state()["tunnels"][0];
    let credentials = json!({ "AccountTag": ACCOUNT, "TunnelID": tunnel["id"], "TunnelSecret": tunnel["secret"] });
    fs::write(root.join("tunnel.json"), credentials.to_string()).expect("written");
    let text = fs::read_to_string(ground.operator.file()).expect("written");
    let mut table: toml::Table = text.parse().expect("TOML");
    table.remove("cloudflare");
    let sources = table["sources"].as_table_mut().expect("a section");
    sources.insert("ca".into(), "/root/oceanid/ca.pem".into());
    sources.remove("cloudflare-api");
    let file: toml::Table = "file = \"/root/oceanid/tunnel.json\"".parse().expect("TOML");
    let own = table["tunnel"][0].as_table_mut().expect("a tunnel");
    own.insert("credentials".into(), file.into());
    fs::write(root.join("cluster.toml"), table.to_string()).expect("written");
    let said = ground.run_on_calypso("./oceanid join calypso --local --yes");
    assert!(said.contains("0 changed"), "{said}");
    from_nothing_it_is_the_same_too(ground);
    ground.exec("calypso", "rm -r /root/oceanid /root/.ssh");
}

/// What the first run made is taken back, and made anew by the node itself.
fn from_nothing_it_is_the_same_too(ground: &mut Ground) {
    ground.run(&["rollback", "calypso", "--yes"], 0);
    let there = "ls -d /etc/rancher/k3s/config.yaml /etc/oceanid/cloudflared/credentials \
                 /etc/systemd/system/tritonserver.service 2>/dev/null | wc -l";
    assert_eq!(ground.exec("calypso", there), "0", "something was left");
    let said = ground.run_on_calypso("./oceanid join calypso --local --yes");
    assert!(said.contains("1 changed"), "{said}");
    let said = ground.run_on_calypso("./oceanid join calypso --local --yes");
    assert!(said.contains("0 changed"), "{said}");
    the_name_answers_for_those_who_may(ground);
    ground.run(&["bootstrap", "--yes"], 0);
}

/// The name of the finding at the first hop that does not hold.
#[track_caller]
fn broken(ground: &mut Ground) -> (String, String) {
    let said = ground.run(&["verify", "--json"], 1);
    let hops = said.events("hop");
    let last = hops.last().expect("hops");
    assert_eq!(last["state"], "broken", "{hops:?}");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    (text(&last["hop"]), text(&last["finding"]["name"]))
}

fn every_break_is_told_by_its_cause(ground: &mut Ground) {
    let is = |found: (String, String), hop: &str, name: &str| {
        assert_eq!(found, (hop.to_owned(), name.to_owned()));
    };
    ground.exec("calypso", "systemctl stop tritonserver");
    is(broken(ground), "service", "service-down");
    ground.exec("calypso", "systemctl start tritonserver");
    let config = "/etc/oceanid/cloudflared/config.yml";
    let swap = |from: u16, to: u16| {
        format!("sed -i s/:{from}/:{to}/ {config}; systemctl restart cloudflared")
    };
    ground.exec("calypso", &swap(8000, 9000));
    ground.mended();
    is(broken(ground), "cloudflared", "other-service");
    ground.exec("calypso", &swap(9000, 8000));
    ground.edge.stop().expect("it ends");
    std::thread::sleep(Duration::from_secs(1));
    is(broken(ground), "edge", "no-edge");
    ground.edge.restart(&ground.operator.lab).expect("it listens");
    ground.mended();
    let whole = ground.state();
    let ago = "2020-01-01T00:00:00Z";
    for (pointer, value, hop, name) in [
        ("/dns", json!([]), "dns", "no-record"),
        ("/access_apps", json!([]), "without-credentials", "open-to-everybody"),
        ("/service_tokens/0/expires_at", json!(ago), "with-credentials", "token-refused"),
        (
            "/dns/0/content",
            json!("00000000-1111-2222-3333-444444444444.cfargotunnel.com"),
            "with-credentials",
            "no-tunnel",
        ),
    ] {
        let mut state = whole.clone();
        *state.pointer_mut(pointer).expect("the API keeps it so") = value;
        ground.edge.set(&state).expect("ours");
        is(broken(ground), hop, name);
    }
    ground.edge.set(&whole).expect("ours");
    // Triton was started a moment ago, which its own step minds.
    ground.run(&["verify", "--skip", "triton"], 0);
    // Deleted, it is refused to its connector too.
    let mut state = whole.clone();
    state["tunnels"][0]["deleted_at"] = json!(ago);
    ground.edge.set(&state).expect("ours");
    ground
        .operator
        .lab
        .host("calypso")
        .output("systemctl restart --no-block cloudflared")
        .expect("a shell");
    std::thread::sleep(Duration::from_secs(3));
    is(broken(ground), "edge", "tunnel-refused");
    ground.edge.set(&whole).expect("ours");
}
