//! `oceanid trust`: a person compares a host key's fingerprint, then it is remembered.

use anyhow::bail;

use super::context::{Context, Usage};
use super::print;
use crate::remote::known_hosts::Verdict;
use crate::report::Exit;

/// Shows the key of `node` and remembers it if the person at the terminal says so.
pub async fn run(context: &Context, node: &str, expected: Option<&str>) -> anyhow::Result<Exit> {
    let Some(host) = context.cluster.host(node) else {
        return Err(Usage(format!("there is no node `{node}` in {}", context.file.display())).into());
    };
    let dialer = context.dialer()?;
    let shown = dialer.connector.show_host_key(host).await?;
    print(&format!("{} shows {}\n", shown.address, shown.fingerprint))?;
    match &shown.verdict {
        Verdict::Known => {
            print("it is known already\n")?;
            return Ok(Exit::Done);
        }
        Verdict::Unknown => {}
        other => bail!("this is not the key that is known: {other:?}"),
    }
    let agreed = match expected {
        Some(expected) => shown.fingerprint.split_whitespace().any(|word| word == expected),
        None => context.confirm("Is it the right one (compare it at the host: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub)?")?,
    };
    if !agreed {
        bail!("the key was not remembered");
    }
    let file = dialer.connector.trust(host, &shown).await?;
    print(&format!("remembered in {}\n", file.display()))?;
    Ok(Exit::Done)
}
