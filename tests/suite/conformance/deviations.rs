//! What is left undone, by name and with its reason: how it ends today is held fast like everything else, so that nobody changes it by
//! accident and a newer actix that does better is noticed. All of it happens in actix's reader before our door sees the head or the body.
//!
//! One is left in a corner that no row can hold fast. A target or a name of more than 64 KiB is answered 414 or 431, because the socket
//! ends a head that is too long before actix sees all of it (`src/door/sips.rs`). It counts what comes while no request is being answered.
//! What a client sends on without waiting for its answer comes before that, and only a second reader of lengths and chunks could tell where
//! in it a head begins. There actix still answers 400 to such a target and panics at such a name, which ends this connection and no other.
//!
//! None lets a request through that is not signed, and none lets two readers disagree on where a request of a source begins.

use super::table::{
    Deviation,
    End::{Refused, Taken},
    Level::{May, Must, Should},
};

pub(super) const ROWS: &[Deviation] = &[
    (
        (
            "9110 5.6.1.2",
            Must,
            "a coding in a list with an empty member",
            "@POST@HOST@PROOFTransfer-Encoding: chunked,\r\n\r\n@CHUNKS",
            Refused(&[400]),
        ),
        "as without it",
        "a recipient is to ignore a reasonable number of empty members, and the reader takes none: it knows one coding, spelled in one \
         way. Lists are what smugglers use, and no vendor writes one; to read them before it would be a second reader",
    ),
    (
        ("9110 9.1", Should, "a method of odd but legal signs", "!#$%&'*+-.^_`|~9A /hooks/github HTTP/1.1\r\n@SIGNED", Refused(&[400])),
        "405 or 501",
        "the method type of actix knows fewer signs than a token may have",
    ),
    (
        ("9112 2.3", Should, "a later minor version", "POST /hooks/github HTTP/1.2\r\n@SIGNED", Refused(&[400])),
        "as 1.1",
        "the parser knows 1.0 and 1.1, and there is no 1.2",
    ),
    (
        ("9110 15.6.6", Should, "a later major version", "POST /hooks/github HTTP/2.0\r\n@SIGNED", Refused(&[400])),
        "505",
        "as above; who speaks HTTP/2 hears from ALPN or the preface that we do not",
    ),
    (
        (
            "9112 6.1",
            Should,
            "a coding that is not understood",
            "@POST@HOST@PROOFTransfer-Encoding: br, chunked\r\n\r\n@CHUNKS",
            Refused(&[400]),
        ),
        "501",
        "actix answers 400 to every head it does not take",
    ),
    (
        ("9112 3.2", Should, "a fragment in the target", "POST /hooks/github#part HTTP/1.1\r\n@SIGNED", Taken),
        "400",
        "the URI type cuts it off before we see it; what is left is the path as configured",
    ),
    (
        ("9112 7.1", Should, "white space behind a size", "@CHUNKED@HEX \r\n@BODY\r\n0\r\n\r\n", Taken),
        "400",
        "the reader of chunks takes it for the white space before an extension; the size is the same either way",
    ),
    (
        ("9112 7.1.1", Should, "an extension of 100 KB", "@CHUNKED@HEX;@[100000*x]\r\n@BODY\r\n0\r\n\r\n", Taken),
        "a limit",
        "the reader of chunks counts no extensions; they are dropped as they come, and the body's time ends them",
    ),
    (
        ("9112 7.1.2", Should, "a bare LF in a trailer", "@CHUNKED@HEX\r\n@BODY\r\n0\r\nX-A: b\nX-B: c\r\n\r\n", Taken),
        "400",
        "trailers are dropped unread, up to the next empty line",
    ),
    (
        ("9112 7.1.2", Should, "a trailer that is no field", "@CHUNKED@HEX\r\n@BODY\r\n0\r\nno field\r\n\r\n", Taken),
        "400",
        "trailers are dropped unread",
    ),
    (
        ("9112 7.1.2", Should, "a NUL in a trailer", "@CHUNKED@HEX\r\n@BODY\r\n0\r\nX-A: \0\r\n\r\n", Taken),
        "400",
        "trailers are dropped unread, so nobody gets the NUL",
    ),
    (
        ("9112 7.1.2", May, "a hundred trailers", "@CHUNKED@HEX\r\n@BODY\r\n0\r\n@[100*X-A: b\r\n]\r\n", Taken),
        "a limit, as for fields",
        "trailers are dropped unread, and the body's time ends them",
    ),
];
