//! What an endpoint is. The table ([`super::endpoints`]) is all there is: dispatch, roles, what a
//! query may have, and the OpenAPI document are read off it, so they cannot differ.

use std::{future::Future, pin::Pin};

use actix_web::{
    HttpResponse,
    http::{Method, StatusCode},
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    answer::{self, Problem},
    call::Call,
    parameter::Parameter,
};
use crate::{plan::Role, store::FILTER_VALUES_MAX};

/// How the schema of a type is had.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;
type Answered = Pin<Box<dyn Future<Output = Result<HttpResponse, Problem>>>>;
type Run = Box<dyn Fn(Call) -> Answered + Send + Sync>;

/// One endpoint.
pub(super) struct Endpoint {
    pub(super) verb: Verb,
    /// With `{...}` where something is named.
    pub(super) path: &'static str,
    /// The `operationId` of it.
    pub(super) name: &'static str,
    pub(super) role: Role,
    pub(super) summary: &'static str,
    pub(super) parameters: &'static [Parameter],
    pub(super) request: Option<SchemaOf>,
    pub(super) response: Response,
    /// Whether a key makes asking again safe.
    pub(super) takes_key: bool,
    run: Run,
}

/// The body of an act that nothing is to be said about: there may be none, or an object without fields.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// GET, and HEAD.
    Look,
    /// POST.
    Act,
}

/// What comes back when it goes well.
pub(super) enum Response {
    /// JSON of this shape.
    Json(SchemaOf),
    /// An HTTP message.
    Message,
    /// This version does not have it.
    Planned,
}

impl Verb {
    pub(super) fn methods(self) -> &'static str {
        match self {
            Self::Look => "GET, HEAD",
            Self::Act => "POST",
        }
    }

    pub(super) fn fits(self, method: &Method) -> bool {
        match self {
            Self::Look => [Method::GET, Method::HEAD].contains(method),
            Self::Act => *method == Method::POST,
        }
    }
}

impl Endpoint {
    /// Something to look at.
    pub(super) fn look<T, F>(
        path: &'static str,
        name: &'static str,
        summary: &'static str,
        run: impl Fn(Call) -> F + Send + Sync + 'static,
    ) -> Self
    where
        T: Serialize + JsonSchema,
        F: Future<Output = Result<T, Problem>> + 'static,
    {
        let run = wrapped(run, |body: T| answer::json(&body));
        Self::new(Verb::Look, path, (name, summary), Role::Read, Response::Json(SchemaGenerator::subschema_for::<T>), run)
    }

    /// Something to read as the HTTP message it was.
    pub(super) fn message<F>(
        path: &'static str,
        name: &'static str,
        summary: &'static str,
        run: impl Fn(Call) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Vec<u8>, Problem>> + 'static,
    {
        Self::new(Verb::Look, path, (name, summary), Role::Operate, Response::Message, wrapped(run, answer::message))
    }

    /// Something to do, without anything to say about it.
    pub(super) fn act<T, F>(
        path: &'static str,
        name: &'static str,
        summary: &'static str,
        run: impl Fn(Call) -> F + Send + Sync + Clone + 'static,
    ) -> Self
    where
        T: Serialize + JsonSchema,
        F: Future<Output = Result<T, Problem>> + 'static,
    {
        Self::act_on(path, name, summary, move |call, _: Nothing| run(call))
    }

    /// Something to do, as the body says.
    pub(super) fn act_on<B, T, F>(
        path: &'static str,
        name: &'static str,
        summary: &'static str,
        run: impl Fn(Call, B) -> F + Send + Sync + Clone + 'static,
    ) -> Self
    where
        B: DeserializeOwned + JsonSchema + 'static,
        T: Serialize + JsonSchema,
        F: Future<Output = Result<T, Problem>> + 'static,
    {
        let with_body = move |call: Call| {
            let run = run.clone();
            async move {
                let body = call.read()?;
                run(call, body).await
            }
        };
        let run = wrapped(with_body, |body: T| answer::json(&body));
        let new = Self::new(Verb::Act, path, (name, summary), Role::Operate, Response::Json(SchemaGenerator::subschema_for::<T>), run);
        Self { request: Some(SchemaGenerator::subschema_for::<B>), ..new }
    }

    /// What the contract has and this version has not.
    pub(super) fn planned(verb: Verb, path: &'static str, name: &'static str, summary: &'static str) -> Self {
        let run: Run = Box::new(|_| {
            let detail = "planned: this version does not have it yet";
            Box::pin(std::future::ready(Err(Problem::new(StatusCode::NOT_IMPLEMENTED, detail))))
        });
        Self::new(verb, path, (name, summary), Role::Read, Response::Planned, run)
    }

    fn new(
        verb: Verb,
        path: &'static str,
        (name, summary): (&'static str, &'static str),
        role: Role,
        response: Response,
        run: Run,
    ) -> Self {
        Self { verb, path, name, role, summary, parameters: &[], request: None, response, takes_key: false, run }
    }

    /// What its query may have.
    #[must_use]
    pub(super) fn with(self, parameters: &'static [Parameter]) -> Self {
        Self { parameters, ..self }
    }

    /// It is for tokens of this role, and of those above it.
    #[must_use]
    pub(super) fn needing(self, role: Role) -> Self {
        Self { role, ..self }
    }

    /// A key that the caller chose makes asking again safe.
    #[must_use]
    pub(super) fn once_a_key(self) -> Self {
        Self { takes_key: true, ..self }
    }

    /// What to say to a token that may not.
    pub(super) fn role_needed(&self) -> String {
        match self.role {
            Role::Admin => "this needs a token of role `admin`".to_owned(),
            _ => "this token may only look: this needs one of role `operate` or `admin`".to_owned(),
        }
    }

    /// The parameters of a query, if all of them are its own.
    ///
    /// # Errors
    /// There is one that it has not, or twice one that it has once.
    pub(super) fn query(&self, query: &str) -> Result<Vec<(String, String)>, Problem> {
        let mut read: Vec<(String, String)> = Vec::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let Some(known) = self.parameters.iter().find(|known| known.name == name) else {
                let known: Vec<&str> = self.parameters.iter().map(|parameter| parameter.name).collect();
                let detail = match known.is_empty() {
                    true => "this takes no parameters".to_owned(),
                    false => format!("the parameters of this are {}", known.join(", ")),
                };
                return Err(Problem::bad(detail));
            };
            let times_max = if known.repeats { FILTER_VALUES_MAX } else { 1 };
            if read.iter().filter(|(other, _)| *other == name).count() >= times_max {
                return Err(Problem::bad(format!("`{}` can be given {times_max} times at most", known.name)));
            }
            read.push((name.into_owned(), value.into_owned()));
        }
        Ok(read)
    }

    /// Does it.
    pub(super) async fn run(&self, call: Call) -> Result<HttpResponse, Problem> {
        (self.run)(call).await
    }
}

fn wrapped<T, F>(
    run: impl Fn(Call) -> F + Send + Sync + 'static,
    answered: impl Fn(T) -> HttpResponse + Copy + Send + Sync + 'static,
) -> Run
where
    F: Future<Output = Result<T, Problem>> + 'static,
{
    Box::new(move |call| {
        let running = run(call);
        Box::pin(async move { running.await.map(answered) })
    })
}
