//! What must hold before a host joins: the name is free, the server is ours, the token is for agents.

use anyhow::bail;

use super::{Inputs, Servers, k3s_config};
use crate::actions::{Command, File, Made, NodeGone};
use crate::cluster::Host;
use crate::facts::{Facts, Roll};
use crate::script::{Script, quote};
use crate::secret;
use crate::step::Step;

/// Where the server's k3s has the agents' token in full.
const AGENTS_OWN: &str = "/var/lib/rancher/k3s/server/agent-token";

/// What `old-nodes` makes true on the first server: names that this run needs are free.
#[expect(clippy::unnecessary_wraps, reason = "every step is built alike")]
pub fn old_nodes(inputs: &Inputs<'_>) -> anyhow::Result<Step> {
    let mut step = Step::new("old-nodes");
    for name in inputs.terms.replaced {
        step.ensure(NodeGone::new(name, "another machine takes its name"));
    }
    Ok(step)
}

/// Refuses a host whose name is another machine's, or whose password the cluster would not take.
pub fn check_name(inputs: &Inputs<'_>) -> anyhow::Result<()> {
    let Some(roll) = inputs.first_server.and_then(|facts| facts.roll.as_ref()) else {
        return Ok(());
    };
    let name = &inputs.host.name;
    match taken(roll, inputs.host, inputs.facts) {
        Some(why) if !inputs.terms.replaced.contains(name) => {
            bail!(
                "{why}\nhint: if that machine is gone, `oceanid join {name} --replace` removes its node"
            )
        }
        _ => Ok(()),
    }
}

/// Why `host` cannot be the node of its name: another machine is, or was.
#[must_use]
pub fn taken(roll: &Roll, host: &Host, facts: &Facts) -> Option<String> {
    let name = &host.name;
    if let Some(node) = roll.node(name) {
        let other = &node.status.node_info.machine_id;
        if !other.is_empty() && *other != facts.machine_id {
            let ready = node.condition("Ready");
            return Some(format!(
                "the cluster has a node `{name}` that is another machine: its machine-id is {other}, \
                 this host's {} (its Ready is {ready})",
                facts.machine_id
            ));
        }
    }
    let known = roll.passwords.iter().any(|known| known == name);
    (known && !facts.has_node_password).then(|| {
        format!(
            "the cluster keeps a node password of `{name}` that this host does not have: \
             it was installed anew, or is another machine"
        )
    })
}

/// The agents' token on the first server, made there; a token that the cluster has already is kept.
pub fn agent_token_of_first() -> Made {
    let kept = format!(
        "if read -r line 2>/dev/null <{AGENTS_OWN}; then\n\
         case $line in *::node:*) printf %s \"${{line##*::node:}}\" ;; esac\nfi\n"
    );
    Made::new(k3s_config::AGENT_TOKEN, kept)
}

/// The agents' token as the first server gives it now, in the file `path`.
///
/// # Errors
/// When the first server stays as it is, and has none.
pub fn agent_token(inputs: &Inputs<'_>, path: &str) -> anyhow::Result<File> {
    let server = &inputs.cluster.first_server().name;
    let Some(facts) = inputs.first_server else { return Ok(File::later(path)) };
    match &facts.join_token {
        Some(token) if secret::is_for_agents(token) => Ok(File::secret(path, token.clone())),
        _ if inputs.terms.servers == Servers::Pending => Ok(File::later(path)),
        Some(_) => bail!(
            "`{server}` has no token for agents: its `{AGENTS_OWN}` is the servers' own, which lets in servers too\n\
             hint: `oceanid bootstrap {server}` makes one"
        ),
        None => bail!(
            "`{server}` has no token to join with: its k3s has never been up\n\
             hint: `oceanid bootstrap {server}` brings it up"
        ),
    }
}

/// From this host the API answers, and its CA is the one in the join token.
pub fn server_is_ours(inputs: &Inputs<'_>) -> Command {
    let endpoint = &inputs.cluster.k3s.endpoint;
    let token = inputs.first_server.and_then(|facts| facts.join_token.as_ref());
    let hash = token.and_then(secret::ca_hash).unwrap_or_default();
    let joined = format!(
        "sum=$(sha256sum </var/lib/rancher/k3s/agent/server-ca.crt)\n[ \"${{sum%% *}}\" = '{hash}' ]\n"
    );
    let check = format!(
        "url={url}\n\
         ask() {{ curl -sSk --max-time 10 --retry 2 --retry-connrefused --retry-delay 1 -- \"$url/$1\" 2>&1; }}\n\
         if ! pong=$(ask ping) || [ \"$pong\" != pong ]; then\n\
         printf '%s\\n' \"$pong\" | tail -n 1 >&2\n\
         printf 'the API at %s does not answer from here: a firewall, or the server is down\\n' \"$url\" >&2; exit 1; fi\n\
         ca=$(ask cacerts && printf .) || {{ printf 'the API at %s does not show its CA\\n' \"$url\" >&2; exit 1; }}\n\
         sum=$(printf %s \"${{ca%.}}\" | sha256sum)\n\
         if [ \"${{sum%% *}}\" != '{hash}' ]; then\n\
         printf 'the CA at %s has sha256 %s, the join token wants %s: another cluster, or somebody in between\\n' \
         \"$url\" \"${{sum%% *}}\" '{hash}' >&2; exit 1; fi\n",
        url = quote(&format!("https://{endpoint}:6443")),
    );
    Command::new(
        "server's CA",
        format!("reach https://{endpoint}:6443 and compare its CA with the token"),
        joined,
        Script::new(check),
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{agent_token, check_name, taken};
    use crate::action::Action as _;
    use crate::cluster::Cluster;
    use crate::facts::{self, Facts};
    use crate::releases::Releases;
    use crate::remote::Output;
    use crate::steps::{Inputs, Servers, Terms};

    const NODES: &str = r#"{"items":[{"metadata":{"name":"styx"},"status":{"nodeInfo":{"machineID":"ours"}}},
        {"metadata":{"name":"meliae"},"status":{"conditions":[{"type":"Ready","status":"True"}],"nodeInfo":{"machineID":"theirs"}}}]}"#;

    fn cluster() -> Cluster {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster.toml");
        crate::config::load(&file).expect("the example is valid").cluster
    }

    fn facts(more: &str) -> Facts {
        let said = format!(
            "fact clock 1.5\nfact os debian\nfact machine x86_64\nfact kernel 6\nfact hostname h\n\
             fact machine-id ours\nfact cpus 0\nfact memory 2000\nfact disk-free 1 1\n{more}"
        );
        facts::read(&Output { stdout: said, ..Output::default() }, 1.5).expect("whole facts")
    }

    fn roll() -> String {
        let passwords = r#"{"items":[{"metadata":{"name":"styx.node-password.k3s"}},{"metadata":{"name":"calypso.node-password.k3s"}}]}"#;
        format!("fact list roll\n{passwords}\n{NODES}\n")
    }

    fn inputs<'a>(
        cluster: &'a Cluster,
        name: &str,
        (own, server): (&'a Facts, &'a Facts),
        (releases, terms): (&'a Releases, Terms<'a>),
    ) -> Inputs<'a> {
        let host = cluster.host(name).expect("a node of the example");
        Inputs {
            datastore: None,
            gpus: None,
            cluster,
            host,
            facts: own,
            nodes: &[],
            first_server: Some(server),
            releases,
            terms,
        }
    }

    #[test]
    fn a_name_belongs_to_the_machine_that_had_it_and_has_its_password() {
        let (cluster, releases) = (cluster(), Releases::default());
        let server = facts(&roll());
        let (new, old) = (facts(""), facts("fact has-node-password yes\n"));
        let refusal = |name: &str, own: &Facts| {
            let inputs = inputs(&cluster, name, (own, &server), (&releases, Terms::default()));
            check_name(&inputs).err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert_eq!(refusal("styx", &old), "", "it is its own");
        assert!(
            refusal("styx", &new).contains("node password of `styx` that this host does not have")
        );
        assert!(
            refusal("calypso", &new).contains("node password of `calypso`"),
            "a node that was deleted"
        );
        let other = refusal("meliae", &old);
        assert!(
            other.contains("its machine-id is theirs, this host's ours (its Ready is True)"),
            "{other}"
        );
        assert!(other.ends_with("`oceanid join meliae --replace` removes its node"), "{other}");
        assert_eq!(refusal("tethys", &new), "", "nobody had it");
        let replaced = [String::from("meliae")];
        let terms = Terms { replaced: &replaced, ..Terms::default() };
        let allowed = inputs(&cluster, "meliae", (&old, &server), (&releases, terms));
        assert!(check_name(&allowed).is_ok());
        let roll = server.roll.as_ref().expect("it was asked");
        assert!(taken(roll, allowed.host, &old).is_some());
    }

    #[test]
    fn an_agent_gets_the_agents_token_or_none() {
        let (cluster, releases) = (cluster(), Releases::default());
        let own = facts("");
        let file = |server: &Facts, servers: Servers| {
            let terms = Terms { servers, ..Terms::default() };
            let inputs = inputs(&cluster, "styx", (&own, server), (&releases, terms));
            let file = agent_token(&inputs, "/x").map_err(|error| error.to_string())?;
            let planned =
                file.diff(&[crate::action::Answer::File(crate::action::FileState::default())]);
            Ok::<_, String>(planned.expect("a file").expect("a change").summary)
        };
        let agents = facts("fact join-token K10aa::node:secret\n");
        let servers = facts("fact join-token K10aa::server:secret\n");
        for when in [Servers::Settled, Servers::Pending] {
            assert_eq!(file(&agents, when).as_deref(), Ok("create, (secret), 0600 root:root"));
        }
        assert_eq!(
            file(&servers, Servers::Pending).as_deref(),
            Ok("create, (known after apply), 0600 root:root")
        );
        let refused = file(&servers, Servers::Settled).expect_err("it lets in servers too");
        assert!(
            refused.contains("`tethys` has no token for agents") && !refused.contains("secret")
        );
        let down = file(&own, Servers::Settled).expect_err("there is none");
        assert!(down.contains("has never been up") && down.contains("`oceanid bootstrap tethys`"));
    }
}
