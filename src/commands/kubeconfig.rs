//! `oceanid kubeconfig`: the administrator's kubeconfig, merged into the one that is here, and tried.

use std::net::Ipv6Addr;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::context::{Context, Usage};
use super::server::{Server, enter};
use super::{print, say};
use crate::cli;
use crate::kubeconfig::{
    Access, Current, Kubeconfig, Outcome, Place, TLS_NAME, is_unreachable, merge,
};
use crate::remote::{AnyRemote, Remote as _};
use crate::report::Exit;
use crate::script::{Script, quote};
use crate::secret;
use crate::tunnel;

/// Reads k3s' own kubeconfig, points it at the API, merges it, and calls the API with what was written.
pub async fn run(context: &Context, wanted: cli::Kubeconfig) -> anyhow::Result<Exit> {
    let printed = wanted.out.as_deref() == Some(Path::new("-"));
    if printed && context.json {
        return Err(Usage(String::from("`--json` and `--out -` both want stdout")).into());
    }
    let dialer = context.dialer()?;
    let server = match enter(context, &dialer).await {
        Ok(server) => server,
        Err(exit) => return Ok(exit),
    };
    let mut access = fetch(context, &server).await?;
    let port = wanted.port.unwrap_or_else(|| tunnel::port(&context.cluster.name));
    if wanted.via_ssh {
        access.server = format!("https://127.0.0.1:{port}");
        access.tls_name = Some(TLS_NAME.to_owned());
    } else {
        access.server = url(&context.cluster.k3s.endpoint);
        access.tls_name = None;
    }
    let name = wanted.name.as_deref().unwrap_or(&context.cluster.name);
    let written = if printed {
        let text =
            Kubeconfig::default().merged(name, &access, Current::Kept, &|_| None)?.render()?;
        print(secret::text(&text))?;
        Written { access: Kubeconfig::parse(&text)?.access(name, &|_| None)?, told: json!({}) }
    } else {
        write(context, &wanted, name, &access)?
    };
    let through = wanted.via_ssh.then_some((port, &server.remote));
    prove(context, written, through).await
}

/// What was written, as it is read back.
struct Written {
    access: Access,
    told: Value,
}

async fn fetch(context: &Context, server: &Server<'_>) -> anyhow::Result<Access> {
    let elsewhere = context.cluster.k3s.server.get("write-kubeconfig").and_then(Value::as_str);
    let path = elsewhere.unwrap_or("/etc/rancher/k3s/k3s.yaml");
    let ask = Script::new(format!("cat {}\n", quote(path)));
    let output = server.remote.run(&ask, &|_: &str| ()).await?;
    let name = &server.host.name;
    if output.status != 0 {
        bail!(
            "`{name}` has no kubeconfig: {}\nhint: `oceanid bootstrap` makes it a server first",
            output.stderr.trim()
        );
    }
    Access::of_k3s(&SecretString::from(output.stdout))
        .with_context(|| format!("`{name}` has no kubeconfig that can be used"))
}

fn url(endpoint: &str) -> String {
    match endpoint.parse::<Ipv6Addr>() {
        Ok(address) => format!("https://[{address}]:{}", tunnel::API),
        Err(_) => format!("https://{endpoint}:{}", tunnel::API),
    }
}

fn write(
    context: &Context,
    wanted: &cli::Kubeconfig,
    name: &str,
    access: &Access,
) -> anyhow::Result<Written> {
    let place = match &wanted.out {
        Some(path) => Place { path: path.clone() },
        None => Place::of_this_user()?,
    };
    let current = if wanted.switch { Current::Switched } else { Current::Kept };
    let outcome = merge(&place, name, access, current)?;
    let config = place.read()?.context("it is gone again")?;
    let written = config.access(name, &|file| place.named(file)).with_context(|| {
        format!("what was written to `{}` does not lead to the API", place.path.display())
    })?;
    let (path, now) = (place.path.display(), config.current());
    let (deed, backup) = match &outcome {
        Outcome::Unchanged => ("unchanged", None),
        Outcome::Created => ("created", None),
        Outcome::Merged { backup } => ("merged", Some(backup.display().to_string())),
    };
    if !context.json {
        say(&match (&outcome, &backup) {
            (Outcome::Unchanged, _) => format!("{path} has the context `{name}` already"),
            (_, Some(backup)) => {
                format!("merged the context `{name}` into {path}; the former file is {backup}")
            }
            (_, None) => format!("wrote the context `{name}` to {path}"),
        });
        if now != name {
            say(&format!("the current context is still `{now}`; `--use` changes that"));
        }
    }
    let told = json!({ "file": place.path, "outcome": deed, "backup": backup, "current-context": now,
        "context": name, "server": written.server, "expires": written.leaf()?.ends.to_string() });
    Ok(Written { access: written, told })
}

/// Calls the API with what was written; a closed port is said and no failure.
async fn prove(
    context: &Context,
    written: Written,
    through: Option<(u16, &AnyRemote)>,
) -> anyhow::Result<Exit> {
    let Written { access, told } = written;
    let called = match through {
        Some((port, AnyRemote::Ssh(connection))) => match tunnel::listen(port).await {
            Ok(listener) => {
                let serve = async {
                    let (client, _) = listener.accept().await?;
                    tunnel::pass(client, connection).await?;
                    // The API hung up; whether it answered before is the call's to say.
                    std::future::pending::<anyhow::Result<String>>().await
                };
                tokio::select! {
                    called = access.call() => called,
                    failed = serve => failed,
                }
            }
            // A tunnel is there already.
            Err(_) => access.call().await,
        },
        _ => access.call().await,
    };
    let server = &access.server;
    let (version, reason) = match called {
        Ok(version) => (Some(version), None),
        Err(error) if through.is_none() && is_unreachable(&error) => (None, Some(cause(&error))),
        Err(error) => {
            let hint = "`oceanid verify` looks for what is wrong";
            return Err(anyhow!("{}\nhint: {hint}", cause(&error))
                .context(format!("it is written, but does not open {server}")));
        }
    };
    if context.json {
        let mut event = json!({ "schema": 1, "event": "kubeconfig" });
        for (key, value) in told.as_object().into_iter().flatten() {
            event[key] = value.clone();
        }
        event["version"] = json!(version);
        event["unreachable"] = json!(reason);
        print(&format!("{event}\n"))?;
        return Ok(Exit::Done);
    }
    say(&match (version, reason, through) {
        (Some(version), _, Some(_)) => {
            format!("the API answers through SSH: {version}; `oceanid tunnel` keeps {server} open")
        }
        (Some(version), ..) => format!("the API at {server} answers: {version}"),
        (None, reason, _) => format!(
            "not proved: {server} cannot be reached from here ({}); \
             `oceanid kubeconfig --via-ssh` and `oceanid tunnel` go through SSH",
            reason.unwrap_or_default()
        ),
    });
    Ok(Exit::Done)
}

/// The last cause: reqwest's own words only repeat the address.
fn cause(error: &anyhow::Error) -> String {
    error.chain().last().map(ToString::to_string).unwrap_or_default()
}
