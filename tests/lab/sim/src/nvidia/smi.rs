//! `nvidia-smi`: `-L`, and a table of named fields.

use super::{cards, library, module, println};
use std::process::ExitCode;

const NO_DRIVER: &str = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. \
    Make sure that the latest NVIDIA driver is installed and running.\n";

/// Acts as the program.
pub fn main(arguments: &[String]) -> ExitCode {
    let Some(module) = module() else {
        println(NO_DRIVER);
        return ExitCode::from(9);
    };
    let library = library("libnvidia-ml").unwrap_or_default();
    if library != module {
        let short = library.rsplit_once('.').map_or(library.as_str(), |(start, _)| start);
        println(&format!(
            "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: {short}"
        ));
        return ExitCode::from(18);
    }
    let cards = cards();
    if cards.is_empty() {
        println("No devices were found");
        return ExitCode::from(6);
    }
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["-L"] => {
            for card in cards {
                println(&format!("GPU {card}: NVIDIA GeForce RTX 4090 (UUID: {})", uuid(card)));
            }
            ExitCode::SUCCESS
        }
        [query, format] => match (query.strip_prefix("--query-gpu="), format) {
            (Some(fields), "--format=csv,noheader,nounits") => table(&cards, fields, &module),
            _ => unknown(query),
        },
        [] => {
            println(&format!(
                "| NVIDIA-SMI {module}   Driver Version: {module}   CUDA Version: 13.0 |"
            ));
            ExitCode::SUCCESS
        }
        [first, ..] => unknown(first),
    }
}

fn unknown(argument: &str) -> ExitCode {
    println(&format!(
        "Invalid combination of input arguments. Please run 'nvidia-smi -h' for help.\n\n{argument}"
    ));
    ExitCode::from(1)
}

fn uuid(card: u32) -> String {
    format!("GPU-5afe0000-0000-4000-8000-{card:012}")
}

fn table(cards: &[u32], fields: &str, driver: &str) -> ExitCode {
    let value = |card: u32, field: &str| {
        Some(match field {
            "index" => card.to_string(),
            "name" => "NVIDIA GeForce RTX 4090".to_owned(),
            "uuid" => uuid(card),
            "driver_version" => driver.to_owned(),
            "memory.total" => "24564".to_owned(),
            "memory.used" => "311".to_owned(),
            "utilization.gpu" => "4".to_owned(),
            "temperature.gpu" => "41".to_owned(),
            "compute_cap" => "8.9".to_owned(),
            "persistence_mode" => "Disabled".to_owned(),
            _ => return None,
        })
    };
    for card in cards {
        let mut row = Vec::new();
        for field in fields.split(',') {
            let Some(value) = value(*card, field) else {
                println(&format!("Field \"{field}\" is not a valid field to query.\n"));
                return ExitCode::from(2);
            };
            row.push(value);
        }
        println(&row.join(", "));
    }
    ExitCode::SUCCESS
}
