//! The body: gathered as it arrives, within its size, its time and the budget, and copied only when it comes in pieces.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};

use super::{budget::Share, refusal::Refusal};
use crate::{
    clock::Clock,
    limits::{BODY_BLOCK_BYTES, BODY_TIME_PER_MIB},
    rejection::Rejection,
};

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

/// What has come so far. Most bodies come whole, in one chunk, which is then taken as it is. Others are copied into blocks, so that a body
/// holds little more than its bytes while it grows, however small its chunks are; they are put together once, at its end.
enum Gathered {
    Nothing,
    One(Bytes),
    Many(Blocks),
}

#[derive(Default)]
struct Blocks {
    bytes: usize,
    full: Vec<BytesMut>,
    last: BytesMut,
}

impl Gathered {
    fn bytes(&self) -> u64 {
        let bytes = match self {
            Self::Nothing => 0,
            Self::One(chunk) => chunk.len(),
            Self::Many(blocks) => blocks.bytes,
        };
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    fn and(self, chunk: Bytes, announced: Option<u64>) -> Self {
        let mut blocks = match self {
            Self::Nothing => return Self::One(chunk),
            Self::One(first) => {
                let mut blocks = Blocks::default();
                blocks.take(&first, announced);
                blocks
            }
            Self::Many(blocks) => blocks,
        };
        blocks.take(&chunk, announced);
        Self::Many(blocks)
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Nothing => Bytes::new(),
            Self::One(chunk) => chunk,
            Self::Many(Blocks { full, last, .. }) if full.is_empty() => last.freeze(),
            Self::Many(Blocks { bytes, full, last }) => {
                let mut whole = BytesMut::with_capacity(bytes);
                // Each block is given back as soon as it is copied.
                full.into_iter().chain([last]).for_each(|block| whole.extend_from_slice(&block));
                whole.freeze()
            }
        }
    }
}

impl Blocks {
    fn take(&mut self, mut chunk: &[u8], announced: Option<u64>) {
        while !chunk.is_empty() {
            if self.last.len() == self.last.capacity() {
                let next = BytesMut::with_capacity(room(self.bytes, chunk.len(), announced));
                let last = std::mem::replace(&mut self.last, next);
                self.full.extend(Some(last).filter(|last| !last.is_empty()));
            }
            let (fits, rest) = chunk.split_at(chunk.len().min(self.last.capacity() - self.last.len()));
            self.last.extend_from_slice(fits);
            self.bytes += fits.len();
            chunk = rest;
        }
    }
}

/// Room of a block for `waiting` bytes behind `before` others: as much as has come so far, up to a whole block, but never beyond what was
/// announced, and never on the strength of the announcement alone. Blocks of one size take the places of others that were given back;
/// blocks as large as what came at once leave holes, which were twice the budget.
fn room(before: usize, waiting: usize, announced: Option<u64>) -> usize {
    let announced = announced.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(usize::MAX);
    let wanted = (before + waiting).min(announced.saturating_sub(before)).max(waiting);
    wanted.min(BODY_BLOCK_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(whole: &[u8], chunk_bytes: usize, announced: Option<u64>) -> Gathered {
        whole.chunks(chunk_bytes).fold(Gathered::Nothing, |so_far, chunk| so_far.and(Bytes::copy_from_slice(chunk), announced))
    }

    fn room_held(gathered: &Gathered) -> usize {
        match gathered {
            Gathered::Nothing => 0,
            Gathered::One(chunk) => chunk.len(),
            Gathered::Many(Blocks { full, last, .. }) => full.iter().chain([last]).map(BytesMut::capacity).sum(),
        }
    }

    #[test]
    fn a_body_is_its_chunks_in_order_whatever_their_size() {
        let whole: Vec<u8> = (0..100_003_u32).map(|number| number.to_le_bytes()[0] ^ number.to_le_bytes()[1]).collect();
        for chunk_bytes in [1, 7, 1000, BODY_BLOCK_BYTES - 1, BODY_BLOCK_BYTES, BODY_BLOCK_BYTES + 1, 60_000, 200_000] {
            for announced in [None, Some(100_003), Some(5), Some(u64::MAX)] {
                let gathered = gathered(&whole, chunk_bytes, announced);
                assert_eq!(gathered.bytes(), 100_003, "{chunk_bytes}, {announced:?}");
                assert_eq!(gathered.into_bytes(), whole, "{chunk_bytes}, {announced:?}");
            }
        }
    }

    #[test]
    fn a_body_holds_little_more_than_has_come() {
        for bytes in [2, 100, 5000, 20_000, 1_000_000] {
            for chunk_bytes in [1, 1460, 8192] {
                let held = room_held(&gathered(&vec![0; bytes], chunk_bytes, Some(25 << 20)));
                assert!(held <= (2 * bytes).min(bytes + BODY_BLOCK_BYTES), "{bytes} in chunks of {chunk_bytes}: {held}");
            }
        }
    }
}
