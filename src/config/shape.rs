//! Compares a file with the reference of keys, and takes out what does not fit, so that the rest
//! can still be read and checked.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::finding::{Finding, Findings};
use super::mask::looks_secret;
use super::reference::{Key, Kind, Need, SECTIONS};
use super::suggest::{closest, either};

type Node<'i> = Spanned<DeValue<'i>>;

/// Compares a whole file; what does not fit is gone from `root` afterwards.
pub fn compare(root: &mut DeTable<'_>, out: &mut Findings) {
    Shape { out }.table(root, &SECTIONS, Place { section: "", path: "", key: "" }, &(0..0));
}

struct Shape<'f> {
    out: &'f mut Findings,
}

/// Whether a value fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    Good,
    Bad,
}

/// Where a value stands, in words.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    /// `[[node]]`; empty at the top.
    section: &'a str,
    /// As `oceanid docs` takes it: `node`.
    path: &'a str,
    /// The key.
    key: &'a str,
}

impl Shape<'_> {
    fn table(&mut self, table: &mut DeTable<'_>, keys: &[Key], at: Place<'_>, span: &Range<usize>) {
        let mut bad = Vec::new();
        let mut meant = Vec::new();
        for (name, value) in table.iter_mut() {
            let fit = if let Some(key) = keys.iter().find(|key| key.name == *name.get_ref()) {
                meant.push(key.name.as_str());
                let fit = self.entry(name.span(), value, key, at);
                self.known(fit, name.get_ref(), value)
            } else {
                meant.extend(self.unknown(name, value, keys, at));
                Fit::Bad
            };
            if fit == Fit::Bad {
                bad.push(name.clone());
            }
        }
        for name in bad {
            table.remove(&name);
        }
        let needed = keys.iter().filter(|key| key.need == Need::Required);
        for key in needed.filter(|key| !meant.contains(&key.name.as_str())) {
            self.missing(key, at, span);
        }
    }

    /// A value of the wrong type may be a secret all the same.
    fn known(&mut self, fit: Fit, name: &str, value: &Node<'_>) -> Fit {
        if fit == Fit::Bad && looks_secret(name) {
            self.out.hide(value.span());
        }
        fit
    }

    fn entry(&mut self, name: Range<usize>, value: &mut Node<'_>, key: &Key, at: Place<'_>) -> Fit {
        let path = if at.path.is_empty() { key.name.clone() } else { join(at.path, &key.name) };
        let section = match key.kind {
            Kind::List(_) => format!("[[{path}]]"),
            _ => format!("[{path}]"),
        };
        let inner = Place { section: &section, path: &path, key: &key.name };
        // The span of a section is its header; that of another value is the value.
        let span = if at.path.is_empty() { name } else { value.span() };
        self.value(value, &key.kind, inner, &span)
    }

    fn value(
        &mut self,
        node: &mut Node<'_>,
        kind: &Kind,
        at: Place<'_>,
        span: &Range<usize>,
    ) -> Fit {
        let own = node.span();
        if matches!(node.get_ref(), DeValue::String(text) if text.contains("PRIVATE KEY")) {
            return self.private_key(own);
        }
        match (kind, node.get_mut()) {
            (Kind::Section(keys), DeValue::Table(table)) => self.table(table, keys, at, span),
            (Kind::Map(kind), DeValue::Table(table)) => self.map(table, kind, at),
            (Kind::ChoiceOrSecret(words), DeValue::String(typed))
                if words.iter().any(|word| word == typed) => {}
            // A slip in a word that is known is no secret.
            (Kind::ChoiceOrSecret(words), DeValue::String(typed))
                if closest(typed, words.iter().map(String::as_str)).is_some() =>
            {
                let words: Vec<_> =
                    words.iter().map(|word| (word.clone(), String::new())).collect();
                return self.choice(typed, &words, at, own);
            }
            (Kind::ChoiceOrSecret(_) | Kind::Secret, value) => {
                return self.secret(value, at, own);
            }
            (Kind::List(kind), DeValue::Array(list)) => {
                let old = std::mem::replace(list, std::iter::empty().collect());
                for mut element in old {
                    let span = element.span();
                    if self.value(&mut element, kind, at, &span) == Fit::Good {
                        list.push(element);
                    }
                }
            }
            (Kind::Choice(choices), DeValue::String(typed)) => {
                if choices.iter().all(|(name, _)| name != typed) {
                    return self.choice(typed, choices, at, own);
                }
            }
            (Kind::Integer { least, most }, DeValue::Integer(number)) => {
                let parsed = i64::from_str_radix(number.as_str(), number.radix());
                if !parsed.is_ok_and(|number| (*least..=*most).contains(&number)) {
                    let title = format!("`{}` must be between {least} and {most}", at.key);
                    return self.bad(Finding::error(own, title));
                }
            }
            (Kind::Anything, DeValue::Datetime(_)) => {
                let title = format!("`{}` holds a date, which k3s does not know", at.path);
                return self.bad(Finding::error(own, title).hint("write it as a string"));
            }
            (Kind::Text, DeValue::String(_))
            | (Kind::Switch, DeValue::Boolean(_))
            | (Kind::Anything, _) => {}
            (kind, value) => return self.mismatch(kind, value, at, own),
        }
        Fit::Good
    }

    fn bad(&mut self, finding: Finding) -> Fit {
        self.out.push(finding);
        Fit::Bad
    }

    fn map(&mut self, table: &mut DeTable<'_>, kind: &Kind, at: Place<'_>) {
        let mut bad = Vec::new();
        for (name, value) in table.iter_mut() {
            let span = value.span();
            let inner = Place { key: name.get_ref(), ..at };
            if self.value(value, kind, inner, &span) == Fit::Bad {
                bad.push(name.clone());
            }
        }
        for name in bad {
            table.remove(&name);
        }
    }

    /// Reports an unknown key, and returns the key that is meant.
    fn unknown<'k>(
        &mut self,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Node<'_>,
        keys: &'k [Key],
        at: Place<'_>,
    ) -> Option<&'k str> {
        let typed = name.get_ref().as_ref();
        if looks_secret(typed) {
            self.out.hide(value.span());
        }
        let names = || keys.iter().map(|key| key.name.as_str());
        let meant = closest(typed, names());
        let elsewhere =
            || SECTIONS.iter().find(|key| key.kind.keys().iter().any(|k| k.name == typed));
        let finding = match (at.section, value.get_ref()) {
            ("", DeValue::Table(_) | DeValue::Array(_)) => {
                Finding::error(name.span(), format!("unknown section `{typed}`"))
            }
            ("", _) => {
                Finding::error(name.span(), format!("unknown key `{typed}` outside any section"))
            }
            _ => Finding::error(name.span(), format!("unknown key `{typed}` in `{}`", at.section)),
        };
        self.out.push(match (meant, elsewhere()) {
            (_, Some(home)) if home.name != at.path => {
                finding.hint(format!("`{typed}` is a key of `[{}]`", home.name))
            }
            (Some(meant), _) => finding.label(format!("did you mean `{meant}`?")),
            _ if at.path.is_empty() => {
                finding.hint(format!("there are {}", super::suggest::all(names())))
            }
            _ => finding.hint(format!("`oceanid docs {}` lists the keys", at.path)),
        });
        meant
    }

    fn missing(&mut self, key: &Key, at: Place<'_>, span: &Range<usize>) {
        let hint = (!key.meaning.is_empty())
            .then(|| format!("`oceanid docs {}` explains it", join(at.path, &key.name)));
        let title = match &key.kind {
            Kind::List(_) if at.path.is_empty() => format!("no `[[{}]]`", key.name),
            _ if at.path.is_empty() => format!("no section `[{}]`", key.name),
            _ => format!("`{}` is missing in `{}`", key.name, at.section),
        };
        self.out.push(Finding::error(span.clone(), title).maybe_hint(hint));
    }

    fn choice(
        &mut self,
        typed: &str,
        known: &[(String, String)],
        at: Place<'_>,
        span: Range<usize>,
    ) -> Fit {
        let names = || known.iter().map(|(name, _)| name.as_str());
        let finding = Finding::error(span, format!("`{}` cannot be `{typed}`", at.key));
        let finding = match closest(typed, names()) {
            Some(meant) => finding.label(format!("did you mean `{meant}`?")),
            None => finding,
        };
        self.bad(finding.hint(format!("it may be {}", either(names()))))
    }

    fn mismatch(
        &mut self,
        kind: &Kind,
        value: &DeValue<'_>,
        at: Place<'_>,
        span: Range<usize>,
    ) -> Fit {
        let title = format!("`{}` must be {}, not {}", at.key, wanted(kind), found(value));
        let finding = Finding::error(span, title);
        self.bad(match (kind, value) {
            (Kind::List(element), DeValue::Table(_)) if !element.keys().is_empty() => {
                finding.hint(format!("write `[[{}]]`, once for each", at.path))
            }
            (Kind::List(_), DeValue::String(_)) => finding.hint("put it in brackets: `[\"…\"]`"),
            (Kind::Integer { .. } | Kind::Switch, DeValue::String(text)) if !text.is_empty() => {
                finding.hint("write it without quotes")
            }
            _ => finding,
        })
    }

    fn secret(&mut self, value: &DeValue<'_>, at: Place<'_>, span: Range<usize>) -> Fit {
        let forms = "`{ env = \"NAME\" }`, `{ file = \"/path\" }` or `{ command = [\"program\", \"argument\"] }`";
        let DeValue::Table(reference) = value else {
            self.out.hide(span.clone());
            let key = at.key;
            let title =
                format!("`{key}` holds a secret itself: cluster.toml only says where it is");
            return self.bad(Finding::error(span, title).hint(format!("write {forms}")));
        };
        let fits = reference.iter().all(|(kind, value)| {
            match (kind.get_ref().as_ref(), value.get_ref()) {
                ("env", DeValue::String(name)) => is_variable(name),
                ("file", DeValue::String(path)) => path.starts_with('/') || path.starts_with("~/"),
                ("command", DeValue::Array(words)) => {
                    !words.is_empty()
                        && words.iter().all(|word| matches!(word.get_ref(), DeValue::String(_)))
                }
                _ => false,
            }
        });
        if fits && reference.len() == 1 {
            return Fit::Good;
        }
        // What is not a reference may be the secret itself.
        reference.iter().for_each(|(_, value)| self.out.hide(value.span()));
        let title = format!("`{}` does not say where the secret is", at.key);
        self.bad(
            Finding::error(span, title)
                .hint(format!("write {forms}; the path is absolute or begins with `~/`")),
        )
    }

    fn private_key(&mut self, span: Range<usize>) -> Fit {
        self.out.hide(span.clone());
        let title = "a private key stands in cluster.toml";
        let hint = "take it out, make a new one, and name the path of its file";
        self.bad(Finding::error(span, title).hint(hint))
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn is_variable(name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(word) && !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty()
}

fn wanted(kind: &Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Choice(_) => "a string",
        Kind::Integer { .. } => "a whole number",
        Kind::Switch => "`true` or `false`",
        Kind::List(element) if !element.keys().is_empty() => "a list of tables",
        Kind::List(_) => "a list",
        Kind::Map(_) | Kind::Section(_) | Kind::Secret | Kind::ChoiceOrSecret(_) => "a table",
        Kind::Anything => "a value",
    }
}

fn found(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "`true` or `false`",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
