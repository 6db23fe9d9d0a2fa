//! The files of Triton's unit, and of the engine below it.

use askama::Template;

/// `/etc/systemd/system/tritonserver.service`.
#[derive(Debug, Template)]
#[template(path = "tritonserver.service", escape = "none")]
pub struct TritonUnit<'a> {
    /// What its container is called.
    pub container: &'a str,
    /// The path of [`TritonProgram`].
    pub program: &'a str,
    /// What the container is made with, each as one word of a unit.
    pub words: &'a [String],
}

/// `/usr/local/lib/oceanid/tritonserver`.
#[derive(Debug, Template)]
#[template(path = "tritonserver", escape = "none")]
pub struct TritonProgram<'a> {
    /// What its container is called.
    pub container: &'a str,
    /// The file with the variables whose values are secrets, where there are any.
    pub secrets: Option<&'a str>,
}

/// `/etc/apt/sources.list.d/docker.list`.
#[derive(Debug, Template)]
#[template(path = "docker.list", escape = "none")]
pub struct DockerList<'a> {
    /// The path of the key.
    pub key: &'a str,
    /// The address of the repository.
    pub repository: &'a str,
    /// The release in the words of its repositories.
    pub suite: &'static str,
}

/// Quotes `text` as one word of `ExecStart=` and its like.
#[must_use]
pub fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    let text = text.replace('\\', r"\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests {
    use super::word;

    #[test]
    fn a_word_of_a_unit_holds_no_variable_specifier_or_quote() {
        assert_eq!(word("--backend-config=python,x=1"), "--backend-config=python,x=1");
        assert_eq!(word(r#"50% "of" $HOME\"#), r#""50%% \"of\" $$HOME\\""#);
        assert_eq!(word(""), "\"\"");
    }
}
