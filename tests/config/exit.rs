//! A file that is wrong ends every command alike: exit status 4, each mistake said once.

use std::process::Command;

use crate::{EXAMPLE, least_with};

/// A warning, and after it a mistake.
fn warned_and_wrong() -> String {
    EXAMPLE.replace("role = \"agent\"", "role = \"agnet\"")
}

#[test]
fn a_bad_file_exits_with_4_and_each_mistake_is_said_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("cluster.toml");
    let wrong = warned_and_wrong();
    for (text, mistakes) in
        [(&wrong, 3), (&least_with("port = \"22\"\n"), 1), (&String::from("[cluster\n"), 1)]
    {
        std::fs::write(&file, text).expect("a file");
        for command in [&["validate"] as &[&str], &["plan"], &["bootstrap", "--yes"]] {
            let output = Command::new(env!("CARGO_BIN_EXE_oceanid"))
                .args(command)
                .arg("-f")
                .arg(&file)
                .output()
                .expect("the program starts");
            let said = String::from_utf8(output.stderr).expect("UTF-8");
            assert_eq!(output.status.code(), Some(4), "{command:?}: {said}");
            assert_eq!(said.matches("error:").count(), mistakes, "{command:?}: {said}");
            assert!(output.stdout.is_empty(), "{command:?}");
        }
    }
}
