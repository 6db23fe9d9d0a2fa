//! `nvidia-ctk`: its version, and specifications for the Container Device Interface.

use super::{LIBRARIES, TOOLKIT, cards, library, println};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

/// Acts as the program.
pub fn main(arguments: &[String]) -> ExitCode {
    let words: Vec<&str> = arguments
        .iter()
        .map(String::as_str)
        .filter(|word| !matches!(*word, "-q" | "--quiet"))
        .collect();
    match words[..] {
        ["--version" | "-v"] => {
            println(&format!("NVIDIA Container Toolkit CLI version {TOOLKIT}\ncommit: d34b3046"));
            ExitCode::SUCCESS
        }
        ["cdi", "generate", ref rest @ ..] => generate(rest),
        ["cdi", "list"] => {
            list();
            ExitCode::SUCCESS
        }
        _ => fail(&format!("No help topic for '{}'", words.join(" "))),
    }
}

fn fail(why: &str) -> ExitCode {
    crate::log::plain(format!("time=\"now\" level=error msg=\"{why}\""));
    ExitCode::FAILURE
}

fn generate(rest: &[&str]) -> ExitCode {
    let (Some(driver), all) = (library("libcuda"), cards()) else {
        return fail("failed to get CDI spec: failed to locate libcuda.so");
    };
    if all.is_empty() {
        return fail(
            "failed to create device CDI specs: failed to initialize NVML: Driver Not Loaded",
        );
    }
    let text = specification(&driver, &all);
    match rest.first().and_then(|word| word.strip_prefix("--output=")) {
        None if rest.is_empty() => {
            println(text.trim_end());
            ExitCode::SUCCESS
        }
        None => fail(&format!("flag provided but not defined: {}", rest.join(" "))),
        Some(path) => {
            // The name says the format: without it, it is added.
            let path = match Path::new(path).extension() {
                Some(kind) if kind == "yaml" => (*path).to_owned(),
                _ => format!("{path}.yaml"),
            };
            let folder = path.rsplit_once('/').map_or("/", |(folder, _)| folder);
            match fs::create_dir_all(folder).and_then(|()| fs::write(&path, text)) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(&format!("failed to save CDI spec: {error}")),
            }
        }
    }
}

fn specification(driver: &str, cards: &[u32]) -> String {
    let mut text = String::from("---\ncdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n");
    let mut device = |name: &str, nodes: &[u32]| {
        let _ = writeln!(text, "- name: \"{name}\"\n  containerEdits:\n    deviceNodes:");
        for node in nodes {
            let _ = writeln!(text, "    - path: /dev/nvidia{node}");
        }
    };
    for card in cards {
        device(&card.to_string(), &[*card]);
    }
    device("all", cards);
    let path = format!("{LIBRARIES}/libcuda.so.{driver}");
    let _ = write!(
        text,
        "containerEdits:\n  env:\n  - NVIDIA_VISIBLE_DEVICES=void\n  deviceNodes:\n  - path: /dev/nvidiactl\n  \
         mounts:\n  - hostPath: {path}\n    containerPath: {path}\n    options: [ro, nosuid, nodev, bind]\n"
    );
    text
}

fn list() {
    let mut names = Vec::new();
    for folder in ["/etc/cdi", "/var/run/cdi"] {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_none_or(|kind| kind != "yaml" && kind != "json") {
                continue;
            }
            let text = fs::read_to_string(path).unwrap_or_default();
            let found = text.lines().filter_map(|line| line.trim().strip_prefix("- name: \""));
            let found = found.map(|name| format!("nvidia.com/gpu={}", name.trim_end_matches('"')));
            names.extend(found);
        }
    }
    names.sort();
    names.dedup();
    println(&format!("Found {} CDI devices", names.len()));
    for name in names {
        println(&name);
    }
}
