//! What is left undone, by name and with its reason: how it ends today is held fast like everything else, so that nobody changes it by
//! accident and a newer actix that does better is noticed. All of it happens in actix's reader before our door sees the head or the body.
//!
//! None lets a request through that is not signed, and none lets two readers disagree on where a request of a source begins.

use super::table::{
    Deviation,
    End::{Dropped, Refused, Taken},
    Level::{May, Must, Should},
};

pub(super) const ROWS: &[Deviation] = &[
    (
        ("9112 3", Must, "a target of more than 64 KiB", "POST /hooks/github?@[66000*a] HTTP/1.1\r\n@SIGNED", Refused(&[400])),
        "414",
        "the URI type of actix holds 65,534 bytes, and what it does not hold is a request that cannot be parsed; up to there it is 414",
    ),
    (
        (
            "9110 5.6.1",
            Must,
            "a coding in a list with an empty member",
            "@POST@HOST@PROOFTransfer-Encoding: chunked,\r\n\r\n@CHUNKS",
            Refused(&[400]),
        ),
        "as without it",
        "the reader takes one coding, spelled in one way: lists are what smugglers use, and no vendor writes one",
    ),
    (
        ("9110 5.4", Must, "a name of more than 64 KiB", "@POST@[70000*X]: a\r\n@SIGNED", Dropped),
        "431",
        "the name type of actix holds 65,535 bytes and its reader panics beyond; that ends this connection and no other",
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
