//! The lab's Cloudflare edge: where tunnels end, and where the public comes to their names.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use serde_json::Value;

use crate::command::{output_for, wait_for};
use crate::host::Host;
use crate::lab::Lab;
use crate::releases::build_sim;

/// The names by which cloudflared finds the edge.
const REGIONS: &str = "region1.v2.argotunnel.com region2.v2.argotunnel.com";
/// How long the edge may take to listen, or to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running edge, on the lab's own address on this machine; it ends with the lab.
#[derive(Debug)]
pub struct Edge {
    address: Ipv4Addr,
    folder: PathBuf,
    child: Child,
}

impl Edge {
    /// Starts the edge of `lab`, which knows no tunnel and no name yet.
    pub fn start(lab: &Lab) -> Result<Self> {
        let folder = lab.dir().join("edge");
        fs::create_dir(&folder)?;
        write_ca(&folder)?;
        fs::write(folder.join("state.json"), "{}")?;
        let child = spawn(lab, &folder)?;
        let edge = Self { address: lab.machine(), folder, child };
        edge.wait()?;
        Ok(edge)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The file with what there is of tunnels, names and Access; whoever writes it renames it into place.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.folder.join("state.json")
    }

    /// The file with the CA's certificate, PEM.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// Sets what there is of tunnels, names and Access.
    pub fn set(&self, state: &Value) -> Result<()> {
        let new = self.folder.join("state.new");
        fs::write(&new, state.to_string())?;
        Ok(fs::rename(new, self.state())?)
    }

    /// Who is connected: one for each connection, with its `tunnel`, `connector`, `protocol` and `version`.
    pub fn connections(&self) -> Result<Vec<Value>> {
        let text = fs::read(self.folder.join("state.json.connections")).unwrap_or_default();
        Ok(if text.is_empty() { Vec::new() } else { serde_json::from_slice(&text)? })
    }

    /// Lets `host` find the edge by its names, and `names` through it.
    pub fn lead(&self, host: &Host, names: &[&str]) -> Result<()> {
        let file = host.root().join("etc/hosts");
        let mut text = fs::read_to_string(&file)?;
        writeln!(text, "{} {REGIONS} {}", self.address, names.join(" "))?;
        Ok(fs::write(file, text)?)
    }

    /// Lets `host` ask the edge for every name, as the public's DNS: it knows its records, and asks others
    /// about the rest.
    pub fn answer_names_of(&self, host: &Host) -> Result<()> {
        Ok(fs::write(host.root().join("etc/resolv.conf"), self.resolv_conf())?)
    }

    /// What stands in the resolv.conf of somebody who asks the edge for names.
    #[must_use]
    pub fn resolv_conf(&self) -> String {
        format!("nameserver {}\n", self.address)
    }

    /// Asks for `https://NAME/PATH` from this machine; the status and the body.
    pub fn get(&self, name: &str, path: &str, headers: &[&str]) -> Result<(u16, String)> {
        let mut arguments = vec!["-sS".to_owned(), "-w".to_owned(), "\n%{http_code}".to_owned()];
        let ca = self.ca().display().to_string();
        let to = format!("{name}:443:{}", self.address);
        arguments.extend(["--cacert", &ca, "--resolve", &to].map(str::to_owned));
        arguments.extend(headers.iter().flat_map(|header| ["-H".to_owned(), (*header).to_owned()]));
        arguments.push(format!("https://{name}{path}"));
        let output = output_for(PATIENCE, "curl", &arguments)?;
        if !output.status.success() {
            bail!("no answer from {name}: {}", String::from_utf8_lossy(&output.stderr));
        }
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, code) = text.rsplit_once('\n').context("no status")?;
        Ok((code.parse()?, body.to_owned()))
    }

    /// Ends the edge, as if the network were gone.
    pub fn stop(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts it again.
    pub fn restart(&mut self, lab: &Lab) -> Result<()> {
        self.child = spawn(lab, &self.folder)?;
        self.wait()
    }

    fn wait(&self) -> Result<()> {
        let log = || fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let up = || Ok(TcpStream::connect((self.address, 443)).ok());
        wait_for(PATIENCE, "the edge to listen", up, log).map(drop)
    }
}

fn spawn(lab: &Lab, folder: &Path) -> Result<Child> {
    let log = fs::File::create(folder.join("log"))?;
    let child = Command::new(build_sim()?)
        .arg("edge")
        .arg(folder.join("state.json"))
        .arg(lab.machine().to_string())
        .args([folder.join("ca.pem"), folder.join("ca.key")])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("cannot start the edge")?;
    lab.adopt(child.id())?;
    Ok(child)
}

fn write_ca(folder: &Path) -> Result<()> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "lab's own edge");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate()?;
    fs::write(folder.join("ca.pem"), params.self_signed(&key)?.pem())?;
    Ok(fs::write(folder.join("ca.key"), key.serialize_pem())?)
}
