//! Which oceanid this is: what was compiled into it.

use semver::Version;

/// What releases have archives for.
pub const TARGETS: [&str; 4] = [
    "x86_64-unknown-linux-musl",
    "aarch64-unknown-linux-musl",
    "x86_64-apple-darwin",
    "aarch64-apple-darwin",
];

/// What follows the architecture in the target's name.
const SYSTEM: &str = if cfg!(target_os = "macos") {
    "apple-darwin"
} else if cfg!(target_env = "musl") {
    "unknown-linux-musl"
} else {
    "unknown-linux-gnu"
};

/// One build of oceanid.
#[derive(Debug, Clone)]
pub struct Build {
    /// Its version.
    pub version: Version,
    /// What it was built from, where that was told to the compiler.
    pub commit: Option<String>,
    /// What it was built for.
    pub target: String,
    /// The minisign key that releases must be signed with; release builds carry one.
    pub public_key: Option<String>,
}

impl Build {
    /// The running one.
    ///
    /// # Panics
    /// Never: Cargo takes no other versions than those that can be read.
    #[must_use]
    pub fn this() -> Self {
        let given = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        Self {
            version: env!("CARGO_PKG_VERSION").parse().expect("Cargo reads it too"),
            commit: given(option_env!("OCEANID_COMMIT")),
            target: format!("{}-{SYSTEM}", std::env::consts::ARCH),
            public_key: given(option_env!("OCEANID_PUBLIC_KEY")),
        }
    }
}
