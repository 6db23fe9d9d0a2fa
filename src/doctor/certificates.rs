//! How long the certificates of a host are valid.

use x509_parser::pem::parse_x509_pem;

/// A certificate's file, and when it is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Where it is.
    pub path: String,
    /// From when, seconds since 1970.
    pub begins: i64,
    /// Until when, seconds since 1970.
    pub ends: i64,
}

impl Certificate {
    /// Reads the first certificate of a PEM file; a file that holds none is passed over.
    #[must_use]
    pub fn read(path: &str, pem: &str) -> Option<Self> {
        let (_, block) = parse_x509_pem(pem.as_bytes()).ok()?;
        let certificate = block.parse_x509().ok()?;
        let validity = certificate.validity();
        Some(Self {
            path: path.to_owned(),
            begins: validity.not_before.timestamp(),
            ends: validity.not_after.timestamp(),
        })
    }
}
