//! Measures `oceanid plan` beside OpenSSH's own client, on real hosts, and prints a table.

#[path = "benchmark/push.rs"]
mod push;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use lab::{ClusterToml, Host, HostSpec, Lab, Place, Relay, Topology};
use toml_edit::{ArrayOfTables, Item, Table, value};

/// The round trip that the relay adds.
const FAR: Duration = Duration::from_millis(100);
/// How many sshd instances stand in for hosts of their own.
const MANY: u16 = 50;

/// Measures `oceanid plan` beside `ssh HOST true`.
#[derive(Debug, Parser)]
struct Arguments {
    /// The program to measure.
    oceanid: PathBuf,
    /// How often each is measured.
    #[arg(long, default_value_t = 10)]
    runs: usize,
    /// Measure only how a file comes to hosts.
    #[arg(long)]
    push: bool,
}

/// What both programs need to know of some hosts.
struct Ground {
    oceanid: PathBuf,
    environment: BTreeMap<String, String>,
    folder: PathBuf,
    runs: usize,
}

/// One comparison: the same hosts by both programs.
struct Row<'a> {
    about: &'a str,
    /// The name of the files `NAME.toml` and `NAME.ssh`.
    name: &'a str,
    hosts: Vec<String>,
    arguments: &'a [&'a str],
    /// How many times as long as `ssh` it may take.
    at_most: f64,
}

fn main() -> ExitCode {
    match measure(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<()> {
    let program = fs::canonicalize(&arguments.oceanid).context("cannot find the program")?;
    if !arguments.push {
        logins(arguments)?;
    }
    push::measure(&program, arguments.runs)
}

fn logins(arguments: &Arguments) -> Result<()> {
    let mut topology = Topology::four();
    topology.hosts.push(HostSpec::new("many").instances(MANY));
    let lab = Lab::up(topology)?;
    let folder = lab.dir().join("benchmark");
    fs::create_dir(&folder)?;
    let ground = Ground {
        oceanid: fs::canonicalize(&arguments.oceanid).context("cannot find the program")?,
        environment: lab.environment(),
        folder,
        runs: arguments.runs,
    };
    let four = ["tethys", "styx", "meliae", "calypso"].map(str::to_owned).to_vec();
    let fifty: Vec<String> = (0..MANY).map(|nth| format!("node-{nth}")).collect();
    ground.write_near(&lab)?;
    ground.write_far(&lab)?;
    ground.write_many(&lab, &fifty)?;
    eprintln!("bootstrapping four hosts, preparing one that plays {MANY}");
    ground.succeed("near", &["bootstrap", "--yes"])?;
    ground.succeed("many", &["bootstrap", "--yes", "--only", "prepare", &fifty[0]])?;
    let prepare: &[&str] = &["plan", "--only", "prepare"];
    let rows = [
        Row {
            about: "four hosts",
            name: "near",
            hosts: four.clone(),
            arguments: &["plan"],
            at_most: 1.0,
        },
        Row {
            about: "four hosts, 100 ms away",
            name: "far",
            hosts: four,
            arguments: &["plan"],
            at_most: 1.25,
        },
        Row {
            about: "fifty hosts, `--only prepare`",
            name: "many",
            hosts: fifty,
            arguments: prepare,
            at_most: 1.0,
        },
    ];
    println!("| unchanged hosts | `ssh HOST true` | `oceanid plan` | ratio | at most | memory |");
    println!("|---|---:|---:|---:|---:|---:|");
    for row in &rows {
        println!("{}", ground.compare(row)?);
    }
    ground.program()
}

impl Ground {
    fn toml(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.toml"))
    }

    /// The four hosts as they are.
    fn write_near(&self, lab: &Lab) -> Result<()> {
        let toml = four(lab)?;
        fs::write(self.toml("near"), toml.to_string())?;
        self.write_ssh(lab, "near", |host| Ok(host.address()))
    }

    /// The same four, and the jump host, each through a relay.
    fn write_far(&self, lab: &Lab) -> Result<()> {
        let mut relays = BTreeMap::new();
        let mut known = fs::read_to_string(lab.known_hosts())?;
        for host in lab.hosts() {
            let relay = Relay::start(host.address(), FAR)?.address;
            for kind in ["ed25519", "ecdsa", "rsa"] {
                writeln!(known, "[{}]:{} {}", relay.ip(), relay.port(), host.host_key(kind)?)?;
            }
            relays.insert(host.name().to_owned(), relay);
        }
        fs::write(lab.known_hosts(), known)?;
        let mut toml = four(lab)?;
        toml.document["k3s"]["endpoint"] = value(lab.host("tethys").address.to_string());
        for host in lab.hosts().iter().filter(|host| is_one_of_four(host)) {
            if host.spec.place == Place::Home {
                let jump = toml_edit::Array::from_iter([format!("jump@{}", relays["gate"])]);
                toml.set_node(host.name(), "jump", value(jump))?;
                continue;
            }
            let relay = relays[host.name()];
            toml.set_node(host.name(), "address", value(relay.ip().to_string()))?;
            toml.set_node(host.name(), "port", value(i64::from(relay.port())))?;
        }
        fs::write(self.toml("far"), toml.to_string())?;
        self.write_ssh(lab, "far", |host| match host.spec.place {
            Place::Home => Ok(host.address()),
            _ => relays.get(host.name()).copied().context("every host has a relay"),
        })
    }

    /// What OpenSSH's client needs: the same keys, users, addresses and jump.
    fn write_ssh(
        &self,
        lab: &Lab,
        name: &str,
        address: impl Fn(&Host) -> Result<SocketAddr>,
    ) -> Result<()> {
        let mut text = String::new();
        for host in lab.hosts().iter().filter(|host| is_one_of_four(host)) {
            let at = address(host)?;
            let user = &host.spec.login.user;
            writeln!(text, "Host {}\nUser {user}", host.name())?;
            writeln!(text, "HostName {}\nPort {}", at.ip(), at.port())?;
            if host.spec.place == Place::Home {
                writeln!(text, "ProxyJump jump@{}", address(lab.host("gate"))?)?;
            }
        }
        self.finish_ssh(lab, name, &text)
    }

    fn finish_ssh(&self, lab: &Lab, name: &str, hosts: &str) -> Result<()> {
        let known = lab.known_hosts();
        let text = format!(
            "{hosts}Host *\nBatchMode yes\nIdentitiesOnly yes\nIdentityFile {}\nUserKnownHostsFile {}\n",
            lab.key().display(),
            known.display()
        );
        Ok(fs::write(self.folder.join(format!("{name}.ssh")), text)?)
    }

    /// One server and forty-nine agents: sshd instances of one host.
    fn write_many(&self, lab: &Lab, names: &[String]) -> Result<()> {
        let mut toml = four(lab)?;
        let (mut nodes, mut ssh) = (ArrayOfTables::new(), String::new());
        for (name, address) in names.iter().zip(&lab.host("many").instances) {
            let mut node = Table::new();
            node["name"] = value(name);
            node["role"] = value(if nodes.is_empty() { "server" } else { "agent" });
            node["address"] = value(address.to_string());
            nodes.push(node);
            writeln!(ssh, "Host {name}\nUser root\nHostName {address}")?;
        }
        toml.document["node"] = Item::ArrayOfTables(nodes);
        for section in ["tunnel", "triton", "gpu"] {
            toml.document.remove(section);
        }
        fs::write(self.toml("many"), toml.to_string())?;
        self.finish_ssh(lab, "many", &ssh)
    }

    fn oceanid(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.oceanid);
        command.arg("--file").arg(self.toml(name)).args(arguments).envs(&self.environment);
        command.stdin(Stdio::null());
        command
    }

    fn succeed(&self, name: &str, arguments: &[&str]) -> Result<String> {
        let output = self.oceanid(name, arguments).output()?;
        if !output.status.success() {
            bail!("{arguments:?} of {name}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Both programs in turn, after one run of each that does not count.
    fn compare(&self, row: &Row<'_>) -> Result<String> {
        let said = self.succeed(row.name, row.arguments)?;
        if said.lines().last() != Some("nothing to change") {
            bail!("the hosts of {} are not unchanged:\n{said}", row.name);
        }
        let (mut ssh, mut oceanid) = (Vec::new(), Vec::new());
        for run in 0..=self.runs {
            let (first, second) = (self.time_ssh(row)?, self.time_oceanid(row)?);
            if run > 0 {
                ssh.push(first);
                oceanid.push(second);
            }
        }
        let memory = self.peak_memory(row)?;
        let (ssh, oceanid) = (median(ssh), median(oceanid));
        Ok(format!(
            "| {} | {:.0} ms | {:.0} ms | {:.2} | {:.2} | {:.0} MB |",
            row.about,
            ssh.as_secs_f64() * 1000.0,
            oceanid.as_secs_f64() * 1000.0,
            oceanid.as_secs_f64() / ssh.as_secs_f64(),
            row.at_most,
            memory
        ))
    }

    /// One `ssh` for each host, all at once, until the last has ended.
    fn time_ssh(&self, row: &Row<'_>) -> Result<Duration> {
        let config = self.folder.join(format!("{}.ssh", row.name));
        let begun = Instant::now();
        let children = row.hosts.iter().map(|host| {
            let mut command = Command::new("ssh");
            command.arg("-F").arg(&config).args([host.as_str(), "true"]).stdin(Stdio::null());
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()
        });
        let children = children.collect::<std::io::Result<Vec<Child>>>()?;
        for child in children {
            let output = child.wait_with_output()?;
            if !output.status.success() {
                bail!("ssh failed: {}", String::from_utf8_lossy(&output.stderr));
            }
        }
        Ok(begun.elapsed())
    }

    fn time_oceanid(&self, row: &Row<'_>) -> Result<Duration> {
        let begun = Instant::now();
        self.succeed(row.name, row.arguments)?;
        Ok(begun.elapsed())
    }

    /// The most memory that a run of its own was seen to occupy, MB.
    fn peak_memory(&self, row: &Row<'_>) -> Result<f64> {
        let mut command = self.oceanid(row.name, row.arguments);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let status = PathBuf::from(format!("/proc/{}/status", child.id()));
        let mut peak = 0.0_f64;
        while child.try_wait()?.is_none() {
            peak = peak.max(high_water(&status).unwrap_or_default());
            sleep(Duration::from_millis(2));
        }
        Ok(peak)
    }

    /// What can be said of the program alone.
    fn program(&self) -> Result<()> {
        let mut help = Vec::new();
        for _ in 0..self.runs {
            let begun = Instant::now();
            let output = Command::new(&self.oceanid).arg("--help").output()?;
            help.push(begun.elapsed());
            if !output.status.success() {
                bail!("`--help` failed");
            }
        }
        let headers = Command::new("readelf").arg("-lW").arg(&self.oceanid).output()?;
        let headers = String::from_utf8_lossy(&headers.stdout).into_owned();
        let linking = if headers.contains("INTERP") { "dynamic" } else { "static" };
        let bytes = fs::metadata(&self.oceanid)?.len();
        println!("\n| program | measured | wanted |\n|---|---:|---:|");
        println!("| size | {:.2} MB | at most 9 MB |", f64::from(u32::try_from(bytes)?) / 1e6);
        println!("| linking | {linking} | static |");
        let help = median(help).as_secs_f64() * 1000.0;
        println!("| `oceanid --help` | {help:.1} ms | at most 10 ms |");
        println!(
            "\nMedians of {} runs, both programs in turn. Memory is the peak of `oceanid`; at most 64 MB. The \
             fifty hosts are sshd instances of one host, with names and machine-ids of their own.",
            self.runs
        );
        Ok(())
    }
}

fn is_one_of_four(host: &Host) -> bool {
    host.name() != "many" && host.spec.place != Place::Gate
}

/// The lab's cluster.toml without the host that plays fifty.
fn four(lab: &Lab) -> Result<ClusterToml> {
    let mut toml = lab.cluster_toml()?;
    let nodes = toml.document["node"].as_array_of_tables_mut().context("no nodes")?;
    nodes.retain(|node| node.get("name").and_then(Item::as_str) != Some("many"));
    Ok(toml)
}

/// `VmHWM` of a process, MB.
fn high_water(status: &Path) -> Option<f64> {
    let text = fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u32 = line.split_whitespace().next()?.parse().ok()?;
    Some(f64::from(kibibytes) * 1024.0 / 1e6)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    let middle = times.len() / 2;
    let upper = times.get(middle).copied().unwrap_or_default();
    if times.len() % 2 == 1 { upper } else { (times[middle - 1] + upper) / 2 }
}
