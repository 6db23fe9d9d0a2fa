//! `oceanid version`: which oceanid this is, and whether there is a newer one.

use serde_json::{Value, json};

use super::print;
use super::self_update::caution;
use crate::cli::{Global, Source};
use crate::report::Exit;
use crate::update::{Build, Mirror, Offered, Signature};

/// Says which build this is.
pub fn run(global: &Global) -> anyhow::Result<Exit> {
    let build = Build::this();
    if global.json {
        print(&format!("{}\n", as_json(&build, None)))?;
    } else {
        print(&shown(&build))?;
    }
    Ok(Exit::Done)
}

/// Says it too, and asks for the newest release.
pub async fn check(global: &Global, source: &Source) -> anyhow::Result<Exit> {
    let (build, mirror) = (Build::this(), Mirror::new(&source.base_url)?);
    caution(&build, &mirror);
    let newest = mirror.newest(&build).await?;
    let newer = newest.version > build.version;
    if global.json {
        print(&format!("{}\n", as_json(&build, Some(&newest))))?;
    } else {
        let version = &newest.version;
        let verdict = if newer {
            format!("oceanid {version} is there; `oceanid self-update` brings it")
        } else if *version == build.version {
            String::from("there is no newer one")
        } else {
            format!("the newest release, {version}, is older")
        };
        let signature = match newest.signature {
            Signature::Verified => "; its signature is right",
            Signature::Unchecked => "",
        };
        print(&format!("{}{verdict}{signature}\n", shown(&build)))?;
    }
    Ok(if newer { Exit::Pending } else { Exit::Done })
}

fn shown(build: &Build) -> String {
    let commit = build.commit.as_deref().unwrap_or("unknown");
    let key = match &build.public_key {
        Some(key) => format!("must be signed with {key}"),
        None => String::from("are checked by sha256 alone: this build carries no public key"),
    };
    format!(
        "oceanid {}\n  target: {}\n  commit: {commit}\n  new releases {key}\n",
        build.version, build.target
    )
}

fn as_json(build: &Build, newest: Option<&Offered>) -> Value {
    json!({
        "schema": 1, "event": "version", "version": build.version.to_string(), "target": build.target,
        "commit": build.commit, "public-key": build.public_key,
        "newest": newest.map(|newest| newest.version.to_string()),
        "newer": newest.map(|newest| newest.version > build.version),
        "signature": newest.map(|newest| newest.signature.name()),
    })
}
