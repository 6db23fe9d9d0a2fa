//! Which version may follow which: never an older one, never past a minor, no agent before its server.

use anyhow::bail;
use semver::Version;

use super::{Inputs, Servers};

/// How many minors an agent may be behind its server.
const BEHIND: u64 = 3;

/// Refuses a server's version that may not follow the one that runs.
pub fn check_server(inputs: &Inputs<'_>) -> anyhow::Result<()> {
    let facts = inputs.facts;
    let name = &inputs.host.name;
    let known = facts.roll.as_ref().and_then(|roll| roll.version(name));
    let known = known.or(facts.k3s_version.as_deref());
    match known {
        Some(running) => follows(name, running, &inputs.releases.k3s.version, Minors::InTurn),
        None => Ok(()),
    }
}

/// Refuses an agent's version that its server does not take, or that may not follow the one that runs.
pub fn check_agent(inputs: &Inputs<'_>) -> anyhow::Result<()> {
    let Some(roll) = inputs.first_server.and_then(|facts| facts.roll.as_ref()) else {
        return Ok(());
    };
    let (name, wanted) = (&inputs.host.name, &inputs.releases.k3s.version);
    if let Some(running) = roll.version(name) {
        follows(name, running, wanted, Minors::Any)?;
    }
    let server = &inputs.cluster.first_server().name;
    match roll.version(server) {
        Some(runs) if inputs.terms.servers == Servers::Settled => fits(name, wanted, server, runs),
        _ => Ok(()),
    }
}

/// Whether what runs is of the same minor as what is wanted: between them nothing is converted.
pub fn is_near(running: &str, wanted: &str) -> bool {
    match (parse(running), parse(wanted)) {
        (Some(running), Some(wanted)) => running.minor == wanted.minor,
        _ => false,
    }
}

/// Which minors may follow one another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Minors {
    /// A server converts its data from one to the next.
    InTurn,
    /// An agent that was away while its server went on has to catch up.
    Any,
}

fn follows(name: &str, running: &str, wanted: &str, minors: Minors) -> anyhow::Result<()> {
    let (Some(old), Some(new)) = (parse(running), parse(wanted)) else { return Ok(()) };
    if new < old {
        bail!(
            "`{name}` runs k3s {running}; {wanted} is older, and k3s cannot go back\n\
             hint: set `k3s.version` in cluster.toml to {running} or newer"
        );
    }
    if minors == Minors::InTurn && new.minor > old.minor + 1 {
        let next = old.minor + 1;
        bail!(
            "`{name}` runs k3s {running}; {wanted} skips a minor, and Kubernetes takes one at a time\n\
             hint: set `k3s.version` in cluster.toml to a v1.{next} first"
        );
    }
    Ok(())
}

fn fits(name: &str, wanted: &str, server: &str, runs: &str) -> anyhow::Result<()> {
    let (Some(agent), Some(its)) = (parse(wanted), parse(runs)) else { return Ok(()) };
    if agent > its {
        bail!(
            "`{name}` is to run k3s {wanted}, newer than its server `{server}` with {runs}\n\
             hint: `oceanid bootstrap` brings the servers there first"
        );
    }
    if agent.minor + BEHIND < its.minor {
        bail!(
            "`{name}` is to run k3s {wanted}, more than {BEHIND} minors behind its server `{server}` with {runs}\n\
             hint: set `k3s.version` in cluster.toml to {runs}"
        );
    }
    Ok(())
}

fn parse(version: &str) -> Option<Version> {
    Version::parse(version.strip_prefix('v')?).ok()
}

#[cfg(test)]
mod tests {
    use super::{Minors, fits, follows, is_near};

    fn refusal(result: anyhow::Result<()>) -> String {
        result.err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_server_goes_forward_one_minor_at_a_time() {
        let to = |wanted| refusal(follows("tethys", "v1.36.3+k3s1", wanted, Minors::InTurn));
        for wanted in ["v1.36.3+k3s1", "v1.36.3+k3s2", "v1.36.4+k3s1", "v1.37.1+k3s1", "odd"] {
            assert_eq!(to(wanted), "", "{wanted}");
        }
        for wanted in ["v1.36.3-rc1+k3s1", "v1.36.2+k3s1", "v1.35.9+k3s1"] {
            assert!(to(wanted).contains("is older"), "{wanted}: {}", to(wanted));
        }
        assert!(to("v1.38.0+k3s1").contains("skips a minor"));
        assert!(to("v1.38.0+k3s1").contains("a v1.37 first"));
    }

    #[test]
    fn an_agent_is_neither_newer_than_its_server_nor_four_minors_older() {
        let with = |wanted| refusal(fits("styx", wanted, "tethys", "v1.36.3+k3s1"));
        for wanted in ["v1.36.3+k3s1", "v1.33.0+k3s1"] {
            assert_eq!(with(wanted), "", "{wanted}");
        }
        assert!(with("v1.36.4+k3s1").contains("newer than its server"));
        assert!(with("v1.32.9+k3s1").contains("more than 3 minors behind"));
    }

    #[test]
    fn an_agent_that_was_away_catches_up_but_never_goes_back() {
        let to = |wanted| refusal(follows("styx", "v1.34.1+k3s1", wanted, Minors::Any));
        assert_eq!(to("v1.37.1+k3s1"), "");
        assert!(to("v1.33.9+k3s1").contains("is older"));
    }

    #[test]
    fn near_is_the_same_minor() {
        assert!(
            is_near("v1.36.3+k3s1", "v1.36.9+k3s1") && !is_near("v1.36.3+k3s1", "v1.37.0+k3s1")
        );
        assert!(!is_near("v1.36.3+k3s1", "odd"));
    }
}
