//! What may stand in `access` of `[[tunnel]]`.

use insta::assert_snapshot;
use oceanid::cluster::Access;

use crate::{least_with, refused, valid};

fn tunnel(access: &str) -> String {
    least_with(&format!(
        "[[tunnel]]\nhostname = \"gpu.example.com\"\nnode = \"one\"\naccess = {access}\n"
    ))
}

#[test]
fn half_a_token_and_an_open_door_with_a_key_are_refused() {
    let id = "client-id = { env = \"ID\" }";
    let secret = "client-secret = { file = \"/root/secret\" }";
    let said = refused([
        ("no secret", tunnel(&format!("{{ {id} }}"))),
        ("no id", tunnel(&format!("{{ {secret} }}"))),
        ("both", tunnel(&format!("{{ open = true, {id}, {secret} }}"))),
        ("a word", tunnel("\"open\"")),
        ("the secret itself", tunnel(&format!("{{ {id}, client-secret = \"hunter2\" }}"))),
        ("another key", tunnel("{ client-token = { env = \"ID\" } }")),
    ]);
    assert_snapshot!(said);
    let access = |text: &str| valid(&tunnel(text)).tunnels.remove(0).access;
    assert!(access(&format!("{{ {id}, {secret} }}")).token().is_some());
    assert!(matches!(access("{ open = true }"), Access::Open));
    assert!(matches!(access("{}"), Access::Protected(None)));
}
