//! The public door over real sockets: what it answers, what it refuses, whom it cuts off, and that nothing refused leaves a trace.

mod answers;
mod budgets;
mod client;
mod framing;
mod handshakes;
mod records;
mod refusals;
mod setting;
mod slow;
mod tls;
