//! From actix's request to `ingest`'s, and from its answer to actix's. No extractor has a say: what came is handed on as it came.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web::Payload,
};
use futures_util::StreamExt as _;

use super::{connections::Guard, server::Desk};
use crate::{
    ingest::{Answer, BrokenBody, Head},
    request::HeadersBuilder,
};

/// Answers one request.
pub(super) async fn handle(desk: &Desk, request: HttpRequest, payload: Payload) -> HttpResponse {
    // Without a guard nobody watches the connection: it is not kept.
    let answering = request.conn_data::<Guard>().map(Guard::answering);
    let chunks = payload.map(|chunk| chunk.map_err(|_| BrokenBody));
    let answer = desk.ingest.answer(head_of(&request), chunks).await;
    let goes_on = answering.is_some_and(|answering| answering.finish(answer.close));
    respond(answer, !goes_on)
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
