//! Which endpoint of a table a path and a method mean.

use actix_web::http::Method;

use super::table::Endpoint;

/// What a path and a method come to.
pub(super) enum Found<'t> {
    /// The endpoint, and what stood where its path has braces.
    Endpoint(&'t Endpoint, Vec<String>),
    /// The path is one, and takes these methods.
    OtherMethod(String),
    /// There is nothing.
    Nothing,
}

/// Finds what is meant.
pub(super) fn find<'t>(table: &'t [Endpoint], path: &str, method: &Method) -> Found<'t> {
    let mut others: Vec<&'static str> = Vec::new();
    for endpoint in table {
        let Some(named) = named(endpoint.path, path) else { continue };
        if endpoint.verb.fits(method) {
            return Found::Endpoint(endpoint, named);
        }
        others.push(endpoint.verb.methods());
    }
    if others.is_empty() { Found::Nothing } else { Found::OtherMethod(others.join(", ")) }
}

/// What stands in a path where the template has braces; `None` when it is another path.
fn named(template: &str, path: &str) -> Option<Vec<String>> {
    let mut named = Vec::new();
    let mut parts = path.split('/');
    for expected in template.split('/') {
        let part = parts.next()?;
        if expected.starts_with('{') {
            named.push(part.to_owned());
        } else if expected != part {
            return None;
        }
    }
    (parts.next().is_none() && named.iter().all(|one| !one.is_empty())).then_some(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_apart_where_its_template_has_braces() {
        assert_eq!(named("/a/{id}/b", "/a/7/b"), Some(vec!["7".to_owned()]));
        assert_eq!(named("/a", "/a"), Some(vec![]));
        for other in ["/a//b", "/a/7", "/a/7/b/", "/a/7/c", "/a/7/b/c", "", "/"] {
            assert_eq!(named("/a/{id}/b", other), None, "{other}");
        }
    }

    #[test]
    fn no_path_is_also_one_that_names_something() {
        // `/rejected/admit` would be the rejected request `admit`.
        let table = crate::admin::endpoints::table();
        for one in &table {
            let fits = table.iter().filter(|other| named(other.path, one.path).is_some());
            assert!(fits.map(|other| other.path).eq([one.path]), "{} is taken for another", one.path);
        }
    }
}
