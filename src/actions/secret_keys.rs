//! Keys of k3s' config.yaml whose values are secrets: somebody else may have written them there.

/// What such keys end with.
const ENDS: [&str; 6] =
    ["token", "password", "vpn-auth", "datastore-endpoint", "access-key", "secret-key"];

/// Succeeds in the host's shell when the file at `"$config"` holds such a key.
pub fn test() -> String {
    format!("grep -qE '({})[\"'\"'\"']?[[:space:]]*:' -- \"$config\"", ENDS.join("|"))
}

/// The text with everything left out that stands on a line after such a key, variable or argument.
pub fn hide(text: &str) -> String {
    text.split_inclusive('\n').map(hide_line).collect()
}

fn hide_line(line: &str) -> String {
    let cuts = line.match_indices([':', '=', ' ']).map(|(at, _)| line.split_at(at).0);
    for key in cuts {
        let bare = key.trim_end().trim_end_matches(['"', '\'']).to_lowercase().replace('_', "-");
        let short = [" -t", "'-t", "\"-t"].iter().any(|end| bare.ends_with(end));
        if short || ENDS.iter().any(|end| bare.ends_with(end)) {
            return format!("{key} (secret)\n");
        }
    }
    // The login of a proxy.
    match line.split_once("://") {
        Some((before, after)) if after.contains('@') => format!("{before}:// (secret)\n"),
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::hide;

    #[test]
    fn values_of_secret_keys_are_left_out_and_no_others() {
        let text = "tls-san: [a]\ntoken-file: /x\n\"agent-token\" : canary\n{ token: canary }\n\
                    K3S_TOKEN='canary'\nExecStart=/k3s server '--token' canary\nExecStart=/k3s agent -t canary\n\
                    Environment=K3S_TOKEN_FILE=/x\nHTTPS_PROXY=http://me:canary@proxy:1\nNO_PROXY=a,b\n";
        assert_eq!(
            hide(text),
            "tls-san: [a]\ntoken-file: /x\n\"agent-token\" (secret)\n{ token (secret)\n\
             K3S_TOKEN (secret)\nExecStart=/k3s server '--token' (secret)\nExecStart=/k3s agent -t (secret)\n\
             Environment=K3S_TOKEN_FILE=/x\nHTTPS_PROXY=http:// (secret)\nNO_PROXY=a,b\n"
        );
    }
}
