//! Where releases are, and which of their sums can be believed.

use anyhow::{Context as _, bail};
use minisign_verify::{PublicKey, Signature as Signed};
use reqwest::Url;
use semver::Version;

use super::build::{Build, TARGETS};
use crate::cluster::Sources;
use crate::releases::downloads::Downloads;
use crate::releases::sum;

/// Where releases are, unless a mirror is named.
pub const RELEASES: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/releases");

/// The list of a release's files.
const SUMS: &str = "SHA256SUMS";

/// What has the releases' files.
#[derive(Debug, Clone)]
pub struct Mirror {
    base: String,
    downloads: Downloads,
}

/// Whether a list of sums was signed with the key that the running build carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// It was.
    Verified,
    /// The build carries no key.
    Unchecked,
}

impl Signature {
    /// The word for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Unchecked => "unchecked",
        }
    }
}

/// A release whose list of sums can be believed.
#[derive(Debug)]
pub struct Offered {
    /// Its version.
    pub version: Version,
    /// Why it can be believed.
    pub signature: Signature,
    sums: String,
}

impl Mirror {
    /// The one at `base`.
    ///
    /// # Errors
    /// When that is no address.
    pub fn new(base: &str) -> anyhow::Result<Self> {
        let usable = |url: &Url| ["http", "https"].contains(&url.scheme()) && url.has_host();
        if !Url::parse(base).is_ok_and(|url| usable(&url)) {
            bail!("`{base}` is no address\nhint: `OCEANID_BASE_URL` begins with `https://`");
        }
        let base = base.trim_end_matches('/').to_owned();
        let downloads = Downloads::new(&Sources::default());
        let mirror = Self { base, downloads };
        if mirror.is_open() {
            return Ok(mirror);
        }
        Ok(Self { downloads: mirror.downloads.only_encrypted(), ..mirror })
    }

    /// What stands before the files' paths.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Whether who is on the way can change what comes.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.base.starts_with("http://")
    }

    /// The newest release.
    ///
    /// # Errors
    /// When it is not to be had, or its sums are not signed as `build` wants.
    pub async fn newest(&self, build: &Build) -> anyhow::Result<Offered> {
        let url = format!("{}/latest/download/{SUMS}", self.base);
        let version = version_of(&self.text(&url).await?, &url)?;
        // What a signature vouches for is the release's own list.
        self.release(build, &version).await
    }

    /// The release of that version.
    ///
    /// # Errors
    /// When it is not to be had, or its sums are not signed as `build` wants.
    pub async fn release(&self, build: &Build, version: &Version) -> anyhow::Result<Offered> {
        let url = self.file(version, SUMS);
        let sums = self.text(&url).await?;
        let signature = match &build.public_key {
            None => Signature::Unchecked,
            Some(key) => {
                let url = format!("{url}.minisig");
                let signed = self.text(&url).await?;
                verify(key, sums.as_bytes(), &signed).with_context(|| {
                    format!(
                        "`{url}` is no signature of oceanid's over the sums of {version}\n\
                         hint: nothing was replaced; somebody changed the release or its mirror: \
                         ask before you trust it"
                    )
                })?;
                Signature::Verified
            }
        };
        let of = version_of(&sums, &url)?;
        if of != *version {
            bail!(
                "`{url}` is the list of oceanid {of}, not of {version}\n\
                 hint: nothing was replaced; the release or its mirror is broken"
            );
        }
        Ok(Offered { version: of, signature, sums })
    }

    /// Where the release of that version has `name`.
    pub(super) fn file(&self, version: &Version, name: &str) -> String {
        format!("{}/download/v{version}/{name}", self.base)
    }

    pub(super) fn downloads(&self) -> &Downloads {
        &self.downloads
    }

    async fn text(&self, url: &str) -> anyhow::Result<String> {
        self.downloads.text(url).await.with_context(|| {
            format!(
                "cannot ask for a release of oceanid\n\
                 hint: nothing was replaced; `curl -iL {url}` shows what is served there"
            )
        })
    }
}

impl Offered {
    /// The SHA-256 of `file`.
    pub(super) fn sum(&self, file: &str, target: &str) -> anyhow::Result<String> {
        let version = &self.version;
        sum(&self.sums, file).with_context(|| {
            format!(
                "oceanid {version} has no archive for {target}\n\
                 hint: nothing was replaced; `cargo build --release` builds it from source"
            )
        })
    }
}

/// Whether `signed` is what the holder of `key` signed `text` with.
fn verify(key: &str, text: &[u8], signed: &str) -> Result<(), minisign_verify::Error> {
    let key = PublicKey::from_base64(key)?;
    // Without the old kind of signature, which no release ever had.
    key.verify(text, &Signed::decode(signed)?, false)
}

/// The one version whose archives a list of sums names.
fn version_of(sums: &str, url: &str) -> anyhow::Result<Version> {
    let names = sums.lines().filter_map(|line| line.split_whitespace().nth(1));
    let versions = names.filter_map(|name| {
        let name = name.strip_prefix("oceanid-")?.strip_suffix(".tar.gz")?;
        TARGETS.iter().find_map(|target| name.strip_suffix(target)?.strip_suffix('-'))
    });
    let mut versions: Vec<&str> = versions.collect();
    versions.dedup();
    match versions.as_slice() {
        [version] => version
            .parse()
            .with_context(|| format!("`{url}` names an archive of version `{version}`")),
        _ => bail!(
            "`{url}` is no list of the sums of one release\n\
             hint: nothing was replaced; `curl -iL {url}` shows what is served there"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::version_of;

    #[test]
    fn a_list_is_of_the_one_version_that_its_archives_have() {
        let line = |name: &str| format!("{}  {name}\n", "a".repeat(64));
        let of = |names: &[&str]| {
            let list: String = names.iter().map(|name| line(name)).collect();
            version_of(&list, "URL").map(|version| version.to_string()).ok()
        };
        let (linux, mac) = ("x86_64-unknown-linux-musl.tar.gz", "aarch64-apple-darwin.tar.gz");
        for version in ["0.1.0", "1.20.3", "0.2.0-rc.1", "0.2.0-x86", "0.2.0+a"] {
            let (one, two) =
                (format!("oceanid-{version}-{linux}"), format!("oceanid-{version}-{mac}"));
            assert_eq!(of(&[&one, "install.sh", &two]).as_deref(), Some(version));
        }
        let (one, two) = (format!("oceanid-0.1.0-{linux}"), format!("oceanid-0.2.0-{mac}"));
        assert_eq!(of(&[&one, &two]), None, "two versions");
        let outside = format!("oceanid-../../0.1.0-{linux}");
        for other in ["oceanid-0.1.0.tar.gz", "", "oceanid-0.1.0-riscv64.tar.gz", &outside] {
            assert_eq!(of(&[other]), None, "{other}");
        }
    }
}
