//! `oceanid rollback`: takes back what a run did, by the undo that its receipt kept.

use anyhow::{Context as _, bail};

use super::context::Context;
use super::print;
use crate::cluster::Role;
use crate::fleet::{Failure, Member, run_name};
use crate::lock::{self, Lock};
use crate::receipt::{self, Entry, Intent, STATE};
use crate::remote::{AnyRemote, Remote as _};
use crate::report::{Event, Exit, Observer as _, Totals, exit_code};
use crate::script::{Script, quote};

/// What is taken back on one host.
struct Past<'m> {
    member: &'m Member<'m, AnyRemote>,
    run: String,
    entries: Vec<Entry>,
}

/// Takes back a run on every selected host: agents before servers.
pub async fn run(
    context: &Context,
    nodes: Vec<String>,
    run: Option<String>,
    yes: bool,
) -> anyhow::Result<Exit> {
    let selection = context.whole(nodes)?;
    let dialer = context.dialer()?;
    let fleet = context.fleet(&dialer, &selection, 1, "rollback");
    let members = match context.muster_to_change(&fleet).await {
        Ok(members) => members,
        Err(exit) => return Ok(exit),
    };
    let mut pasts = Vec::new();
    for role in [Role::Agent, Role::Server] {
        let of_role = |member: &&Member<'_, AnyRemote>| {
            member.host.role == role && fleet.is_selected(&member.host.name)
        };
        for member in members.iter().filter(of_role) {
            if let Some(past) = past(member, run.as_deref()).await? {
                pasts.push(past);
            }
        }
    }
    if pasts.is_empty() {
        print("there is nothing to take back\n")?;
        return Ok(Exit::Done);
    }
    if !context.json {
        show(&pasts)?;
    }
    if !yes && !context.confirm("Take these changes back?")? {
        return Ok(Exit::Interrupted);
    }
    let mut totals = Totals::default();
    let mut failures = Vec::new();
    for past in &pasts {
        let host = past.member.host.name.as_str();
        let changes = intents(&past.entries).count();
        match take_back(context, past).await {
            Ok(()) => {
                totals.changed += 1;
                totals.changes += changes;
                context.teller.on(&Event::HostDone { host, changes });
            }
            Err(error) => {
                totals.failed += 1;
                context.teller.on(&Event::HostFailed { host, error: &error });
                failures.push(Failure { host: host.to_owned(), error });
            }
        }
    }
    totals.took = fleet.begun.elapsed();
    context.teller.on(&Event::Finished { totals: &totals });
    Ok(exit_code(failures.iter().map(|failure| &failure.error)))
}

fn intents(entries: &[Entry]) -> impl DoubleEndedIterator<Item = &Intent> {
    entries.iter().filter_map(|entry| match entry {
        Entry::Intent(intent) => Some(intent),
        _ => None,
    })
}

/// Reads the wanted receipt of a host: that of `run`, or the newest that was not taken back.
async fn past<'m>(
    member: &'m Member<'m, AnyRemote>,
    run: Option<&str>,
) -> anyhow::Result<Option<Past<'m>>> {
    let wanted = run.map_or(String::from("*"), quote);
    let text = format!(
        "cd {STATE}/receipts 2>/dev/null || exit 0\nfound=\n\
         for file in {wanted}.jsonl; do\n[ -f \"$file\" ] || continue\n\
         grep -q '\"entry\":\"undone\"' \"$file\" || found=$file\ndone\n\
         if [ -n \"$found\" ]; then printf '%s\\n' \"${{found%.jsonl}}\"; cat -- \"$found\"; fi\n"
    );
    let output = member.remote.run(&Script::new(text), &|_: &str| ()).await?;
    if output.status != 0 {
        bail!("cannot read the receipts on `{}`: {}", member.host.name, output.stderr.trim());
    }
    let Some((name, receipt)) = output.stdout.split_once('\n') else {
        if let Some(run) = run {
            bail!(
                "`{}` has no receipt of the run `{run}`, or it was taken back already",
                member.host.name
            );
        }
        return Ok(None);
    };
    let entries = receipt::read(receipt)
        .with_context(|| format!("receipt {name} on `{}`", member.host.name))?;
    Ok(Some(Past { member, run: name.to_owned(), entries }))
}

fn show(pasts: &[Past<'_>]) -> anyhow::Result<()> {
    for past in pasts {
        print(&format!("{}: run {}\n", past.member.host.name, past.run))?;
        for intent in intents(&past.entries).rev() {
            let stays = if intent.undo.is_none() { " (stays)" } else { "" };
            print(&format!("  {}: {}{stays}\n", intent.subject, intent.summary))?;
        }
    }
    Ok(())
}

async fn take_back(context: &Context, past: &Past<'_>) -> anyhow::Result<()> {
    let host = past.member.host.name.as_str();
    let remote = &past.member.remote;
    let lock = Lock::new(&run_name(), "rollback");
    let progress = |text: &str| context.teller.on(&Event::Progress { host, text });
    lock::take(remote, host, &lock, &progress).await?;
    let undo = receipt::undo(&past.entries);
    let note = format!(
        "status=0; ( {} ) || status=$?\n\
         if [ \"$status\" = 0 ]; then printf '%s\\n' '{{\"entry\":\"undone\",\"by\":\"rollback\"}}' >>{STATE}/receipts/{}.jsonl; fi\n\
         exit \"$status\"\n",
        undo.text(),
        past.run
    );
    let output = remote.run(&Script::new(note).deadline(undo.limit()), &progress).await;
    let outcome = match &output {
        Ok(output) if output.status == 0 => "rolled back",
        _ => "rollback failed",
    };
    let released = lock::release(remote, &lock, outcome).await;
    let output = output?;
    if output.status != 0 {
        bail!("not everything could be taken back: {}", output.stderr.trim());
    }
    released?;
    still_let_in(past).await
}

/// Says at once when an older sshd or firewall lets nobody in: nothing on the host will undo a rollback.
async fn still_let_in(past: &Past<'_>) -> anyhow::Result<()> {
    let host = past.member.host.name.as_str();
    if intents(&past.entries).all(|intent| !["ssh", "firewall"].contains(&intent.step.as_str())) {
        return Ok(());
    }
    let login = past.member.remote.again().await;
    login.map(drop).with_context(|| {
        format!(
            "`{host}` is as it was before that run, and lets nobody in\n\
             hint: on its console, mend sshd or the firewall; `oceanid bootstrap --only harden {host}` goes on from there"
        )
    })
}
