//! What may stand in `[baseline]`.

use insta::assert_snapshot;

use crate::{least_with, refused, replaced, said, valid};

const MANAGER: &str = "[baseline.cert-manager]\nemail = \"ops@example.com\"\n";

#[test]
fn a_bad_baseline_is_refused() {
    let disabled = |lines: &str, key: &str| {
        let with = format!("version = \"v1.36.3+k3s1\"\n{key}\n");
        replaced("version = \"v1.36.3+k3s1\"\n", &with) + lines
    };
    let gitops = |lines: &str| least_with(&format!("[baseline.gitops]\ntool = \"flux\"\n{lines}"));
    let said = refused([
        ("no switch", least_with("[baseline]\nzones = \"on\"\n")),
        (
            "without traefik",
            disabled("[baseline]\ngateway-api = true\n", "disable = [\"traefik\"]"),
        ),
        (
            "without helm controller",
            disabled(
                &format!(
                    "[k3s.server]\ndisable-helm-controller = true\n{MANAGER}token = {{ env = \"CF\" }}\n"
                ),
                "",
            ),
        ),
        ("no token", least_with(MANAGER)),
        ("a token in the file", least_with(&format!("{MANAGER}token = \"hunter2\"\n"))),
        (
            "no address for mail",
            least_with("[baseline.cert-manager]\nemail = \"ops\"\ntoken = { env = \"CF\" }\n"),
        ),
        (
            "another tool",
            least_with("[baseline.gitops]\ntool = \"fluxcd\"\nrepository = \"https://a.b/c\"\n"),
        ),
        ("no repository", gitops("")),
        ("no encryption", gitops("repository = \"http://git.example.com/c.git\"\n")),
        ("a password", gitops("repository = \"https://me:hunter2@git.example.com/c.git\"\n")),
        ("a token as user", gitops("repository = \"https://hunter2@git.example.com/c.git\"\n")),
        ("a password for ssh", gitops("repository = \"ssh://git:hunter2@git.example.com/c\"\n")),
        ("no place", gitops("repository = \"git@git.example.com:c.git\"\n")),
        (
            "branch and folder",
            gitops("repository = \"https://a.b/c\"\nbranch = \"a b\"\npath = \"../x\"\n"),
        ),
    ]);
    assert_snapshot!(said);
    valid(&gitops("repository = \"ssh://git@git.example.com/c.git\"\npath = \"clusters/home\"\n"));
    valid(&least_with("[baseline]\ngateway-api = true\n"));
    assert!(!valid(&least_with("[baseline]\nzones = false\n")).baseline.zones);
}

#[test]
fn zones_that_nobody_enforces_are_warned_of() {
    let off = "[k3s.server]\ndisable-network-policy = true\n";
    assert_snapshot!(said(&least_with(off)));
    assert_eq!(said(&least_with(&format!("{off}[baseline]\nzones = false\n"))), "");
}
