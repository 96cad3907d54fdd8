//! Addresses with and without what only the server may read in them.

/// An address without its user and password, and both as the value of an
/// `Authorization` header.
pub(super) fn without_credentials(url: &str) -> (String, Option<String>) {
    let Some((scheme, rest)) = url.split_once("://") else { return (url.to_owned(), None) };
    let server_ends = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let Some(at) = rest[..server_ends].rfind('@') else { return (url.to_owned(), None) };
    let mut user = decode(&rest[..at]);
    if !rest[..at].contains(':') {
        user.push(b':');
    }
    let header = format!("Basic {}", base64(&user));
    (format!("{scheme}://{}", &rest[at + 1..]), Some(header))
}

/// Scheme, host and port.
pub(super) fn server(url: &str) -> &str {
    url.match_indices('/').nth(2).map_or(url, |(at, _)| &url[..at])
}

/// Undoes percent-encoding.
fn decode(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let code = code.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| first == b'%');
        bytes.push(code.unwrap_or(first));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    bytes
}

pub(super) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let number = group.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = DIGITS[(number >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_taken_out_and_told_to_the_server() {
        let cases = [
            ("https://h/simple", "https://h/simple", None),
            ("https://h/a@b", "https://h/a@b", None),
            ("https://user:pass@h:1/simple", "https://h:1/simple", Some("Basic dXNlcjpwYXNz")),
            ("http://a%40b:%3F@h", "http://h", Some("Basic YUBiOj8=")),
            ("https://token@h/x", "https://h/x", Some("Basic dG9rZW46")),
        ];
        for (url, clean, header) in cases {
            assert_eq!(without_credentials(url), (clean.to_owned(), header.map(str::to_owned)), "{url}");
        }
        assert_eq!(server("https://h:1/simple/a/"), "https://h:1");
        assert_eq!(server("https://h"), "https://h");
    }
}
