//! What a script says in blocks: a head of words, and lines that begin with `| `.

/// A block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block<'a> {
    /// The words of its head.
    pub head: Vec<&'a str>,
    /// Its lines.
    pub lines: Vec<&'a str>,
}

/// Reads every block of `text`.
pub fn read(text: &str) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix('|'), blocks.last_mut()) {
            (Some(line), Some(block)) => block.lines.push(line.strip_prefix(' ').unwrap_or(line)),
            _ => blocks.push(Block { head: line.split(' ').collect(), lines: Vec::new() }),
        }
    }
    blocks
}
