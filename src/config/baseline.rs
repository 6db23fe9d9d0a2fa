//! What the cluster begins with.

use super::file::{BaselineSection, CertManagerSection, File, GitopsSection};
use super::finding::Findings;
use crate::cluster::{Baseline, CertManager, Gitops};

/// Reads the section.
pub fn read(file: &File, _out: &mut Findings) -> Baseline {
    let BaselineSection { zones, gateway_api, cert_manager, gitops } = &file.baseline;
    Baseline {
        zones: *zones.value(),
        gateway_api: *gateway_api.value(),
        cert_manager: cert_manager.as_deref().and_then(issuer),
        gitops: gitops.as_deref().and_then(repository),
    }
}

fn issuer(section: &CertManagerSection) -> Option<CertManager> {
    Some(CertManager {
        email: section.email.as_ref()?.value().clone(),
        token: section.token.as_ref()?.value().clone().into(),
    })
}

fn repository(section: &GitopsSection) -> Option<Gitops> {
    let text = |text: &Option<super::written::Written<String>>, default: &str| {
        text.as_ref().map_or_else(|| default.to_owned(), |text| text.value().clone())
    };
    Some(Gitops {
        tool: *section.tool.as_ref()?.value(),
        repository: section.repository.as_ref()?.value().clone(),
        branch: text(&section.branch, "main"),
        path: text(&section.path, "."),
    })
}
