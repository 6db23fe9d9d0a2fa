//! Helm charts of the baseline: which version exactly, kept in `oceanid.lock`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The versions that this oceanid was made with.
const KNOWN: [(&str, &str); 3] =
    [("cert-manager", "v1.21.2"), ("flux2", "2.18.4"), ("argo-cd", "9.5.14")];

/// Versions by the chart's name: those of the lock file, and for the others our own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct Charts(BTreeMap<String, String>);

impl Charts {
    /// The version of `chart`; empty for one that the baseline does not know.
    #[must_use]
    pub fn version(&self, chart: &str) -> &str {
        self.0.get(chart).map_or("", String::as_str)
    }
}

impl Default for Charts {
    fn default() -> Self {
        BTreeMap::new().into()
    }
}

impl From<BTreeMap<String, String>> for Charts {
    fn from(mut locked: BTreeMap<String, String>) -> Self {
        for (chart, version) in KNOWN {
            locked.entry(chart.to_owned()).or_insert_with(|| version.to_owned());
        }
        Self(locked)
    }
}

impl From<Charts> for BTreeMap<String, String> {
    fn from(charts: Charts) -> Self {
        charts.0
    }
}
