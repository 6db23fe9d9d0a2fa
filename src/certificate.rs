//! X.509 certificates: whose they are and how long they are valid.

use anyhow::Context as _;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// What oceanid wants to know of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Whose it is: `CN=system:admin`.
    pub subject: String,
    /// From when on it is valid.
    pub begins: Timestamp,
    /// Until when it is valid.
    pub ends: Timestamp,
    /// Whether it signs others.
    pub is_authority: bool,
}

impl Certificate {
    /// Reads the first certificate in PEM text; those behind it are its chain.
    ///
    /// # Errors
    /// When there is none.
    pub fn first(pem: &[u8]) -> anyhow::Result<Self> {
        let der = CertificateDer::from_pem_slice(pem).ok().context("it is no PEM certificate")?;
        let (_, read) =
            X509Certificate::from_der(&der).ok().context("it is no X.509 certificate")?;
        let validity = read.validity();
        let time = |time: x509_parser::time::ASN1Time| {
            Timestamp::from_second(time.timestamp()).context("its dates are none")
        };
        Ok(Self {
            subject: read.subject().to_string(),
            begins: time(validity.not_before)?,
            ends: time(validity.not_after)?,
            is_authority: read.is_ca(),
        })
    }

    /// Whole days until it ends at `now`; negative once it has.
    #[must_use]
    pub fn days_left(&self, now: Timestamp) -> i64 {
        days(self.ends.as_second() - now.as_second())
    }
}

/// Whole days in `seconds`, rounded down.
#[must_use]
pub fn days(seconds: i64) -> i64 {
    seconds.div_euclid(86_400)
}
