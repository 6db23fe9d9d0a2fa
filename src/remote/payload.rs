//! What a script reads from its stdin, piece by piece: a file is never whole in memory.

use std::time::{Duration, Instant};

use tokio::fs::File;
use tokio::io::AsyncReadExt as _;

use super::privilege::Input;
use super::{Progress, RemoteError};
use crate::script::{Body, Script};
use crate::secret;

/// How much is read from a file at once.
const PIECE: usize = 256 * 1024;

/// How often it is told how far a file is.
const TELL: Duration = Duration::from_millis(250);

/// What a script reads from its stdin.
pub enum Payload<'a> {
    /// Nothing.
    Nothing,
    /// What is in memory already.
    Bytes(&'a [u8]),
    /// What is read while it is sent.
    File(Box<Source>),
}

/// A file that is being sent.
pub struct Source {
    file: File,
    sent: u64,
    whole: u64,
    told: Instant,
}

impl<'a> Payload<'a> {
    /// What `script` reads.
    ///
    /// # Errors
    /// When it is not known yet, or a file that cannot be opened.
    pub fn of(script: &'a Script) -> Result<Self, RemoteError> {
        Ok(match script.body() {
            Body::Empty => Self::Nothing,
            Body::Text(text) => Self::Bytes(text.as_bytes()),
            Body::Secret(secret) => Self::Bytes(secret::bytes(secret)),
            Body::File(path) => {
                let failed = |error: std::io::Error| {
                    RemoteError::Local(format!("cannot read `{}`: {error}", path.display()))
                };
                let file = std::fs::File::open(path).map_err(failed)?;
                let whole = file.metadata().map_err(failed)?.len();
                let mut file = File::from_std(file);
                file.set_max_buf_size(PIECE);
                Self::File(Box::new(Source { file, sent: 0, whole, told: Instant::now() }))
            }
            Body::Later => {
                return Err(RemoteError::Local(
                    "a script was run before its input was known".to_owned(),
                ));
            }
        })
    }

    /// What the script's stdin has to be.
    pub fn input(&self) -> Input {
        match self {
            Self::Nothing => Input::Nothing,
            Self::Bytes(_) | Self::File(_) => Input::Payload,
        }
    }

    /// The next piece, empty at the end; what was taken before counts as sent.
    ///
    /// # Errors
    /// When a file cannot be read any further.
    pub async fn next(&mut self, progress: &Progress<'_>) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Nothing => Ok(Vec::new()),
            Self::Bytes(bytes) => {
                let (piece, rest) = bytes.split_at(bytes.len().min(PIECE));
                *bytes = rest;
                Ok(piece.to_vec())
            }
            Self::File(source) => {
                source.tell(progress);
                let mut piece = vec![0; PIECE];
                let count = source.file.read(&mut piece).await?;
                piece.truncate(count);
                source.sent += count as u64;
                Ok(piece)
            }
        }
    }
}

impl Source {
    fn tell(&mut self, progress: &Progress<'_>) {
        if self.told.elapsed() >= TELL {
            self.told = Instant::now();
            let (sent, whole) = (self.sent / 1_000_000, self.whole / 1_000_000);
            progress(&format!("{sent} of {whole} MB sent"));
        }
    }
}
