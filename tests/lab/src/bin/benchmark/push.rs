//! Measures how a file of 60 MB comes to four hosts at once, beside OpenSSH's `scp`.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lab::{HostSpec, Lab, Topology};
use toml_edit::value;

const AGENTS: [&str; 4] = ["ares", "eris", "hebe", "nike"];
const MEGABYTES: usize = 60;
const IMAGES: &str = "/var/lib/rancher/k3s/agent/images/k3s-airgap-images-amd64.tar.zst";

/// Five hosts, four of which are sent the file.
struct Ground<'a> {
    lab: Lab,
    oceanid: &'a Path,
    folder: PathBuf,
}

/// What one run of oceanid came to.
struct Sent {
    took: Duration,
    peak: f64,
}

/// Prints a row for the same file by both programs, in turn.
pub fn measure(oceanid: &Path, runs: usize) -> Result<()> {
    let hosts = ["tethys"].into_iter().chain(AGENTS).map(HostSpec::new).collect();
    let lab = Lab::up(Topology::of(hosts))?;
    let folder = lab.dir().join("push");
    fs::create_dir(&folder)?;
    let ground = Ground { lab, oceanid, folder };
    ground.prepare()?;
    let (mut scp, mut checked, mut push) = (Vec::new(), Vec::new(), Vec::new());
    let mut peak = 0.0_f64;
    for run in 0..=runs {
        let bare = ground.scp(None)?;
        let with_check = ground.scp(Some("sha256sum /var/tmp/images && sync /var/tmp/images"))?;
        let sent = ground.push()?;
        if run > 0 {
            scp.push(bare);
            checked.push(with_check);
            push.push(sent.took);
            peak = peak.max(sent.peak);
        }
    }
    let [scp, checked, push] = [scp, checked, push].map(|all| super::median(all).as_secs_f64());
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    let rate = |seconds: f64| (MEGABYTES * AGENTS.len()) as f64 / seconds;
    println!(
        "\n| {MEGABYTES} MB to each of four hosts | `scp` | `oceanid` | ratio | at least | memory |"
    );
    println!("|---|---:|---:|---:|---:|---:|");
    println!(
        "| `scp` alone, against verified, synced, in its place | {:.0} MB/s | {:.0} MB/s | {:.2} | 0.90 | {peak:.0} MB |",
        rate(scp),
        rate(push),
        scp / push
    );
    println!(
        "| `scp`, then `sha256sum` and `sync` by `ssh` | {:.0} MB/s | {:.0} MB/s | {:.2} | | |",
        rate(checked),
        rate(push),
        checked / push
    );
    Ok(())
}

impl Ground<'_> {
    fn file(&self) -> PathBuf {
        self.folder.join("images")
    }

    /// A cluster that has everything but the archive of images.
    fn prepare(&self) -> Result<()> {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut bytes = Vec::with_capacity(MEGABYTES * 1_000_000);
        while bytes.len() < MEGABYTES * 1_000_000 {
            // Nothing that could be compressed (xorshift).
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            bytes.extend_from_slice(&seed.to_le_bytes());
        }
        fs::write(self.file(), &bytes)?;
        self.lab.releases()?.add_images(self.lab.k3s()?, &bytes)?;
        let mut toml = self.lab.cluster_toml()?;
        toml.leave_unhardened();
        for section in ["tunnel", "triton", "gpu"] {
            toml.document.remove(section);
        }
        toml.document["k3s"]["air-gap"] = value(true);
        fs::write(self.folder.join("cluster.toml"), toml.to_string())?;
        let mut ssh = String::from("Host *\nUser root\nBatchMode yes\nIdentitiesOnly yes\n");
        let (key, known) = (self.lab.key(), self.lab.known_hosts());
        writeln!(ssh, "IdentityFile {}\nUserKnownHostsFile {}", key.display(), known.display())?;
        fs::write(self.folder.join("ssh"), ssh)?;
        let output = self.oceanid().arg("bootstrap").arg("--yes").output()?;
        if !output.status.success() {
            bail!("bootstrap failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    fn oceanid(&self) -> Command {
        let mut command = Command::new(self.oceanid);
        command.arg("--file").arg(self.folder.join("cluster.toml")).arg("--json");
        command.envs(self.lab.environment()).stdin(Stdio::null());
        command
    }

    /// One `scp` for each host, and `check` there, all at once, until the last has ended.
    fn scp(&self, check: Option<&str>) -> Result<Duration> {
        let begun = Instant::now();
        let (config, file) = (self.folder.join("ssh"), self.file());
        let (config, file) = (config.display(), file.display());
        let children = AGENTS.map(|name| {
            let address = self.lab.host(name).address;
            let mut line = format!("scp -q -F {config} {file} {address}:/var/tmp/images");
            if let Some(check) = check {
                let _ = write!(line, " && ssh -F {config} {address} '{check}' >/dev/null");
            }
            Command::new("sh").args(["-c", &line]).stdin(Stdio::null()).spawn()
        });
        for child in children {
            if !child?.wait()?.success() {
                bail!("scp failed");
            }
        }
        let took = begun.elapsed();
        self.everywhere("rm -f /var/tmp/images; sync")?;
        Ok(took)
    }

    /// From the first change that begins to the last that is done.
    fn push(&self) -> Result<Sent> {
        self.everywhere(&format!("rm {IMAGES}; sync"))?;
        let mut command = self.oceanid();
        command.args(["bootstrap", "--yes", "--only", "k3s-agent"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let (mut begun, mut done, mut count, mut peak) = (None, None, 0, 0.0_f64);
        let lines = BufReader::new(child.stdout.take().context("piped")?).lines();
        for line in lines {
            let event: serde_json::Value = serde_json::from_str(&line?)?;
            match event.get("event").and_then(serde_json::Value::as_str) {
                Some("change-started") => begun = begun.or_else(|| Some(Instant::now())),
                Some("change-done") => (done, count) = (Some(Instant::now()), count + 1),
                _ => {}
            }
            peak = peak.max(memory(&child));
        }
        if !child.wait()?.success() || count != AGENTS.len() {
            bail!("{count} files were sent");
        }
        let took = done.context("nothing was sent")? - begun.context("nothing was sent")?;
        Ok(Sent { took, peak })
    }

    fn everywhere(&self, command: &str) -> Result<()> {
        for name in AGENTS {
            self.lab.host(name).exec(command)?;
        }
        Ok(())
    }
}

/// `VmHWM` of a process, MB.
fn memory(child: &Child) -> f64 {
    super::high_water(&PathBuf::from(format!("/proc/{}/status", child.id()))).unwrap_or_default()
}
