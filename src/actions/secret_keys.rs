//! Keys of k3s' config.yaml whose values are secrets: somebody else may have written them there.

/// What such keys end with.
const ENDS: [&str; 6] =
    ["token", "password", "vpn-auth", "datastore-endpoint", "access-key", "secret-key"];

/// Succeeds in the host's shell when the file at `"$config"` holds such a key.
pub fn test() -> String {
    format!("grep -qE '({})[\"'\"'\"']?[[:space:]]*:' -- \"$config\"", ENDS.join("|"))
}

/// The text with everything left out that stands on a line after such a key.
pub fn hide(text: &str) -> String {
    text.split_inclusive('\n').map(hide_line).collect()
}

fn hide_line(line: &str) -> String {
    let colons = line.match_indices(':').map(|(at, _)| line.split_at(at).0);
    for key in colons {
        let bare = key.trim_end().trim_end_matches(['"', '\'']);
        if ENDS.iter().any(|end| bare.ends_with(end)) {
            return format!("{key}: (secret)\n");
        }
    }
    line.to_owned()
}

#[cfg(test)]
mod tests {
    use super::hide;

    #[test]
    fn values_of_secret_keys_are_left_out_and_no_others() {
        let text = "tls-san: [a]\ntoken-file: /x\n\"agent-token\" : canary\n{ token: canary }\n";
        assert_eq!(
            hide(text),
            "tls-san: [a]\ntoken-file: /x\n\"agent-token\" : (secret)\n{ token: (secret)\n"
        );
    }
}
