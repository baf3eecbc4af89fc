//! What is left undone, by name and with its reason: how it ends today is held fast like everything else, so that nobody changes it by
//! accident and a newer actix that does better is noticed. All of it happens in actix's reader before our door sees the head or the body.
//!
//! One is left in a corner that no row can hold fast. A target or a name of more than 64 KiB is answered 414 or 431, because the socket
//! ends a head that is too long before actix sees all of it (`src/door/sips.rs`). It counts what comes while no request is being answered.
//! What a client sends on without waiting for its answer comes before that, and what would be said to it then would be heard by a request
//! before it. There actix still answers 400 to such a target and panics at such a name, which ends this connection and no other.
//!
//! None lets a request through that is not signed, and none lets two readers disagree on where a request of a source begins.

use super::table::{Deviation, End::Refused, Level::Should};

pub(super) const ROWS: &[Deviation] = &[
    (
        ("9110 9.1", Should, "a method of odd but legal signs", "!#$%&'*+-.^_`|~9A /hooks/github HTTP/1.1\r\n@SIGNED", Refused(&[400])),
        "405 or 501",
        "the method type of actix knows fewer signs than a token may have",
    ),
    (
        ("9110 15.6.6", Should, "a later major version", "POST /hooks/github HTTP/2.0\r\n@SIGNED", Refused(&[400])),
        "505",
        "actix answers 400 to every line it does not take; who speaks HTTP/2 hears from ALPN or the preface that we do not",
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
];
