//! URLs. The library reads them as browsers do, which mend what people mistype; a gateway that rings somewhere else than what is written
//! is worse than one that does not start, so what would be mended is refused here.

use std::cell::RefCell;

use url::{ParseError, SyntaxViolation, Url};

use super::text;
use crate::{
    config::placed::Link,
    yaml::{Node, Problems},
};

/// What to write instead of something that is no URL.
const WHOLE: &str = "write it whole, such as `http://127.0.0.1:3000/webhooks`";
/// Characters of a host's name, and of the words between its dots (RFC 1035, 2.3.4).
const NAME_CHARS_MAX: usize = 253;
const LABEL_CHARS_MAX: usize = 63;

/// An http or https URL without user, password and fragment, with a host that can be one.
pub(in crate::config) fn link(node: &Node, what: &str, problems: &mut Problems) -> Option<Link> {
    let text = text(node, what, problems)?;
    // The text may hold a password, so it is not shown even when it stands in the file.
    match judged(text) {
        Ok(url) => Some(Link { url, hidden: node.hidden }),
        Err((fault, hint)) => {
            problems.error_hint(&node.at, format!("{what} {fault}"), hint);
            None
        }
    }
}

/// The URL, or what is wrong with it and what to do.
fn judged(text: &str) -> Result<Url, (String, &'static str)> {
    let refused = |fault: &str, hint| Err((fault.to_owned(), hint));
    let mended = RefCell::new(Vec::new());
    let note = |violation| mended.borrow_mut().push(violation);
    let url = match Url::options().syntax_violation_callback(Some(&note)).parse(text) {
        Ok(url) => url,
        Err(ParseError::RelativeUrlWithoutBase) => return refused("is not a URL", WHOLE),
        Err(cause) => return Err((format!("is not a URL: {cause}"), WHOLE)),
    };
    let is_mended = |violation| mended.borrow().contains(&violation);
    if !matches!(url.scheme(), "http" | "https") {
        return refused("is neither http nor https", WHOLE);
    }
    if is_mended(SyntaxViolation::TabOrNewlineIgnored) {
        return refused("has a tab or a line break in it", "write it on one line, without blanks");
    }
    // `http:///a` and `http:/a` would be read as the host `a`.
    if is_mended(SyntaxViolation::ExpectedDoubleSlash) {
        return refused("has no host behind `//`", WHOLE);
    }
    if is_mended(SyntaxViolation::Backslash) {
        return refused("has a backslash, which some take for a slash", "write `/`, or `%5C` for the character itself");
    }
    // An empty user counts as well: nobody writes the `@` for nothing.
    if !url.username().is_empty() || url.password().is_some() || is_mended(SyntaxViolation::EmbeddedCredentials) {
        return refused("carries a user name or password", "say it under `auth: { basic: \"user:password\" }`");
    }
    if url.fragment().is_some() {
        return refused("has a fragment", "leave `#...` out: it is never sent");
    }
    if url.port() == Some(0) {
        return refused("has port 0", "nothing listens there");
    }
    match url.domain() {
        Some(name) if !is_host_name(name) => refused("has a host whose name no server can have", "look for a dot or a letter too many"),
        _ => Ok(url),
    }
}

/// Whether a name can be looked up at all: words between single dots, each and all of it short enough. A dot at its end is its root.
fn is_host_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.len() <= NAME_CHARS_MAX && name.split('.').all(|label| (1..=LABEL_CHARS_MAX).contains(&label.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_where_to_go_is_taken_as_it_stands() {
        let long = format!("http://{}.example/", "a".repeat(LABEL_CHARS_MAX));
        let fit = [
            "http://127.0.0.1:3000/webhooks",
            "HTTPS://Hooks.Example/in?a=1&b=%20",
            "http://[::1]:8080/",
            "http://app",
            "http://app_1.internal./x@y",
            "http://münchen.example/",
            "http://h.example/{template}",
            &long,
        ];
        for text in fit {
            assert!(judged(text).is_ok(), "{text}: {:?}", judged(text));
        }
    }

    #[test]
    fn what_would_be_mended_or_cannot_be_reached_is_refused() {
        let none = "has no host behind `//`";
        let long = format!("http://{}.example/", "a".repeat(LABEL_CHARS_MAX + 1));
        let longer = format!("http://{}example/", "abc.".repeat(NAME_CHARS_MAX / 4));
        let cases = [
            ("app", "is not a URL"),
            ("//app/in", "is not a URL"),
            ("http://", "is not a URL: empty host"),
            ("http:///", "is not a URL: empty host"),
            ("http://:80/in", "is not a URL: empty host"),
            ("http://app:99999/", "is not a URL: invalid port number"),
            ("http://app:http/", "is not a URL: invalid port number"),
            ("http://[::1/", "is not a URL: invalid IPv6 address"),
            ("http:///in", none),
            ("http:////in", none),
            ("http:/app/in", none),
            ("http:app", none),
            ("http:\\\\app", none),
            ("http://app\\in", "has a backslash, which some take for a slash"),
            ("http://a\tpp/", "has a tab or a line break in it"),
            ("http://@app/", "carries a user name or password"),
            ("http://:@app/", "carries a user name or password"),
            ("http://me:hush@app/", "carries a user name or password"),
            ("http://app/#part", "has a fragment"),
            ("http://app/#", "has a fragment"),
            ("http://app:0/", "has port 0"),
            ("ftp://app/", "is neither http nor https"),
            ("file:///in", "is neither http nor https"),
            ("localhost:3000", "is neither http nor https"),
            ("http://a..example/", "has a host whose name no server can have"),
            ("http://./", "has a host whose name no server can have"),
            (&long, "has a host whose name no server can have"),
            (&longer, "has a host whose name no server can have"),
        ];
        for (text, fault) in cases {
            assert_eq!(judged(text).map_err(|(fault, _)| fault), Err(fault.to_owned()), "{text}");
        }
    }
}
