//! The gateway from outside: the real binary, over sockets and TLS, against senders and targets that keep their own books.

mod support;

mod admin;
mod alerts;
mod api;
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
mod isolation;
#[cfg(feature = "faults")]
mod keys;
mod methods;
mod mutation;
mod observe;
mod odd_files;
mod order;
#[cfg(feature = "faults")]
mod planted_bugs;
#[cfg(feature = "faults")]
mod poison;
mod providers;
mod refusals;
mod rejected;
mod renamed;
mod rules;
mod secrecy;
mod send;
mod spine;
mod stops;
mod store;
mod verify;
mod waiting;
