//! Who may come in through a tunnel.

use super::file::AccessSection;
use super::finding::{Finding, Findings};
use super::written::Written;
use crate::cluster::{Access, ServiceToken};

/// Reads who may come in; without a word about it nobody may without credentials.
pub fn read(section: Option<&Written<AccessSection>>, out: &mut Findings) -> Access {
    let Some(section) = section else { return Access::Protected(None) };
    let AccessSection { open, client_id, client_secret } = section.value();
    match (client_id, client_secret) {
        (None, None) if *open.value() => Access::Open,
        (None, None) => Access::Protected(None),
        (Some(id), Some(secret)) => {
            if *open.value() {
                let title = "`access` is open to everybody, and yet has a service token";
                let hint = "take out `open`, or `client-id` and `client-secret`";
                out.push(Finding::error(open.span(), title).hint(hint));
            }
            Access::Protected(Some(ServiceToken {
                client_id: id.value().clone().into(),
                client_secret: secret.value().clone().into(),
            }))
        }
        (Some(one), None) | (None, Some(one)) => {
            let title = "`access` has one half of a service token";
            let hint = "`client-id` and `client-secret` belong together";
            out.push(Finding::error(one.span(), title).hint(hint));
            Access::Protected(None)
        }
    }
}
