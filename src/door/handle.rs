//! From actix's request to `ingest`'s, and from its answer to actix's. No extractor has a say: what came is handed on as it came.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use actix_http::ConnectionType;
use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web::Payload,
};
use futures_util::StreamExt as _;

use super::{clients::Shown, connections::Guard, server::Desk, strict};
use crate::{
    ingest::{Answer, BrokenBody, Head},
    metrics::HttpError,
    request::HeadersBuilder,
};

/// Answers one request.
pub(super) async fn handle(desk: &Desk, request: HttpRequest, payload: Payload) -> HttpResponse {
    let guard = request.conn_data::<Guard>();
    if let Some(guard) = guard.filter(|guard| guard.has_ended()) {
        return never(desk, guard).await;
    }
    // Without a guard nobody watches the connection: it is not kept.
    let answering = guard.map(Guard::answering);
    let unread = guard.and_then(Guard::refusal);
    let answer = match unread.or_else(|| strict::fault(request.head(), desk.is_secured)) {
        Some(status) => {
            let what = if status == 431 { HttpError::HeadTooLarge } else { HttpError::Parse };
            desk.ingest.metrics().http_error(what);
            Answer { close: true, ..Answer::plain(status) }
        }
        None => {
            let chunks = payload.map(|chunk| chunk.map_err(|_| BrokenBody));
            desk.ingest.answer(head_of(&request), chunks).await
        }
    };
    // actix takes the wish of the last head it has read, and a client may have sent the next one already.
    let close = answer.close || request.head().connection_type() != ConnectionType::KeepAlive;
    let goes_on = answering.is_some_and(|answering| answering.finish(close));
    respond(answer, !goes_on)
}

/// A request behind the last answer of its connection, which actix had read already. It is not to be processed (RFC 9112, 9.6), so it is
/// left alone until the client has had its time to read that answer, and what is written then goes nowhere.
async fn never(desk: &Desk, guard: &Guard) -> HttpResponse {
    tokio::time::sleep(desk.patience.linger).await;
    guard.cut();
    respond(Answer { close: true, ..Answer::plain(400) }, true)
}

fn head_of(request: &HttpRequest) -> Head {
    let head = request.head();
    let mut headers = HeadersBuilder::new();
    for (name, value) in &head.headers {
        // actix has parsed both: there is nothing in them the builder would refuse.
        headers.push(name.as_str(), value.as_bytes());
    }
    Head {
        method: head.method.as_str().into(),
        path: head.uri.path().into(),
        query: head.uri.query().map(Into::into),
        headers: headers.build(),
        // A socket without a peer is one whose client is gone already.
        peer: head.peer_addr.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip()),
        names: request.conn_data::<Shown>().map(|shown| Arc::clone(&shown.0)),
    }
}

fn respond(answer: Answer, close: bool) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let mut response = HttpResponse::build(status);
    for (name, value) in answer.headers {
        response.insert_header((&*name, value));
    }
    if close {
        response.force_close();
    }
    response.insert_header((header::CONTENT_TYPE, &*answer.content_type)).body(answer.body)
}
