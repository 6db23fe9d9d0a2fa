//! The arguments of `tritonserver`; one that it does not know ends it.

use super::models::Control;
use std::path::PathBuf;

/// Options that the stand-in takes and that change nothing of what it does.
const TAKEN: &[&str] = &[
    "log-verbose",
    "log-info",
    "log-format",
    "backend-config",
    "rate-limit",
    "http-thread-count",
    "http-restricted-api",
    "grpc-restricted-protocol",
    "pinned-memory-pool-byte-size",
    "cuda-memory-pool-byte-size",
    "repository-poll-secs",
    "exit-timeout-secs",
    "cache-config",
    "metrics-interval-ms",
];

/// What it is told.
#[derive(Debug, Clone)]
pub struct Arguments {
    /// The folder with the models.
    pub repository: PathBuf,
    /// Which models are loaded.
    pub control: Control,
    /// Those that are named.
    pub load: Vec<String>,
    /// Whether one that cannot be loaded ends it.
    pub exit_on_error: bool,
    /// The port of HTTP.
    pub http: u16,
    /// The port of gRPC.
    pub grpc: u16,
    /// The port of the metrics.
    pub metrics: u16,
}

impl Arguments {
    /// Reads `--name=value` and `--name value`.
    pub fn read(words: &[String]) -> Result<Self, String> {
        let mut all = Self {
            repository: PathBuf::new(),
            control: Control::None,
            load: Vec::new(),
            exit_on_error: true,
            http: 8000,
            grpc: 8001,
            metrics: 8002,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let unknown = || {
                format!("tritonserver: unrecognized option '{word}'\nUsage: tritonserver [options]")
            };
            let option = word.strip_prefix("--").ok_or_else(unknown)?;
            let (name, value) = match option.split_once('=') {
                Some((name, value)) => (name, value.to_owned()),
                None => (option, words.next().cloned().unwrap_or_default()),
            };
            if TAKEN.contains(&name) {
                continue;
            }
            if !all.set(name, &value)? {
                return Err(unknown());
            }
        }
        if all.repository.as_os_str().is_empty() {
            return Err(
                "error: creating server: Invalid argument - --model-repository must be specified"
                    .to_owned(),
            );
        }
        if all.control != Control::Explicit && !all.load.is_empty() {
            return Err("--load-model is only valid with --model-control-mode=explicit".to_owned());
        }
        Ok(all)
    }

    /// Whether `name` is known.
    fn set(&mut self, name: &str, value: &str) -> Result<bool, String> {
        let wrong = || format!("Invalid option: '--{name} {value}'. Invalid value provided.");
        let port = || value.parse().map_err(|_| wrong());
        match name {
            "model-repository" | "model-store" => self.repository = value.into(),
            "load-model" => self.load.push(value.to_owned()),
            "http-port" => self.http = port()?,
            "grpc-port" => self.grpc = port()?,
            "metrics-port" => self.metrics = port()?,
            "exit-on-error" => {
                self.exit_on_error = match value {
                    "true" | "1" => true,
                    "false" | "0" => false,
                    _ => return Err(wrong()),
                }
            }
            "model-control-mode" => {
                self.control = match value {
                    "none" => Control::None,
                    "poll" => Control::Poll,
                    "explicit" => Control::Explicit,
                    _ => return Err(wrong()),
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}
