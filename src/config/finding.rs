//! What is wrong in a file, where, and what to do: collected, then shown all at once.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{
    AnnotationKind, Group, Level, Origin, Renderer, Snippet, normalize_untrusted_str,
};

use super::mask::Masked;
use super::syntax::{Parsed, Wrong};
use super::written::Written;

/// The width that source lines are cut to.
const COLUMNS: usize = 80;

/// Whether something stops the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// It does.
    Error,
    /// It does not.
    Warning,
}

/// Whether text may hold colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// Plain text.
    Plain,
    /// ANSI colours, for a terminal.
    Coloured,
}

/// Something found at a place of the file, before secrets are masked.
#[derive(Debug, Clone)]
pub struct Finding {
    severity: Severity,
    span: Range<usize>,
    title: String,
    label: Option<String>,
    also: Option<(Range<usize>, String)>,
    hint: Option<String>,
}

impl Finding {
    /// Something that stops the run.
    pub fn error(span: Range<usize>, title: impl Into<String>) -> Self {
        let title = title.into();
        Self { severity: Severity::Error, span, title, label: None, also: None, hint: None }
    }

    /// Something that the user should know.
    pub fn warning(span: Range<usize>, title: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, title) }
    }

    /// Adds what to do about it.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        self.maybe_hint(Some(hint.into()))
    }

    /// Adds what to do about it, where that is known.
    pub fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }

    /// Adds text next to the caret.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Adds a second place.
    pub fn also(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        // A default has no place in the file.
        self.also = (!span.is_empty()).then(|| (span, label.into()));
        self
    }
}

/// Everything found so far.
#[derive(Debug, Default)]
pub struct Findings {
    list: Vec<Finding>,
    secrets: Vec<Range<usize>>,
}

impl Findings {
    /// Adds one.
    pub fn push(&mut self, finding: Finding) {
        self.list.push(finding);
    }

    /// Hides a part of the file in everything that is shown.
    pub fn hide(&mut self, secret: Range<usize>) {
        self.secrets.push(secret);
    }

    /// Reads a value with one of the grammars; says what is wrong with it otherwise.
    pub fn read<T>(
        &mut self,
        key: &str,
        text: &Written<String>,
        grammar: impl FnOnce(&str) -> Parsed<T>,
    ) -> Option<T> {
        let Wrong { what, hint } = match grammar(text) {
            Ok(value) => return Some(value),
            Err(wrong) => wrong,
        };
        let title = format!("`{key}`: `{}` is {what}", text.value());
        self.push(Finding::error(text.span(), title).maybe_hint(hint));
        None
    }

    /// Whether one of them stops the run.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// Puts them in the order of the file and next to its text, in which secrets are masked.
    pub fn into_diagnostics(mut self, name: &str, text: &str) -> Vec<Diagnostic> {
        self.list.sort_by_key(|finding| finding.span.start);
        let text = Masked::new(text, self.secrets);
        let source = Arc::new(Source { name: name.to_owned(), text });
        let show = |finding| Diagnostic { source: Arc::clone(&source), finding };
        self.list.into_iter().map(show).collect()
    }
}

/// A finding that can be shown: its file is at hand, with every secret masked.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    source: Arc<Source>,
    finding: Finding,
}

/// A file as it may be shown.
#[derive(Debug)]
struct Source {
    name: String,
    text: Masked,
}

impl Diagnostic {
    /// Whether it stops the run.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.finding.severity
    }

    /// What is wrong, in one line.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.finding.title
    }

    /// The line that it stands in, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        let text = &self.source.text;
        let before = text.text().get(..text.shift(&self.finding.span).start).unwrap_or_default();
        before.matches('\n').count() + 1
    }

    /// Everything about it: file, line, column, the line itself, a caret and a hint.
    #[must_use]
    pub fn render(&self, paint: Paint) -> String {
        let finding = &self.finding;
        let level = match finding.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let renderer = match paint {
            Paint::Plain => Renderer::plain(),
            Paint::Coloured => Renderer::styled(),
        };
        let title = level.primary_title(normalize_untrusted_str(&finding.title));
        let group = self.place(Group::with_title(title));
        let hint = finding.hint.as_deref().map(normalize_untrusted_str);
        let group = match hint {
            Some(hint) => group.element(Level::HELP.with_name("hint").message(hint)),
            None => group,
        };
        renderer.term_width(COLUMNS).render(&[group])
    }

    fn place<'a>(&'a self, group: Group<'a>) -> Group<'a> {
        let (source, finding) = (&self.source, &self.finding);
        let text = source.text.text();
        if text.trim().is_empty() {
            return group.element(Origin::path(source.name.as_str()).line(1).char_column(1));
        }
        let span = first_line(text, source.text.shift(&finding.span));
        let mut caret = AnnotationKind::Primary.span(span);
        if let Some(label) = &finding.label {
            caret = caret.label(label.as_str());
        }
        let mut snippet = Snippet::source(text).path(source.name.as_str()).annotation(caret);
        if let Some((span, label)) = &finding.also {
            let span = first_line(text, source.text.shift(span));
            snippet = snippet.annotation(AnnotationKind::Context.span(span).label(label.as_str()));
        }
        group.element(snippet)
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.render(Paint::Plain))
    }
}

/// Cuts a place to its first line: a caret under a whole section helps nobody.
fn first_line(text: &str, span: Range<usize>) -> Range<usize> {
    let part = text.get(span.clone()).unwrap_or_default();
    let length = part.lines().next().map_or(0, str::len);
    span.start..span.start + length
}
