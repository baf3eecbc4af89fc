//! What events of a target are ordered by: a value of their requests, found as the event's id is.

use super::{
    Verifier,
    compile::{json, pointers},
    document::Document,
    form::Form,
    value::Scope,
};
use crate::{
    provider::{Atom, Pointer, Template},
    request::RawRequest,
};

/// A template of a target, with what it looks up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderBy {
    template: Template,
    pointers: Vec<Pointer>,
    reads_form: bool,
}

impl OrderBy {
    /// Takes a template up that [`crate::provider::order`] read.
    #[must_use]
    pub fn compile(template: Template) -> Self {
        let atoms = || template.values().map(|value| &value.atom);
        let reads_form = atoms().any(|atom| matches!(atom, Atom::Form(_) | Atom::FormSorted | Atom::FormPhp(_)));
        Self { pointers: pointers(atoms(), json), reads_form, template }
    }
}

impl Verifier {
    /// What a proved request is ordered by; `None` when the value is absent, empty, or one that two readers could read differently.
    #[must_use]
    pub fn order(&self, request: &RawRequest, by: &OrderBy) -> Option<Vec<u8>> {
        let form = match self.reads_form || by.reads_form {
            // As for the event's id: a type that nobody signed makes no other value of the body.
            true if self.event.body_signed => Form::of_bytes(&request.body),
            true => Form::read(request),
            false => Form::default(),
        };
        let document = Document::read(self.document_text(request, &form), &by.pointers);
        let scope = Scope { document: &document, for_name: true, ..self.scope(request, &form, request.received_at) };
        scope.bytes(&by.template).ok().filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{
        clock::UnixMs,
        provider::{self, Catalogue},
        request::HeadersBuilder,
        secret::Secret,
        verify::Credential,
    };

    fn order(template: &str, headers: &[(&str, &str)], body: &str) -> Option<String> {
        let secret = Credential { name: "secret".into(), value: Secret::new("0123456789abcdef"), until: None };
        let catalogue = Catalogue::embedded();
        let github = catalogue.find("github").expect("embedded");
        let verifier = Verifier::compile(github, &[secret], None, None).expect("compiles");
        let mut block = HeadersBuilder::new();
        headers.iter().for_each(|(name, value)| assert!(block.push(name, value.as_bytes())));
        let request = RawRequest {
            method: "POST".into(),
            path: "/hooks/a".into(),
            query: None,
            headers: block.build(),
            body: Bytes::copy_from_slice(body.as_bytes()),
            client_ip: [127, 0, 0, 1].into(),
            received_at: UnixMs(1_760_000_000_000),
        };
        let by = OrderBy::compile(provider::order(template).expect("of a request"));
        verifier.order(&request, &by).map(|value| String::from_utf8(value).expect("text"))
    }

    #[test]
    fn a_value_of_the_request_orders_and_what_is_not_one_value_does_not() {
        let by_customer = "{json:/data/customer}";
        assert_eq!(order(by_customer, &[], r#"{"data":{"customer":"c-1"}}"#).as_deref(), Some("c-1"));
        for body in ["{}", "", "not JSON", r#"{"data":{"customer":null}}"#, r#"{"data":{"customer":""}}"#] {
            assert_eq!(order(by_customer, &[], body), None, "{body}");
        }
        assert_eq!(order(by_customer, &[], r#"{"data":{"customer":"c-1","customer":"c-2"}}"#), None, "two readers could differ");
        let both = "{header:X-Shop}/{json:/order}";
        assert_eq!(order(both, &[("X-Shop", "s")], r#"{"order":7}"#).as_deref(), Some("s/7"));
        assert_eq!(order(both, &[], r#"{"order":7}"#), None, "half of it is none of it");
        assert_eq!(order("{form:user}", &[("Content-Type", "application/x-www-form-urlencoded")], "user=u1&x=2").as_deref(), Some("u1"));
    }
}
