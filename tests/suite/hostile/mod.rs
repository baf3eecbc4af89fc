//! Clients that mean harm, against the real binary: slow ones, many at once, large ones, floods, bombs, broken handshakes. Small in every
//! run of the tests; `make campaign-door` makes them large and prints what they did to honest senders and to memory.
//!
//! What each row of the programme for the front door is covered by is in `rows.md`.

mod bodies;
mod bombs;
mod crowd;
mod floods;
mod handshakes;
mod honest;
mod logs;
mod process;
mod replays;
mod slow;
mod strangers;

use crate::support::{gateway::Gateway, sender::SECRET};

/// What every client is promised: whoever stalls is gone by then.
const CUT_WITHIN: std::time::Duration = std::time::Duration::from_secs(15);
/// Honest events a second, beside every attack.
const HONEST_RATE: usize = 200;

/// A gateway with four sources, so that no source's share of the bytes is the tightest bound; `server` is more of its section.
fn written(server: &str) -> Gateway {
    Gateway::written(&format!(
        r#"
server:
  listen: "127.0.0.1:@DOOR@"
{server}
log: {{ requests: none }}
sources:
  github: {{ provider: github, secret: "{SECRET}", body_limit: 1MiB, unrouted: keep }}
  second: {{ provider: github, secret: "{SECRET}-2", body_limit: 1MiB, unrouted: keep }}
  third: {{ provider: github, secret: "{SECRET}-3", body_limit: 1MiB, unrouted: keep }}
  stripe: {{ provider: stripe, secret: "whsec_{SECRET}-4", body_limit: 1MiB, unrouted: keep }}
"#
    ))
}

fn started(server: &str) -> Gateway {
    let mut gateway = written(server);
    gateway.boot();
    gateway
}
