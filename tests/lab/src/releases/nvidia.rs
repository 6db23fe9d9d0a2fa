//! A small apt repository, signed by a key of its own: the packages that Debian lacks.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use super::{Releases, build_sim};
use crate::command::run;

/// The version of the packages.
const VERSION: &str = "1.20.0-1";

/// Each package, and what it depends on, as the real ones do.
const PACKAGES: [(&str, &[&str]); 4] = [
    ("nvidia-container-toolkit", &["nvidia-container-toolkit-base", "libnvidia-container-tools"]),
    ("nvidia-container-toolkit-base", &[]),
    ("libnvidia-container-tools", &["libnvidia-container1"]),
    ("libnvidia-container1", &[]),
];

impl Releases {
    /// Adds NVIDIA's repository below `/nvidia` and its key as `/nvidia/gpgkey`; the key's fingerprint.
    pub fn add_nvidia(&self, folder: &Path) -> Result<String> {
        let mut list = String::new();
        for (name, needs) in PACKAGES {
            let (control, bytes) = package(folder, name, needs)
                .with_context(|| format!("cannot build the package `{name}`"))?;
            let file = format!("{name}_{VERSION}_amd64.deb");
            let sum = hex::encode(Sha256::digest(&bytes));
            writeln!(list, "{control}Filename: {file}\nSize: {}\nSHA256: {sum}\n", bytes.len())?;
            self.add(&format!("/nvidia/deb/amd64/{file}"), bytes);
        }
        let sum = hex::encode(Sha256::digest(&list));
        let now = run("date", &["-u", "-R"])?;
        let release = format!(
            "Origin: lab\nLabel: lab\nDate: {}\nArchitectures: amd64\nSHA256:\n {sum} {} Packages\n",
            now.trim().replace("+0000", "UTC"),
            list.len()
        );
        let (print, key, signed) = sign(folder, &release)?;
        self.add("/nvidia/deb/amd64/Packages", list.into_bytes());
        self.add("/nvidia/deb/amd64/InRelease", signed);
        self.add("/nvidia/gpgkey", key);
        Ok(print)
    }
}

/// Builds a package; what apt is to know of it, and its bytes.
fn package(folder: &Path, name: &str, needs: &[&str]) -> Result<(String, Vec<u8>)> {
    let root = folder.join(name);
    fs::create_dir_all(root.join("DEBIAN"))?;
    fs::set_permissions(&root, fs::Permissions::from_mode(0o755))?;
    let mut control = format!(
        "Package: {name}\nVersion: {VERSION}\nArchitecture: amd64\nMaintainer: lab <lab@example.com>\n"
    );
    if !needs.is_empty() {
        let needs: Vec<String> = needs.iter().map(|need| format!("{need} (= {VERSION})")).collect();
        writeln!(control, "Depends: {}", needs.join(", "))?;
    }
    control.push_str("Description: stands in for the package of NVIDIA\n");
    fs::write(root.join("DEBIAN/control"), &control)?;
    if name == "nvidia-container-toolkit-base" {
        let programs = root.join("usr/bin");
        fs::create_dir_all(&programs)?;
        fs::copy(build_sim()?, programs.join("nvidia-ctk"))?;
        fs::set_permissions(programs.join("nvidia-ctk"), fs::Permissions::from_mode(0o755))?;
        symlink("nvidia-ctk", programs.join("nvidia-container-runtime"))?;
    }
    let file = folder.join(format!("{name}.deb"));
    let (from, to) = (root.display().to_string(), file.display().to_string());
    run("dpkg-deb", &["--build", "--root-owner-group", "-Zgzip", "-z1", &from, &to])?;
    Ok((control, fs::read(file)?))
}

/// Makes a key and signs `text` with it: the key's fingerprint, the key, what was signed.
fn sign(folder: &Path, text: &str) -> Result<(String, Vec<u8>, Vec<u8>)> {
    let home = folder.join("gpg");
    fs::create_dir_all(&home)?;
    fs::set_permissions(&home, fs::Permissions::from_mode(0o700))?;
    let file = folder.join("Release");
    fs::write(&file, text)?;
    let gpg = |arguments: &[&str]| {
        let output = Command::new("gpg")
            .args(["--batch", "--quiet", "--passphrase", "", "--pinentry-mode", "loopback"])
            .args(arguments)
            .env("GNUPGHOME", &home)
            .output()
            .context("cannot start `gpg`")?;
        if !output.status.success() {
            bail!("gpg {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(output.stdout)
    };
    let done = || -> Result<_> {
        gpg(&["--quick-generate-key", "lab <lab@example.com>", "rsa3072", "sign", "never"])?;
        let shown = String::from_utf8(gpg(&["--with-colons", "--fingerprint"])?)?;
        let line = shown.lines().find_map(|line| line.strip_prefix("fpr:"));
        let print = line.context("gpg shows no key")?.trim_matches(':').to_owned();
        let key = gpg(&["--armor", "--export"])?;
        let signed = gpg(&["--clearsign", "--output", "-", &file.display().to_string()])?;
        Ok((print, key, signed))
    }();
    // Its agent would outlive us.
    let _ = Command::new("gpgconf").args(["--kill", "all"]).env("GNUPGHOME", &home).output();
    done
}
