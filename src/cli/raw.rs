//! A raw HTTP/1.1 request from a file, as `verify` takes it: the request line, the header fields, a blank line, the body.

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use httparse::Status;

use crate::{
    clock::UnixMs,
    limits::HEADER_FIELDS_MAX,
    request::{HeadersBuilder, RawRequest, Single},
};

/// A request that was read, and what the file holds besides.
#[derive(Debug)]
pub struct Captured {
    /// The request.
    pub request: RawRequest,
    /// Bytes behind the body that `Content-Length` does not count, but for one line end, which an editor leaves there. They are no part of
    /// this request.
    pub ignored_bytes: usize,
}

/// Reads a request that was received at `at`, and nothing else of the file; otherwise as [`captured`].
///
/// # Errors
/// What is wrong with the file, in a sentence.
pub fn request(file: &[u8], at: UnixMs) -> Result<RawRequest, String> {
    captured(file, at).map(|captured| captured.request)
}

/// Reads a request that was received at `at`. A file of an editor may end its lines with a line feed alone, and may have a line end after
/// the body that `Content-Length` does not count.
///
/// # Errors
/// What is wrong with the file, in a sentence: a body that is shorter than `Content-Length` says is no request.
pub fn captured(file: &[u8], at: UnixMs) -> Result<Captured, String> {
    let mut fields = [httparse::EMPTY_HEADER; HEADER_FIELDS_MAX];
    let mut parsed = httparse::Request::new(&mut fields);
    let head_bytes = match parsed.parse(file) {
        Ok(Status::Complete(head_bytes)) => head_bytes,
        Ok(Status::Partial) => return Err("the head of the request does not end: a blank line stands before the body".into()),
        Err(why) => return Err(format!("this is not an HTTP/1.1 request: {why}")),
    };
    let mut headers = HeadersBuilder::new();
    for field in parsed.headers.iter() {
        if !headers.push(field.name, field.value) {
            return Err(format!("`{}` cannot be a header with this value", field.name));
        }
    }
    let headers = headers.build();
    let (path, query) = split(parsed.path.unwrap_or("/"));
    let rest = file.get(head_bytes..).unwrap_or_default();
    let chunked = headers.all("transfer-encoding").any(|value| value.eq_ignore_ascii_case(b"chunked"));
    let (body, behind) = match headers.single("content-length") {
        _ if chunked => (unchunked(rest)?, &[][..]),
        Single::Absent => (Bytes::copy_from_slice(rest), &[][..]),
        Single::Repeated => return Err("Content-Length occurs twice".into()),
        Single::One(length) => sized(rest, length)?,
    };
    let ignored_bytes = if matches!(behind, b"\n" | b"\r\n") { 0 } else { behind.len() };
    let request = RawRequest {
        method: parsed.method.unwrap_or_default().into(),
        path: path.into(),
        query: query.map(Box::from),
        headers,
        body,
        client_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        received_at: at,
    };
    Ok(Captured { request, ignored_bytes })
}

/// Path and query of a request target; a whole URL gives its own. One that stands in a query is no more than text.
fn split(target: &str) -> (&str, Option<&str>) {
    let is_scheme = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    let rest = match target.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => rest.find(['/', '?']).map_or("", |at| &rest[at..]),
        Some(_) | None => target,
    };
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
    (if path.is_empty() { "/" } else { path }, query)
}

/// The body, and what follows it.
fn sized<'a>(rest: &'a [u8], length: &[u8]) -> Result<(Bytes, &'a [u8]), String> {
    let bytes: Option<usize> = std::str::from_utf8(length).ok().and_then(|text| text.parse().ok());
    let bytes = bytes.ok_or("Content-Length is a number of bytes")?;
    let (body, behind) = rest.split_at_checked(bytes).ok_or_else(|| {
        let there = rest.len();
        format!("Content-Length says {bytes} bytes, and {there} are there: the end is missing, or the file was edited; capture it whole")
    })?;
    Ok((Bytes::copy_from_slice(body), behind))
}

/// Takes a chunked body apart (RFC 9112, 7.1); trailers are passed over.
fn unchunked(mut rest: &[u8]) -> Result<Bytes, String> {
    let broken = || "the chunked body is broken or cut short".to_owned();
    let mut body = Vec::new();
    loop {
        let Ok(Status::Complete((line_bytes, size))) = httparse::parse_chunk_size(rest) else {
            return Err(broken());
        };
        if size == 0 {
            return Ok(body.into());
        }
        let end = usize::try_from(size).ok().and_then(|size| line_bytes.checked_add(size)).ok_or_else(broken)?;
        body.extend_from_slice(rest.get(line_bytes..end).ok_or_else(broken)?);
        rest = rest.get(end..).and_then(|rest| rest.strip_prefix(b"\r\n")).ok_or_else(broken)?;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<RawRequest, String> {
        request(text.as_bytes(), UnixMs(7))
    }

    #[test]
    fn a_target_is_a_path_or_a_url_of_its_own() {
        let cases = [
            ("/in?a=1", ("/in", Some("a=1"))),
            ("http://h.example/in?a=1", ("/in", Some("a=1"))),
            ("https://h.example", ("/", None)),
            ("https://h.example?a=/b", ("/", Some("a=/b"))),
            ("/in?next=https://h.example/out", ("/in", Some("next=https://h.example/out"))),
            ("/in/http://h.example/out", ("/in/http://h.example/out", None)),
            ("*", ("*", None)),
        ];
        for (target, expected) in cases {
            assert_eq!(split(target), expected, "{target}");
        }
    }

    #[test]
    fn a_request_reads_as_it_stands() {
        let read = read("POST /hooks/a?b=1 HTTP/1.1\r\nHost: x\r\nX-Id:  1 \r\nContent-Length: 4\r\n\r\n{ }\n\n").expect("a request");
        assert_eq!((&*read.method, &*read.path, read.query.as_deref()), ("POST", "/hooks/a", Some("b=1")));
        assert_eq!(read.headers.single("x-id"), Single::One(b"1"));
        assert_eq!((&*read.body, read.received_at), (&b"{ }\n"[..], UnixMs(7)));
    }

    #[test]
    fn other_ways_to_write_a_body_read_too() {
        assert_eq!(&*read("POST / HTTP/1.1\nHost: x\n\nall of it\n").expect("a request").body, b"all of it\n");
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=1\r\n0123456789\r\n0\r\n\r\n";
        assert_eq!(&*read(chunked).expect("a request").body, b"abc0123456789");
        let whole = read("POST https://h.example/p?q=1 HTTP/1.1\r\n\r\n").expect("a request");
        assert_eq!((&*whole.path, whole.query.as_deref()), ("/p", Some("q=1")));
    }

    #[test]
    fn what_stands_behind_the_body_is_counted_but_for_one_line_end() {
        let head = "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
        for (behind, ignored_bytes) in [("", 0), ("\n", 0), ("\r\n", 0), ("\n\n", 2), ("d", 1), ("GET / HTTP/1.1\r\n\r\n", 18)] {
            let captured = captured(format!("{head}{behind}").as_bytes(), UnixMs(7)).expect("a request");
            assert_eq!((&*captured.request.body, captured.ignored_bytes), (&b"abc"[..], ignored_bytes), "{behind:?}");
        }
    }

    #[test]
    fn what_is_no_request_is_said() {
        assert!(read("{}").expect_err("no").contains("not an HTTP/1.1 request"));
        assert!(read("POST / HTTP/1.1\r\nHost: x\r\n").expect_err("no").contains("does not end"));
        assert!(read("POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc").expect_err("no").contains("says 9 bytes, and 3 are there"));
        assert!(read("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab").expect_err("no").contains("cut short"));
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = request(&bytes, UnixMs(0));
            let mut after = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            after.extend(bytes);
            let _ = request(&after, UnixMs(0));
        }
    }
}
