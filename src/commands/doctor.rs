//! `oceanid doctor`: why k3s does not run, as the hosts show it.

use super::context::Context;
use super::print;
use crate::doctor::{Examined, Finding};
use crate::report::{Exit, Failure, Style, diagnosis};

/// Looks at every selected host and prints what was found; anything found is an exit with 1.
pub async fn run(context: &Context, nodes: Vec<String>) -> anyhow::Result<Exit> {
    let selection = context.whole(nodes)?;
    let dialer = context.dialer()?;
    let fleet = context.fleet(&dialer, &selection, 10, "doctor");
    let mut well = true;
    for (host, examined) in fleet.examine().await {
        let (calm, findings) = match examined {
            Ok(Examined { findings, installed: true }) => ("k3s runs; nothing found", findings),
            Ok(Examined { findings, .. }) => {
                ("k3s is not installed; nothing found that would keep it from running", findings)
            }
            Err(error) => ("", vec![out_of_reach(&host.name, &error)]),
        };
        well &= findings.is_empty();
        tell(context, &host.name, calm, &findings)?;
    }
    Ok(if well { Exit::Done } else { Exit::Failed })
}

/// A host that cannot be looked at has that as its finding.
fn out_of_reach(host: &str, error: &anyhow::Error) -> Finding {
    let failure = Failure::new(Some(host), error);
    Finding {
        name: failure.codes.first().copied().unwrap_or("unreachable"),
        cause: failure.message,
        evidence: failure.causes,
        command: failure.hint.unwrap_or_else(|| format!("`oceanid facts {host}`")),
    }
}

fn tell(context: &Context, host: &str, calm: &str, findings: &[Finding]) -> anyhow::Result<()> {
    if context.json {
        let line = serde_json::json!({
            "schema": 1, "event": "diagnosed", "host": host, "findings": findings,
        });
        return print(&format!("{line}\n"));
    }
    let mut text = Vec::new();
    diagnosis::host(&mut text, host, calm, findings, Style::of(&std::io::stdout()))?;
    print(&String::from_utf8(text)?)
}
