//! Every fixed bound in one place, each with its unit and its reason. Configurable bounds are in the plan, with these as their defaults.

use std::time::Duration;

/// Header fields a request may have (actix-http stops at 96 of its own accord).
pub const HEADER_FIELDS_MAX: usize = 96;
/// Bytes of a request's path and query: twice what RFC 9112, 3 asks every server to take; longer ones are answered 414.
pub const TARGET_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a request's head, from its line to its last field: a longer one is answered 414 or 431. Twice that is what the types of actix
/// hold of a name or a target.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Bytes of the extensions of one body's chunks: nobody reads them.
pub const CHUNK_EXTENSION_BYTES_MAX: usize = 16 * 1024;
/// Bytes of headers that are stored and forwarded with an event.
pub const STORED_HEAD_BYTES_MAX: usize = 16 * 1024;
/// Bytes of them that are ours at most; the provider's fields may take the rest.
pub const OUR_HEAD_BYTES_MAX: usize = 4 * 1024;
/// Bytes of the types of an event as a header shows them; further types are left out there.
pub const SHOWN_TYPES_BYTES_MAX: usize = 1024;
/// Bytes of the public URL as a header shows it; a longer one is left out, because half of it would mislead.
pub const SHOWN_URL_BYTES_MAX: usize = 1536;
/// How long before dead letters are purged that is said, or half of their retention when that is shorter.
pub const PURGE_ANNOUNCED_AHEAD: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How often it is said while nothing changes.
pub const PURGE_ANNOUNCED_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// Deliveries one event may fan out to.
pub const FAN_OUT_MAX: usize = 64;
/// Types one event may carry: providers send batches.
pub const EVENT_TYPES_MAX: usize = 32;
/// Bytes of one event type.
pub const EVENT_TYPE_BYTES_MAX: usize = 200;
/// Bytes of a provider's event id that are stored, shown and forwarded; the dedup key hashes the whole.
pub const PROVIDER_EVENT_ID_BYTES_MAX: usize = 200;
/// Secrets of one source that may be active at once.
pub const ACTIVE_SECRETS_MAX: usize = 4;
/// Networks one source's `allow_ips` may name: each request is held against them in turn.
pub const ALLOWED_NETWORKS_MAX: usize = 1024;
/// Names one source's `client_cert` may ask for: each request is held against them in turn.
pub const CLIENT_NAMES_MAX: usize = 64;
/// Names of a client's certificate that are looked at.
pub const CERTIFICATE_NAMES_MAX: usize = 256;
/// How far ahead a source's `observe_until` may lie: who needs longer should say so again.
pub const OBSERVED_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Signature candidates tried in one request.
pub const CANDIDATES_MAX: usize = 16;
/// Bytes of one text in the answer to a handshake: what is echoed is the asker's.
pub const ECHOED_BYTES_MAX: usize = 2 * 1024;
/// Bytes of the whole answer to a handshake.
pub const REPLY_BYTES_MAX: usize = 8 * 1024;
/// Bytes of a secret that a vendor hands over, at least and at most: a shorter one can be guessed.
pub const HANDED_BYTES_MIN: usize = 16;
/// See [`HANDED_BYTES_MIN`].
pub const HANDED_BYTES_MAX: usize = 1024;
/// Secrets handed over to one source that wait for the operator: further ones are refused, so that strangers cannot push one out.
pub const HANDED_PER_SOURCE_MAX: usize = 8;
/// How long one waits.
pub const HANDED_FOR: Duration = Duration::from_secs(60 * 60);
/// `Via: hookgate/...` entries after which a request is a loop.
pub const VIA_MAX: usize = 5;
/// Bytes of a target's answer that are read; more ends the connection, not the delivery.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a target's answer that are kept with a failed attempt.
pub const EXCERPT_BYTES_MAX: usize = 1024;
/// Bytes of a PEM file: a system's whole list of authorities has a quarter of that.
pub const PEM_BYTES_MAX: usize = 1024 * 1024;
/// Deliveries that may be in flight over all lanes of a shard.
pub const IN_FLIGHT_MAX: usize = 512;
/// In-flight deliveries each lane is guaranteed, whatever the others do.
pub const LANE_SHARE_MIN: usize = 2;
/// Leases a lane may hold beyond its places, in multiples of them: enough for a fast target to work on while the next claim is committed
/// and read, and for the events of one commit to be handed over together.
pub const PREFETCH_PER_PLACE: usize = 4;
/// Leases one claim may answer.
pub const CLAIM_MAX: usize = 256;
/// Deliveries that are not due yet which one claim looks at for a target that is back: each costs the store's one writer some microseconds.
pub const PULL_LOOKS_MAX: usize = 1024;
/// Crashes in a row in which a delivery was leased, from which on it is a suspect. One is any restart.
pub const SUSPECT_CRASHES_MIN: u32 = 2;
/// Crashes in which a delivery was the one suspect under way, after which it is put away: those that made it one are not among them.
pub const TRIALS_MAX: u32 = 3;
/// How long a process must have gone on before whoever was on trial when the one before it ended is tried again.
pub const TRIAL_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// Suspects a lane holds for each of its places; further ones wait in the store.
pub const SUSPECTS_PER_PLACE: usize = 8;
/// How long a suspect waits there before it is looked for again.
pub const SUSPECT_PAUSE: Duration = Duration::from_secs(2);
/// Fenced writes one settle may carry.
pub const SETTLE_MAX: usize = 128;
/// Admits waiting for the store.
pub const ADMITS_WAITING_MAX: usize = 1024;
/// Bytes of admits waiting for the store.
pub const ADMIT_BYTES_WAITING_MAX: usize = 64 * 1024 * 1024;
/// Admits in one commit.
pub const BATCH_ADMITS_MAX: usize = 256;
/// Bytes of admits in one commit: one huge body must not hold up 255 acks.
pub const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How old the oldest waiting admit may be before the door sheds.
pub const QUEUE_AGE_MAX: Duration = Duration::from_millis(1500);
/// Bytes of handed-over payloads that deliveries may hold in memory; beyond it they are read back from the store.
pub const DELIVERY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The shortest lease.
pub const LEASE_MIN: Duration = Duration::from_secs(30);
/// What a lease lasts beyond the attempt's own timeout.
pub const LEASE_MARGIN: Duration = Duration::from_secs(20);
/// What must be left of a lease beyond the attempt's timeout for the attempt to start.
pub const LEASE_START_MARGIN: Duration = Duration::from_secs(2);
/// The longest time a request for a lease may be on its way: taken off the lease as seen locally.
pub const LEASE_LOCAL_MARGIN: Duration = Duration::from_secs(2);
/// The longest timeout of an attempt.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(300);
/// The longest delay between attempts: a stored due time beyond it came from a clock that had run ahead.
pub const BACKOFF_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Threads that answer at the door, at most; fewer on a machine with fewer cores.
pub const DOOR_WORKERS_MAX: usize = 4;
/// Connections the kernel holds until we accept them.
pub const LISTEN_BACKLOG: i32 = 1024;
/// From the connection to the end of the TLS handshake.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(4);
/// From there to the end of the first request's head.
pub const HEAD_TIME: Duration = Duration::from_secs(5);
/// How long a connection may idle between two requests.
pub const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// How long beyond that a later request's head may take: actix times only the first one's, so our watchdog does.
pub const LATER_HEAD_TIME: Duration = Duration::from_secs(3);
/// How long a connection may linger after an answer that closes it.
pub const LINGER_TIME: Duration = Duration::from_secs(2);
/// How long a stop waits for the door's threads once their connections are gone.
pub const STOP_SLACK: Duration = Duration::from_millis(100);
/// How often the watchdog looks.
pub const WATCH_EVERY: Duration = Duration::from_millis(500);
/// Requests one connection may carry, so that load finds its way to new workers and nothing lives for ever.
pub const REQUESTS_PER_CONNECTION_MAX: u32 = 1000;
/// What a body may take longer for each started MiB that has arrived.
pub const BODY_TIME_PER_MIB: Duration = Duration::from_secs(1);
/// Bytes read behind the last answer of a connection: the rest of the largest body that any source may take, so that its sender gets to the
/// answer.
pub const DRAINED_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes a body's buffer grows by: what it may hold beyond what has come, and been counted.
pub const BODY_BLOCK_BYTES: usize = 8 * 1024;
/// So many percent of a number of bytes, rounded down: what may be held of the bytes in flight, and what a configuration is checked for.
#[must_use]
pub fn percent_of(bytes: u64, percent: u64) -> u64 {
    u64::try_from(u128::from(bytes) * u128::from(percent) / 100).unwrap_or(u64::MAX)
}

/// The share of the bytes in flight that unverified requests may hold, in percent.
pub const UNVERIFIED_SHARE_PERCENT: u64 = 50;
/// The share of the bytes in flight that each source has for itself whatever strangers hold elsewhere, in percent: 2.5 MiB by default.
pub const SOURCE_RESERVE_PERCENT: u64 = 1;
/// How long before the answer is due the store must have begun: later it is told not to.
pub const ADMIT_MARGIN: Duration = Duration::from_millis(250);
/// How long before the answer is due the door stops waiting for the store.
pub const ANSWER_MARGIN: Duration = Duration::from_millis(50);
/// Seconds a refused provider is asked to wait, at least and at most: spread, so that all do not come back at once.
pub const RETRY_AFTER_S: std::ops::RangeInclusive<u32> = 5..=30;

/// How long one errand may take: fetching a key, confirming a subscription; name, connection and whole answer together.
pub const ERRAND_TIME: Duration = Duration::from_secs(2);
/// Errands that one request may wait for: a token, and the key that is given out for it.
pub const ERRANDS_PER_REQUEST_MAX: usize = 2;
/// Bytes of its answer; a longer one is none.
pub const ERRAND_BYTES_MAX: usize = 64 * 1024;

/// Bytes of rejected.db that hold requests, in pages: what does not fit goes out by who holds most, oldest first.
pub const RING_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes of one rejected request; a larger one is not kept.
pub const RING_REQUEST_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Rejected requests that wait to be written.
pub const RING_WAITING_MAX: u64 = 256;
/// Bytes of them.
pub const RING_BYTES_WAITING_MAX: u64 = 16 * 1024 * 1024;
/// The time over which the shares below are counted.
pub const RING_WINDOW: Duration = Duration::from_secs(10);
/// Rejected requests of one source that are kept in that time: a flood is a sample, and costs no more than this.
pub const RING_SOURCE_REQUESTS_MAX: u32 = 500;
/// Bytes of them; a larger one is kept when it is the first.
pub const RING_SOURCE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Those of one client among them.
pub const RING_CLIENT_REQUESTS_MAX: u32 = 100;

/// Items of a page of a list.
pub const LIST_ITEMS_MAX: usize = 500;
/// Rows that are looked at for one page: what is rare is found in several.
pub const LIST_ROWS_MAX: usize = 20_000;

/// How long a lease of a delivery to a target with this attempt timeout lasts.
#[must_use]
pub fn lease_for(timeout: Duration) -> Duration {
    LEASE_MIN.max(timeout + LEASE_MARGIN)
}
