//! The binary.
fn main() -> std::process::ExitCode {
    oceanid::commands::main()
}
