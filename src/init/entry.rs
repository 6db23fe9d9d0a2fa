//! One host as it is typed: `user@host:port`, and what is known of it besides.

use std::str::FromStr;

use anyhow::{anyhow, bail};

use crate::config::syntax;

/// One host as it is typed: `[user@]host[:port] [SHA256:…] [name=NAME] [jump=user@host:port]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// The user to log in as.
    pub user: Option<String>,
    /// Name or address to connect to.
    pub address: String,
    /// The port of sshd.
    pub port: Option<u16>,
    /// The node's name; the host's own when left out.
    pub name: Option<String>,
    /// The fingerprint of its key.
    pub host_key: Option<String>,
    /// Hosts to go through, first hop first.
    pub jump: Vec<String>,
}

impl Entry {
    /// The entries in a text of one a line; `#` begins a comment.
    ///
    /// # Errors
    /// With the first line that is none.
    pub fn list(text: &str) -> anyhow::Result<Vec<Self>> {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
        lines.filter(|line| !line.is_empty()).map(str::parse).collect()
    }

    /// How it was typed, without what is known besides.
    #[must_use]
    pub fn place(&self) -> String {
        let user = self.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        match self.port {
            Some(port) if self.address.contains(':') => format!("{user}[{}]:{port}", self.address),
            Some(port) => format!("{user}{}:{port}", self.address),
            None => format!("{user}{}", self.address),
        }
    }

    /// How it was typed, with the way to it.
    #[must_use]
    pub fn with_way(&self) -> String {
        self.jump.iter().fold(self.place(), |text, jump| format!("{text} jump={jump}"))
    }

    fn read(&mut self, place: &str) -> Result<(), String> {
        let rest = match place.rsplit_once('@') {
            Some((user, rest)) => {
                syntax::user(user).map_err(|wrong| wrong.what)?;
                self.user = Some(user.to_owned());
                rest
            }
            None => place,
        };
        let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':')),
            // Two colons and more are an address of IPv6.
            None if rest.matches(':').count() > 1 => (rest, None),
            None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
        };
        syntax::host(host).map_err(|wrong| wrong.what)?;
        host.clone_into(&mut self.address);
        let number = |port: &str| port.parse().ok().filter(|port: &u16| *port > 0);
        self.port = match port {
            Some(port) => Some(number(port).ok_or_else(|| format!("`{port}` is not a port"))?),
            None => None,
        };
        Ok(())
    }
}

impl FromStr for Entry {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let mut entry = Self::default();
        let mut words = text.split_whitespace();
        let place = words.next().unwrap_or_default();
        entry.read(place).map_err(|why| {
            anyhow!("`{place}` is not a host: {why}\nhint: write `user@host` or `user@host:port`")
        })?;
        for word in words {
            match word.split_once('=') {
                _ if word.starts_with("SHA256:") => {
                    syntax::host_key(word).map_err(|_| {
                        anyhow!(
                            "`{word}` is not a fingerprint\nhint: `SHA256:` is followed by 43 characters, \
                             as `ssh-keygen -l` prints it"
                        )
                    })?;
                    entry.host_key = Some(word.to_owned());
                }
                Some(("name", name)) => entry.name = Some(name.to_owned()),
                Some(("jump", jump)) => entry.jump.push(jump.to_owned()),
                _ => bail!(
                    "`{word}` means nothing after a host\nhint: what may follow is `SHA256:…`, `name=…` \
                     and `jump=user@host:port`"
                ),
            }
        }
        Ok(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::Entry;

    #[test]
    fn a_host_is_read_as_it_is_typed() {
        let entry: Entry =
            "ubuntu@[2001:db8::7]:2222 name=styx jump=gate@192.0.2.1".parse().unwrap();
        assert_eq!(entry.user.as_deref(), Some("ubuntu"));
        assert_eq!(entry.address, "2001:db8::7");
        assert_eq!(entry.port, Some(2222));
        assert_eq!(entry.name.as_deref(), Some("styx"));
        assert_eq!(entry.jump, ["gate@192.0.2.1"]);
        assert_eq!(entry.place(), "ubuntu@[2001:db8::7]:2222");
        for place in ["root@198.51.100.2", "styx.example.com:2222", "2001:db8::7"] {
            assert_eq!(place.parse::<Entry>().unwrap().place(), place);
        }
        let list = Entry::list("# ours\nroot@192.0.2.1\n\n192.0.2.2 # the small one\n").unwrap();
        assert_eq!(list.len(), 2);
    }

    #[test]
    fn what_is_no_host_is_refused_with_what_one_looks_like() {
        for text in
            ["", "192.0.2", "root@", "styx:0", "styx:x", "a b", "styx SHA256:short", "@styx"]
        {
            let error = text.parse::<Entry>().expect_err(text).to_string();
            assert!(error.contains("\nhint: "), "{text}: {error}");
        }
    }
}
