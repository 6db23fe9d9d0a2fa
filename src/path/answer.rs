//! What came back from a call, whoever made it.

use reqwest::Url;

/// The most of a body that is read, bytes: error pages are short, lists of models are too.
pub(super) const BODY: usize = 1 << 18;

/// What came back from a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A reply of a web server.
    Http(Reply),
    /// The name has no address.
    NoName(String),
    /// Nobody listens there, or somebody in between says so.
    Closed(String),
    /// Nothing within the deadline.
    Silent(String),
    /// No certificate that can be trusted, or no agreement about one.
    Tls(String),
    /// Anything else.
    Broken(String),
}

/// A reply of a web server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Where it sends the caller, if it does.
    pub location: String,
    /// The body.
    pub body: String,
}

impl Answer {
    /// Reads what curl left: its exit status, and the body with a last line of status and location.
    #[must_use]
    pub fn of_curl(exit: u8, lines: &[&str]) -> Self {
        let error = || {
            let said = lines.iter().rev().find_map(|line| line.strip_prefix("curl: ("));
            let said = said.and_then(|line| line.split_once(") ")).map(|(_, text)| text);
            let last = lines.iter().rev().find(|line| !line.is_empty()).copied();
            said.or(last).unwrap_or("it said nothing").to_owned()
        };
        match exit {
            0 => {
                let (last, body) = lines.split_last().unwrap_or((&"", &[]));
                let (status, location) = last.split_once(' ').unwrap_or((last, ""));
                Self::Http(Reply {
                    status: status.parse().unwrap_or(0),
                    location: location.to_owned(),
                    body: body.join("\n"),
                })
            }
            5 | 6 => Self::NoName(error()),
            7 => Self::Closed(error()),
            28 => Self::Silent(error()),
            35 | 51 | 53 | 54 | 58 | 59 | 60 | 77 | 80 | 83 | 91 => Self::Tls(error()),
            _ => Self::Broken(error()),
        }
    }

    /// The status, where there is one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Http(reply) => Some(reply.status),
            _ => None,
        }
    }

    /// It in one line: what a finding shows.
    #[must_use]
    pub fn said(&self) -> String {
        match self {
            Self::Http(reply) => reply.said(),
            Self::NoName(text)
            | Self::Closed(text)
            | Self::Silent(text)
            | Self::Tls(text)
            | Self::Broken(text) => text.clone(),
        }
    }
}

impl Reply {
    /// Cloudflare's own number of an error, `1033`: it stands in what it sends instead of a page.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        let body = self.body.to_ascii_lowercase();
        let marks = ["error code: ", "error code ", "cf-error-code\">", ">error ", "| error "];
        marks.iter().find_map(|mark| {
            let (_, rest) = body.split_once(mark)?;
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok().filter(|code| (1000..2000).contains(code))
        })
    }

    /// Whether Access shows its login.
    #[must_use]
    pub fn asks_for_login(&self) -> bool {
        let Ok(url) = Url::parse(&self.location) else { return false };
        let access = url.host_str().is_some_and(|host| host.ends_with(".cloudflareaccess.com"));
        (300..400).contains(&self.status) && (access || url.path().starts_with("/cdn-cgi/access/"))
    }

    /// `302 to https://…`, `530 with error 1033`.
    #[must_use]
    pub fn said(&self) -> String {
        let status = self.status;
        if !self.location.is_empty() {
            // What follows may be a token of its own.
            let end = self.location.find(['?', '#']).unwrap_or(self.location.len());
            return format!("{status} to {}", self.location.get(..end).unwrap_or_default());
        }
        match self.code() {
            Some(code) => format!("{status} with error {code}"),
            None => status.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, location: &str, body: &str) -> Reply {
        Reply { status, location: location.to_owned(), body: body.to_owned() }
    }

    #[test]
    fn the_number_of_an_error_is_found_in_every_form_that_cloudflare_sends() {
        for body in [
            "error code: 1033",
            "<title>Cloudflare Tunnel error | gpu.example.com | Error 1033</title>",
            "<span class=\"cf-error-type\">Error</span><span class=\"cf-error-code\">1033</span>",
        ] {
            assert_eq!(reply(530, "", body).code(), Some(1033), "{body}");
        }
        assert_eq!(reply(502, "", "error code: 502").code(), None);
        assert_eq!(reply(200, "", "1033 models").code(), None);
        assert_eq!(reply(530, "", "error code: 1016\n").said(), "530 with error 1016");
    }

    #[test]
    fn only_the_login_of_access_is_one() {
        let login = "https://team.cloudflareaccess.com/cdn-cgi/access/login/gpu.example.com?kid=canary&meta=canary";
        assert!(reply(302, login, "").asks_for_login());
        assert!(!reply(302, login, "").said().contains("canary"));
        assert!(reply(302, "https://gpu.example.com/cdn-cgi/access/login", "").asks_for_login());
        for other in ["https://www.example.com/", "", "https://cloudflareaccess.com.example.com/"] {
            assert!(!reply(302, other, "").asks_for_login(), "{other}");
        }
    }

    #[test]
    fn what_curl_says_is_read_in_its_own_terms() {
        let read = |exit, text: &str| Answer::of_curl(exit, &text.lines().collect::<Vec<_>>());
        assert_eq!(read(0, "a\nb\n302 https://x/"), Answer::Http(reply(302, "https://x/", "a\nb")));
        assert_eq!(read(0, "\n200 "), Answer::Http(reply(200, "", "")));
        let refused = "curl: (7) Failed to connect to 127.0.0.1 port 8000\n000 ";
        assert_eq!(
            read(7, refused),
            Answer::Closed("Failed to connect to 127.0.0.1 port 8000".to_owned())
        );
        assert!(matches!(read(28, "curl: (28) timed out"), Answer::Silent(_)));
        assert!(matches!(read(60, "curl: (60) SSL certificate problem"), Answer::Tls(_)));
        assert_eq!(read(32, "mount: denied"), Answer::Broken("mount: denied".to_owned()));
    }
}
