//! Triton in the real Docker engine, from bare to serving, and through all that befalls it; needs root.

#[path = "support/lab.rs"]
mod operator;

use std::fs;
use std::time::{Duration, Instant};

use lab::{HostSpec, Mirror, Release, Topology};
use operator::{Operator, Said};
use serde_json::Value;
use toml::Table;

const CANARY: &str = "canary-of-triton-4711";
const MODELS: &str = "/opt/triton/models";

/// What the step `nvidia` would leave of the card that the lab has given the host.
const CDI: &str = "mkdir -p /etc/cdi\n\
    printf '%s\\n' 'cdiVersion: 0.5.0' 'kind: nvidia.com/gpu' 'devices:' '- name: all' '  containerEdits:' \
    '    deviceNodes:' '    - path: /dev/nvidia0' >/etc/cdi/lab.yaml";

#[test]
fn triton_serves_and_goes_on_serving() {
    let host = HostSpec::new("calypso").release(Release::Debian13).gpu();
    let operator = Operator::before(Topology::of(vec![host]));
    let mirror = write_cluster_toml(&operator);
    exec(&operator, CDI);
    put_model(&operator, "ner", "the model\n");
    put_model(&operator, "docling", "sim: slow 1\n");
    from_bare_to_serving(&operator);
    foreign_settings_stay(&operator);
    the_secret_is_in_its_file_alone(&operator);
    the_unit_is_sound(&operator);
    what_happens_to_hosts_is_survived(&operator);
    what_cannot_serve_is_refused_before_anything_is_stopped(&operator, &mirror);
    a_changed_option_restarts_triton_alone(&operator);
    what_does_not_come_up_is_put_back(&operator);
}

fn write_cluster_toml(operator: &Operator) -> Mirror {
    let releases = operator.lab.releases().expect("served");
    let mirror = releases.mirror().expect("a port");
    let program = &operator.lab.k3s().expect("the stand-in").path;
    let image = ("tritonserver", program.as_path());
    releases.add_image("nvidia/tritonserver", "26.02-py3", image).expect("an image");
    let ca = operator.folder.join("ca.pem");
    fs::write(&ca, &mirror.ca).expect("the lab's folder is ours");
    let registry = mirror.url.trim_start_matches("https://").to_owned();
    operator.edit(|table| {
        let sources = table["sources"].as_table_mut().expect("a section");
        sources.insert("ca".to_owned(), ca.display().to_string().into());
        let secrets = format!("HF_TOKEN = {{ command = [\"printf\", \"%s\", \"{CANARY}\"] }}");
        let secrets: Table = secrets.parse().expect("TOML");
        let environment: Table = "GREETING = \"it's 5 % of $HOME\"".parse().expect("TOML");
        let triton = table["triton"].as_table_mut().expect("a section");
        for (key, value) in [
            ("image", format!("{registry}/nvidia/tritonserver:26.02-py3").into()),
            ("models", MODELS.into()),
            ("ready-seconds", 20.into()),
            ("secrets", secrets.into()),
            ("environment", environment.into()),
        ] {
            triton.insert(key.to_owned(), value);
        }
    });
    mirror
}

fn exec(operator: &Operator, command: &str) -> String {
    operator.lab.host("calypso").exec(command).expect("a shell").trim().to_owned()
}

fn put_model(operator: &Operator, name: &str, content: &str) {
    exec(
        operator,
        &format!(
            "mkdir -p {MODELS}/{name}/1; printf '{content}' >{MODELS}/{name}/1/model.onnx\n\
             printf 'name: \"{name}\" # }}\\nbackend: \"onnxruntime\"\\ninstance_group [ {{ kind: KIND_GPU gpus: [ 0 ] }} ]\\n' >{MODELS}/{name}/config.pbtxt"
        ),
    );
}

fn run(operator: &Operator, steps: &str) -> Said {
    operator.run(&["bootstrap", "calypso", "--yes", "--json", "--only", steps])
}

fn bootstrap(operator: &Operator) -> Said {
    run(operator, "prepare,docker,triton")
}

fn subjects(said: &Said) -> Vec<String> {
    let done = said.events("change-done");
    done.iter().map(|event| event["subject"].as_str().expect("text").to_owned()).collect()
}

/// What failed, why, and what to type next.
#[track_caller]
fn failure(operator: &Operator, code: i32) -> String {
    let said = bootstrap(operator).exits(code);
    let failed = said.events("host-failed");
    assert_eq!(failed.len(), 1, "{}", said.stdout);
    let error = &failed[0];
    let texts = |value: &Value| -> Vec<String> {
        value
            .as_array()
            .into_iter()
            .flatten()
            .map(|text| text.as_str().unwrap_or_default().to_owned())
            .collect()
    };
    let finding = &error["findings"][0];
    format!(
        "{}\n{}\n{}\n{}: {}\n{}\n{}",
        error["message"].as_str().unwrap_or_default(),
        texts(&error["causes"]).join("\n"),
        texts(&error["output"]).join("\n"),
        finding["name"].as_str().unwrap_or_default(),
        finding["cause"].as_str().unwrap_or_default(),
        texts(&finding["evidence"]).join("\n"),
        finding["command"].as_str().unwrap_or_default(),
    )
}

/// The container, by the moment at which it was started.
fn container(operator: &Operator) -> String {
    exec(
        operator,
        "docker inspect -f '{{.Id}} {{.State.StartedAt}} {{.State.Running}}' oceanid-triton",
    )
}

fn unchanged(operator: &Operator) {
    let before = container(operator);
    let said = bootstrap(operator).exits(0);
    assert_eq!(subjects(&said), Vec::<String>::new());
    assert_eq!(container(operator), before, "the container was restarted");
}

#[track_caller]
fn is_serving(operator: &Operator) {
    let ask = "curl -fsS -X POST -d '{}' http://127.0.0.1:8000/v2/repository/index && curl -fsS http://127.0.0.1:8002/metrics";
    let said = exec(operator, ask);
    assert!(said.contains("\"READY\"") && !said.contains("UNAVAILABLE"), "{said}");
    assert!(said.contains("nv_gpu_memory_total_bytes{"), "no GPU inside the container: {said}");
}

/// Waits until it is ready again, within the limits of the unit.
#[track_caller]
fn comes_back(operator: &Operator, limit: u64) {
    let begun = Instant::now();
    let ready = "curl -fs http://127.0.0.1:8000/v2/health/ready";
    while !operator.lab.host("calypso").output(ready).is_ok_and(|output| output.status.success()) {
        assert!(
            begun.elapsed() < Duration::from_secs(limit),
            "{}",
            exec(operator, "journalctl -n 40 -u tritonserver -u docker")
        );
        std::thread::sleep(Duration::from_millis(300));
    }
    is_serving(operator);
}

fn from_bare_to_serving(operator: &Operator) {
    let said = bootstrap(operator).exits(0);
    let done = subjects(&said);
    for subject in [
        "file /etc/docker/daemon.json",
        "unit docker.service",
        "unit tritonserver.service",
        "Triton",
    ] {
        assert!(done.iter().any(|one| one == subject), "no `{subject}` in {done:?}");
    }
    assert!(
        done.iter().any(|one| one.starts_with("image ") && one.contains("@sha256:")),
        "{done:?}"
    );
    is_serving(operator);
    unchanged(operator);
    let lock = fs::read_to_string(operator.folder.join("oceanid.lock")).expect("written");
    assert!(lock.contains("nvidia/tritonserver:26.02-py3\" = \"sha256:"), "{lock}");
    let listening = exec(operator, "ss -Hltn | awk '$4 ~ /:800[012]$/ { print $4 }' | sort");
    assert_eq!(listening, "127.0.0.1:8000\n127.0.0.1:8001\n127.0.0.1:8002");
}

fn foreign_settings_stay(operator: &Operator) {
    let foreign = r#"{"labels": ["it is=theirs"], "features": {"containerd-snapshotter": false}}"#;
    let write = format!("printf %s '{foreign}' >/etc/docker/daemon.json");
    exec(operator, &format!("{write}; systemctl reload docker"));
    let before = container(operator);
    let said = bootstrap(operator).exits(0);
    assert_eq!(subjects(&said), ["file /etc/docker/daemon.json"], "the rest is still in effect");
    assert_eq!(container(operator), before, "Docker's settings are no reason to restart Triton");
    // A Docker that was started without our settings hands over no device any more.
    exec(operator, &format!("{write}; systemctl restart docker"));
    let said = run(operator, "docker").exits(0);
    assert_eq!(subjects(&said), ["file /etc/docker/daemon.json", "unit docker.service"]);
    comes_back(operator, 30);
    let settings = exec(operator, "cat /etc/docker/daemon.json");
    let settings: Value = serde_json::from_str(&settings).expect("JSON");
    assert_eq!(settings["labels"][0], "it is=theirs");
    assert_eq!(settings["features"]["containerd-snapshotter"], false);
    assert_eq!(
        (&settings["features"]["cdi"], &settings["live-restore"]),
        (&true.into(), &true.into())
    );
    exec(
        operator,
        "cp /etc/docker/daemon.json /root/; echo '{ \"a\": 1, }' >/etc/docker/daemon.json",
    );
    let said = bootstrap(operator).exits(1);
    assert!(
        said.stdout.contains("/etc/docker/daemon.json")
            && said.stdout.contains("it is no JSON object"),
        "{}",
        said.stdout
    );
    exec(operator, "cp /root/daemon.json /etc/docker/");
}

fn the_secret_is_in_its_file_alone(operator: &Operator) {
    let find =
        format!("grep -rlsF -e {CANARY} /etc /var /root /home /run /opt /usr/local /srv || :");
    assert_eq!(exec(operator, &find), "/etc/oceanid/triton-secrets.env");
    assert_eq!(exec(operator, "stat -c '%a %U' /etc/oceanid/triton-secrets.env"), "600 root");
    let said = exec(
        operator,
        "journalctl --no-pager; systemctl cat tritonserver; ps axww; docker inspect oceanid-triton",
    );
    assert!(!said.contains(CANARY));
    let environment = exec(operator, "tr '\\0' '\\n' </proc/$(pidof tritonserver)/environ");
    assert!(environment.contains(&format!("HF_TOKEN={CANARY}")), "{environment}");
    assert!(environment.contains("GREETING=it's 5 % of $HOME"), "{environment}");
}

fn the_unit_is_sound(operator: &Operator) {
    let unit = "/etc/systemd/system/tritonserver.service";
    assert_eq!(exec(operator, &format!("systemd-analyze verify --man=no {unit} 2>&1")), "");
    let exposure =
        exec(operator, "systemd-analyze security --no-pager tritonserver.service | tail -n 1");
    let score = exposure.split_whitespace().find_map(|word| word.parse::<f64>().ok());
    assert!(score.is_some_and(|score| score <= 2.0), "{exposure}");
    let inside = exec(
        operator,
        "docker inspect -f '{{.HostConfig.ShmSize}} {{.Config.User}} {{.HostConfig.CapDrop}} {{(index .Mounts 0).RW}} {{.HostConfig.Ulimits}}' oceanid-triton",
    );
    assert_eq!(inside, "1073741824 1000:1000 [ALL] false [memlock=-1:-1 stack=67108864:67108864]");
}

fn what_happens_to_hosts_is_survived(operator: &Operator) {
    let before = container(operator);
    exec(operator, "systemctl daemon-reload");
    is_serving(operator);
    exec(operator, "systemctl restart docker");
    is_serving(operator);
    assert_eq!(container(operator), before, "it outlives a restart of Docker");
    std::thread::sleep(Duration::from_secs(2));
    exec(operator, "systemctl is-active tritonserver");
    exec(operator, "docker kill oceanid-triton");
    comes_back(operator, 30);
    assert_ne!(container(operator), before);
    operator.lab.host("calypso").reboot().expect("it boots");
    comes_back(operator, 60);
    exec(operator, "sleep 30");
    unchanged(operator);
}

fn what_cannot_serve_is_refused_before_anything_is_stopped(operator: &Operator, mirror: &Mirror) {
    let before = container(operator);
    let spoiled =
        format!("printf 'name: \"bad\"\\ninput [ {{ name: \"x }}\\n' >{MODELS}/bad/config.pbtxt");
    for (what, spoil, expected) in [
        ("syntax", spoiled.as_str(), "model `bad`: config.pbtxt, line 2: a string does not end"),
        (
            "bracket",
            "printf 'input [\\n{ }\\n' >bad/config.pbtxt",
            "model `bad`: config.pbtxt, line 1: `[` is not closed",
        ),
        (
            "name",
            "printf 'name: \"good\"\\n' >bad/config.pbtxt",
            "`name` is `good`, but the folder is `bad`",
        ),
        (
            "GPU",
            "printf 'instance_group { gpus: [ 0, 7 ] }\\n' >bad/config.pbtxt",
            "there is no GPU 7, the host has 1",
        ),
        (
            "version",
            "rm bad/config.pbtxt; mv bad/1 bad/v1",
            "model `bad`: the version `v1` is not a whole number",
        ),
        (
            "permission",
            "mv bad/v1 bad/1; chmod 0700 bad/1",
            "the user 1000:1000 of Triton cannot read ./bad/1",
        ),
    ] {
        if what == "syntax" {
            put_model(operator, "bad", "x\n");
        }
        exec(operator, &format!("cd {MODELS}; {spoil}"));
        let said = failure(operator, 1);
        assert!(said.contains(expected), "{what}: {said}");
    }
    exec(operator, &format!("chmod 0755 {MODELS}/bad/1"));
    let said = failure(operator, 1);
    assert!(said.contains("not-loaded: a model was put there since Triton started"), "{said}");
    exec(operator, &format!("rm -r {MODELS}/bad"));
    what_is_in_the_way_outside_is_refused(operator, mirror);
    assert_eq!(container(operator), before, "it served all the while");
    is_serving(operator);
}

fn what_is_in_the_way_outside_is_refused(operator: &Operator, mirror: &Mirror) {
    exec(operator, "mkdir -p /snap/docker");
    let said = failure(operator, 1);
    assert!(said.contains("the Docker of snap is installed"), "{said}");
    exec(operator, "rmdir /snap/docker");
    let written = fs::read_to_string(operator.file()).expect("written before");
    set(operator, "http-port", 9999.into());
    exec(
        operator,
        "docker run -d --name rival -p 127.0.0.1:9999:80 $(docker images -q | head -n 1) tritonserver --model-repository=/tmp >/dev/null; sleep 1",
    );
    let said = failure(operator, 1);
    assert!(said.contains("port 9999 of 127.0.0.1 is taken by the container rival"), "{said}");
    assert!(said.contains("port-taken"), "{said}");
    exec(operator, "docker rm -f rival");
    fs::write(operator.file(), &written).expect("ours");
    let absent = format!(
        "{}/nvidia/tritonserver@sha256:{}",
        mirror.url.trim_start_matches("https://"),
        "0".repeat(64)
    );
    set(operator, "image", absent.into());
    let said = failure(operator, 1);
    assert!(said.contains("no-image: the registry does not have the image"), "{said}");
    fs::write(operator.file(), &written).expect("ours");
}

fn set(operator: &Operator, key: &str, value: toml::Value) {
    operator.edit(|table| {
        table["triton"].as_table_mut().expect("a section").insert(key.to_owned(), value);
    });
}

fn a_changed_option_restarts_triton_alone(operator: &Operator) {
    let docker = "systemctl show -p InvocationID docker";
    let (before, engine) = (container(operator), exec(operator, docker));
    set(operator, "model-control", "explicit".into());
    set(operator, "load", toml::Value::Array(vec!["ner".into()]));
    let said = bootstrap(operator).exits(0);
    let expected =
        ["file /etc/systemd/system/tritonserver.service", "unit tritonserver.service", "Triton"];
    assert_eq!(subjects(&said), expected);
    assert_ne!(container(operator), before);
    assert_eq!(exec(operator, docker), engine, "Docker was restarted");
    let index =
        exec(operator, "curl -fsS -X POST -d '{}' http://127.0.0.1:8000/v2/repository/index");
    assert!(index.contains("ner") && !index.contains("docling"), "{index}");
}

fn what_does_not_come_up_is_put_back(operator: &Operator) {
    for (fault, cause) in [
        ("oom", "gpu-memory: the models need more memory than the GPU has left"),
        ("broken", "broken-model: "),
        ("driver", "driver-too-old: "),
    ] {
        put_model(operator, fault, &format!("sim: {fault}\\n"));
        set(operator, "load", toml::Value::Array(vec!["ner".into(), fault.into()]));
        let said = failure(operator, 5);
        assert!(said.contains(cause), "{said}");
        let own_words = format!("failed to load '{fault}' version 1");
        assert!(said.contains(&own_words), "the container's own words: {said}");
        assert!(said.contains("it has what it had before again"), "{said}");
        is_serving(operator);
    }
}
