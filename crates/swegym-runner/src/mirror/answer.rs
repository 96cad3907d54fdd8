//! One request to the mirror and its answer.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::{fs, io};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use swegym_tasks::index::{self, Beside, IndexError, JSON_PAGE};
use tokio::io::{AsyncRead as _, ReadBuf};

use super::registry::{self, Found};
use super::{Desk, PORT, Source};

/// Read of a file at once, in bytes.
const BLOCK: usize = 64 << 10;
/// The longest name of a project.
const LONGEST_NAME: usize = 128;

/// Why a request has no better answer.
pub(super) struct Refusal {
    status: StatusCode,
    why: String,
}

impl Refusal {
    fn new(status: StatusCode, why: &str) -> Self {
        Self { status, why: why.to_owned() }
    }

    /// Something of ours failed.
    pub(super) fn broken() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the mirror failed")
    }

    /// In words that tell a build nothing about the machine.
    pub(super) fn of(error: &IndexError) -> Self {
        let (status, why) = match error {
            IndexError::NoProject { .. } | IndexError::NoRelease { .. } | IndexError::NotKept { .. } => {
                (StatusCode::NOT_FOUND, "there is no such project or file, or it was not fetched before")
            }
            IndexError::NoDigest { .. } => (StatusCode::FORBIDDEN, "the index gives no sha256 for this file"),
            IndexError::TooLarge { .. } => (StatusCode::FORBIDDEN, "this is more than a build may fetch"),
            IndexError::Digest { .. } => {
                (StatusCode::BAD_GATEWAY, "the file does not have the digest that the index gives")
            }
            IndexError::Fetch { .. } => (StatusCode::BAD_GATEWAY, "the index cannot be reached"),
            IndexError::Keep { .. } => return Self::broken(),
        };
        Self::new(status, why)
    }
}

/// What an answer holds.
pub(super) enum Content {
    Text(Bytes),
    File { file: tokio::fs::File, left: u64 },
}

/// What is asked for.
enum Asked {
    Page { project: String },
    File { project: String, filename: String },
}

/// Answers every request, be it as it may.
pub(super) async fn answer(
    desk: Arc<Desk>,
    request: Request<Incoming>,
) -> Result<Response<Content>, Infallible> {
    let answer = find(&desk, &request).await;
    Ok(answer.unwrap_or_else(|refusal| {
        let text = Content::Text(Bytes::from(format!("{}\n", refusal.why)));
        let mut response = respond(text, "text/plain; charset=utf-8");
        *response.status_mut() = refusal.status;
        if refusal.status == StatusCode::METHOD_NOT_ALLOWED {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        response
    }))
}

async fn find(desk: &Arc<Desk>, request: &Request<Incoming>) -> Result<Response<Content>, Refusal> {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (method, uri) = (request.method(), request.uri());
    let index = match &desk.source {
        Source::Index(index) => Arc::clone(index),
        Source::Registry(_) => {
            permit(method, uri, header(HOST))?;
            return find_in_registry(desk, uri.path().to_owned()).await;
        }
    };
    match Asked::read(method, uri, header(HOST))? {
        Asked::Page { project } => {
            // pip before 22.2 and others know nothing else.
            let as_json = header(ACCEPT).contains("application/vnd.pypi.simple");
            let text = desk.search(move |desk| {
                let mut files = desk.page(&index, &project)?.to_vec();
                // What wheels say about themselves is made readable, and has no digest then.
                for wheel in files.iter_mut().filter(|file| file.filename.ends_with(".whl")) {
                    wheel.beside = Some(Beside::Unchecked);
                }
                let address = |f: &index::Release| format!("/files/{project}/{}", f.filename);
                let write = if as_json { index::to_json } else { index::to_html };
                Ok(write(&project, &files, &address))
            });
            let kind = if as_json { JSON_PAGE } else { "text/html; charset=utf-8" };
            let mut response = respond(Content::Text(text.await?.into()), kind);
            // A build has one state of a page anyway.
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("max-age=3600"));
            Ok(response)
        }
        Asked::File { project, filename } if filename.ends_with(".whl.metadata") => {
            let wheel = filename.trim_end_matches(".metadata").to_owned();
            let text = desk.search(move |desk| desk.metadata(&index, &project, &wheel)).await?;
            let text =
                text.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "there is no such metadata"))?;
            Ok(respond(Content::Text(text.into()), "text/plain; charset=utf-8"))
        }
        Asked::File { project, filename } => {
            let found = desk.search(move |desk| {
                desk.file(&index, &project, &filename)?
                    .map(|file| Ok((length(&file)?, file)))
                    .transpose()
                    .map_err(|source: io::Error| IndexError::Keep { path: filename.into(), source })
            });
            let (left, file) = found
                .await?
                .ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "the project has no such file"))?;
            let file = tokio::fs::File::from_std(file);
            Ok(respond(Content::File { file, left }, "application/octet-stream"))
        }
    }
}

async fn find_in_registry(desk: &Arc<Desk>, path: String) -> Result<Response<Content>, Refusal> {
    let found = desk.search(move |desk| {
        let keep = |source| IndexError::Keep { path: path.clone().into(), source };
        Ok(match registry::look(desk, &path)? {
            Found::File(file) => (Found::Nothing, Some((length(&file).map_err(keep)?, file))),
            other => (other, None),
        })
    });
    match found.await? {
        (_, Some((left, file))) => {
            let file = tokio::fs::File::from_std(file);
            Ok(respond(Content::File { file, left }, "application/octet-stream"))
        }
        (Found::Text(text, kind), None) => Ok(respond(Content::Text(text.into()), kind)),
        _ => Err(Refusal::new(StatusCode::NOT_FOUND, "the registry has no such thing")),
    }
}

fn length(file: &fs::File) -> io::Result<u64> {
    Ok(file.metadata()?.len())
}

fn respond(content: Content, kind: &'static str) -> Response<Content> {
    let length = HeaderValue::from(content.length());
    let mut response = Response::new(content);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CONTENT_LENGTH, length);
    response
}

/// Refuses what asks somebody else, or for more than to read.
fn permit(method: &Method, uri: &hyper::Uri, host: &str) -> Result<(), Refusal> {
    if method != Method::GET && method != Method::HEAD {
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered"));
    }
    let own = ["127.0.0.1", "localhost"].map(|name| format!("{name}:{PORT}"));
    let is_own = |host: &str| own.iter().any(|own| own == host);
    if !is_own(host) || uri.authority().is_some_and(|authority| !is_own(authority.as_str())) {
        return Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, "this is an index and no proxy"));
    }
    Ok(())
}

impl Asked {
    fn read(method: &Method, uri: &hyper::Uri, host: &str) -> Result<Self, Refusal> {
        permit(method, uri, host)?;
        let parts: Vec<&str> = uri.path().split('/').skip(1).collect();
        let project = |name: &str| {
            let is_name = name.starts_with(|c: char| c.is_ascii_alphanumeric())
                && name.len() <= LONGEST_NAME
                && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
            is_name.then(|| index::normalise(name))
        };
        let asked = match parts[..] {
            ["simple", name] | ["simple", name, ""] => project(name).map(|project| Self::Page { project }),
            // Names on pages hold nothing that is encoded in an address.
            ["files", name, filename] => {
                project(name).map(|project| Self::File { project, filename: filename.to_owned() })
            }
            _ => None,
        };
        asked
            .ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "there are projects and their files, no more"))
    }
}

impl Content {
    fn length(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::File { left, .. } => *left,
        }
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let bytes = match self.get_mut() {
            Self::Text(text) => std::mem::take(text),
            Self::File { left: 0, .. } => Bytes::new(),
            Self::File { file, left } => {
                let mut block = vec![0; BLOCK.min(usize::try_from(*left).unwrap_or(BLOCK))];
                let mut buffer = ReadBuf::new(&mut block);
                if let Err(error) = ready!(Pin::new(file).poll_read(context, &mut buffer)) {
                    return Poll::Ready(Some(Err(error)));
                }
                let read = buffer.filled().len();
                if read == 0 {
                    return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
                }
                *left -= read as u64;
                block.truncate(read);
                block.into()
            }
        };
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.length() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(method: &str, uri: &str, host: &str) -> u16 {
        let (method, uri) = (method.parse().unwrap(), uri.parse().unwrap());
        Asked::read(&method, &uri, host).map_or_else(|refusal| refusal.status.as_u16(), |_| 200)
    }

    #[test]
    fn only_pages_and_files_of_this_index_are_asked_for() {
        for uri in
            ["/simple/a/", "/simple/A.b_c", "/files/a/a-1.0+x.tar.gz", "http://127.0.0.1:3141/simple/a/"]
        {
            assert_eq!(status("GET", uri, "127.0.0.1:3141"), 200, "{uri}");
        }
        for uri in [
            "/",
            "/simple/",
            "/simple//",
            "/simple/../a/",
            "/simple/a%2fb/",
            "/simple/-a/",
            "/files/a/b/c",
            "*",
        ] {
            assert_eq!(status("GET", uri, "127.0.0.1:3141"), 404, "{uri}");
        }
        assert_eq!(status("HEAD", "/simple/a/", "localhost:3141"), 200);
        assert_eq!(status("POST", "/simple/a/", "localhost:3141"), 405);
        assert_eq!(status("CONNECT", "pypi.org:443", "pypi.org:443"), 405);
        assert_eq!(status("GET", "http://pypi.org/simple/a/", "pypi.org"), 421);
        assert_eq!(status("GET", "http://pypi.org/simple/a/", "127.0.0.1:3141"), 421);
        assert_eq!(status("GET", "/simple/a/", "169.254.169.254"), 421);
    }
}
