//! Where the running program is, and whose it is there.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, bail};

/// Folders whose programs something else keeps, and how that is told of a new version.
const KEPT: &[(&str, &str, &str)] = &[
    ("/usr/bin", "the system's packages keep", "the package manager upgrades it"),
    ("/usr/sbin", "the system's packages keep", "the package manager upgrades it"),
    ("/bin", "the system's packages keep", "the package manager upgrades it"),
    ("/sbin", "the system's packages keep", "the package manager upgrades it"),
    ("/nix", "Nix keeps", "the configuration that names it upgrades it"),
    ("/gnu", "Guix keeps", "`guix upgrade oceanid` upgrades it"),
    ("/snap", "snapd keeps", "`snap refresh oceanid` upgrades it"),
    ("/opt/homebrew", "Homebrew keeps", "`brew upgrade oceanid` upgrades it"),
    ("/usr/local/Cellar", "Homebrew keeps", "`brew upgrade oceanid` upgrades it"),
    ("/home/linuxbrew", "Homebrew keeps", "`brew upgrade oceanid` upgrades it"),
];

/// A program that is ours to replace.
#[derive(Debug)]
pub struct Place {
    program: PathBuf,
}

impl Place {
    /// Where `program` is, links followed.
    pub fn of(program: &Path) -> anyhow::Result<Self> {
        let program = program
            .canonicalize()
            .with_context(|| format!("cannot find `{}`, this program", program.display()))?;
        if let Some((what, hint)) = keeper(&program) {
            bail!("{what} `{}`\nhint: nothing was replaced; {hint}", program.display());
        }
        Ok(Self { program })
    }

    /// The file.
    pub fn program(&self) -> &Path {
        &self.program
    }
}

/// What keeps the program, and how it is told of a new version; nothing where install.sh may have put it.
fn keeper(program: &Path) -> Option<(&'static str, &'static str)> {
    let cargo = [Component::Normal(".cargo".as_ref()), Component::Normal("bin".as_ref())];
    let parts: Vec<Component<'_>> = program.components().collect();
    if parts.windows(2).any(|pair| pair == cargo) {
        return Some(("Cargo keeps", "`cargo install oceanid` upgrades it"));
    }
    let kept = KEPT.iter().find(|(folder, ..)| program.starts_with(folder));
    kept.map(|(_, what, hint)| (*what, *hint))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::keeper;

    #[test]
    fn what_something_else_keeps_is_known_by_where_it_is() {
        for (path, what) in [
            ("/usr/bin/oceanid", Some("the system's packages keep")),
            ("/nix/store/abc-oceanid-0.1.0/bin/oceanid", Some("Nix keeps")),
            ("/home/anna/.cargo/bin/oceanid", Some("Cargo keeps")),
            ("/opt/homebrew/Cellar/oceanid/0.1.0/bin/oceanid", Some("Homebrew keeps")),
            ("/usr/local/bin/oceanid", None),
            ("/home/anna/.local/bin/oceanid", None),
            ("/home/anna/.cargo-bin/oceanid", None),
            ("/usr/binaries/oceanid", None),
        ] {
            assert_eq!(keeper(Path::new(path)).map(|(what, _)| what), what, "{path}");
        }
    }
}
