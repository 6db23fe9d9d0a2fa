//! Which hosts a lab has, where they stand and how one logs in.

use serde::{Deserialize, Serialize};

use crate::image::Release;

/// The hosts of a lab, in the order of their addresses.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Topology {
    /// Every host; a lab with a host at home gets `gate` besides.
    pub hosts: Vec<HostSpec>,
}

/// One host as it should be when it is bare.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HostSpec {
    /// Its hostname, at most nine characters.
    pub name: String,
    /// What it runs.
    pub release: Release,
    /// Where it stands.
    pub place: Place,
    /// Who may log in.
    pub login: Login,
    /// Its root file system has a size of its own, in MiB; this machine's disk otherwise.
    pub disk: Option<u64>,
    /// Further sshd instances, each on an address of its own.
    pub instances: u16,
    /// It has a GPU, with the driver for it.
    pub gpu: bool,
}

/// Where a host stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// On the network that this machine and all other hosts reach.
    Public,
    /// On another network, which this machine routes to and from the first.
    Far,
    /// Behind a router that masquerades: it reaches the others, nobody reaches it.
    Home,
    /// The router itself, with a foot in both networks.
    Gate,
}

/// Who logs in with the lab's key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Login {
    /// The user.
    pub user: String,
    /// How the user becomes root.
    pub privilege: Privilege,
}

/// How a user becomes root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Privilege {
    /// It is root.
    Root,
    /// `sudo -n`.
    Sudo,
    /// `sudo` with this password.
    SudoPassword(String),
    /// Not at all.
    Nobody,
}

impl HostSpec {
    /// A host on the public network with Debian 12, entered as root.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            release: Release::Debian12,
            place: Place::Public,
            login: Login { user: "root".to_owned(), privilege: Privilege::Root },
            disk: None,
            instances: 0,
            gpu: false,
        }
    }

    /// The same host with another release.
    #[must_use]
    pub fn release(mut self, release: Release) -> Self {
        self.release = release;
        self
    }

    /// The same host, entered as `user`.
    #[must_use]
    pub fn login(mut self, user: &str, privilege: Privilege) -> Self {
        self.login = Login { user: user.to_owned(), privilege };
        self
    }

    /// The same host on the other network.
    #[must_use]
    pub fn far(mut self) -> Self {
        self.place = Place::Far;
        self
    }

    /// The same host behind the router.
    #[must_use]
    pub fn at_home(mut self) -> Self {
        self.place = Place::Home;
        self
    }

    /// The same host with a root file system of `mebibytes`.
    #[must_use]
    pub fn disk(mut self, mebibytes: u64) -> Self {
        self.disk = Some(mebibytes);
        self
    }

    /// The same host with a GPU.
    #[must_use]
    pub fn gpu(mut self) -> Self {
        self.gpu = true;
        self
    }

    /// The same host with `count` further sshd instances on addresses of their own.
    #[must_use]
    pub fn instances(mut self, count: u16) -> Self {
        self.instances = count;
        self
    }
}

impl Topology {
    /// These hosts.
    #[must_use]
    pub fn of(hosts: Vec<HostSpec>) -> Self {
        Self { hosts }
    }

    /// One host, `tethys`.
    #[must_use]
    pub fn one() -> Self {
        Self::of(vec![HostSpec::new("tethys")])
    }

    /// The four nodes of the top-level `cluster.toml` on three networks, and the router of calypso's home.
    #[must_use]
    pub fn four() -> Self {
        Self::of(vec![
            HostSpec::new("tethys"),
            HostSpec::new("styx").release(Release::Debian13).login("debian", Privilege::Sudo),
            HostSpec::new("meliae")
                .login("ubuntu", Privilege::SudoPassword("canary-sudo-meliae".to_owned()))
                .far(),
            HostSpec::new("calypso")
                .release(Release::Debian13)
                .login("oceanid", Privilege::Sudo)
                .at_home(),
        ])
    }

    /// The hosts, and the router in front of those at home.
    pub(crate) fn with_gate(mut self) -> Self {
        let home = self.hosts.iter().any(|host| host.place == Place::Home);
        if home && !self.hosts.iter().any(|host| host.place == Place::Gate) {
            let mut gate = HostSpec::new("gate").login("jump", Privilege::Nobody);
            gate.place = Place::Gate;
            self.hosts.push(gate);
        }
        self
    }
}
