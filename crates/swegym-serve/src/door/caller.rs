//! Checks which host name a request uses, and which page sent it.
//!
//! A web page can make its visitor's browser send requests to servers of that machine.
//! The page's own name may be made to resolve to our address (DNS rebinding): then
//! the browser takes us for the page's server, and only `Host` shows it. In other
//! cases, `Origin` and `Sec-Fetch-Site` do.

use std::net::IpAddr;

use axum::http::header::{HOST, HeaderName, ORIGIN};
use axum::http::request::Parts;
use axum::http::uri::Authority;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Why a request is refused that was not meant for this server, or not by the
/// one who sits before it. `local` is the address that the connection reached.
pub(super) fn check(head: &Parts, local: IpAddr, names: &[String]) -> Result<(), &'static str> {
    const NAME: &str = "`Host` names no address that this server listens at; `--allow-host` allows names";
    const PAGE: &str = "pages of other origins are not answered";
    let mut hosts = head.headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next().and_then(|host| host.to_str().ok()), hosts.next()) else {
        return Err(NAME);
    };
    let target = head.uri.authority().map(Authority::as_str);
    if !std::iter::once(host).chain(target).all(|name| is_ours(name, local, names)) {
        return Err(NAME);
    }
    let own = |origin: &str| {
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    };
    let origins = head.headers.get_all(ORIGIN).iter();
    let mut sites = head.headers.get_all(SEC_FETCH_SITE).iter();
    if !origins.map(|origin| origin.to_str().unwrap_or_default()).all(own)
        || !sites.all(|site| site == "same-origin" || site == "none")
    {
        return Err(PAGE);
    }
    Ok(())
}

/// Whether a name, with or without a port, stands for us. Ports may differ:
/// they are forwarded, and a page cannot choose the name that it has.
fn is_ours(name: &str, local: IpAddr, names: &[String]) -> bool {
    let Ok(authority) = name.parse::<Authority>() else { return false };
    if name.contains('@') {
        return false;
    }
    let host = plain(authority.host());
    if names.iter().any(|name| plain(name) == host) {
        return true;
    }
    let local = local.to_canonical();
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical() == local,
        Err(_) => host == "localhost" && local.is_loopback(),
    }
}

/// A name as it is compared: small letters, no brackets, no dot at its end.
fn plain(name: &str) -> String {
    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn asks(uri: &str, headers: &[(&str, &str)], local: &str) -> bool {
        let request = Request::builder().uri(uri);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let (head, ()) = request.body(()).unwrap().into_parts();
        check(&head, local.parse().unwrap(), &["gpu.example".to_owned(), "10.0.0.9".to_owned()]).is_ok()
    }

    #[test]
    fn a_server_is_called_by_its_address_or_a_name_that_was_allowed() {
        for (host, local, answered) in [
            ("127.0.0.1:8000", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("LocalHost:1", "127.0.0.1", true),
            ("localhost.", "::1", true),
            ("[::1]:8000", "::1", true),
            ("127.0.0.1:8000", "::ffff:127.0.0.1", true),
            ("GPU.example:8000", "10.0.0.1", true),
            ("10.0.0.9", "10.0.0.1", true),
            ("localhost:8000", "10.0.0.1", false),
            ("10.0.0.2", "10.0.0.1", false),
            ("0.0.0.0:8000", "127.0.0.1", false),
            ("evil.example", "127.0.0.1", false),
            ("localhost.evil.example", "127.0.0.1", false),
            ("127.0.0.1.evil.example", "127.0.0.1", false),
            ("gpu.example.evil", "127.0.0.1", false),
            ("x@127.0.0.1", "127.0.0.1", false),
            ("127.0.0.1, evil.example", "127.0.0.1", false),
            ("", "127.0.0.1", false),
        ] {
            assert_eq!(asks("/", &[("host", host)], local), answered, "{host} at {local}");
        }
        assert!(!asks("/", &[], "127.0.0.1"));
        assert!(!asks("/", &[("host", "localhost"), ("host", "localhost")], "127.0.0.1"));
        assert!(!asks("http://evil.example/", &[("host", "localhost")], "127.0.0.1"));
    }

    #[test]
    fn only_our_own_pages_are_answered() {
        for (headers, answered) in [
            (&[("origin", "http://localhost:8000")][..], true),
            (&[("origin", "https://localhost:8000")], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("origin", "http://localhost:3000")], false),
            (&[("origin", "http://evil.example")], false),
            (&[("origin", "null")], false),
            (&[("origin", "")], false),
            (&[("origin", "http://localhost:8000"), ("origin", "http://evil.example")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "same-site")], false),
        ] {
            let all = [&[("host", "localhost:8000")], headers].concat();
            assert_eq!(asks("/", &all, "127.0.0.1"), answered, "{headers:?}");
        }
    }
}
