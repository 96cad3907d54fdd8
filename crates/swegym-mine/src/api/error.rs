//! Why the API gave no answer.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

use swegym_core::{Hint, Trouble};
use thiserror::Error;

/// Why the API gave no answer. What had been fetched before is kept.
#[derive(Debug, Error)]
pub enum ApiError {
    /// `--api-url` cannot be used.
    #[error("`{url}` cannot be an API's address: {why}")]
    Address {
        /// As given.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// `--api` names no repository.
    #[error("`{name}` is no repository's name")]
    Name {
        /// As given.
        name: String,
    },
    /// The host refuses whoever asks.
    #[error("the API refuses {} (401) at `{url}`", if *has_token { "the token" } else { "requests without a token" })]
    Token {
        /// What was asked for.
        url: String,
        /// Whether there was a token.
        has_token: bool,
    },
    /// There is no such repository, or the token may not see it.
    #[error("the API has no repository `{name}`")]
    NoRepository {
        /// `owner/name`.
        name: String,
    },
    /// The host says no.
    #[error("the API refuses `{url}` ({status}): {said}")]
    Refused {
        /// What was asked for.
        url: String,
        /// The status.
        status: u16,
        /// Its reason.
        said: String,
    },
    /// Nothing is heard of the host.
    #[error("the API does not answer at `{url}`")]
    Silent {
        /// What was asked for.
        url: String,
        /// The network's failure.
        #[source]
        source: Box<ureq::Error>,
    },
    /// The host is in trouble.
    #[error("the API fails at `{url}` ({status}), also when asked again")]
    Failing {
        /// What was asked for.
        url: String,
        /// The status.
        status: u16,
    },
    /// Its limits do not end.
    #[error("the API's limits do not end: `{url}` was refused {times} times, with a wait after each")]
    Limited {
        /// What was asked for.
        url: String,
        /// How often.
        times: u32,
    },
    /// The answer is not what the API's documents promise.
    #[error("the API's answer to `{url}` cannot be used: {why}")]
    Odd {
        /// What was asked for.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// A query was answered with errors.
    #[error("the API cannot tell which issues are closed by what (GraphQL): {said}")]
    Query {
        /// What it says.
        said: String,
    },
    /// This machine's disk.
    #[error("cannot keep what was fetched in `{}`", path.display())]
    Keep {
        /// Where.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

/// Said where the same command goes on.
const AGAIN: &str = "what was fetched is kept: the same command goes on from there";

impl Hint for ApiError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint: String = match self {
            Self::Address { .. } => {
                "give the address of a REST API: https://api.github.com, or https://HOST/api/v3".into()
            }
            Self::Name { .. } => "write OWNER/NAME, as in its address".into(),
            Self::Token { has_token: true, .. } => {
                format!("it may be revoked, or too old: make another one for GITHUB_TOKEN; {AGAIN}")
            }
            Self::Token { .. } => "set GITHUB_TOKEN to a token that may read the repository".into(),
            Self::NoRepository { .. } => {
                "check the spelling; a private one needs a token that may read it (GITHUB_TOKEN)".into()
            }
            Self::Refused { .. } => format!("check what the token may read (GITHUB_TOKEN); {AGAIN}"),
            Self::Silent { .. } => format!(
                "check the network, a proxy (HTTPS_PROXY), the certificates (SSL_CERT_FILE) or --api-url; {AGAIN}"
            ),
            Self::Failing { .. } | Self::Query { .. } => format!("try again later; {AGAIN}"),
            Self::Limited { .. } => {
                format!("a token (GITHUB_TOKEN) has a higher limit; try again later; {AGAIN}")
            }
            Self::Odd { .. } => format!("check --api-url, and whatever stands in between; {AGAIN}"),
            Self::Keep { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                format!("no space left: free some; {AGAIN}")
            }
            Self::Keep { .. } => "name a folder with --out that this user may write to".into(),
        };
        Some(hint.into())
    }

    fn trouble(&self) -> Trouble {
        match self {
            Self::Silent { .. } | Self::Failing { .. } | Self::Limited { .. } | Self::Query { .. } => {
                Trouble::Infrastructure
            }
            _ => Trouble::Usage,
        }
    }
}
