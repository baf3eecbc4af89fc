//! hookgate receives webhooks: the internet's doorbell, answered.
//!
//! One binary that proves who rang, drops repeats, writes the event down, says 2xx, and then carries it to every target that wants it until
//! each one has it. This is its library; `main.rs` is only the way in.
//!
//! The way of a webhook, in the order of the modules that carry it:
//!
//! ```text
//!  1  door      a socket, TLS, HTTP/1.1: a head and a stream of bytes
//!  2  ingest    the story of a request, top-down; each step is a type that only the step before can make
//!  3  verify    proves it by what `provider` says as data                    -> Verified
//!  4  route     finds who wants it                                           -> NewEvent, with its fan-out frozen
//!  5  store     admits it: event, dedup record and deliveries in one commit  -> Admission, and only now a 2xx
//!  6  handoff   fills the lane slots that were taken before the commit       -> Lease
//!  7  deliver   the story of a delivery, top-down; `queue` decides, it carries out
//!  8  queue     lanes, retries, claims, as one pure step function            -> Action
//!  9  deliver   one attempt: resolve, guard, connect, send                   -> Attempt, judged to an Outcome
//! 10  store     settles it under the lease's fence                           -> Fate
//! ```
//!
//! Around it: [`config`] is what was written and [`plan`] what runs; [`app`] starts and stops everything in order; [`admin`] shows it;
//! [`cli`] is the command line. The words that everything uses stand in modules of their own ([`event`], [`delivery`], [`lease`],
//! [`request`], [`rejection`], [`name`], [`subject`], [`clock`], [`secret`], [`errand`], [`regular`], [`limits`], [`metrics`],
//! [`telemetry`]). Imports point only downward, in the order of ARCHITECTURE.md; `tests/tidy.rs` checks it.

pub mod admin;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod deliver;
pub mod delivery;
pub mod door;
pub mod errand;
pub mod event;
pub mod faults;
pub mod handoff;
pub mod ingest;
pub mod lease;
pub mod limits;
pub mod metrics;
pub mod name;
pub mod pause;
pub mod plan;
pub mod provider;
pub mod queue;
pub mod regular;
pub mod rejection;
pub mod request;
pub mod route;
pub mod secret;
pub mod store;
pub mod subject;
pub mod telemetry;
pub mod verify;
pub mod yaml;
