use super::Firewall;
use crate::action::{Action, Answer, Change, UnitState};
use crate::firewall::Rule;
use crate::remote::Output;

/// An enabled ufw with the rule for SSH, everything in force.
const WHOLE: &str = "/etc/ufw/user.rules:### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in comment=6f6365616e69643a20737368
/etc/ufw/user.rules:-A ufw-user-input -p tcp --dport 22 -j ACCEPT
/etc/ufw/ufw.conf:ENABLED=yes
/etc/default/ufw:IPV6=yes
/etc/default/ufw:MANAGE_BUILTINS=no
/etc/default/ufw:DEFAULT_INPUT_POLICY=\"DROP\"
/etc/default/ufw:DEFAULT_OUTPUT_POLICY=\"ACCEPT\"
/etc/default/ufw:DEFAULT_FORWARD_POLICY=\"DROP\"
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -j ufw-before-input
-A OUTPUT -j ufw-before-output
-A FORWARD -j ufw-before-forward
-A ufw-before-input -j ufw-user-input
-A ufw-before-output -j ufw-user-output
-A ufw-before-forward -j ufw-user-forward
-A ufw-user-input -p tcp -m tcp --dport 22 -j ACCEPT
";

fn seen(text: &str) -> [Answer; 2] {
    let unit = UnitState {
        load: String::from("loaded"),
        enabled: String::from("enabled"),
        ..UnitState::default()
    };
    [Answer::Script(Output { stdout: text.to_owned(), ..Output::default() }), Answer::Unit(unit)]
}

fn firewall() -> Firewall {
    Firewall::enabled(vec![Rule::allow("22", "tcp", None, "ssh")])
}

fn change(text: &str) -> Change {
    firewall().diff(&seen(text)).expect("it can be brought there").expect("something is to change")
}

#[test]
fn what_is_as_wanted_is_left_alone() {
    assert!(firewall().diff(&seen(WHOLE)).expect("readable").is_none());
    let other = "/etc/ufw/user.rules:### tuple ### limit tcp 80 0.0.0.0/0 any 0.0.0.0/0 in\n\
                 /etc/ufw/user.rules:-A ufw-user-input -j ACCEPT\n";
    let more = format!("{other}{WHOLE}-A ufw-user-input -p tcp -m tcp --dport 80 -j ACCEPT\n");
    assert!(firewall().diff(&seen(&more)).expect("readable").is_none());
    assert_eq!(firewall().notes(&seen(&more)), ["foreign ufw rule, left alone: ufw limit 80/tcp"]);
}

#[test]
fn a_bare_host_gets_every_rule_before_ufw_is_enabled() {
    let change = change("");
    let diff = change.diff.expect("it is shown");
    assert!(diff.contains("+ ufw allow 22/tcp comment 'oceanid: ssh'\n"), "{diff}");
    assert!(diff.ends_with("+ ufw enable\n"), "{diff}");
    let text = change.apply.text();
    let place = |part: &str| text.find(part).expect(part);
    assert!(place("run allow 22/tcp comment 'oceanid: ssh'") < place("run --force enable"));
    assert!(!text.contains("reset") && !text.contains("run --force disable"), "{text}");
}

#[test]
fn a_rule_that_only_one_family_has_is_added_again() {
    let v6 = WHOLE.replace("*filter\n", "has-ipv6\n*filter\n");
    let live: String = WHOLE[WHOLE.find(":INPUT").expect("live")..].replace("ufw-", "ufw6-");
    let both = format!("{v6}*ipv6\n*filter\n{live}")
        .replace("-A ufw6-user-input -p tcp -m tcp --dport 22 -j ACCEPT\n", "");
    let change = change(&both);
    assert_eq!(change.diff.as_deref(), Some("+ ufw allow 22/tcp comment 'oceanid: ssh'\n"));
    assert_eq!(change.summary, "add 1 rule");
}

#[test]
fn rules_of_ours_go_when_they_are_wanted_no_more_and_foreign_ones_stay() {
    let stale = "/etc/ufw/user.rules:### tuple ### allow tcp 99 0.0.0.0/0 any 0.0.0.0/0 in comment=6f6365616e69643a2078\n\
                 /etc/ufw/user.rules:### tuple ### allow tcp 98 0.0.0.0/0 any 0.0.0.0/0 in comment=78\n";
    let change = change(&format!("{stale}{WHOLE}"));
    assert_eq!(change.diff.as_deref(), Some("- ufw allow 99/tcp comment 'oceanid: x'\n"));
    assert!(change.apply.text().contains("run delete allow 99/tcp comment 'oceanid: x'\n"));
}

#[test]
fn somebodys_rule_that_does_the_same_is_enough_and_one_that_forbids_it_is_refused() {
    let plain = WHOLE.replace(" comment=6f6365616e69643a20737368", "");
    assert!(firewall().diff(&seen(&plain)).expect("readable").is_none());
    let denied = plain.replace("allow tcp 22", "deny tcp 22");
    let error = firewall().diff(&seen(&denied)).expect_err("ufw would replace it");
    assert!(format!("{error:#}").contains("`ufw deny 22/tcp`"), "{error:#}");
    let renamed = WHOLE.replace("6f6365616e69643a20737368", "6f6365616e69643a2078");
    let change = change(&renamed);
    assert_eq!(change.diff.as_deref(), Some("+ ufw allow 22/tcp comment 'oceanid: ssh'\n"));
}

#[test]
fn what_is_not_in_force_is_put_into_force_anew() {
    for line in [":INPUT DROP [0:0]\n", "-A INPUT -j ufw-before-input\n"] {
        let change = change(&WHOLE.replace(line, ""));
        assert_eq!(change.summary, "put into force anew");
        let text = change.apply.text();
        assert!(
            text.contains("run --force disable\nsweep\n") && text.contains("run --force enable")
        );
    }
    let v6 = change(&WHOLE.replace("IPV6=yes", "IPV6=no"));
    assert_eq!(v6.summary, "set 1 setting, put into force anew");
    let open = change(&WHOLE.replace("INPUT_POLICY=\"DROP\"", "INPUT_POLICY=\"ACCEPT\""));
    assert_eq!(
        open.diff.as_deref(),
        Some(
            "- DEFAULT_INPUT_POLICY=ACCEPT\n+ DEFAULT_INPUT_POLICY=\"DROP\"\n+ ufw disable\n+ ufw enable\n"
        )
    );
}

#[test]
fn where_ufw_is_off_a_visit_changes_nothing() {
    let visit = Firewall::where_enabled(vec![Rule::allow("6443", "tcp", None, "api")]);
    let off = WHOLE.replace("ENABLED=yes", "ENABLED=no");
    assert!(visit.diff(&seen(&off)).expect("readable").is_none());
    assert!(visit.diff(&seen(WHOLE)).expect("readable").is_some());
}
