//! The text that a host's login shell is asked to run: it becomes root, then runs the script.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::RemoteError;
use crate::script::quote;

/// The longest command line that we send: Linux takes 128 KiB in one argument.
const LONGEST_COMMAND: usize = 127 * 1024;

/// How long after its deadline a script that ignores the first signal is killed, in seconds.
const KILL_AFTER: u64 = 5;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How the login user becomes root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Not known yet: root directly, anyone else by `sudo -n`.
    Unknown,
    /// The login user is root.
    Root,
    /// `sudo -n` works.
    Sudo,
    /// sudo gets a password as the first line of stdin, unless the login user is root.
    Password,
}

/// What the script reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// `/dev/null`.
    Nothing,
    /// What we send.
    Payload,
}

/// The lines that separate what the script says from what login shells and sudo say.
#[derive(Debug, Clone)]
pub struct Marks {
    nonce: String,
}

impl Marks {
    /// Makes marks that nothing on the host can foresee.
    ///
    /// # Errors
    /// When the machine has no randomness.
    pub fn fresh() -> Result<Self, RemoteError> {
        let mut bytes = [0_u8; 16];
        getrandom::fill(&mut bytes)
            .map_err(|error| RemoteError::Local(format!("no randomness: {error}")))?;
        let nonce = u128::from_be_bytes(bytes);
        Ok(Self { nonce: format!("oceanid-{nonce:032x}") })
    }

    /// On stderr, followed by the user id: the login shell is done, sudo speaks next.
    #[must_use]
    pub fn entered(&self) -> String {
        format!("{}-in ", self.nonce)
    }

    /// On both streams: the script speaks next.
    #[must_use]
    pub fn begin(&self) -> String {
        format!("{}-begin\n", self.nonce)
    }

    /// On stdin: the payload comes next.
    #[must_use]
    pub fn payload(&self) -> String {
        format!("{}-payload\n", self.nonce)
    }

    /// On both streams, followed by the exit status: the script has ended.
    #[must_use]
    pub fn end(&self) -> String {
        format!("{}-end ", self.nonce)
    }
}

/// Builds what sshd is asked to run; its form is the same for every script and login shell.
///
/// # Errors
/// When the script is too long for one argument.
pub fn command(
    text: &str,
    limit: Duration,
    entry: Entry,
    input: Input,
    marks: &Marks,
) -> Result<String, RemoteError> {
    let encoded = STANDARD.encode(wrapper(text, limit, entry, input, marks));
    let command = format!("/bin/sh -c 'eval \"$(printf %s {encoded} | base64 -d)\"'");
    if command.len() > LONGEST_COMMAND {
        return Err(RemoteError::Local(format!(
            "a script of {} bytes is too long for one command; its data belongs on stdin",
            text.len()
        )));
    }
    Ok(command)
}

/// What runs as the login user: becomes root, runs the script in a `sh` of its own.
#[must_use]
pub fn wrapper(text: &str, limit: Duration, entry: Entry, input: Input, marks: &Marks) -> String {
    let seconds = limit.as_secs().max(1);
    // sudo empties the environment: what sshd said of the login goes along as arguments.
    let run = format!(
        "timeout -k {KILL_AFTER} {seconds} /bin/sh -c \"$s\" sh \"${{SSH_CONNECTION-}}\" \"${{LOGNAME-}}\""
    );
    let sudo = match entry {
        // `-k` with a command ignores what sudo remembers, so that the password is read
        // whenever one is needed at all.
        Entry::Password => "sudo -k -S -p ''",
        Entry::Unknown | Entry::Root | Entry::Sudo => "sudo -n",
    };
    let run = match entry {
        Entry::Root => run,
        Entry::Sudo => format!("{sudo} {run}"),
        Entry::Unknown | Entry::Password => {
            format!("if [ \"$u\" = 0 ]; then {run}; else {sudo} {run}; fi")
        }
    };
    let user = if matches!(entry, Entry::Unknown | Entry::Password) { "$(id -u)" } else { "" };
    let end = quote(&marks.end());
    format!(
        "umask 077\nLC_ALL=C PATH={PATH}\nexport LC_ALL PATH\ns={}\nu={user}\n\
         printf '%s%s\\n' {} \"$u\" >&2\n{run}\nr=$?\n\
         printf '%s%s\\n' {end} \"$r\"\nprintf '%s%s\\n' {end} \"$r\" >&2\nexit \"$r\"\n",
        quote(&inner(text, entry, input, marks)),
        quote(&marks.entered()),
    )
}

/// What runs as root. sudo empties the environment, so it is set here once more.
fn inner(text: &str, entry: Entry, input: Input, marks: &Marks) -> String {
    let begin = quote(marks.begin().trim_end());
    let stdin = match (input, entry) {
        (Input::Nothing, _) => "exec </dev/null\n".to_owned(),
        // Where sudo wants no password after all, the password line is still there to be read.
        (Input::Payload, Entry::Password) => format!(
            "while IFS= read -r line && [ \"$line\" != {} ]; do :; done\nunset line\n",
            quote(marks.payload().trim_end())
        ),
        (Input::Payload, _) => String::new(),
    };
    format!(
        "umask 077\nLC_ALL=C PATH={PATH}\nexport LC_ALL PATH\ncd /\n\
         printf '%s\\n' {begin}\nprintf '%s\\n' {begin} >&2\n{stdin}{text}\n"
    )
}

/// Says in a few words why sudo let nobody in.
#[must_use]
pub fn explain(said: &str) -> String {
    let last =
        said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("sudo says nothing");
    if said.contains("incorrect password") || said.contains("Sorry, try again") {
        return "the sudo password is wrong".to_owned();
    }
    // It goes on to repeat the whole script.
    if said.contains("is not allowed to") {
        return "sudo lets this user run other commands, but not `sh`".to_owned();
    }
    if said.contains("not in the sudoers file") || said.contains("may not run sudo") {
        return format!("sudo does not allow it: {last}");
    }
    if said.contains("sudo: not found") || said.contains("sudo: No such file") {
        return "there is no sudo".to_owned();
    }
    if said.contains("a password is required") {
        return "sudo wants a password".to_owned();
    }
    last.to_owned()
}
