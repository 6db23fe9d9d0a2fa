//! From a channel to the version that it stands for now.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use reqwest::redirect;

use super::downloads::Downloads;
use super::{NoSums, Release};
use crate::config::is_version;

/// What `written`, a version or a channel, comes to; without hashes yet.
///
/// # Errors
/// When the place of the channels does not answer, or answers something else.
pub async fn resolve(downloads: &Downloads, written: &str) -> Result<Release, NoSums> {
    let (version, channel) = if is_version(written) {
        (written.to_owned(), None)
    } else {
        (version(downloads, written).await?, Some(written.to_owned()))
    };
    Ok(Release { version, channel, sha256: BTreeMap::new(), air_gap: BTreeMap::new() })
}

/// Asks for the redirection alone: what it leads to is a page for people.
async fn version(downloads: &Downloads, channel: &str) -> Result<String, NoSums> {
    let url = format!("{}/{channel}", downloads.sources().channels);
    let client = match downloads.client(redirect::Policy::none()) {
        Ok(client) => client,
        Err(cause) => return Err(NoSums::NoAuthorities { url, cause }),
    };
    let answer = match client.get(&url).send().await {
        Ok(answer) => answer,
        Err(cause) => return Err(NoSums::NotServed { url, cause: cause.without_url() }),
    };
    let location = answer.headers().get(reqwest::header::LOCATION);
    let location =
        location.and_then(|value| value.to_str().ok()).filter(|_| answer.status().is_redirection());
    match location {
        None => {
            let said = format!("it answers {} and no redirection", answer.status());
            Err(NoSums::NoVersion { url, said })
        }
        Some(location) => tag(location).ok_or_else(|| NoSums::NoVersion {
            url,
            said: format!("it redirects to `{location}`"),
        }),
    }
}

/// The version that a release's page is named after.
fn tag(location: &str) -> Option<String> {
    let path = location.split(['?', '#']).next()?.trim_end_matches('/');
    let last = percent_decode_str(path.rsplit('/').next()?).decode_utf8().ok()?;
    is_version(&last).then(|| last.into_owned())
}

#[cfg(test)]
mod tests {
    use super::tag;

    #[test]
    fn a_release_page_names_its_version() {
        let page = "https://github.com/k3s-io/k3s/releases/tag/";
        for end in ["v1.36.3+k3s1", "v1.36.3%2Bk3s1", "v1.36.3%2bk3s1/", "v1.36.3+k3s1?from=x"] {
            assert_eq!(tag(&format!("{page}{end}")).as_deref(), Some("v1.36.3+k3s1"), "{end}");
        }
        for other in ["/login", "https://github.com/k3s-io/k3s/releases", "v1.36", "%ff", ""] {
            assert_eq!(tag(other), None, "{other}");
        }
    }
}
