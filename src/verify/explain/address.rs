//! Another public URL than the one that was signed: `http` for `https`, a port, a slash at the end, the query.

use std::borrow::Cow;

use super::{Case, Setting, changed, trial::Trial};
use crate::{
    provider::UrlSpelling,
    request::{RawRequest, Single},
};

/// A URL that may have been signed: what it is, and in what it differs from the one that is known.
#[derive(Clone)]
struct Address {
    url: url::Url,
    query: Option<Box<str>>,
    with_port: bool,
    differs: Vec<Cow<'static, str>>,
}

/// The URL that was signed. The sentence names in what it differs, not the URL: a token may be part of it.
pub(super) fn another(case: &Case<'_>, trial: &mut Trial) -> Option<String> {
    let setting = case.setting;
    let endpoint = setting.endpoint.as_ref().filter(|_| setting.provider.needs_public_url)?;
    let with_port = changed(setting.provider, |check| check.urls = vec![UrlSpelling::DefaultPort]);
    for address in addresses(case, endpoint) {
        let mut url = address.url;
        url.set_query(address.query.as_deref());
        let request = RawRequest { query: address.query, ..case.request.clone() };
        let provider = if address.with_port { &with_port } else { setting.provider };
        let setting = Setting { provider, endpoint: Some(url), ..setting.clone() };
        if let Some(found) = trial.proves(&setting, &request) {
            return Some(format!(
                "The signature is of the public URL {}: give the URL exactly as the vendor has it, here as `--url` and in a configuration \
                 as `public_url`.{}",
                address.differs.join(" and "),
                found.aside
            ));
        }
    }
    None
}

/// Every URL near the known one, the nearest first: at most 2 x 4 x 2 x 5, less the known one itself.
fn addresses(case: &Case<'_>, endpoint: &url::Url) -> Vec<Address> {
    let known = Address { url: endpoint.clone(), query: case.request.query.clone(), with_port: false, differs: Vec::new() };
    let each = |all: Vec<Address>, ways: &dyn Fn(&Address) -> Vec<Address>| -> Vec<Address> {
        all.iter().flat_map(|one| [vec![one.clone()], ways(one)].concat()).collect()
    };
    let mut all = each(vec![known], &schemes);
    all = each(all, &|one| authorities(one, case));
    all = each(all, &slashes);
    all = each(all, &|one| queries(one, case, endpoint));
    all.retain(|one| !one.differs.is_empty());
    all.sort_by_key(|one| one.differs.len());
    all
}

impl Address {
    fn changed(&self, said: impl Into<Cow<'static, str>>, change: impl FnOnce(&mut Self) -> Option<()>) -> Option<Self> {
        let mut other = self.clone();
        other.differs.push(said.into());
        change(&mut other).map(|()| other)
    }
}

fn schemes(one: &Address) -> Vec<Address> {
    let (from, to) = if one.url.scheme() == "https" { ("https", "http") } else { ("http", "https") };
    let other = one.changed(format!("with `{to}` instead of `{from}`"), |other| other.url.set_scheme(to).ok());
    other.into_iter().collect()
}

fn authorities(one: &Address, case: &Case<'_>) -> Vec<Address> {
    let bare = one.url.port().and_then(|port| one.changed(format!("without the port {port}"), |other| other.url.set_port(None).ok()));
    let known = one.url.port_or_known_default().filter(|_| one.url.port().is_none());
    let spelled = known.and_then(|port| {
        one.changed(format!("with the port {port} written out"), |other| {
            other.with_port = true;
            Some(())
        })
    });
    let host = match case.request.headers.single("host") {
        Single::One(host) => std::str::from_utf8(host).ok(),
        Single::Absent | Single::Repeated => None,
    };
    let hosted = host.and_then(|host| {
        let of_host = url::Url::parse(&format!("{}://{host}/", one.url.scheme())).ok()?;
        let same = of_host.host_str() == one.url.host_str() && of_host.port() == one.url.port();
        let other = one.changed("with host and port of the request's `Host` header", |other| {
            other.url.set_host(of_host.host_str()).ok()?;
            other.url.set_port(of_host.port()).ok()
        });
        other.filter(|_| !same)
    });
    [bare, spelled, hosted].into_iter().flatten().collect()
}

fn slashes(one: &Address) -> Vec<Address> {
    let path = one.url.path().to_owned();
    let other = match path.strip_suffix('/') {
        // The path of a URL is never empty.
        Some("") => None,
        Some(shorter) => one.changed("without the slash at its end", |other| {
            other.url.set_path(shorter);
            Some(())
        }),
        None => one.changed("with a slash at its end", |other| {
            other.url.set_path(&format!("{path}/"));
            Some(())
        }),
    };
    other.into_iter().collect()
}

fn queries(one: &Address, case: &Case<'_>, endpoint: &url::Url) -> Vec<Address> {
    let with = |query: Option<&str>, said: &'static str| {
        let other = one.changed(said, |other| {
            other.query = query.map(Box::from);
            Some(())
        });
        other.filter(|_| query != one.query.as_deref())
    };
    let without = with(None, "without its query");
    let of_line = case.line_query.and_then(|query| with(Some(query), "with the query of the request line"));
    // A provider that signs the URL as registered may have been given it with a query.
    let registered = one.changed("with its query as a part of what was registered", |_| Some(()));
    let registered = registered.filter(|_| one.query.is_some() && one.query.as_deref() != endpoint.query());
    let of_endpoint = endpoint.query().and_then(|query| with(Some(query), "with the query it was registered with"));
    [without, of_line, registered, of_endpoint].into_iter().flatten().collect()
}
