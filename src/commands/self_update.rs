//! `oceanid self-update`: a release in the place of the running program.

use anyhow::Context as _;
use semver::Version;
use serde_json::json;

use super::context::Usage;
use super::{interrupt, print, say};
use crate::cli::{Global, Source};
use crate::report::Exit;
use crate::update::{self, Build, Mirror, Updated};

/// Brings the newest release, or `version`.
pub async fn run(global: &Global, version: Option<&str>, source: &Source) -> anyhow::Result<Exit> {
    let wanted = version.map(parse).transpose()?;
    let (build, mirror) = (Build::this(), Mirror::new(&source.base_url)?);
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    caution(&build, &mirror);
    let update = update::update(&build, &mirror, &program, wanted.as_ref(), &say);
    let updated = tokio::select! {
        updated = update => updated?,
        () = interrupt() => {
            say("nothing was replaced");
            return Ok(Exit::Interrupted);
        }
    };
    let old = &build.version;
    let (new, signature) = match &updated {
        Updated::Current => (old, None),
        Updated::Replaced { version, signature } => (version, Some(signature.name())),
    };
    if global.json {
        let answer = json!({
            "schema": 1, "event": "self-update", "program": program, "old": old.to_string(),
            "new": new.to_string(), "signature": signature,
        });
        print(&format!("{answer}\n"))?;
    } else if signature.is_none() {
        print(&format!("oceanid {old} is up to date\n"))?;
    } else {
        print(&format!("oceanid {new} is in {}, in place of {old}\n", program.display()))?;
    }
    Ok(Exit::Done)
}

/// Tells what a release's coming from there does not prove.
pub(super) fn caution(build: &Build, mirror: &Mirror) {
    if build.public_key.is_none() {
        say(
            "warning: this build carries no public key: what comes is checked by sha256 alone, not by signature",
        );
    }
    if mirror.is_open() {
        say(&format!(
            "warning: `{}` is not encrypted: who is on the way can change what comes",
            mirror.base()
        ));
    }
}

/// `0.1.0`, or `v0.1.0` as the tags are.
fn parse(text: &str) -> anyhow::Result<Version> {
    let version = text.strip_prefix('v').unwrap_or(text).parse();
    version.map_err(|_| {
        Usage(format!("`{text}` is no version: one is written `{}`", env!("CARGO_PKG_VERSION")))
            .into()
    })
}
