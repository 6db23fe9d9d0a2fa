//! What oceanid keeps in order at Cloudflare.

use std::path::PathBuf;

use super::file::{CloudflareSection, File, GateSection, RateLimitSection};
use super::finding::{Finding, Findings};
use super::names::{domain_name, unless};
use super::syntax::{self, Parsed, Wrong};
use super::written::Written;
use crate::cluster::{Cloudflare, Gate, RateLimit, Shield, Store};

/// Seconds that Cloudflare counts requests for.
const PERIODS: [u64; 6] = [10, 60, 120, 300, 600, 3600];
/// Seconds that Cloudflare keeps an address out for.
const TIMEOUTS: [u64; 7] = [10, 60, 120, 300, 600, 3600, 86_400];

/// Reads the section; `None` when it is not there, or when something needed is missing.
pub fn read(file: &File, out: &mut Findings) -> Option<Cloudflare> {
    let section = file.cloudflare.as_ref()?;
    if let Some(account) = &section.account {
        out.read("account", account, account_id);
    }
    if let Some(zone) = &section.zone {
        out.read("zone", zone, domain_name);
    }
    let gate = gate(section, file, out);
    let shield = shield(section, out);
    let rate_limit = section.rate_limit.as_deref().and_then(|limit| rate(limit, out));
    let zone = zone(section, file, out)?;
    for hostname in file.tunnel.iter().filter_map(|tunnel| tunnel.hostname.as_ref()) {
        within(hostname, &zone, out);
    }
    if file.tunnel.is_empty() {
        let title = "`[cloudflare]` has nothing to keep in order: there is no `[[tunnel]]`";
        out.push(Finding::warning(section.span(), title));
    }
    Some(Cloudflare {
        token: section.token.as_ref()?.value().clone().into(),
        account: section.account.as_ref().map(|account| account.value().clone()),
        zone,
        gate,
        shield,
        rate_limit,
    })
}

fn account_id(text: &str) -> Parsed<()> {
    let hex = |text: &str| {
        text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let hint = "32 hexadecimal digits, which the dashboard shows at the account's name";
    unless(hex, text, "not the id of an account", hint)
}

fn zone(section: &Written<CloudflareSection>, file: &File, out: &mut Findings) -> Option<String> {
    let zone = section.zone.as_ref().or(file.cluster.domain.as_ref());
    if zone.is_none() {
        let title = "`[cloudflare]` does not know its zone";
        let hint = "write `zone` here, or `domain` in `[cluster]`";
        out.push(Finding::error(section.span(), title).hint(hint));
    }
    zone.map(|zone| zone.value().clone())
}

/// A tunnel's name must be one of the zone's; certificates that come by themselves cover one label.
fn within(hostname: &Written<String>, zone: &str, out: &mut Findings) {
    let below = hostname.strip_suffix(zone).and_then(|rest| rest.strip_suffix('.'));
    match below {
        None if hostname.value() == zone => {}
        None => {
            let title = format!("`{}` is not in the zone `{zone}`", hostname.value());
            let hint = "`zone` in `[cloudflare]` says which zone has the tunnels' names";
            out.push(Finding::error(hostname.span(), title).hint(hint));
        }
        Some(label) if label.contains('.') => {
            let title =
                format!("Cloudflare's own certificates do not cover `{}`", hostname.value());
            let hint = format!("they cover names with one label before `{zone}`");
            out.push(Finding::warning(hostname.span(), title).hint(hint));
        }
        Some(_) => {}
    }
}

fn gate(section: &CloudflareSection, file: &File, out: &mut Findings) -> Option<Gate> {
    let access: &GateSection = section.access.value();
    out.read("service-token", &access.service_token, label);
    out.read("duration", &access.duration, duration);
    let store = store(access, file, out);
    access.enabled.value().then_some(())?;
    Some(Gate {
        service_token: access.service_token.value().clone(),
        duration: access.duration.value().clone(),
        store: store?,
    })
}

fn label(text: &str) -> Parsed<()> {
    let hint = "lower-case letters, digits and `-`";
    unless(syntax::is_dns_label, text, "not a name for a service token", hint)
}

fn duration(text: &str) -> Parsed<()> {
    let hours = text.strip_suffix('h').and_then(|hours| hours.parse::<u32>().ok());
    let fits = |text: &str| text == "forever" || hours.is_some_and(|hours| hours >= 24);
    unless(fits, text, "not a duration of a day at least", "examples are `8760h` and `forever`")
}

fn store(access: &GateSection, file: &File, out: &mut Findings) -> Option<Store> {
    let store = access.store.value();
    match (&store.file, store.command.as_slice()) {
        (Some(path), []) => out.read("file", path, syntax::local_path).map(Store::File),
        (None, []) => {
            let name = file.cluster.name.as_ref()?.value();
            let home = std::env::home_dir().unwrap_or_else(|| PathBuf::from("/"));
            Some(Store::File(home.join(format!(".config/oceanid/{name}.service-token"))))
        }
        (None, words) => {
            Some(Store::Command(words.iter().map(|word| word.value().clone()).collect()))
        }
        (Some(path), [first, ..]) => {
            let title = "`store` has a file and a command";
            let finding = Finding::error(path.span(), title).hint("take one of them out");
            out.push(finding.also(first.span(), "the command"));
            None
        }
    }
}

fn shield(section: &CloudflareSection, out: &mut Findings) -> Option<Shield> {
    for country in &section.block_countries {
        out.read("block-countries", country, country_code);
    }
    let wanted = *section.waf.value();
    if let (false, Some(first)) = (wanted, section.block_countries.first()) {
        let title = "`block-countries` has no effect without `waf = true`";
        out.push(Finding::warning(first.span(), title));
    }
    let countries = section.block_countries.iter().map(|country| country.value().clone());
    wanted.then(|| Shield { countries: countries.collect() })
}

fn country_code(text: &str) -> Parsed<()> {
    let fits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase());
    unless(fits, text, "not the code of a country", "examples are `CN` and `RU`")
}

fn rate(section: &RateLimitSection, out: &mut Findings) -> Option<RateLimit> {
    one_of("period", &section.period, &PERIODS, out);
    one_of("timeout", &section.timeout, &TIMEOUTS, out);
    out.read("path", &section.path, path);
    Some(RateLimit {
        requests: *section.requests.as_ref()?.value(),
        period: *section.period.value(),
        timeout: *section.timeout.value(),
        path: section.path.value().clone(),
    })
}

fn one_of(key: &str, seconds: &Written<u64>, known: &[u64], out: &mut Findings) {
    if !known.contains(seconds.value()) {
        let title = format!("`{key}` cannot be {}", seconds.value());
        let known: Vec<String> = known.iter().map(ToString::to_string).collect();
        let known = super::suggest::all(known.iter().map(String::as_str));
        out.push(Finding::error(seconds.span(), title).hint(format!("Cloudflare knows {known}")));
    }
}

/// What stands between quotes in an expression of Cloudflare's.
fn path(text: &str) -> Parsed<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-._~".contains(c);
    if text.starts_with('/') && text.chars().all(plain) {
        return Ok(());
    }
    let hint = Some(String::from("an example is `/v2/`"));
    Err(Wrong { what: String::from("not the beginning of a path"), hint })
}
