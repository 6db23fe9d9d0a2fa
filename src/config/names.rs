//! The names of the cluster and of its domain.

use super::file::File;
use super::finding::Findings;
use super::syntax::{self, Parsed, Wrong};

/// Checks them.
pub fn check(file: &File, out: &mut Findings) {
    if let Some(name) = &file.cluster.name {
        out.read("name", name, cluster_name);
    }
    if let Some(domain) = &file.cluster.domain {
        out.read("domain", domain, domain_name);
    }
}

/// Passes where `fits` holds.
pub fn unless(fits: impl Fn(&str) -> bool, text: &str, what: &str, hint: &str) -> Parsed<()> {
    if fits(text) {
        return Ok(());
    }
    Err(Wrong { what: what.to_owned(), hint: Some(hint.to_owned()) })
}

fn cluster_name(text: &str) -> Parsed<()> {
    let hint = "lower-case letters, digits and `-`";
    unless(syntax::is_dns_label, text, "not a name for a cluster", hint)
}

/// A public name, with a dot in it.
pub fn domain_name(text: &str) -> Parsed<()> {
    let fits = |text: &str| {
        text.contains('.') && text.parse::<std::net::IpAddr>().is_err() && syntax::is_dns_name(text)
    };
    unless(fits, text, "not a domain name", "an example is `example.com`")
}
