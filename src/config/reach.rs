//! How each node is reached: SSH defaults, jump hosts and what could go round in circles.

use std::time::Duration;

use super::file::{File, NodeSection};
use super::finding::{Finding, Findings};
use super::suggest::closest;
use super::syntax;
use super::written::Written;
use crate::cluster::Ssh;

/// How a node is reached, defaults filled in.
pub fn ssh(node: &NodeSection, file: &File, out: &mut Findings) -> Ssh {
    let defaults = &file.ssh;
    // Defaults are checked once, by `check`.
    if let Some(user) = &node.user {
        out.read("user", user, syntax::user);
    }
    for key in node.keys.iter().flatten() {
        out.read("keys", key, syntax::local_path);
    }
    let keys = node.keys.as_ref().unwrap_or(&defaults.keys);
    Ssh {
        user: node.user.as_ref().or(defaults.user.as_ref()).map(|user| user.value().clone()),
        port: port(node, file),
        keys: keys.iter().filter_map(|key| syntax::local_path(key).ok()).collect(),
        jump: jumps(node, file).iter().map(|jump| jump.value().clone()).collect(),
        host_key: node.host_key.as_deref().cloned(),
        sudo_password: node
            .sudo_password
            .as_ref()
            .or(defaults.sudo_password.as_ref())
            .map(|secret| secret.value().clone()),
        connect: Duration::from_secs(*defaults.connect_seconds.value()),
    }
}

/// The port of a node, where cluster.toml says one.
pub fn port(node: &NodeSection, file: &File) -> Option<u16> {
    node.port.as_ref().or(file.ssh.port.as_ref()).map(|port| *port.value())
}

/// The hosts that a node is reached through.
pub fn jumps<'a>(node: &'a NodeSection, file: &'a File) -> &'a [Written<String>] {
    let named = |name: &Written<String>| file.ssh.jump.iter().any(|jump| **jump == **name);
    match &node.jump {
        Some(own) => own,
        // A default jump host cannot be reached through itself.
        None if node.name.as_ref().is_some_and(named) || *node.local.value() => &[],
        None => &file.ssh.jump,
    }
}

/// Checks the defaults and every jump.
pub fn check(file: &File, out: &mut Findings) {
    if let Some(user) = &file.ssh.user {
        out.read("user", user, syntax::user);
    }
    for key in &file.ssh.keys {
        out.read("keys", key, syntax::local_path);
    }
    let own = file.node.iter().filter_map(|node| node.jump.as_ref());
    for jump in file.ssh.jump.iter().chain(own.flatten()) {
        target(jump, file, out);
    }
    for node in &file.node {
        if let (true, Some(first)) = (*node.local.value(), node.jump.iter().flatten().next()) {
            let title = "a local node is not reached through other hosts";
            let finding = Finding::error(first.span(), title).hint("take out `jump` or `local`");
            out.push(finding.also(node.local.span(), "no SSH to this node"));
        }
        circle(node, file, out);
    }
}

/// A jump names a node, or says how to reach a host that is none.
fn target(jump: &Written<String>, file: &File, out: &mut Findings) {
    if find(jump, file).is_some() {
        return;
    }
    if jump.contains(['.', ':', '@']) {
        out.read("jump", jump, syntax::jump);
        return;
    }
    let names = file.node.iter().filter_map(|node| node.name.as_ref()).map(|name| name.as_str());
    let finding =
        Finding::error(jump.span(), format!("`jump`: no node is called `{}`", jump.value()));
    let finding = match closest(jump, names) {
        Some(meant) => finding.label(format!("did you mean `{meant}`?")),
        None => finding,
    };
    out.push(finding.hint("a host outside the cluster is written `user@host` or `user@host:port`"));
}

fn find<'a>(name: &str, file: &'a File) -> Option<&'a NodeSection> {
    file.node.iter().find(|node| node.name.as_ref().is_some_and(|own| **own == name))
}

/// Reports a node that would be reached through itself.
fn circle(node: &NodeSection, file: &File, out: &mut Findings) {
    let Some(name) = &node.name else { return };
    for jump in jumps(node, file) {
        let mut trail = Trail { way: vec![name.as_str()], dead: Vec::new() };
        if trail.leads(jump, name, file) {
            trail.way.push(name);
            let way = trail.way.join(" → ");
            let title = format!("`{}` is reached through itself: {way}", name.value());
            out.push(Finding::error(jump.span(), title));
            return;
        }
    }
}

/// The way from a node through its jump hosts.
struct Trail<'a> {
    way: Vec<&'a str>,
    /// What is known not to lead there.
    dead: Vec<&'a str>,
}

impl<'a> Trail<'a> {
    fn leads(&mut self, from: &'a str, to: &str, file: &'a File) -> bool {
        if from == to {
            return true;
        }
        // Another circle is reported at its own nodes.
        if self.way.contains(&from) || self.dead.contains(&from) {
            return false;
        }
        self.way.push(from);
        let next = find(from, file).map_or(&[][..], |node| jumps(node, file));
        let found = next.iter().any(|jump| self.leads(jump, to, file));
        if !found {
            self.dead.extend(self.way.pop());
        }
        found
    }
}
