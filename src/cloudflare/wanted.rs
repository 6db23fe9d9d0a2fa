//! What must be there at Cloudflare, as far as it does not depend on what is.

use serde_json::{Value, json};

use crate::cluster::{Access, Cloudflare, Cluster, Gate, Shield, Tunnel};

/// Paths that only scanners ask for.
const SCANNED: [&str; 4] = ["/.env", "/.git/", "/wp-", "/xmlrpc.php"];

/// What must be there.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// What marks a thing as this cluster's.
    pub tag: String,
    /// The section.
    pub settings: &'a Cloudflare,
    /// The tunnels that this run has to do with.
    pub ways: Vec<Way<'a>>,
    /// Every tunnel's name: rules are for all of them.
    hostnames: Vec<&'a str>,
    /// The names that end on nodes with a GPU.
    gpus: Vec<&'a str>,
}

/// A way in.
#[derive(Debug)]
pub struct Way<'a> {
    /// As cluster.toml says.
    pub tunnel: &'a Tunnel,
    /// What the tunnel is called at Cloudflare.
    pub name: String,
    /// Only the service token comes in.
    pub gated: bool,
}

/// A rule of a zone, but for the fields that Cloudflare adds.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// By this it is known again.
    pub reference: String,
    /// What is sent.
    pub body: Value,
}

impl<'a> Wanted<'a> {
    /// What `cluster` wants, for the nodes that `has` names.
    #[must_use]
    pub fn new(cluster: &'a Cluster, settings: &'a Cloudflare, has: impl Fn(&str) -> bool) -> Self {
        let gpu = |tunnel: &Tunnel| cluster.host(&tunnel.node).is_some_and(|host| host.gpu);
        let way = |tunnel: &'a Tunnel| Way {
            tunnel,
            name: format!("{}-{}", cluster.name, tunnel.node),
            gated: settings.gate.is_some()
                && gpu(tunnel)
                && matches!(tunnel.access, Access::Protected(_)),
        };
        let names = |fits: &dyn Fn(&Tunnel) -> bool| {
            let tunnels = cluster.tunnels.iter().filter(|tunnel| fits(tunnel));
            tunnels.map(|tunnel| tunnel.hostname.as_str()).collect()
        };
        Self {
            tag: format!("oceanid:{}", cluster.name),
            settings,
            ways: cluster.tunnels.iter().filter(|one| has(&one.node)).map(way).collect(),
            hostnames: names(&|_| true),
            gpus: names(&gpu),
        }
    }

    /// Whether a name or a comment at Cloudflare carries our tag.
    #[must_use]
    pub fn is_ours(&self, text: &str) -> bool {
        text.strip_prefix(&self.tag).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    }

    /// Every tunnel's name.
    pub fn hostnames(&self) -> impl Iterator<Item = &'a str> {
        self.hostnames.iter().copied()
    }

    /// By these rules of ours are known, whether they are wanted or not.
    #[must_use]
    pub fn references(&self) -> [String; 4] {
        ["countries", "scanners", "api", "rate"].map(|name| self.reference(name))
    }

    /// The service token's full name.
    #[must_use]
    pub fn token_name(&self, gate: &Gate) -> String {
        format!("{} {}", self.tag, gate.service_token)
    }

    /// The policy's full name.
    #[must_use]
    pub fn policy_name(&self) -> String {
        format!("{} service token", self.tag)
    }

    /// What the application that guards `hostname` is called.
    #[must_use]
    pub fn app_name(&self, hostname: &str) -> String {
        format!("{} {hostname}", self.tag)
    }

    /// Where the service token is wanted.
    #[must_use]
    pub fn gate(&self) -> Option<&'a Gate> {
        self.settings.gate.as_ref().filter(|_| self.ways.iter().any(|way| way.gated))
    }

    /// The rules of the phase `http_request_firewall_custom`.
    #[must_use]
    pub fn shield(&self) -> Vec<Rule> {
        let Some(Shield { countries }) = &self.settings.shield else { return Vec::new() };
        let mut rules = Vec::new();
        let hosts = within(&self.hostnames);
        if !countries.is_empty() {
            let list: Vec<String> = countries.iter().map(|code| format!("\"{code}\"")).collect();
            let expression = format!(
                "{hosts} and ip.src.country in {{{}}} and not cf.client.bot",
                list.join(" ")
            );
            rules.push(self.block("countries", "countries", &expression));
        }
        let paths: Vec<String> = SCANNED
            .iter()
            .map(|path| format!("starts_with(lower(http.request.uri.path), \"{path}\")"))
            .collect();
        let expression = format!("{hosts} and ({})", paths.join(" or "));
        rules.push(self.block("scanners", "what only scanners ask for", &expression));
        if !self.gpus.is_empty() {
            // What is below /cdn-cgi/ is Cloudflare's own, the login of Access among it.
            let expression = format!(
                "{} and not starts_with(http.request.uri.path, \"/v2/\") \
                 and http.request.uri.path ne \"/v2\" \
                 and not starts_with(http.request.uri.path, \"/cdn-cgi/\")",
                within(&self.gpus)
            );
            rules.push(self.block("api", "nothing but Triton's API", &expression));
        }
        rules
    }

    fn block(&self, name: &str, about: &str, expression: &str) -> Rule {
        let reference = self.reference(name);
        let body = json!({
            "action": "block", "expression": expression,
            "description": format!("{} {about}", self.tag), "enabled": true, "ref": reference,
        });
        Rule { reference, body }
    }

    /// The rules of the phase `http_ratelimit`, on a zone with `plan`.
    ///
    /// # Errors
    /// When the plan does not allow it.
    pub fn limits(&self, plan: &str) -> anyhow::Result<Vec<Rule>> {
        let Some(limit) = &self.settings.rate_limit else { return Ok(Vec::new()) };
        if self.gpus.is_empty() {
            return Ok(Vec::new());
        }
        let path = format!("starts_with(http.request.uri.path, \"{}\")", limit.path);
        let free = plan == "free";
        anyhow::ensure!(
            !free || (limit.period, limit.timeout) == (10, 10),
            "the zone `{}` has the free plan, whose one rate limit counts for 10 s and keeps out for 10 s\n\
             hint: nothing was changed; write `period = 10` and `timeout = 10` into `[cloudflare.rate-limit]`",
            self.settings.zone
        );
        let expression = if free { path } else { format!("{} and {path}", within(&self.gpus)) };
        let reference = self.reference("rate");
        let body = json!({
            "action": "block", "expression": expression,
            "description": format!("{} requests of one address", self.tag), "enabled": true,
            "ref": reference,
            "ratelimit": {
                "characteristics": ["cf.colo.id", "ip.src"], "period": limit.period,
                "requests_per_period": limit.requests, "mitigation_timeout": limit.timeout,
            },
        });
        Ok(vec![Rule { reference, body }])
    }

    /// References are letters, digits and `_`.
    fn reference(&self, name: &str) -> String {
        format!("{}_{name}", self.tag.replace(|c: char| !c.is_ascii_alphanumeric(), "_"))
    }
}

fn within(hostnames: &[&str]) -> String {
    let quoted: Vec<String> = hostnames.iter().map(|name| format!("\"{name}\"")).collect();
    format!("http.host in {{{}}}", quoted.join(" "))
}
