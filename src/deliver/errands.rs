//! Going to a URL for the front half: keys that vendors publish or give out, and calls that confirm a subscription.
//!
//! The same connector as for targets, and stricter: `https` alone, the system's roots, no redirect, one answer of a bounded size within a
//! bounded time, and no private address whatever a name resolves to. Targets are inside and may be private; vendors are outside. What
//! `egress.allow` names is let through here as it is there.

use std::{error::Error, io, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use rustls::{ClientConfig, RootCertStore};
use tokio::{runtime::Handle, time};

use super::{
    answer::Ending,
    client::{Client, Connector, client},
    resolve::Resolver,
    tls::{builder, system_roots},
};
use crate::{
    clock::Clock,
    delivery::AttemptResult,
    errand::{Ask, Errands, Then},
    faults,
    limits::{ERRAND_BYTES_MAX, ERRAND_TIME},
    plan::Plan,
};

/// Idle connections that are kept to one host: keys are fetched once in a long while.
const IDLE_MAX: usize = 1;
/// How we introduce ourselves.
const USER_AGENT: &str = concat!("hookgate/", env!("CARGO_PKG_VERSION"));

/// Goes out on the runtime it was made on.
#[derive(Debug)]
pub struct Runner {
    client: Client,
    roots: RootCertStore,
    runtime: Handle,
}

impl Runner {
    /// Whether any enabled source of the plan goes out, and then what can be wrong with that: there are no roots to trust.
    ///
    /// # Errors
    /// There are no roots; the text says what to do.
    pub fn check(plan: &Plan) -> io::Result<()> {
        if is_needed(plan) { system_roots().map(|_| ()) } else { Ok(()) }
    }

    /// A runner for the plan's sources, on this runtime; `None` when none of them goes out.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn start(plan: &Plan, clock: &Clock, runtime: Handle) -> io::Result<Option<Arc<Self>>> {
        if !is_needed(plan) {
            return Ok(None);
        }
        let roots = system_roots()?;
        let connector = Connector {
            resolver: resolver(clock),
            egress: Arc::new(plan.egress.outside()),
            tls: Some(trusting(roots.clone())?),
            timeout: ERRAND_TIME,
        };
        Ok(Some(Arc::new(Self { client: client(connector, IDLE_MAX), roots, runtime })))
    }
}

fn is_needed(plan: &Plan) -> bool {
    plan.sources.values().any(|source| !source.disabled && source.verifier.goes_out())
}

/// The configuration of a client that trusts these roots.
fn trusting(roots: RootCertStore) -> io::Result<Arc<ClientConfig>> {
    Ok(Arc::new(builder()?.with_root_certificates(roots).with_no_client_auth()))
}

fn resolver(clock: &Clock) -> Resolver {
    if faults::stand_in().is_some() { Resolver::asking(clock.clone(), ask_the_stand_in) } else { Resolver::new(clock.clone()) }
}

/// In a test every name is the stand-in's.
fn ask_the_stand_in(_name: &str) -> io::Result<Vec<std::net::IpAddr>> {
    Ok(faults::stand_in().into_iter().map(|address| address.ip()).collect())
}

impl Errands for Runner {
    fn ask(&self, ask: &Ask, then: Then) {
        let (client, ask) = (self.client.clone(), ask.clone());
        // Not waited for: it ends in time by itself, and tells who asked.
        drop(self.runtime.spawn(async move {
            let got = time::timeout(ERRAND_TIME, got(&client, &ask)).await;
            then(got.unwrap_or_else(|_| Err(format!("no whole answer within {ERRAND_TIME:?}"))));
        }));
    }

    fn roots(&self) -> &RootCertStore {
        &self.roots
    }
}

async fn got(client: &Client, ask: &Ask) -> Result<Bytes, String> {
    let mut to = ask.url.clone();
    if let Some(stand_in) = faults::stand_in() {
        to.set_port(Some(stand_in.port())).map_err(|()| "the stand-in has no port".to_owned())?;
    }
    let uri: Uri = to.as_str().parse().map_err(|_| "the URL cannot be asked for".to_owned())?;
    let method = if ask.post.is_some() { Method::POST } else { Method::GET };
    let mut request = Request::builder().method(method).uri(uri).header(header::USER_AGENT, USER_AGENT);
    if let Some(value) = &ask.authorization {
        // Revealed to whom it is for.
        let mut value = HeaderValue::from_bytes(value.reveal()).map_err(|_| "its credentials cannot be sent in a header".to_owned())?;
        value.set_sensitive(true);
        request = request.header(header::AUTHORIZATION, value);
    }
    let mut body = Full::default();
    if let Some((content_type, content)) = &ask.post {
        request = request.header(header::CONTENT_TYPE, *content_type);
        body = Full::from(Bytes::copy_from_slice(content.reveal())); // to whom it is for
    }
    let request = request.body(body).map_err(|_| "the URL cannot be asked for".to_owned())?;
    let answer = client.request(request).await.map_err(|error| why(&error))?;
    if answer.status() != StatusCode::OK {
        return Err(format!("it answered {}", answer.status().as_u16()));
    }
    let body = Limited::new(answer.into_body(), ERRAND_BYTES_MAX).collect().await;
    body.map(http_body_util::Collected::to_bytes).map_err(|_| format!("its answer broke off, or has more than {ERRAND_BYTES_MAX} bytes"))
}

fn why(error: &(dyn Error + 'static)) -> String {
    let ending = Ending::of_error(error);
    let cause = ending.excerpt.map_or_else(|| "it did not answer".to_owned(), String::from);
    let aside = if ending.result == AttemptResult::EgressDenied { " (for vendors it lists every kind of address)" } else { "" };
    cause + aside
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Egress;

    fn private(_name: &str) -> io::Result<Vec<std::net::IpAddr>> {
        Ok(["10.0.0.1", "127.0.0.1", "169.254.169.254", "::1", "fd00:ec2::254"].iter().map(|text| text.parse().expect("one")).collect())
    }

    #[test]
    fn a_name_that_stands_for_private_addresses_is_not_connected_to() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        // What targets may reach says nothing of where vendors are.
        let egress = Arc::new(Egress { deny_classes: vec![], deny_nets: vec![], allow: vec![] }.outside());
        let tls = Some(trusting(RootCertStore::empty()).expect("a configuration"));
        let connector = Connector { resolver: Resolver::asking(Clock::System, private), egress, tls, timeout: ERRAND_TIME };
        let runner = Runner { client: client(connector, IDLE_MAX), roots: RootCertStore::empty(), runtime: runtime.handle().clone() };
        let (told, heard) = tokio::sync::oneshot::channel();
        let url = url::Url::parse("https://keys.example.com/a.pem").expect("a URL");
        runner.ask(&Ask::get(&url), Box::new(move |got| told.send(got).expect("heard")));
        let got = runtime.block_on(heard).expect("an answer");
        assert!(got.as_ref().is_err_and(|why| why.contains("10.0.0.1 is a private address")), "{got:?}");
    }
}
