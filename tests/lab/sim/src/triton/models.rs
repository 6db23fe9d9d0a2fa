//! The models in a folder: loaded, or failed as the real ones fail.
//!
//! A model's file may begin with `sim: oom`, `sim: broken`, `sim: driver`, `sim: slow SECONDS` or
//! `sim: crash SECONDS`: that is what its backend then does.

use super::arguments::Arguments;
use super::{config, say};
use crate::log;
use anyhow::bail;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Which models are loaded, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// All, at the start.
    None,
    /// All, and again when the folder changes.
    Poll,
    /// Those that are named.
    Explicit,
}

/// What became of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It answers.
    Ready,
    /// It does not, for this reason.
    Unavailable(String),
}

/// The models of a server.
#[derive(Debug)]
pub struct Repository {
    folder: PathBuf,
    /// By name.
    pub models: BTreeMap<String, State>,
    /// Whether models are loaded and unloaded on request.
    pub control: Control,
    crash: Option<Duration>,
}

impl Repository {
    /// Looks into the folder.
    pub fn open(arguments: &Arguments) -> anyhow::Result<Self> {
        let folder = arguments.repository.clone();
        if let Err(error) = std::fs::read_dir(&folder) {
            let why = if error.kind() == std::io::ErrorKind::PermissionDenied {
                "Permission denied"
            } else {
                "No such file or directory"
            };
            bail!("Internal - failed to stat file {}: {why}", folder.display());
        }
        Ok(Self { folder, models: BTreeMap::new(), control: arguments.control, crash: None })
    }

    /// How long until it crashes, if a model has it do so.
    pub fn crash(&self) -> Option<Duration> {
        self.crash
    }

    /// The folders of all models.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.path().is_dir());
        let mut names: Vec<String> =
            folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.retain(|name| !name.starts_with('.'));
        names.sort();
        names
    }

    /// Loads what is to be loaded at the start; whether any of it failed.
    pub async fn load_first(&mut self, arguments: &Arguments, gpu: bool) -> bool {
        let names = match (arguments.control, arguments.load.as_slice()) {
            (Control::Explicit, [all]) if all == "*" => self.names(),
            (Control::Explicit, named) => named.to_vec(),
            _ => self.names(),
        };
        for name in names {
            self.load(&name, gpu).await;
        }
        self.models.values().any(|state| *state != State::Ready)
    }

    /// Loads one model.
    pub async fn load(&mut self, name: &str, gpu: bool) {
        let folder = self.folder.join(name);
        let state = match self.try_load(name, &folder, gpu).await {
            Ok(()) => {
                say('I', "model_lifecycle.cc:849", format!("successfully loaded '{name}'"));
                State::Ready
            }
            Err((place, why)) => {
                say('E', place, &why);
                State::Unavailable(why)
            }
        };
        self.models.insert(name.to_owned(), state);
    }

    async fn try_load(
        &mut self,
        name: &str,
        folder: &Path,
        gpu: bool,
    ) -> Result<(), (&'static str, String)> {
        let poll = |why: String| {
            (
                "model_repository_manager.cc:1460",
                format!("Poll failed for model directory '{name}': {why}"),
            )
        };
        if !folder.is_dir() {
            return Err((
                "model_repository_manager.cc:579",
                format!("failed to load '{name}', failed to poll from model repository"),
            ));
        }
        let text = match std::fs::read_to_string(folder.join("config.pbtxt")) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(_) => {
                return Err(poll(format!(
                    "failed to open text file for read {}/config.pbtxt: Permission denied",
                    folder.display()
                )));
            }
        };
        let config = config::read(&text).map_err(&poll)?;
        if config.name.as_ref().is_some_and(|own| own != name) {
            return Err(poll(format!(
                "unexpected directory name '{name}' for model '{}', directory name must equal model name",
                config.name.unwrap_or_default()
            )));
        }
        let Some((version, file)) = newest(folder) else {
            return Err((
                "model_lifecycle.cc:632",
                format!(
                    "failed to load '{name}': Internal: at least one version must be available under the version policy of model '{name}'"
                ),
            ));
        };
        let fails = |why: &str| {
            ("model_lifecycle.cc:654", format!("failed to load '{name}' version {version}: {why}"))
        };
        if let Some(id) = config.gpus.iter().find(|id| !gpu || **id > 0) {
            return Err(fails(&format!(
                "Invalid argument: instance group {name}_0 of model {name} specifies invalid or unsupported gpu id {id}. GPUs with at least the minimum required CUDA compute compatibility of 6.000000 are: {}",
                if gpu { "0" } else { "" }
            )));
        }
        let Ok(content) = file.map_or_else(|| Ok(Vec::new()), std::fs::read) else {
            return Err(fails("Internal: failed to open the model: Permission denied"));
        };
        self.backend(&String::from_utf8_lossy(&content)).await.map_err(|why| fails(&why))
    }

    /// What the backend makes of a model's file.
    async fn backend(&mut self, content: &str) -> Result<(), String> {
        let mut words = content
            .lines()
            .next()
            .unwrap_or_default()
            .strip_prefix("sim: ")
            .unwrap_or_default()
            .split(' ');
        let verb = words.next().unwrap_or_default();
        let seconds = words.next().and_then(|word| word.parse().ok()).map(Duration::from_secs_f64);
        match verb {
            "oom" => Err("Internal: onnx runtime error 6: CUDA error: out of memory: Failed to allocate 25769803776 bytes".to_owned()),
            "broken" => Err("Internal: onnx runtime error 7: Load model from /models failed: Protobuf parsing failed.".to_owned()),
            "driver" => {
                log::plain("ERROR: This container was built for NVIDIA Driver Release 610.43 or later, but\n       version 580.82.07 was detected and compatibility mode is UNAVAILABLE.");
                Err("Internal: CUDA driver version is insufficient for CUDA runtime version".to_owned())
            }
            "slow" => {
                tokio::time::sleep(seconds.unwrap_or_default()).await;
                Ok(())
            }
            "crash" => {
                self.crash = seconds;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// The highest version and its file; a folder whose name is no number is no version.
fn newest(folder: &Path) -> Option<(u32, Option<PathBuf>)> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    let versions = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let version: u32 = name.parse().ok().filter(|_| !name.starts_with('0'))?;
        entry.path().is_dir().then(|| (version, entry.path()))
    });
    let (version, path) = versions.max_by_key(|(version, _)| *version)?;
    let mut files = std::fs::read_dir(path).into_iter().flatten().flatten();
    let file = files.find(|entry| entry.file_name().to_string_lossy().starts_with("model."));
    Some((version, file.map(|entry| entry.path())))
}

/// Loads what appears in the folder.
pub async fn poll(repository: Arc<tokio::sync::Mutex<Repository>>) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut repository = repository.lock().await;
        let known: Vec<String> = repository.models.keys().cloned().collect();
        let new: Vec<String> =
            repository.names().into_iter().filter(|name| !known.contains(name)).collect();
        for name in new {
            repository.load(&name, super::has_gpu()).await;
        }
    }
}
