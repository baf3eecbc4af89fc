//! The gateway from outside: the real binary, over sockets and TLS, against senders and targets that keep their own books.

mod support;

mod admin;
mod barrier;
mod cli;
mod client_certs;
#[cfg(feature = "faults")]
mod commit_errors;
mod conformance;
mod crash;
mod dedup;
mod deliver;
mod demo;
mod disk_full;
mod documents;
mod door;
mod guards;
mod handed;
mod hostile;
mod inline;
#[cfg(feature = "faults")]
mod keys;
mod methods;
mod mutation;
mod observe;
mod odd_files;
#[cfg(feature = "faults")]
mod planted_bugs;
mod providers;
mod refusals;
mod rejected;
mod secrecy;
mod send;
mod spine;
mod stops;
mod store;
mod verify;
mod waiting;
