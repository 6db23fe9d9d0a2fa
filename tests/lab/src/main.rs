//! `lab`: real hosts on this machine, by hand.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use lab::{Artifact, Lab, Releases, Topology};

/// Real hosts on this machine: systemd, sshd and apt as on a rented server.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Boots a lab; ends it at Ctrl-C, or lets it live on.
    Up {
        /// Let it live on until `lab down`; prints its folder.
        #[arg(long)]
        keep: bool,
        /// The hosts.
        #[arg(long, default_value = "four")]
        topology: Named,
    },
    /// Removes what processes that died left, and the kept labs that are named.
    Down {
        /// The number of a kept lab.
        #[arg(long)]
        lab: Option<u8>,
        /// Every kept lab, also another's.
        #[arg(long, conflicts_with = "lab")]
        all: bool,
    },
    /// Runs a command as root on a host of a kept lab.
    Exec {
        /// The lab's number.
        #[arg(long, default_value_t = 0)]
        lab: u8,
        /// The host's name.
        host: String,
        /// The command.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Prints the cluster.toml of a kept lab.
    Toml {
        /// The lab's number.
        #[arg(long, default_value_t = 0)]
        lab: u8,
    },
    /// Serves k3s' releases until it is killed.
    Serve {
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
    },
    /// Lists the labs of this machine.
    Status,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Named {
    /// tethys alone.
    One,
    /// tethys, styx, meliae, and calypso behind its router.
    Four,
}

fn main() -> ExitCode {
    match act(Arguments::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn act(verb: Verb) -> Result<()> {
    match verb {
        Verb::Up { keep, topology } => up(keep, topology),
        Verb::Down { lab, all } => {
            lab::down(|number| all || lab == Some(number))?
                .iter()
                .for_each(|line| println!("{line}"));
            Ok(())
        }
        Verb::Exec { lab, host, command } => exec(lab, &host, &command),
        Verb::Toml { lab } => {
            print!("{}", Lab::open(lab)?.cluster_toml()?);
            Ok(())
        }
        Verb::Serve { listen } => serve(listen),
        Verb::Status => {
            lab::status()?.iter().for_each(|line| println!("{line}"));
            Ok(())
        }
    }
}

fn up(keep: bool, topology: Named) -> Result<()> {
    let start = Instant::now();
    // Before the hosts boot: what cannot be served should not cost a boot.
    Artifact::k3s()?;
    let lab = Lab::up(match topology {
        Named::One => Topology::one(),
        Named::Four => Topology::four(),
    })?;
    eprintln!("{} hosts up after {:.1} s", lab.hosts().len(), start.elapsed().as_secs_f64());
    for host in lab.hosts() {
        let login = &host.spec.login.user;
        eprintln!("  {:9} {login}@{} {:?}", host.name(), host.address, host.spec.release);
    }
    if !keep {
        println!("export OCEANID_FILE='{}'", lab.write_cluster_toml()?.display());
        for (name, text) in lab.environment() {
            println!("export {name}='{text}'");
        }
        println!("# ready; the lines above let oceanid reach the hosts, Ctrl-C ends them");
        loop {
            std::thread::sleep(Duration::from_hours(1));
        }
    }
    let dir = lab.dir().to_owned();
    let port = spawn_server(&lab)?;
    std::fs::write(dir.join("port"), &port)?;
    let number = lab.keep()?;
    let lab = Lab::open(number)?;
    lab.write_cluster_toml()?;
    let lines: Vec<String> =
        lab.environment().iter().map(|(name, text)| format!("{name}='{text}'\n")).collect();
    std::fs::write(dir.join("environment"), lines.concat())?;
    println!("{}", dir.display());
    Ok(())
}

/// Starts `lab serve` as one of the lab's processes, so that it ends with the lab; its port.
fn spawn_server(lab: &Lab) -> Result<String> {
    let address = lab.machine();
    let mut child = Command::new(std::env::current_exe()?)
        .args(["serve", "--listen", &format!("{address}:0")])
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(lab.dir().join("serve.log"))?)
        .spawn()
        .context("cannot start `lab serve`")?;
    lab.adopt(child.id())?;
    let mut line = String::new();
    let stdout = child.stdout.take().context("no stdout")?;
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line)?;
    let port = line.trim().rsplit(':').next().unwrap_or_default().to_owned();
    if port.parse::<u16>().is_err() {
        bail!("`lab serve` said `{}` and no port", line.trim());
    }
    Ok(port)
}

fn serve(listen: SocketAddr) -> Result<()> {
    let releases = Releases::start(listen)?;
    releases.add_k3s(&Artifact::k3s()?)?;
    println!("{}", releases.url());
    loop {
        std::thread::sleep(Duration::from_hours(1));
    }
}

fn exec(number: u8, host: &str, command: &[String]) -> Result<()> {
    let lab = Lab::open(number)?;
    let Some(host) = lab.hosts().iter().find(|known| known.name() == host) else {
        bail!("lab {number} has no host `{host}`");
    };
    let output = host.output_for(Duration::from_hours(1), &command.join(" "))?;
    print!("{}", String::from_utf8_lossy(&output.stdout));
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        bail!("the command ended with {}", output.status);
    }
    Ok(())
}
