//! The command line: what can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCandidates;

use crate::complete;

use crate::update::RELEASES;

const EXIT_CODES: &str = "\
Exit codes:
  0    done, or nothing to do
  1    failed
  2    changes are pending (plan --detailed-exitcode, verify, status)
  3    a host is unreachable, or refused us (keys, host key, sudo)
  4    cluster.toml is wrong
  5    a step was taken back: it locked us out, or k3s did not come up
  64   the command line is wrong
  130  interrupted

Examples:
  oceanid validate                    check cluster.toml, contact nobody
  oceanid plan --diff                 show every change, make none
  oceanid bootstrap                   bring all nodes there, ask first
  oceanid join calypso                bring one node there";

/// Turns bare Debian and Ubuntu hosts into a k3s cluster, over SSH alone.
#[derive(Debug, Parser)]
#[command(name = "oceanid", version, about, after_help = EXIT_CODES, max_term_width = 80)]
#[command(propagate_version = true, disable_help_subcommand = true)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// What holds for every command.
#[derive(Debug, Args)]
pub struct Global {
    /// The cluster's description
    #[arg(short, long, global = true, value_name = "FILE", default_value = "cluster.toml")]
    #[arg(env = "OCEANID_FILE")]
    pub file: PathBuf,
    /// Print one JSON object a line on stdout
    #[arg(long, global = true)]
    pub json: bool,
    /// Log what oceanid does, to stderr (`OCEANID_LOG=debug`: more)
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Look at hosts, and write a first cluster.toml
    #[command(
        after_help = "It asks for the hosts one by one, shows their keys, and proposes roles and settings with \
                      their reasons. Nothing is changed on any host, and no file is ever overwritten.\n\nA host \
                      is `[user@]address[:port]`, and may be followed by `SHA256:…` (its key, where `known_hosts` \
                      has none), `name=NAME` and `jump=user@host:port`.\n\nExamples:\n  oceanid init\n  oceanid \
                      init --from root@198.51.100.2 ubuntu@203.0.113.4:2222\n  oceanid init --with \
                      mirrors.toml --from - <hosts.txt"
    )]
    Init(Init),
    /// Check cluster.toml, without contacting anyone
    #[command(after_help = "Example:\n  oceanid validate -f staging.toml")]
    Validate,
    /// Explain the keys of cluster.toml, the steps, the exit codes
    #[command(
        after_help = "Examples:\n  oceanid docs\n  oceanid docs k3s\n  oceanid docs node.jump\n  oceanid docs \
                      steps\n  oceanid docs k3s-agent\n  oceanid docs exit-codes"
    )]
    Docs {
        /// A section, a key or a step, `steps` or `exit-codes`; every key when left out
        #[arg(add = ArgValueCandidates::new(complete::topics))]
        topic: Option<String>,
    },
    /// Explain an error or a cause by the word that it is shown with
    #[command(after_help = "Examples:\n  oceanid explain\n  oceanid explain host-key-changed")]
    Explain {
        /// The word after `oceanid explain` in the error; all of them when left out
        #[arg(add = ArgValueCandidates::new(complete::codes))]
        code: Option<String>,
    },
    /// Show what the hosts are
    #[command(after_help = "Example:\n  oceanid facts calypso --json")]
    Facts {
        /// Nodes; all when left out
        #[arg(add = ArgValueCandidates::new(complete::nodes))]
        nodes: Vec<String>,
    },
    /// Show what would change; nothing is written to any host
    #[command(after_help = "Examples:\n  oceanid plan\n  oceanid plan --diff --only prepare styx")]
    Plan {
        /// Which steps on which nodes.
        #[command(flatten)]
        target: Target,
        /// Show the changes line by line
        #[arg(long)]
        diff: bool,
        /// Exit with 2 when something would change
        #[arg(long)]
        detailed_exitcode: bool,
    },
    /// Bring the nodes to what cluster.toml says
    #[command(
        after_help = "Examples:\n  oceanid bootstrap\n  oceanid bootstrap --yes --only prepare"
    )]
    Bootstrap {
        /// Which steps on which nodes.
        #[command(flatten)]
        target: Target,
        /// How it goes about it.
        #[command(flatten)]
        apply: Apply,
    },
    /// Bring single nodes there, and into the cluster
    #[command(
        after_help = "Examples:\n  oceanid join calypso\n  oceanid join calypso --local\n  oceanid join calypso --replace"
    )]
    Join {
        /// The nodes
        #[arg(required = true, add = ArgValueCandidates::new(complete::nodes))]
        nodes: Vec<String>,
        /// The node is the machine that oceanid runs on
        #[arg(long)]
        local: bool,
        /// Remove the node of an old machine that had the name
        #[arg(long)]
        replace: bool,
        /// Which steps.
        #[command(flatten)]
        steps: Steps,
        /// How it goes about it.
        #[command(flatten)]
        apply: Apply,
    },
    /// Take away what oceanid made
    #[command(
        after_help = "What carries no mark of oceanid's stays. Connections of tunnels are closed first.\n\n\
                      Examples:\n  oceanid remove cloudflare\n  oceanid remove cloudflare --leftovers --yes"
    )]
    Remove {
        /// Where
        what: Removable,
        /// Only what cluster.toml no longer names
        #[arg(long)]
        leftovers: bool,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
    /// Resolve versions and hashes anew, show what moved, write oceanid.lock
    #[command(after_help = "Example:\n  oceanid lock && git diff oceanid.lock")]
    Lock,
    /// Prove that everything is as cluster.toml says; exit with 2 when it is not
    #[command(after_help = "Example:\n  oceanid verify || mail -s 'cluster drifted' ops")]
    Verify {
        /// Which steps on which nodes.
        #[command(flatten)]
        target: Target,
    },
    /// Take back the last run's changes
    #[command(
        after_help = "Examples:\n  oceanid rollback styx\n  oceanid rollback --run 20261101T101500Z-1f2e3d"
    )]
    Rollback {
        /// Nodes; all when left out
        #[arg(add = ArgValueCandidates::new(complete::nodes))]
        nodes: Vec<String>,
        /// The run to take back; on each host its last one when left out
        #[arg(long, value_name = "NAME")]
        run: Option<String>,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
    /// Show how the nodes are, and what of them ends soon
    #[command(
        after_help = "Exit codes:\n  0  all is well and as cluster.toml says\n  1  something is not well, \
                      or a node cannot be reached\n  2  all is well, but changes are pending\n  3  no node \
                      can be reached\n\nExamples:\n  oceanid status\n  oceanid status --json | tail -n 1 | \
                      jq -r '.nodes[].state'"
    )]
    Status,
    /// Find out why k3s does not run; exit with 1 when something is found
    #[command(after_help = "Examples:\n  oceanid doctor\n  oceanid doctor styx --json")]
    Doctor {
        /// Nodes; all when left out
        #[arg(add = ArgValueCandidates::new(complete::nodes))]
        nodes: Vec<String>,
    },
    /// Merge the administrator's kubeconfig into `~/.kube/config`
    #[command(
        after_help = "What else is in the file stays, but for comments; the former file is kept beside \
                      it.\n\nExamples:\n  oceanid kubeconfig --use\n  oceanid kubeconfig --via-ssh && \
                      oceanid tunnel\n  oceanid kubeconfig --out - | ssh desk 'cat >ocean.yaml'"
    )]
    Kubeconfig(Kubeconfig),
    /// Lead a port of this machine to the API, over SSH
    #[command(
        after_help = "It serves until Ctrl-C, connects again when the line is lost, and goes through \
                      another server while the first one cannot be reached. The port is one from 16443 to \
                      17442 that follows from the cluster's name.\n\nExample:\n  oceanid kubeconfig \
                      --via-ssh && oceanid tunnel"
    )]
    Tunnel {
        /// The port; one that follows from the cluster's name when left out
        #[arg(long)]
        port: Option<u16>,
    },
    /// Show a host's key, and remember it in `known_hosts`
    #[command(after_help = "Example:\n  oceanid trust styx")]
    Trust {
        /// The node
        #[arg(add = ArgValueCandidates::new(complete::nodes))]
        node: String,
        /// Do not ask: you compared the fingerprint
        #[arg(long, value_name = "SHA256:…")]
        fingerprint: Option<String>,
    },
    /// Remove the lock that a run left on hosts
    #[command(after_help = "Example:\n  oceanid unlock styx")]
    Unlock {
        /// Nodes; all when left out
        #[arg(add = ArgValueCandidates::new(complete::nodes))]
        nodes: Vec<String>,
    },
    /// Print the script that lets a shell complete commands, nodes and steps
    #[command(
        after_help = "Nodes are those of the cluster.toml in the folder, or of `-f FILE`.\n\nExamples:\n  \
                      oceanid completions bash >~/.local/share/bash-completion/completions/oceanid\n  \
                      oceanid completions zsh >~/.zfunc/_oceanid\n  \
                      oceanid completions fish >~/.config/fish/completions/oceanid.fish"
    )]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write a manual page for each command
    #[command(
        after_help = "Example:\n  oceanid man ~/.local/share/man/man1 && man oceanid-bootstrap"
    )]
    Man {
        /// The folder; made if it is not there
        #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
        folder: PathBuf,
    },
    /// Say which oceanid this is, and whether there is a newer one
    #[command(
        after_help = "With --check it exits with 2 when there is a newer release.\n\nExamples:\n  oceanid \
                      version --json\n  oceanid version --check"
    )]
    Version {
        /// Ask for the newest release; its signature must be right where this build carries a key
        #[arg(long)]
        check: bool,
        /// Where releases are.
        #[command(flatten)]
        source: Source,
    },
    /// Replace this program by the newest release, verified
    #[command(
        after_help = "SHA-256 is always verified, and the signature of the sums where this build carries a \
                      key (`oceanid version` tells). An older release must be asked for by its version.\n\n\
                      Examples:\n  oceanid self-update\n  oceanid self-update 0.1.0"
    )]
    SelfUpdate {
        /// This release; the newest when left out
        #[arg(value_name = "VERSION", env = "OCEANID_VERSION")]
        to: Option<String>,
        /// Where releases are.
        #[command(flatten)]
        source: Source,
    },
}

/// A shell that completes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// bash 4.4 or later
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}

/// Which hosts, and what is brought along.
#[derive(Debug, Args)]
pub struct Init {
    /// Ask nothing: take these hosts; `-` reads them from stdin, one a line
    #[arg(long, value_name = "HOST", num_args = 1..)]
    pub from: Vec<String>,
    /// Sections for the new file, before what is proposed: mirrors, keys, versions
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub with: Option<PathBuf>,
    /// The cluster's name; the folder's when left out
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub name: Option<String>,
}

/// Where releases of oceanid are.
#[derive(Debug, Args)]
pub struct Source {
    /// A mirror of the releases
    #[arg(long, value_name = "URL", env = "OCEANID_BASE_URL", default_value = RELEASES)]
    pub base_url: String,
}

/// From where things may be taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Removable {
    /// Cloudflare's side: tunnels, names, who may come in, rules
    Cloudflare,
}

/// Where the kubeconfig goes, and how it leads to the API.
#[derive(Debug, Args)]
pub struct Kubeconfig {
    /// Merge it into this file; `-` prints it. Otherwise: the first file of `$KUBECONFIG`, or
    /// `~/.kube/config`
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// What context, cluster and user are called; the cluster's name when left out
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub name: Option<String>,
    /// Make it the current context even if there is another one
    #[arg(long = "use")]
    pub switch: bool,
    /// Go through `oceanid tunnel`, for an API that is closed from here
    #[arg(long)]
    pub via_ssh: bool,
    /// The port of that tunnel; the one that follows from the cluster's name when left out
    #[arg(long, requires = "via_ssh")]
    pub port: Option<u16>,
}

/// Which steps on which nodes.
#[derive(Debug, Args)]
pub struct Target {
    /// Nodes; all when left out
    #[arg(add = ArgValueCandidates::new(complete::nodes))]
    pub nodes: Vec<String>,
    /// Which steps.
    #[command(flatten)]
    pub steps: Steps,
}

/// Which steps.
#[derive(Debug, Args)]
pub struct Steps {
    /// Only these steps
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    #[arg(add = ArgValueCandidates::new(complete::steps))]
    pub only: Vec<String>,
    /// All but these steps
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    #[arg(add = ArgValueCandidates::new(complete::steps))]
    pub skip: Vec<String>,
}

/// How a run that changes things goes about it.
#[derive(Debug, Args)]
pub struct Apply {
    /// Do not ask before the first change
    #[arg(short, long)]
    pub yes: bool,
    /// How many new agents at a time; those in use are restarted one by one
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub parallel: usize,
}
