//! The body: gathered as it arrives, within its size, its time and the budget, and copied only when it comes in pieces.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};

use super::{budget::Share, refusal::Refusal};
use crate::{clock::Clock, limits::BODY_TIME_PER_MIB, rejection::Rejection};

const MIB: u64 = 1024 * 1024;

/// The body ended before its end, or its framing is broken: what came cannot be trusted, and nothing after it on this connection either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenBody;

/// Reads the whole body.
///
/// # Errors It is larger than `bytes_max`, later than `time` and a second for each started MiB that has come, broken, or more than the
/// budget has left.
pub(super) async fn read(
    mut chunks: impl Stream<Item = Result<Bytes, BrokenBody>> + Unpin,
    announced: Option<u64>,
    bytes_max: u64,
    time: Duration,
    clock: &Clock,
    share: &mut Share<'_>,
) -> Result<Bytes, Refusal> {
    let start = clock.mono();
    let mut gathered = Gathered::Nothing;
    loop {
        let received = gathered.bytes();
        let started_mib = u32::try_from(received / MIB + 1).unwrap_or(u32::MAX);
        let due = start + time.saturating_add(BODY_TIME_PER_MIB.saturating_mul(started_mib));
        let next = tokio::time::timeout(due.since(clock.mono()), chunks.next()).await;
        let Some(chunk) = next.map_err(|_| Rejection::SlowBody)? else {
            return Ok(gathered.into_bytes());
        };
        let chunk = chunk.map_err(|BrokenBody| Refusal::BrokenBody)?;
        let total = received.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        if total > bytes_max {
            return Err(Rejection::TooLarge.into());
        }
        share.grow(chunk.len())?;
        gathered = gathered.and(chunk, announced);
    }
}

/// What has come so far. Most bodies come whole, in one chunk, which is then taken as it is.
enum Gathered {
    Nothing,
    One(Bytes),
    Many(BytesMut),
}

impl Gathered {
    fn bytes(&self) -> u64 {
        let bytes = match self {
            Self::Nothing => 0,
            Self::One(chunk) => chunk.len(),
            Self::Many(buffer) => buffer.len(),
        };
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// The buffer doubles, but never beyond what was announced, and never on the strength of the announcement alone.
    fn and(self, chunk: Bytes, announced: Option<u64>) -> Self {
        let mut buffer = match self {
            Self::Nothing => return Self::One(chunk),
            Self::One(first) => {
                let mut buffer = BytesMut::with_capacity(room(first.len() + chunk.len(), announced));
                buffer.extend_from_slice(&first);
                buffer
            }
            Self::Many(buffer) => buffer,
        };
        if buffer.capacity() - buffer.len() < chunk.len() {
            buffer.reserve(room(buffer.len() + chunk.len(), announced) - buffer.len());
        }
        buffer.extend_from_slice(&chunk);
        Self::Many(buffer)
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Nothing => Bytes::new(),
            Self::One(chunk) => chunk,
            Self::Many(buffer) => buffer.freeze(),
        }
    }
}

/// Room for `needed` bytes and as many again, unless fewer are to come.
fn room(needed: usize, announced: Option<u64>) -> usize {
    let announced = announced.and_then(|bytes| usize::try_from(bytes).ok());
    needed.max(announced.unwrap_or(usize::MAX).min(needed.saturating_mul(2)))
}
