//! What a cluster begins with, on a real host: applied, unchanged, drifted, mended, taken back; needs root.

#[path = "support/lab.rs"]
mod operator;

use std::fs;
use std::path::Path;
use std::process::Command;

use lab::{HostSpec, SshdCounts, Topology};
use oceanid::charts::Charts;
use oceanid::steps::baseline::manifests;
use operator::{Operator, Said};
use serde_json::{Value, json};

const TOKEN: &str = "canary-cloudflare-token";
/// [`TOKEN`] as the API has it.
const ENCODED: &str = "Y2FuYXJ5LWNsb3VkZmxhcmUtdG9rZW4=";
const POLICIES: &str = "/apis/networking.k8s.io/v1/namespaces/dmz/networkpolicies";

#[test]
fn a_cluster_begins_with_its_baseline_and_keeps_what_is_not_ours() {
    let operator = Operator::before(Topology::of(vec![HostSpec::new("tethys")]));
    operator.edit(|table| {
        let everything: toml::Table = r#"
            gateway-api = true
            cert-manager = { email = "ops@example.com", token = { env = "CLOUDFLARE" } }
            gitops = { tool = "flux", repository = "https://git.example.com/cluster.git" }
        "#
        .parse()
        .expect("TOML");
        table.insert("baseline".to_owned(), everything.into());
        table["k3s"]["disable"] = toml::Value::Array(vec!["servicelb".into()]);
    });
    the_token_goes_where_it_belongs_and_nowhere_else(&operator);
    an_unchanged_cluster_costs_two_executions(&operator);
    kubectl_takes_every_manifest(&operator);
    what_drifted_is_shown_and_mended(&operator);
    what_others_set_is_shown_and_left_alone(&operator);
    what_is_wanted_no_more_goes_and_comes_back(&operator);
    another_token_is_a_change_and_is_not_shown(&operator);
}

fn run(operator: &Operator, arguments: &[&str], token: &str) -> Said {
    let mut command = operator.command(arguments);
    command.env("CLOUDFLARE", token).env("OCEANID_LOG", "trace");
    Said::of(command)
}

fn kubectl(operator: &Operator, words: &str) -> String {
    let line = format!("/usr/local/bin/k3s kubectl {words}");
    operator.lab.host("tethys").exec(&line).expect("the API answers")
}

/// Asks the API itself, as its administrator.
fn api(operator: &Operator, arguments: &str, path: &str) -> Value {
    let line = format!(
        "cd /var/lib/rancher/k3s/server/tls; curl -sS --cacert server-ca.crt --cert client-admin.crt \
         --key client-admin.key {arguments} 'https://127.0.0.1:6443{path}'"
    );
    let text = operator.lab.host("tethys").exec(&line).expect("the API answers");
    serde_json::from_str(&text).expect("the API answers with JSON")
}

fn the_token_goes_where_it_belongs_and_nowhere_else(operator: &Operator) {
    let host = operator.lab.host("tethys");
    let forecast = run(operator, &["plan", "--diff"], TOKEN).exits(0);
    assert!(
        forecast.stdout.contains("zones: create 53, once the API answers"),
        "{}",
        forecast.stdout
    );
    let sampler = host.ps_sampler();
    let first = run(operator, &["bootstrap", "--yes"], TOKEN).exits(0);
    let seen = sampler.stop();
    assert!(seen.rounds > 50, "it was looked at {} times", seen.rounds);
    let secret = api(operator, "", "/api/v1/namespaces/cert-manager/secrets/cloudflare-api-token");
    assert_eq!(secret["data"]["api-token"], ENCODED);
    for text in [TOKEN, ENCODED] {
        assert_eq!(seen.mentions(text), Vec::<&str>::new());
        for said in [&forecast, &first] {
            assert!(!said.stdout.contains(text) && !said.stderr.contains(text));
        }
        let kept =
            host.exec(&format!("grep -rlF -e '{text}' /etc /root /run /var/lib/oceanid || :"));
        assert_eq!(kept.expect("grep runs"), "");
        let logged = format!("journalctl -b --no-pager -o cat | grep -cF -e '{text}' || :");
        assert_eq!(host.exec(&logged).expect("a journal").trim(), "0");
    }
    let lock = fs::read_to_string(operator.folder.join("oceanid.lock")).expect("it was written");
    assert!(lock.contains("[charts]") && lock.contains("cert-manager = \"v"), "{lock}");
}

fn an_unchanged_cluster_costs_two_executions(operator: &Operator) {
    let host = operator.lab.host("tethys");
    let before = host.sshd_counts().expect("a journal");
    let plan = run(operator, &["plan", "--detailed-exitcode"], TOKEN).exits(0);
    assert!(plan.stdout.contains("nothing to change"), "{}", plan.stdout);
    let cost = host.sshd_counts().expect("a journal") - before;
    assert_eq!(cost, SshdCounts { connections: 1, sessions: 2 });
    let again = run(operator, &["bootstrap", "--yes"], TOKEN).exits(0);
    assert!(again.stderr.contains("1 unchanged, 0 changed"), "{}", again.stderr);
}

/// Without `--validate`: that needs the schemas of a real API; kubernetes-validate has them.
fn kubectl_takes_every_manifest(operator: &Operator) {
    let host = operator.lab.host("tethys");
    let config = host.exec("cat /etc/rancher/k3s/k3s.yaml").expect("it is up");
    let file = operator.folder.join("kubeconfig");
    let reached = config.replace("127.0.0.1", &host.address.to_string());
    fs::write(&file, reached).expect("the folder is ours");
    let cluster = oceanid::config::load(&operator.file()).expect("it is valid").cluster;
    let all = manifests(&cluster, &Charts::default()).expect("they render");
    let items: Vec<&Value> = all.iter().map(|object| &object.body).collect();
    let list = operator.folder.join("all.json");
    let text = json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string();
    fs::write(&list, text).expect("the folder is ours");
    let kubectl = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/graders/kubectl-1.37.1");
    let verdict = Command::new(kubectl.join("bin/kubectl"))
        .args(["apply", "--dry-run=client", "--validate=false", "-o", "name", "-f"])
        .arg(&list)
        .env("KUBECONFIG", &file)
        .env("HOME", &operator.folder)
        .output()
        .expect("`tests/setup.sh` installs kubectl");
    let said = String::from_utf8_lossy(&verdict.stdout);
    assert!(verdict.status.success(), "{}", String::from_utf8_lossy(&verdict.stderr));
    assert_eq!(said.lines().count(), items.len(), "{said}");
}

fn what_drifted_is_shown_and_mended(operator: &Operator) {
    kubectl(operator, "delete networkpolicy default-deny -n dmz");
    kubectl(operator, "label namespace data oceanid.io/zone-");
    kubectl(operator, "label namespace data team=blue");
    let plan = run(operator, &["plan", "--diff", "--detailed-exitcode"], TOKEN).exits(2);
    for line in [
        "zones: create 1, change 1",
        "@@ networkpolicy dmz/default-deny: create @@",
        "@@ namespace data: change @@",
        "+    oceanid.io/zone: data",
    ] {
        assert!(plan.stdout.contains(line), "no `{line}` in\n{}", plan.stdout);
    }
    let mended = run(operator, &["bootstrap", "--yes"], TOKEN).exits(0);
    assert!(mended.stderr.contains("1 changed (1 change)"), "{}", mended.stderr);
    run(operator, &["plan", "--detailed-exitcode"], TOKEN).exits(0);
    let labels = &api(operator, "", "/api/v1/namespaces/data")["metadata"]["labels"];
    assert_eq!((&labels["oceanid.io/zone"], &labels["team"]), (&json!("data"), &json!("blue")));
}

fn what_others_set_is_shown_and_left_alone(operator: &Operator) {
    let key = "pod-security.kubernetes.io/enforce";
    kubectl(operator, &format!("label --overwrite namespace public {key}=privileged"));
    let plan = run(operator, &["plan", "--detailed-exitcode"], TOKEN).exits(0);
    let words = plan.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    let note =
        format!("namespace public is left alone: `kubectl-label` set `.metadata.labels.{key}`");
    assert!(words.contains(&note), "{}", plan.stdout);
    run(operator, &["bootstrap", "--yes"], TOKEN).exits(0);
    let labels = |name: &str| {
        api(operator, "", &format!("/api/v1/namespaces/{name}"))["metadata"]["labels"].clone()
    };
    assert_eq!(labels("public")[key], "privileged");
    kubectl(operator, &format!("label namespace public {key}-"));
    run(operator, &["bootstrap", "--yes"], TOKEN).exits(0);
    assert_eq!(labels("public")[key], "baseline");
}

fn what_is_wanted_no_more_goes_and_comes_back(operator: &Operator) {
    let theirs = json!({ "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": { "name": "theirs", "namespace": "dmz",
            "labels": { "app.kubernetes.io/managed-by": "oceanid" } },
        "spec": { "podSelector": {}, "policyTypes": ["Ingress"] } });
    api(operator, &format!("-X POST -H 'Content-Type: application/json' -d '{theirs}'"), POLICIES);
    operator.edit(|table| {
        table["baseline"].as_table_mut().expect("a table").remove("gitops");
    });
    let plan = run(operator, &["plan", "--diff", "--detailed-exitcode"], TOKEN).exits(2);
    assert!(
        plan.stdout.contains("objects of ours that are wanted no more: delete 3"),
        "{}",
        plan.stdout
    );
    assert!(plan.stdout.contains("@@ helmchart kube-system/flux: delete @@"), "{}", plan.stdout);
    assert!(
        plan.stdout.contains("namespace flux-system is wanted no more and stays"),
        "{}",
        plan.stdout
    );
    let before =
        api(operator, "", "/apis/helm.cattle.io/v1/namespaces/kube-system/helmcharts/flux");
    run(operator, &["bootstrap", "--yes"], TOKEN).exits(0);
    run(operator, &["plan", "--detailed-exitcode"], TOKEN).exits(0);
    let path = "/apis/helm.cattle.io/v1/namespaces/kube-system/helmcharts/flux";
    assert_eq!(api(operator, "", path)["code"], 404);
    assert_eq!(api(operator, "", &format!("{POLICIES}/theirs"))["kind"], "NetworkPolicy");
    run(operator, &["rollback", "--yes", "tethys"], TOKEN).exits(0);
    let back = api(operator, "", path);
    assert_eq!(back["spec"], before["spec"]);
    assert_eq!(back["metadata"]["annotations"], before["metadata"]["annotations"]);
}

fn another_token_is_a_change_and_is_not_shown(operator: &Operator) {
    let other = "canary-another-token";
    let plan = run(operator, &["plan", "--diff", "--only", "baseline"], other).exits(0);
    let line = "secret cert-manager/cloudflare-api-token: write another token";
    assert!(plan.stdout.contains(line), "{}", plan.stdout);
    assert!(!plan.stdout.contains(other) && !plan.stderr.contains(other), "{}", plan.stderr);
    let told = run(operator, &["plan", "--json", "--only", "baseline"], other).exits(0);
    let planned = told.events("planned");
    let changes = planned[0]["changes"].as_array().expect("changes");
    let change =
        changes.iter().find(|one| one["subject"].as_str().is_some_and(|s| line.starts_with(s)));
    assert_eq!(
        change.map(|one| (&one["diff"], &one["undo"])),
        Some((&Value::Null, &json!("never")))
    );
    let said = operator.run(&["plan"]).exits(1);
    assert!(said.stderr.contains("cannot get `baseline.cert-manager.token`"), "{}", said.stderr);
}
