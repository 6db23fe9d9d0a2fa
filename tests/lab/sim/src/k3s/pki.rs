//! Certificate authorities and the certificates that they sign.

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};
use x509_parser::prelude::{FromDer, X509Certificate};

const YEAR: Duration = Duration::from_hours(365 * 24);

/// A certificate authority whose files are `NAME.crt` and `NAME.key`.
#[derive(Debug)]
pub struct Authority {
    /// The certificate as the file has it, byte for byte.
    pub pem: String,
    key: String,
}

/// A certificate (with its authority's behind it) and its key.
#[derive(Debug, Clone)]
pub struct Pair {
    /// PEM: the leaf, then the authority.
    pub certificate: String,
    /// PEM, PKCS #8.
    pub key: String,
}

/// What a certificate is for.
#[derive(Debug, Clone, Copy)]
pub enum Purpose {
    /// To prove a user to a server.
    Client,
    /// To prove a server, under these names.
    Server,
}

impl Authority {
    /// Reads the authority `folder/name.{crt,key}`, or makes it.
    pub fn load_or_make(folder: &Path, name: &str) -> anyhow::Result<Self> {
        let (crt, key) = (folder.join(format!("{name}.crt")), folder.join(format!("{name}.key")));
        if let (Ok(pem), Ok(key)) = (fs::read_to_string(&crt), fs::read_to_string(&key)) {
            return Ok(Self { pem, key });
        }
        let made = Self::make(&format!("k3s-{name}@{}", crate::clock::unix()))?;
        write(&crt, &made.pem, 0o644)?;
        write(&key, &made.key, 0o600)?;
        Ok(made)
    }

    fn make(common_name: &str) -> anyhow::Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
            KeyUsagePurpose::KeyCertSign,
        ];
        params.not_before = (now() - Duration::from_secs(1)).into();
        params.not_after = (now() + 10 * YEAR).into();
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        Ok(Self { pem: certificate.pem(), key: key.serialize_pem() })
    }

    /// Signs a certificate for the user or server `name`, valid for a year.
    pub fn sign(
        &self,
        purpose: Purpose,
        name: &str,
        groups: &[&str],
        names: &[String],
    ) -> anyhow::Result<Pair> {
        let mut params = CertificateParams::new(names.to_vec())?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        for group in groups {
            params.distinguished_name.push(DnType::OrganizationName, *group);
        }
        params.distinguished_name.push(DnType::CommonName, name);
        params.use_authority_key_identifier_extension = true;
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![match purpose {
            Purpose::Client => ExtendedKeyUsagePurpose::ClientAuth,
            Purpose::Server => ExtendedKeyUsagePurpose::ServerAuth,
        }];
        params.not_before = (now() - Duration::from_secs(1)).into();
        params.not_after = (now() + YEAR).into();
        let issuer = Issuer::from_ca_cert_pem(&self.pem, KeyPair::from_pem(&self.key)?)?;
        let key = KeyPair::generate()?;
        let leaf = params.signed_by(&key, &issuer)?;
        let certificate = format!("{}{}", leaf.pem(), self.pem);
        Ok(Pair { certificate, key: key.serialize_pem() })
    }
}

fn now() -> SystemTime {
    crate::clock::of_certificates().into()
}

/// Says whether the certificate in `path` is there and does not end within 120 days.
pub fn is_fresh(path: &Path) -> bool {
    const RENEWED: i64 = 120 * 86_400;
    let end = || {
        let pem = fs::read(path).ok()?;
        let der = CertificateDer::pem_slice_iter(&pem).next()?.ok()?;
        let (_, certificate) = X509Certificate::from_der(&der).ok()?;
        Some(certificate.validity().not_after.timestamp())
    };
    end().is_some_and(|end| end - crate::clock::of_certificates().as_second() > RENEWED)
}

impl Pair {
    /// Writes `NAME.crt` and `NAME.key` into `folder`.
    pub fn write(&self, folder: &Path, name: &str) -> anyhow::Result<()> {
        write(&folder.join(format!("{name}.crt")), &self.certificate, 0o644)?;
        write(&folder.join(format!("{name}.key")), &self.key, 0o600)
    }
}

/// Writes a file by rename, with exactly the mode `mode`.
pub fn write(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let part = path.with_extension("part");
    let inner = || -> std::io::Result<()> {
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(mode).open(&part)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(text.as_bytes())?;
        fs::rename(&part, path)
    };
    inner().with_context(|| format!("open {}", path.display()))
}

/// Makes a folder and its parents; the folder itself gets the mode `mode`.
pub fn folder(path: &Path, mode: u32) -> anyhow::Result<()> {
    fs::create_dir_all(path)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
        .with_context(|| format!("mkdir {}", path.display()))
}
