//! Tunnels: found by name, made where there is none.

use reqwest::Method;
use serde_json::{Value, json};

use super::api::Request;
use super::area::Area;
use super::deed::{Call, Deed, difference};
use super::plan::Plan;
use super::seen::Seen;
use super::wanted::Wanted;

/// Adds what is to change.
pub fn plan(wanted: &Wanted<'_>, seen: &Seen, plan: &mut Plan) {
    for way in &wanted.ways {
        let subject = format!("tunnel {}", way.name);
        let Some(tunnel) = seen.tunnels.get(&way.name) else {
            let path = format!("/accounts/{}/cfd_tunnel", seen.account);
            let body = json!({ "name": way.name, "config_src": "local" });
            let diff = Some(difference(&Value::Null, &body));
            let area = Area::Tunnels;
            let call = Call::Tunnel(Request::new(area, Method::POST, path, Some(body)));
            plan.deeds.push(Deed { subject, summary: String::from("create"), diff, area, call });
            continue;
        };
        if tunnel.config_src == "cloudflare" {
            plan.foreign.push(format!("{subject}, whose ingress is kept at Cloudflare"));
        }
    }
}
