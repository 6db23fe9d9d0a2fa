//! As much of `config.pbtxt` as Triton insists on before it gives a model to its backend.

/// What a model's configuration says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// `name`.
    pub name: Option<String>,
    /// Every number after `gpus`.
    pub gpus: Vec<u32>,
}

/// Reads protobuf's text format; an error has line and column as protobuf says them.
pub fn read(text: &str) -> Result<Config, String> {
    let mut config = Config::default();
    let mut open: Vec<char> = Vec::new();
    let mut key = String::new();
    for (number, line) in (1..).zip(text.lines()) {
        let wrong = |column: usize, what: &str| {
            format!("Error parsing text-format inference.ModelConfig: {number}:{column}: {what}")
        };
        let mut rest = line.char_indices().peekable();
        while let Some((at, c)) = rest.next() {
            match c {
                '#' => break,
                '"' => {
                    let value: String =
                        rest.by_ref().map(|(_, c)| c).take_while(|c| *c != '"').collect();
                    if !line.get(at + 1..).unwrap_or_default().contains('"') {
                        return Err(wrong(line.len() + 1, "Expected end of string."));
                    }
                    if key == "name" && open.is_empty() {
                        config.name = Some(value);
                    }
                }
                '{' | '[' => open.push(c),
                '}' | ']' => {
                    let wanted = if c == '}' { '{' } else { '[' };
                    if open.pop() != Some(wanted) {
                        return Err(wrong(at + 1, &format!("Expected identifier, got: {c}")));
                    }
                }
                c if c.is_alphanumeric() || c == '_' => {
                    let mut word = c.to_string();
                    while let Some((_, c)) = rest.next_if(|(_, c)| c.is_alphanumeric() || *c == '_')
                    {
                        word.push(c);
                    }
                    match word.parse() {
                        Ok(number) if key == "gpus" => config.gpus.push(number),
                        Ok(_) => {}
                        Err(_) => key = word,
                    }
                }
                _ => {}
            }
        }
    }
    let last = text.lines().count() + 1;
    if open.is_empty() {
        return Ok(config);
    }
    Err(format!(
        "Error parsing text-format inference.ModelConfig: {last}:1: Expected identifier, got: "
    ))
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn what_protobuf_takes_is_taken_and_what_it_refuses_is_refused() {
        let text = "name: \"a{b\" # }\ninstance_group [\n { kind: KIND_GPU gpus: [ 0, 1 ] }\n]\n";
        let config = read(text).expect("it is whole");
        assert_eq!((config.name.as_deref(), config.gpus), (Some("a{b"), vec![0, 1]));
        for wrong in ["input [ { ]", "name: \"x", "}", "input {"] {
            assert!(
                read(wrong).is_err_and(|said| said.contains("inference.ModelConfig: ")),
                "{wrong}"
            );
        }
    }
}
