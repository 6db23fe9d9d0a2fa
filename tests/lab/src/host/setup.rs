//! How a host comes to be: its files over the image, its users, its first boot.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::Host;
use crate::command::run;
use crate::network::Network;
use crate::slot::write_script;
use crate::topology::{HostSpec, Place, Privilege};

const INIT: &str = include_str!("../../scripts/init.sh");
const HOST: &str = include_str!("../../scripts/host.sh");
const INSTANCE: &str = include_str!("../../scripts/instance.sh");

/// Where a host is put.
#[derive(Debug)]
pub struct Ground<'a> {
    /// The lab's folder.
    pub dir: &'a Path,
    /// The lab's networks.
    pub network: &'a Network,
    /// The public key that may log in.
    pub key: &'a str,
}

/// Makes the files of the host that is the lab's `index`th and starts it; does not wait.
pub fn boot(ground: &Ground<'_>, index: u8, spec: HostSpec) -> Result<Host> {
    let dir = ground.dir.join(&spec.name);
    let host = Host {
        address: ground.network.address(index, spec.place),
        instances: (0..spec.instances).map(|nth| ground.network.instance(nth)).collect(),
        id: ground.network.port(&spec.name),
        image: spec.release.image()?,
        dir,
        spec,
    };
    host.mount().with_context(|| format!("cannot make the disk of `{}`", host.name()))?;
    host.write_files(ground.key)
        .with_context(|| format!("cannot write the files of `{}`", host.name()))?;
    host.start(ground, index)?;
    Ok(host)
}

impl Host {
    pub(super) fn network(&self) -> Result<Network> {
        let number = self.id.strip_prefix("ol").and_then(|id| id.split('-').next());
        Ok(Network::new(number.context("a host id without its lab")?.parse()?))
    }

    /// Puts a writable layer over the image, on a disk of its own where that is asked for.
    fn mount(&self) -> Result<()> {
        let disk = self.dir.join("disk");
        fs::create_dir_all(&disk)?;
        fs::create_dir_all(self.root())?;
        if let Some(size) = self.spec.disk {
            let image = self.dir.join("disk.img");
            File::create(&image)?.set_len(size * 1024 * 1024)?;
            let image = image.display().to_string();
            run("mkfs.ext4", &["-q", "-F", "-m", "0", &image])?;
            run("mount", &["-o", "loop", &image, &disk.display().to_string()])?;
        }
        for layer in ["upper", "work"] {
            fs::create_dir_all(disk.join(layer))?;
        }
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            self.image.display(),
            disk.join("upper").display(),
            disk.join("work").display()
        );
        let root = self.root().display().to_string();
        run("mount", &["-t", "overlay", "-o", &options, "overlay", &root]).map(drop)
    }

    fn write_files(&self, key: &str) -> Result<()> {
        let root = self.root();
        let name = self.name();
        fs::write(root.join("etc/hostname"), format!("{name}\n"))?;
        fs::write(
            root.join("etc/hosts"),
            format!("127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost ip6-localhost\n"),
        )?;
        fs::write(root.join("etc/machine-id"), format!("{}\n", self.machine_id()))?;
        fs::remove_file(root.join("etc/resolv.conf")).ok();
        fs::copy("/etc/resolv.conf", root.join("etc/resolv.conf"))?;
        fs::write(
            root.join("etc/ssh/sshd_config.d/50-lab.conf"),
            // For `sshd_counts`; the start limit so that parallel tests measure the product.
            "LogLevel VERBOSE\nMaxStartups 100:30:200\n",
        )?;
        run("ssh-keygen", &["-q", "-A", "-f", &root.display().to_string()])?;
        if self.spec.gpu {
            self.write_gpu()?;
        }
        self.add_user(key)
    }

    fn add_user(&self, key: &str) -> Result<()> {
        let (root, login) = (self.root(), &self.spec.login);
        let place = root.display().to_string();
        let home = if login.user == "root" {
            root.join("root")
        } else {
            run("chroot", &[&place, "useradd", "-m", "-s", "/bin/bash", &login.user])?;
            root.join("home").join(&login.user)
        };
        let ssh = home.join(".ssh");
        fs::create_dir_all(&ssh)?;
        fs::set_permissions(&ssh, fs::Permissions::from_mode(0o700))?;
        fs::write(ssh.join("authorized_keys"), key)?;
        fs::set_permissions(ssh.join("authorized_keys"), fs::Permissions::from_mode(0o600))?;
        let inside = format!("/{}", home.strip_prefix(&root)?.display());
        let owner = format!("{0}:{0}", login.user);
        run("chroot", &[&place, "chown", "-R", &owner, &inside])?;
        let rule = match &login.privilege {
            Privilege::Root | Privilege::Nobody => return Ok(()),
            Privilege::Sudo => "NOPASSWD: ALL",
            Privilege::SudoPassword(password) => {
                let script = format!("printf '%s:%s\\n' {} '{password}' | chpasswd", login.user);
                run("chroot", &[&place, "sh", "-c", &script])?;
                "ALL"
            }
        };
        let file = root.join("etc/sudoers.d/90-lab");
        fs::write(&file, format!("{} ALL=(ALL:ALL) {rule}\n", login.user))?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o440))?;
        Ok(())
    }

    /// 32 hex digits that no other host of this run has.
    fn machine_id(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(&self.id);
        hash.update(self.dir.as_os_str().as_encoded_bytes());
        hash.update(std::process::id().to_le_bytes());
        hex::encode(hash.finalize())[..32].to_owned()
    }

    fn start(&self, ground: &Ground<'_>, index: u8) -> Result<()> {
        let init = write_script("init.sh", INIT)?;
        let script = write_script("host.sh", HOST)?;
        let console = File::create(self.dir.join("console.log"))?;
        let place = self.spec.place;
        let mut command = Command::new("setsid");
        let mut child = command
            .arg("sh")
            .arg(script)
            .env_clear()
            .env("LAB_NAME", self.name())
            .env("LAB_ID", &self.id)
            .env("LAB_DIR", &self.dir)
            .env("LAB_INIT", init)
            .env("LAB_UUID", self.machine_id())
            .env("LAB_GATEWAY", ground.network.gateway(place).to_string())
            .env("LAB_LINKS", ground.network.links(index, &self.spec))
            .env("LAB_MASQUERADE", if place == Place::Gate { "yes" } else { "" })
            .env("LAB_INSTANCES", self.instance_list())
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(console.try_clone()?)
            .stderr(console)
            .spawn()
            .with_context(|| format!("cannot start `{}`", self.name()))?;
        // Waited for in a thread: a host that ended would else stay as a zombie.
        let ended = self.dir.join("ended");
        std::thread::spawn(move || {
            let status = child.wait();
            fs::write(ended, format!("{status:?}"))
        });
        Ok(())
    }

    fn instance_list(&self) -> String {
        let addresses: Vec<_> = self.instances.iter().map(|a| format!("{a}/24")).collect();
        addresses.join(" ")
    }

    /// Starts the further sshd instances: each looks like a host with a name and an identity of its own.
    pub(crate) fn start_instances(&self) -> Result<()> {
        if self.instances.is_empty() {
            return Ok(());
        }
        fs::write(self.root().join("usr/local/sbin/lab-instance"), INSTANCE)?;
        let names: Vec<String> = self.instances.iter().map(|a| format!("lab-sshd@{a}")).collect();
        self.exec(&format!(
            "printf '%s\\n' '[Service]' \
             'ExecStart=/usr/bin/unshare --mount --uts /bin/sh /usr/local/sbin/lab-instance %i' \
             > /run/systemd/system/lab-sshd@.service
             systemctl daemon-reload
             printf 'ListenAddress %s\\n' {} > /etc/ssh/sshd_config.d/lab.conf
             systemctl restart ssh
             systemctl start {}
             sleep 0.5
             systemctl is-active {}",
            self.address,
            names.join(" "),
            names.join(" ")
        ))
        .map(drop)
    }
}
