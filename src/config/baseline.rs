//! What the cluster begins with.

use reqwest::Url;

use super::file::{BaselineSection, CertManagerSection, Component, File, GitopsSection};
use super::finding::{Finding, Findings};
use super::syntax::{self, Parsed, Wrong};
use super::written::Written;
use crate::cluster::{Baseline, CertManager, Gitops};

/// Reads the section.
pub fn read(file: &File, out: &mut Findings) -> Baseline {
    let BaselineSection { zones, gateway_api, cert_manager, gitops } = &file.baseline;
    if *gateway_api.value() {
        needs_traefik(file, gateway_api, out);
        needs_charts(file, gateway_api, "gateway-api", out);
    }
    if let Some(section) = cert_manager {
        needs_charts(file, section, "baseline.cert-manager", out);
    }
    if let Some(section) = gitops {
        needs_charts(file, section, "baseline.gitops", out);
    }
    Baseline {
        zones: *zones.value(),
        gateway_api: *gateway_api.value(),
        cert_manager: cert_manager.as_deref().and_then(|section| issuer(section, out)),
        gitops: gitops.as_deref().and_then(|section| repository(section, out)),
    }
}

/// Traefik is the Gateway API's controller, and up to 1.36 its chart brings the API itself.
fn needs_traefik(file: &File, key: &Written<bool>, out: &mut Findings) {
    let disabled = file.k3s.disable.iter().find(|one| *one.value() == Component::Traefik);
    if let Some(disabled) = disabled {
        let title = "`gateway-api` needs k3s' Traefik, which is disabled";
        let hint = "take `traefik` out of `k3s.disable`, or `gateway-api` out of `[baseline]`";
        let finding = Finding::error(key.span(), title).hint(hint);
        out.push(finding.also(disabled.span(), "disabled here"));
    }
}

/// Charts are installed by the controller that k3s has for them.
fn needs_charts<T>(file: &File, key: &Written<T>, name: &str, out: &mut Findings) {
    let mut settings = file.k3s.server.iter();
    let off = settings.find(|(setting, value)| {
        setting.value() == "disable-helm-controller" && *value.value() != serde_json::json!(false)
    });
    if let Some((setting, _)) = off {
        let title = format!("`{name}` needs k3s' helm controller, which is disabled");
        let hint = "take out `disable-helm-controller`, or install it yourself";
        out.push(
            Finding::error(key.span(), title).hint(hint).also(setting.span(), "disabled here"),
        );
    }
}

fn issuer(section: &CertManagerSection, out: &mut Findings) -> Option<CertManager> {
    let (email, token) = (section.email.as_ref()?, section.token.as_ref()?);
    out.read("email", email, address);
    Some(CertManager { email: email.value().clone(), token: token.value().clone().into() })
}

fn repository(section: &GitopsSection, out: &mut Findings) -> Option<Gitops> {
    let (tool, repository) = (section.tool.as_ref()?, section.repository.as_ref()?);
    if is_secret(repository) {
        out.hide(repository.span());
        let title = "`repository` holds a password";
        let hint = "give the tool its credentials as a secret of its namespace, once it is up";
        out.push(Finding::error(repository.span(), title).hint(hint));
    } else {
        out.read("repository", repository, place);
    }
    if let Some(branch) = &section.branch {
        out.read("branch", branch, reference);
    }
    if let Some(path) = &section.path {
        out.read("path", path, folder);
    }
    let text = |text: &Option<Written<String>>, default: &str| {
        text.as_ref().map_or_else(|| default.to_owned(), |text| text.value().clone())
    };
    Some(Gitops {
        tool: *tool.value(),
        repository: repository.value().clone(),
        branch: text(&section.branch, "main"),
        path: text(&section.path, "."),
    })
}

fn wrong(what: &str, hint: &str) -> Wrong {
    Wrong { what: what.to_owned(), hint: Some(hint.to_owned()) }
}

fn address(text: &str) -> Parsed<()> {
    let whole = text.split_once('@').is_some_and(|(name, domain)| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
        !name.is_empty()
            && name.chars().all(plain)
            && domain.contains('.')
            && syntax::is_dns_name(domain)
    });
    if whole {
        Ok(())
    } else {
        Err(wrong("not an address for mail", "an example is `ops@example.com`"))
    }
}

/// Whether a repository's address has a password, or over https a user, which is how tokens are written.
fn is_secret(text: &str) -> bool {
    match Url::parse(text) {
        Ok(url) => {
            url.password().is_some() || (url.scheme() != "ssh" && !url.username().is_empty())
        }
        // What cannot be read may hold anything before its `@`.
        Err(_) => text.split_once('@').is_some_and(|(before, _)| before.contains("://")),
    }
}

fn place(text: &str) -> Parsed<()> {
    let hint = "`https://git.example.com/cluster.git` or `ssh://git@git.example.com/cluster.git`";
    let url = Url::parse(text).ok().filter(Url::has_host);
    let fits = url.is_some_and(|url| {
        matches!(url.scheme(), "https" | "ssh")
            && url.query().is_none()
            && url.fragment().is_none()
            && url.path().len() > 1
    });
    if fits { Ok(()) } else { Err(wrong("not an https or ssh address of a repository", hint)) }
}

/// As git names branches.
fn reference(text: &str) -> Parsed<()> {
    let good = |c: char| !c.is_whitespace() && !c.is_control() && !"~^:?*[\\".contains(c);
    let fits = !text.is_empty()
        && text.chars().all(good)
        && !text.starts_with(['-', '/', '.'])
        && !text.ends_with(['/', '.'])
        && !["..", "//", "@{"].iter().any(|part| text.contains(part));
    if fits { Ok(()) } else { Err(wrong("not a name for a branch", "an example is `main`")) }
}

fn folder(text: &str) -> Parsed<()> {
    let inside = text.split('/').all(|part| part != "..") && !text.starts_with('/');
    let plain = !text.is_empty() && !text.chars().any(char::is_control);
    if inside && plain {
        return Ok(());
    }
    Err(wrong("not a folder in a repository", "an example is `clusters/home`, from its top"))
}
