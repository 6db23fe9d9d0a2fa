//! `etcd`: of several servers, one is a healthy member of etcd before the next is touched.

use super::Inputs;
use crate::actions::EtcdMember;
use crate::cluster::{Cluster, Datastore, Host, Role};
use crate::step::Step;

/// Whether `host` shares etcd with other servers.
pub fn concerns(cluster: &Cluster, host: &Host) -> bool {
    let several = cluster.servers().nth(1).is_some();
    host.role == Role::Server && several && cluster.k3s.datastore == Datastore::Etcd
}

/// What `etcd` makes true on a server.
#[expect(clippy::unnecessary_wraps, reason = "every step may find a host unfit")]
pub fn etcd(inputs: &Inputs<'_>) -> anyhow::Result<Step> {
    let mut step = Step::new("etcd");
    let name = &inputs.host.name;
    // Those that this run sees to later have to wait for this one, not the other way round.
    let later = inputs.cluster.servers().skip_while(|server| server.name != *name);
    let later: Vec<&str> = later
        .filter(|server| inputs.nodes.iter().any(|node| node.name == server.name))
        .map(|server| server.name.as_str())
        .collect();
    let settled = inputs.cluster.servers().map(|server| server.name.as_str());
    let others = settled.filter(|server| server != name && !later.contains(server));
    step.ensure(EtcdMember::new(name, others, inputs.cluster.k3s.ready));
    Ok(step)
}
