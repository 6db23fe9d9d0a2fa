//! How a host reaches what it downloads: the CA that it trusts besides the usual ones, and the proxy.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::actions::{Command, File};
use crate::cluster::Sources;
use crate::script::Script;
use crate::step::Step;
use crate::templates::k3s::AptProxy;
use crate::templates::render;

const PROXY: &str = "/etc/apt/apt.conf.d/51oceanid-proxy";
const CA: &str = "/usr/local/share/ca-certificates/oceanid.crt";
const UPDATE: &str = "update-ca-certificates >/dev/null\n";
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Requires apt's proxy, before apt is needed.
pub fn proxy(step: &mut Step, sources: &Sources) -> anyhow::Result<()> {
    let Some(proxy) = &sources.proxy else {
        step.ensure(gone("apt's proxy", PROXY, ""));
        return Ok(());
    };
    // apt knows single hosts alone.
    let single = |name: &&String| {
        !name.starts_with('.') && (name.parse::<IpNet>().is_err() || name.parse::<IpAddr>().is_ok())
    };
    let around: Vec<&str> = sources.no_proxy.iter().filter(single).map(String::as_str).collect();
    let text = render(&AptProxy { proxy, around: &around })?;
    step.ensure(File::new(PROXY, text));
    Ok(())
}

/// What a container engine reaches without the proxy.
pub fn around(sources: &Sources) -> String {
    let own = ["localhost", "127.0.0.0/8", "::1"].map(str::to_owned);
    let all: Vec<String> = own.into_iter().chain(sources.no_proxy.iter().cloned()).collect();
    all.join(",")
}

/// Requires the CA of `[sources]`, once the package that keeps CAs is there.
pub fn ca(step: &mut Step, sources: &Sources) {
    let Some(pem) = &sources.ca else {
        return step.ensure(gone("CA of the mirror", CA, UPDATE));
    };
    step.ensure(File::new(CA, pem.clone()));
    // Every line of ours is a line of the bundle.
    let trusted = format!(
        "[ -r {CA} ] && [ -r {BUNDLE} ] || exit 1\nif grep -qvxF -f {BUNDLE} -- {CA}; then exit 1; fi\n"
    );
    step.ensure(
        Command::new("trusted CAs", "update-ca-certificates", trusted, Script::new(UPDATE))
            .undo_last(Script::new(UPDATE)),
    );
}

/// What an earlier cluster.toml had laid down at `path` and this one does not want; `then` takes note.
fn gone(subject: &str, path: &str, then: &str) -> Command {
    let away = format!("mv -- {path} \"$OCEANID_UNDO/file\"\n{then}");
    let back = format!(
        "if [ -e \"$OCEANID_UNDO/file\" ]; then cp -a -- \"$OCEANID_UNDO/file\" {path}\n{then}fi\n"
    );
    Command::new(subject, format!("remove {path}"), format!("[ ! -e {path} ]\n"), Script::new(away))
        .undo(Script::new(back))
}
