//! Known answers, run: what the vendor's code signed must be accepted and be the event it is, and each edit of it must be refused.

use std::net::{IpAddr, Ipv4Addr};

use super::{Credential, Greeted, Verifier, draft::Draft, sign::sign_draft};
use crate::{
    clock::UnixMs,
    provider::{Example, Handshake, Provider, Vector},
    rejection::Rejection,
    request::{HeadersBuilder, RawRequest},
    secret::Secret,
};

/// One known answer that was run.
#[derive(Clone, Debug)]
pub struct Tried {
    /// The vector's name.
    pub vector: Box<str>,
    /// For an edit of it: what is wrong with the edited request.
    pub edit: Option<Box<str>>,
    /// Why it was refused, if it was.
    pub rejection: Option<Rejection>,
    /// What did not come out as it must; `None` when all did.
    pub problem: Option<String>,
}

/// Runs every vector of a provider file and every edit of each, and every example of a handshake.
#[must_use]
pub fn prove(provider: &Provider) -> Vec<Tried> {
    let mut all = Vec::new();
    for vector in &provider.vectors {
        all.push(accepted(provider, vector));
        for reject in &vector.rejects {
            all.push(rejected(provider, &vector.edited(reject), &reject.why));
        }
    }
    all
}

/// Runs every example of a provider's handshakes: what did not come out as it must, each after the handshake's name.
#[must_use]
pub fn prove_handshakes(provider: &Provider) -> Vec<(Box<str>, Result<(), String>)> {
    let each = |handshake: &Handshake| {
        let name = handshake.name.clone();
        let proved = move |example: &Example| (name.clone(), answered(provider, &name, example));
        handshake.examples.iter().map(proved).collect::<Vec<_>>()
    };
    provider.handshakes.iter().flat_map(each).collect()
}

fn answered(provider: &Provider, name: &str, example: &Example) -> Result<(), String> {
    let at = UnixMs(example.request.at.saturating_mul(1000));
    let credentials = credentials(&example.request);
    let verifier = Verifier::compile(provider, &credentials, endpoint(&example.request).as_ref(), None).map_err(|all| all.join("; "))?;
    let request = if example.sign {
        let mut draft = Draft::of_vector(provider, &example.request);
        sign_draft(provider, &credentials, &mut draft, at)?;
        draft.request(at)?
    } else {
        request(&example.request, at)?
    };
    let head = RawRequest { body: bytes::Bytes::new(), ..request.clone() };
    verifier.precheck(&head).map_err(|rejection| format!("the head alone is rejected: {}", rejection.code()))?;
    let greeted = match verifier.greet(&request, at) {
        Some(greeted) => greeted,
        None => {
            let verified = verifier.verify(request, at).map_err(|rejection| format!("it is rejected: {}", rejection.code()))?;
            verifier.greet_verified(&verified).ok_or("it is no handshake")?
        }
    };
    compared(name, example, &greeted)
}

fn compared(name: &str, example: &Example, greeted: &Greeted) -> Result<(), String> {
    if *greeted.handshake != *name {
        return Err(format!("it is the handshake `{}`", greeted.handshake));
    }
    let (status, body) = match &greeted.reply {
        Ok(reply) => (reply.status, String::from_utf8_lossy(&reply.body).into_owned()),
        Err(status) => (*status, String::new()),
    };
    if status != example.status {
        return Err(format!("it is answered {status}, not {}", example.status));
    }
    if example.body.as_ref().is_some_and(|expected| **expected != *body) {
        return Err(format!("its answer is `{body}`"));
    }
    let Ok(reply) = &greeted.reply else {
        return Ok(());
    };
    if example.content_type.as_ref().is_some_and(|expected| !reply.content_type.starts_with(&**expected)) {
        return Err(format!("its answer is of type `{}`", reply.content_type));
    }
    let has = |name: &str, value: &str| reply.headers.iter().any(|(own, text)| own.eq_ignore_ascii_case(name) && text == value);
    match example.headers.iter().find(|(name, value)| !has(name, value)) {
        Some((name, _)) => Err(format!("its answer has no such header `{name}`")),
        None => Ok(()),
    }
}

/// The public URL of a vector's source.
pub(super) fn endpoint(vector: &Vector) -> Option<url::Url> {
    let mut endpoint = vector.url.clone()?;
    endpoint.set_query(None);
    Some(endpoint)
}

fn accepted(provider: &Provider, vector: &Vector) -> Tried {
    let outcome = run(provider, vector);
    let problem = match &outcome {
        Ok(Ok((id, types))) => {
            let id_fits = vector.event.id.as_ref().is_none_or(|expected| **expected == **id);
            let types_fit = vector.event.types.as_ref().is_none_or(|expected| **expected == **types);
            (!id_fits || !types_fit).then(|| format!("it is the event `{id}` of type `{types}`"))
        }
        Ok(Err(rejection)) => Some(format!("it is rejected: {}", rejection.code())),
        Err(problem) => Some(problem.clone()),
    };
    Tried { vector: vector.name.clone(), edit: None, rejection: outcome.ok().and_then(Result::err), problem }
}

fn rejected(provider: &Provider, edited: &Vector, why: &str) -> Tried {
    let (rejection, problem) = match run(provider, edited) {
        Ok(Ok(_)) => (None, Some("it is accepted".to_owned())),
        Ok(Err(rejection)) => (Some(rejection), None),
        Err(problem) => (None, Some(problem)),
    };
    Tried { vector: edited.name.clone(), edit: Some(why.into()), rejection, problem }
}

/// Verifies a vector's request. The outer error is one of the vector itself; the inner pair is id and types.
fn run(provider: &Provider, vector: &Vector) -> Result<Result<(String, String), Rejection>, String> {
    let at = UnixMs(vector.at.saturating_mul(1000));
    let verifier = Verifier::compile(provider, &credentials(vector), endpoint(vector).as_ref(), None).map_err(|all| all.join("; "))?;
    let request = request(vector, at)?;
    // A handshake is never an event.
    if verifier.greet(&request, at).is_some() {
        return Err("it is a handshake".into());
    }
    // The body's own proof must refuse what the head's refuses: the door may have asked for the first only.
    let head = RawRequest { body: bytes::Bytes::new(), ..request.clone() };
    let early = verifier.precheck(&head);
    Ok(match (early, verifier.verify(request, at)) {
        (Err(rejection), Ok(_)) => return Err(format!("the head alone is rejected ({}), the whole is not", rejection.code())),
        (Err(rejection), Err(_)) | (Ok(()), Err(rejection)) => Err(rejection),
        (Ok(()), Ok(verified)) => {
            if verifier.greet_verified(&verified).is_some() {
                return Err("it is a handshake".into());
            }
            let identity = verifier.identify(&verified);
            let id = identity.id.map(|id| String::from_utf8_lossy(&id).into_owned()).unwrap_or_default();
            Ok((id, identity.types.to_string()))
        }
    })
}

/// The credentials of a vector.
pub(super) fn credentials(vector: &Vector) -> Vec<Credential> {
    let each = |(name, values): &(Box<str>, Vec<Box<str>>)| {
        let of = |value: &str| Credential { name: name.clone(), value: Secret::new(value.as_bytes()), until: None };
        values.iter().map(|value| of(value)).collect::<Vec<_>>()
    };
    vector.credentials.iter().flat_map(each).collect()
}

/// The request of a vector.
pub(super) fn request(vector: &Vector, at: UnixMs) -> Result<RawRequest, String> {
    let mut headers = HeadersBuilder::new();
    for (name, value) in &vector.headers {
        if !headers.push(name, value.as_bytes()) {
            return Err(format!("`{name}` cannot be a header with this value"));
        }
    }
    Ok(RawRequest {
        method: vector.method.clone(),
        path: vector.url.as_ref().map_or("/", |url| url.path()).into(),
        query: vector.url.as_ref().and_then(|url| url.query()).map(Box::from),
        headers: headers.build(),
        body: vector.body.clone(),
        client_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        received_at: at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{Catalogue, Edit, Reject};

    /// Every embedded provider; a broken file is the test's failure, with all that is wrong.
    fn each(mut look: impl FnMut(&Provider)) {
        let catalogue = Catalogue::embedded();
        for slug in catalogue.names() {
            look(catalogue.load(slug).expect("named").unwrap_or_else(|problems| panic!("{problems:#?}")));
        }
    }

    #[test]
    fn every_known_answer_comes_out_as_it_must() {
        each(|provider| {
            let tried = prove(provider);
            let wrong: Vec<_> = tried.iter().filter(|tried| tried.problem.is_some()).collect();
            assert!(wrong.is_empty(), "{}: {wrong:#?}", provider.slug);
            let accepted = tried.iter().filter(|tried| tried.edit.is_none()).count();
            assert!(accepted >= 1 && tried.len() >= accepted + 2, "{} proves too little", provider.slug);
        });
    }

    #[test]
    fn every_handshake_is_answered_as_its_example_says() {
        each(|provider| {
            let proved = prove_handshakes(provider);
            assert!(proved.iter().all(|(_, result)| result.is_ok()), "{}: {proved:#?}", provider.slug);
            let named = |name: &str| proved.iter().any(|(own, _)| **own == *name);
            assert!(provider.handshakes.iter().all(|handshake| named(&handshake.name)), "{} has an unproved handshake", provider.slug);
        });
    }

    #[test]
    fn a_doubled_header_is_refused_by_name() {
        let doubled = |edit: &Edit| matches!(edit, Edit::Header(_, values) if values.len() > 1);
        let mut count = 0;
        each(|provider| {
            for tried in prove(provider) {
                let vector = provider.vectors.iter().find(|vector| vector.name == tried.vector).expect("a vector of the file");
                let is = |reject: &Reject| tried.edit.as_deref() == Some(&*reject.why) && reject.edits.iter().any(doubled);
                if vector.rejects.iter().any(is) {
                    assert_eq!(tried.rejection, Some(Rejection::DuplicateHeader), "{} {:?}", provider.slug, tried.edit);
                    count += 1;
                }
            }
        });
        assert!(count >= 100, "only {count} doubled headers were tried");
    }
}
