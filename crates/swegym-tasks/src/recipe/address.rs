//! Requirements at an address: builds reach the index alone, so what the index has of that
//! name has to do.

use super::requirement_name;

/// Endings of archives.
const ARCHIVES: [&str; 5] = [".tar.gz", ".zip", ".whl", ".tar.bz2", ".tgz"];

/// A requirement by its name, where it is one at an address: `name @ https://…`,
/// `git+https://…/name.git@v1`, `https://…/name-1.0.tar.gz`. Others stay as they are; what
/// has no name is none.
pub(super) fn without_address(requirement: &str) -> Option<String> {
    if let Some((named, rest)) = requirement.split_once('@')
        && (rest.contains("://") || rest.trim_start().starts_with("file:"))
        && !named.contains("://")
        && !requirement_name(named.trim()).is_empty()
    {
        let marker = rest.split_once(" ;").map(|(_, marker)| format!(" ;{marker}")).unwrap_or_default();
        return Some(format!("{}{marker}", named.trim()));
    }
    match requirement.contains("://") {
        false => Some(requirement.to_owned()),
        true => name_at(requirement),
    }
}

/// The name of what lies at an address.
fn name_at(address: &str) -> Option<String> {
    let address = address.split_whitespace().next()?;
    let (place, fragment) = address.split_once('#').unwrap_or((address, ""));
    if let Some(egg) = fragment.split('&').find_map(|part| part.strip_prefix("egg=")) {
        return Some(egg.to_owned()).filter(|egg| !requirement_name(egg).is_empty());
    }
    let (_, path) = place.split_once("://")?;
    let parts: Vec<&str> = path.split('?').next()?.trim_end_matches('/').split('/').skip(1).collect();
    // `owner/name/archive/v1.0.zip`
    let archived = parts.iter().position(|part| *part == "archive").and_then(|at| at.checked_sub(1));
    let last = match archived {
        Some(at) => parts.get(at)?,
        None => parts.last()?,
    };
    let last = last.split('@').next()?.trim_end_matches(".git");
    let stem = ARCHIVES.iter().find_map(|ending| last.strip_suffix(ending)).map_or(last, |stem| {
        let is_version = |at: &usize| stem[at + 1..].starts_with(|c: char| c.is_ascii_digit());
        let end = stem.match_indices('-').map(|(at, _)| at).find(is_version);
        &stem[..end.unwrap_or(stem.len())]
    });
    let is_name = !stem.is_empty() && requirement_name(stem).len() == stem.len();
    is_name.then(|| stem.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_at_an_address_is_asked_for_by_its_name() {
        for (requirement, name) in [
            ("six>=1.0 ; python_version<'3'", Some("six>=1.0 ; python_version<'3'")),
            ("git+https://example.org/people/their-tool.git@ef016e2", Some("their-tool")),
            ("git+ssh://git@example.org/people/tool", Some("tool")),
            ("git+https://example.org/people/tool.git#egg=Real_Name[extra]", Some("Real_Name[extra]")),
            ("https://example.org/files/tool-kit-1.2.tar.gz", Some("tool-kit")),
            ("https://example.org/tool_kit-1.2-py3-none-any.whl", Some("tool_kit")),
            ("https://example.org/people/tool/archive/v1.0.zip", Some("tool")),
            (
                "tool[all] @ git+https://example.org/a/b@v1 ; python_version > '3'",
                Some("tool[all] ; python_version > '3'"),
            ),
            ("tool@https://example.org/a/b.zip", Some("tool")),
            ("tool @ file:///a/b", Some("tool")),
            ("https://example.org/", None),
            ("https://example.org/a/%7E", None),
        ] {
            assert_eq!(without_address(requirement).as_deref(), name, "{requirement}");
        }
    }
}
