//! What differs between two locks, for people and for programs.

use std::collections::BTreeMap;

use super::{Release, Releases};

/// One thing that is locked otherwise than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// What it is: `k3s`, `k3s amd64`, `image nvcr.io/…`.
    pub what: String,
    /// What was locked; absent for a new thing.
    pub old: Option<String>,
    /// What is locked now; absent for what is no longer needed.
    pub new: Option<String>,
}

impl Releases {
    /// What `new` locks otherwise than this does, in a fixed order.
    #[must_use]
    pub fn moved(&self, new: &Self) -> Vec<Moved> {
        let (old, new) = (self.lines(), new.lines());
        let mut all: Vec<&String> = old.keys().chain(new.keys()).collect();
        all.sort_unstable();
        all.dedup();
        all.into_iter()
            .filter(|what| old.get(*what) != new.get(*what))
            .map(|what| Moved {
                what: what.clone(),
                old: old.get(what).cloned(),
                new: new.get(what).cloned(),
            })
            .collect()
    }

    fn lines(&self) -> BTreeMap<String, String> {
        let mut lines = BTreeMap::new();
        let named = [("k3s", Some(&self.k3s)), ("cloudflared", self.cloudflared.as_ref())];
        for (name, release) in named {
            if let Some(release) = release.filter(|release| !release.version.is_empty()) {
                release.add_to(&mut lines, name);
            }
        }
        for (image, digest) in &self.images {
            lines.insert(format!("image {image}"), digest.clone());
        }
        lines
    }
}

impl Release {
    fn add_to(&self, lines: &mut BTreeMap<String, String>, name: &str) {
        lines.insert(name.to_owned(), self.version.clone());
        for (arch, sum) in &self.sha256 {
            lines.insert(format!("{name} {arch}"), sum.clone());
        }
        for (arch, sum) in &self.air_gap {
            lines.insert(format!("{name} images {arch}"), sum.clone());
        }
    }
}
