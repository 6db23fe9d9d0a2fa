//! Ports that lead to containers: such packets are passed on, and never see the rules for those that come in.

/// A line for each rule that passes packets on to a container from everywhere.
pub(super) fn published(rules: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for rule in rules.lines() {
        let Some((ports, by)) = ports(rule).zip(publisher(rule)) else { continue };
        let protocol = after(rule, "-p").unwrap_or("tcp");
        let line = format!("open past the firewall: {ports}/{protocol}{by}");
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

fn ports(rule: &str) -> Option<&str> {
    after(rule, "--dport").or_else(|| after(rule, "--dports"))
}

/// Who passes them on; none where only this host or some hosts can be meant.
fn publisher(rule: &str) -> Option<String> {
    if after(rule, "-s").is_some() || after(rule, "-d").is_some_and(|to| to.starts_with("127.")) {
        return None;
    }
    Some(match after(rule, "-A")? {
        "DOCKER" => String::from(" published by docker"),
        "KUBE-NODEPORTS" => {
            let named = rule.split('"').nth(1).unwrap_or("a service");
            format!(", a NodePort of {named}")
        }
        "CNI-HOSTPORT-DNAT" => String::from(", a port of a pod or of ServiceLB"),
        _ if rule.contains("-j DNAT") => String::from(", passed on by a rule in PREROUTING"),
        _ => return None,
    })
}

/// The word after `key`.
fn after<'a>(rule: &'a str, key: &str) -> Option<&'a str> {
    let mut words = rule.split_whitespace();
    words.find(|word| *word == key)?;
    words.next()
}
