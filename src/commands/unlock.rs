//! `oceanid unlock`: removes the lock that a run left behind.

use super::context::Context;
use super::print;
use crate::lock;
use crate::report::Exit;

/// Removes the lock on every selected host, and says whose it was.
pub async fn run(context: &Context, nodes: Vec<String>) -> anyhow::Result<Exit> {
    let selection = context.whole(nodes)?;
    let dialer = context.dialer()?;
    let fleet = context.fleet(&dialer, &selection, 10, "unlock");
    let members = match context.muster(&fleet).await {
        Ok(members) => members,
        Err(exit) => return Ok(exit),
    };
    for member in members.iter().filter(|member| fleet.is_selected(&member.host.name)) {
        let name = &member.host.name;
        let held = lock::break_open(&member.remote).await?;
        let said = match (&member.facts.lock, held) {
            (Some(lock), Some(_)) => {
                format!("{name}: removed the lock of {} ({})", lock.owner, lock.purpose)
            }
            (None, Some(_)) => format!("{name}: removed a lock that this version cannot read"),
            (_, None) => format!("{name}: there was no lock"),
        };
        if context.json {
            let line =
                serde_json::json!({"schema": 1, "event": "unlocked", "host": name, "text": said});
            print(&format!("{line}\n"))?;
        } else {
            print(&format!("{said}\n"))?;
        }
    }
    Ok(Exit::Done)
}
