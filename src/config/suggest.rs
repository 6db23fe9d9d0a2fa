//! "did you mean": the known word that is closest to the one typed.

/// The known word that is closest to `typed`, when it is close enough to be meant.
pub fn closest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = typed.to_lowercase().replace('_', "-");
    let distance = |word: &str| strsim::damerau_levenshtein(&plain, word);
    let near = |word: &&str| distance(word) <= (word.chars().count() / 3).max(1);
    let prefix = |word: &&str| plain.len() >= 3 && word.starts_with(&plain);
    let mut words: Vec<&str> = known.into_iter().collect();
    words.sort_by_key(|word| distance(word));
    let first = words.iter().copied().find(near);
    first.or_else(|| words.iter().copied().find(prefix))
}

/// Words as they stand in a message: `a`, `b` or `c`.
pub fn either<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    listed(words, "or")
}

/// Words as they stand in a message: `a`, `b` and `c`.
pub fn all<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    listed(words, "and")
}

fn listed<'a>(words: impl IntoIterator<Item = &'a str>, last: &str) -> String {
    let quoted: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((end, rest)) if !rest.is_empty() => format!("{} {last} {end}", rest.join(", ")),
        Some((only, _)) => only.clone(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{all, closest, either};

    #[test]
    fn a_slip_of_the_finger_is_understood_and_another_word_is_not() {
        let known = ["pod-cidr", "service-cidr", "name", "guard-seconds", "external-ip"];
        assert_eq!(closest("pod_cidr", known), Some("pod-cidr"));
        assert_eq!(closest("nmae", known), Some("name"));
        assert_eq!(closest("external", known), Some("external-ip"));
        assert_eq!(closest("banana", known), None);
        assert_eq!(closest("", known), None);
    }

    #[test]
    fn words_are_listed_as_one_writes_them() {
        assert_eq!(either(["a", "b", "c"]), "`a`, `b` or `c`");
        assert_eq!(all(["a", "b"]), "`a` and `b`");
        assert_eq!(all(["a"]), "`a`");
    }
}
