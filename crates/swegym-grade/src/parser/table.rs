//! Names and repositories of the reference registry (swebench 5.0.2,
//! `harness/log_parsers`; reference/grading.md, sections 4.1 to 4.3), as data.

use super::LogParser;
use super::LogParser::{
    Ant, Cargo, Django, Doctest, Googletest, Gotest, GradleCustom, Jekyll, Jq, Matplotlib, Maven,
    MicropythonTest, Phpunit, Pytest, PytestOptions, PytestV2, Redis, RspecTransformedJson, RubyUnit,
    Seaborn, Sympy,
};

/// Further names of parsers, without `parse_log_`.
pub(super) const ALIASES: [(&str, LogParser); 13] = [
    ("astroid", Pytest),
    ("flask", Pytest),
    ("marshmallow", Pytest),
    ("pvlib", Pytest),
    ("pyvista", Pytest),
    ("sqlfluff", Pytest),
    ("xarray", Pytest),
    ("pydicom", PytestOptions),
    ("requests", PytestOptions),
    ("pylint", PytestOptions),
    ("astropy", PytestV2),
    ("scikit", PytestV2),
    ("sphinx", PytestV2),
];

/// Repositories, in lower case.
const REPOSITORIES: [(&str, LogParser); 52] = [
    ("apache/druid", Maven),
    ("apache/lucene", GradleCustom),
    ("astral-sh/ruff", Cargo),
    ("astropy/astropy", PytestV2),
    ("briannesbitt/carbon", Phpunit),
    ("burntsushi/ripgrep", Cargo),
    ("caddyserver/caddy", Gotest),
    ("django/django", Django),
    ("faker-ruby/faker", RubyUnit),
    ("fastlane/fastlane", RspecTransformedJson),
    ("fluent/fluentd", RubyUnit),
    ("fmtlib/fmt", Googletest),
    ("gin-gonic/gin", Gotest),
    ("gohugoio/hugo", Gotest),
    ("google/gson", Maven),
    ("hashicorp/terraform", Gotest),
    ("javaparser/javaparser", Maven),
    ("jekyll/jekyll", Jekyll),
    ("jordansissel/fpm", RspecTransformedJson),
    ("jqlang/jq", Jq),
    ("laravel/framework", Phpunit),
    ("marshmallow-code/marshmallow", Pytest),
    ("matplotlib/matplotlib", Matplotlib),
    ("micropython/micropython", MicropythonTest),
    ("mwaskom/seaborn", Seaborn),
    ("nlohmann/json", Doctest),
    ("nushell/nushell", Cargo),
    ("pallets/flask", Pytest),
    ("php-cs-fixer/php-cs-fixer", Phpunit),
    ("phpoffice/phpspreadsheet", Phpunit),
    ("projectlombok/lombok", Ant),
    ("prometheus/prometheus", Gotest),
    ("psf/requests", PytestOptions),
    ("pvlib/pvlib-python", Pytest),
    ("pydata/xarray", Pytest),
    ("pydicom/pydicom", PytestOptions),
    ("pylint-dev/astroid", Pytest),
    ("pylint-dev/pylint", PytestOptions),
    ("pytest-dev/pytest", Pytest),
    ("pyvista/pyvista", Pytest),
    ("reactivex/rxjava", GradleCustom),
    ("redis/redis", Redis),
    ("rubocop/rubocop", RspecTransformedJson),
    ("scikit-learn/scikit-learn", PytestV2),
    ("sharkdp/bat", Cargo),
    ("sphinx-doc/sphinx", PytestV2),
    ("sqlfluff/sqlfluff", Pytest),
    ("sympy/sympy", Sympy),
    ("tokio-rs/axum", Cargo),
    ("tokio-rs/tokio", Cargo),
    ("uutils/coreutils", Cargo),
    ("valkey-io/valkey", Redis),
];

/// The parser of a repository's logs. Names are compared without regard to
/// case, as the reference's are in lower case for GitHub's mixed ones.
#[must_use]
pub fn parser_of_repository(repository: &str) -> Option<LogParser> {
    let name = repository.to_ascii_lowercase();
    REPOSITORIES.binary_search_by_key(&name.as_str(), |(repo, _)| repo).ok().map(|at| REPOSITORIES[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_sorted_and_found_in_any_case() {
        assert!(REPOSITORIES.is_sorted_by_key(|(name, _)| *name));
        assert_eq!(parser_of_repository("Django/django"), Some(Django));
        assert_eq!(parser_of_repository("ReactiveX/RxJava"), Some(GradleCustom));
        assert_eq!(parser_of_repository("nobody/nothing"), None);
        assert_eq!(LogParser::named("parse_log_scikit"), Some(PytestV2));
    }
}
