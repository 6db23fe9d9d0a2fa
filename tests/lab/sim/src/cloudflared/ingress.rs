//! Ingress rules: which are refused, and which one a request matches.

use serde_json::Value;

/// A rule that is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The name that it is for; empty is all.
    pub hostname: String,
    /// What the path must match; empty is all.
    pub path: String,
    /// What answers.
    pub service: String,
    /// The `Host` that the service is asked by, where that is another.
    pub host_header: Option<String>,
}

/// Reads rules.
///
/// # Errors
/// In the words of the real one.
pub fn parse(rules: &[Value]) -> Result<Vec<Rule>, String> {
    if rules.is_empty() {
        return Err("The config file doesn't contain any ingress rules".to_owned());
    }
    let last = rules.len() - 1;
    rules.iter().enumerate().map(|(index, rule)| read(rule, index, index == last)).collect()
}

fn read(rule: &Value, index: usize, is_last: bool) -> Result<Rule, String> {
    let text = |key: &str| rule[key].as_str().unwrap_or_default().to_owned();
    let (hostname, path, service) = (text("hostname"), text("path"), text("service"));
    check_service(&service)?;
    if hostname.rsplit_once(':').is_some_and(|(host, _)| !host.contains(':')) {
        return Err("Hostname cannot contain a port".to_owned());
    }
    if hostname.rfind('*').is_some_and(|at| at > 0) {
        return Err("Hostname patterns can have at most one wildcard character (\"*\") and it can only be used for subdomains, e.g. \"*.example.com\"".to_owned());
    }
    let all = (hostname.is_empty() || hostname == "*") && path.is_empty();
    if is_last && !all {
        return Err("The last ingress rule must match all URLs (i.e. it should not have a hostname or path filter)".to_owned());
    }
    if !is_last && all {
        return Err(format!(
            "Rule #{} is matching the hostname '{hostname}', but this will match every hostname, meaning the rules which follow it will never be triggered.",
            index + 1
        ));
    }
    if let Some(why) = bad_pattern(&path) {
        return Err(format!(
            "Rule #{} has an invalid regex: error parsing regexp: {why}: `{path}`",
            index + 1
        ));
    }
    let host_header = rule["originRequest"]["httpHostHeader"].as_str().map(str::to_owned);
    Ok(Rule { hostname, path, service, host_header })
}

fn check_service(service: &str) -> Result<(), String> {
    if let Some(code) = service.strip_prefix("http_status:") {
        let code: u16 = code.parse().map_err(|_| {
            format!("invalid HTTP status code: strconv.Atoi: parsing {code:?}: invalid syntax")
        })?;
        if !(100..=999).contains(&code) {
            return Err(format!("invalid HTTP status code: {code}"));
        }
        return Ok(());
    }
    let named = ["hello_world", "hello-world", "bastion", "socks-proxy"].contains(&service);
    if named || service.starts_with("unix:") || service.starts_with("unix+tls:") {
        return Ok(());
    }
    let (scheme, rest) = service.split_once("://").unwrap_or(("", service));
    let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    if scheme.is_empty() || host.is_empty() || host.starts_with(':') {
        return Err(format!(
            "{service} is an invalid address, please make sure it has a scheme and a hostname"
        ));
    }
    if !path.is_empty() {
        return Err(format!(
            "{service} is an invalid address, ingress rules don't support proxying to a different path on the origin service. The path will be the same as the eyeball request's path"
        ));
    }
    Ok(())
}

/// Returns what is wrong with a pattern, as far as brackets tell.
fn bad_pattern(path: &str) -> Option<&'static str> {
    let (mut round, mut square, mut escaped) = (0_i32, false, false);
    for c in path.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => square = true,
            ']' => square = false,
            '(' if !square => round += 1,
            ')' if !square => round -= 1,
            _ => {}
        }
        if round < 0 {
            return Some("unexpected )");
        }
    }
    if path.starts_with(['*', '+', '?']) {
        return Some("missing argument to repetition operator");
    }
    if square {
        return Some("missing closing ]");
    }
    (round > 0).then_some("missing closing )")
}

/// Returns the place of the rule that a request matches; the last matches all.
pub fn find(rules: &[Rule], host: &str, path: &str) -> usize {
    let host = host.split(':').next().unwrap_or_default();
    let fits = |rule: &Rule| {
        let name = match rule.hostname.strip_prefix("*.") {
            Some(rest) => host.ends_with(rest),
            None => rule.hostname.is_empty() || rule.hostname == "*" || rule.hostname == host,
        };
        name && matches(&rule.path, path)
    };
    rules.iter().position(fits).unwrap_or(rules.len().saturating_sub(1))
}

/// Says whether a pattern matches: plain text, with `^` and `$` at its ends.
fn matches(pattern: &str, path: &str) -> bool {
    let plain = pattern.replace('\\', "");
    let (start, end) = (plain.starts_with('^'), plain.ends_with('$'));
    let text = plain.trim_start_matches('^').trim_end_matches('$');
    match (start, end) {
        (true, true) => path == text,
        (true, false) => path.starts_with(text),
        (false, true) => path.ends_with(text),
        (false, false) => path.contains(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn why(rules: &Value) -> String {
        parse(rules.as_array().expect("a list")).expect_err("it is wrong")
    }

    #[test]
    fn rules_are_refused_for_the_reasons_of_the_real_one() {
        let all = json!({"service": "http_status:404"});
        assert!(why(&json!([])).contains("doesn't contain any ingress rules"));
        assert!(
            why(&json!([{"hostname": "a.b", "service": "http://x"}])).contains("must match all")
        );
        assert!(why(&json!([all, all])).contains("Rule #1 is matching the hostname ''"));
        let one = |rule: Value| why(&json!([rule, all]));
        assert!(one(json!({"hostname": "a.b:80", "service": "http://x"})).contains("a port"));
        assert!(one(json!({"hostname": "a.*.b", "service": "http://x"})).contains("wildcard"));
        assert!(
            one(json!({"hostname": "a.b", "service": "localhost:80"}))
                .contains("a scheme and a hostname")
        );
        assert!(
            one(json!({"hostname": "a.b", "service": "http://x/y"})).contains("a different path")
        );
        assert!(one(json!({"hostname": "a.b", "service": "http_status:99"})).contains("status"));
        assert!(one(json!({"path": "^/(a", "service": "http://x"})).contains("missing closing )"));
    }

    #[test]
    fn the_first_rule_that_fits_is_taken() {
        let rules = parse(&[
            json!({"hostname": "a.b", "path": "^/v2/", "service": "http://x"}),
            json!({"hostname": "*.b", "service": "http://y"}),
            json!({"service": "http_status:404"}),
        ])
        .expect("they are right");
        let at = |host: &str, path: &str| find(&rules, host, path);
        assert_eq!([at("a.b", "/v2/x"), at("a.b:443", "/"), at("c.d", "/")], [0, 1, 2]);
    }
}
