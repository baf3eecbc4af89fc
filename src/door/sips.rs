//! A socket that is read a piece at a time.
//!
//! actix reads on as long as something comes, up to 128 KiB, before it looks at what it has, and a buffer that was once filled is twice as
//! large the next time, up to a whole body: ten thousand clients with large bodies would fill gigabytes that no budget of ours knows of.
//! Behind this, each look at a connection reads little, whatever room there is, and what is in it is handed on, counted, or refused before
//! the next.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use crate::limits::DRAINED_BYTES_MAX;

/// Bytes that are read before they are looked at: two of actix's own pieces, so that a request of usual size never pauses.
const SIP_BYTES: usize = 16 * 1024;

/// The socket, with its pauses.
#[derive(Debug)]
pub(super) struct Sips<T> {
    io: T,
    /// Bytes that were read, and have not been looked at yet.
    unseen: usize,
    /// The last answer of the connection is made: what comes now is read so that the client gets to it, and no further than that takes.
    ended: Arc<AtomicBool>,
    /// Bytes read since.
    drained: usize,
}

impl<T> Sips<T> {
    pub(super) fn new(io: T) -> Self {
        Self { io, unseen: 0, ended: Arc::default(), drained: 0 }
    }

    /// To be set when the last answer of the connection is made.
    pub(super) fn ended(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.ended)
    }

    /// The socket itself.
    pub(super) fn io(&self) -> &T {
        &self.io
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Sips<T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.unseen >= SIP_BYTES {
            self.unseen = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.drained >= DRAINED_BYTES_MAX {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let before = into.filled().len();
        let left = u64::try_from(SIP_BYTES - self.unseen).unwrap_or(u64::MAX);
        let read = Pin::new(&mut (&mut self.io).take(left)).poll_read(context, into);
        let bytes = into.filled().len() - before;
        self.unseen = if read.is_ready() { self.unseen + bytes } else { 0 };
        if self.ended.load(Ordering::Acquire) {
            self.drained = self.drained.saturating_add(bytes);
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Sips<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_lost_between_two_pieces() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|number| number.to_le_bytes()[0]).collect();
        let mut read = Vec::new();
        Sips::new(&bytes[..]).read_to_end(&mut read).await.expect("in memory");
        assert_eq!(read, bytes);
    }

    #[test]
    fn after_two_pieces_it_pauses_and_then_goes_on() {
        let bytes = vec![7; 3 * SIP_BYTES];
        let mut sips = Sips::new(&bytes[..]);
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut room = vec![0; SIP_BYTES / 2];
        let mut look = || {
            let mut into = ReadBuf::new(&mut room);
            Pin::new(&mut sips).poll_read(&mut context, &mut into).map_ok(|()| into.filled().len())
        };
        for _ in 0..3 {
            assert!(matches!(look(), Poll::Ready(Ok(n)) if n == SIP_BYTES / 2));
            assert!(matches!(look(), Poll::Ready(Ok(n)) if n == SIP_BYTES / 2));
            assert!(look().is_pending());
        }
        assert!(matches!(look(), Poll::Ready(Ok(0))), "the end is no piece");
        assert!(matches!(look(), Poll::Ready(Ok(0))));
    }

    #[test]
    fn however_much_room_there_is_a_piece_is_all_that_comes() {
        let bytes = vec![7; 10 * SIP_BYTES];
        let mut sips = Sips::new(&bytes[..]);
        let mut context = Context::from_waker(std::task::Waker::noop());
        let (mut room, mut read, mut pieces) = (vec![0; bytes.len()], 0, 0);
        while read < bytes.len() {
            let mut into = ReadBuf::new(&mut room);
            match Pin::new(&mut sips).poll_read(&mut context, &mut into) {
                Poll::Ready(Ok(())) => pieces += 1,
                other => assert!(other.is_pending()),
            }
            assert!(into.filled().len() <= SIP_BYTES, "{} bytes at once", into.filled().len());
            read += into.filled().len();
        }
        assert_eq!(pieces, 10);
    }

    #[tokio::test]
    async fn behind_the_last_answer_it_reads_only_so_much() {
        let mut endless = Sips::new(tokio::io::repeat(7));
        endless.ended().store(true, Ordering::Release);
        let mut drained = 0;
        let mut room = vec![0; 1 << 20];
        while let Ok(bytes) = endless.read(&mut room).await {
            drained += bytes;
            assert!(drained <= DRAINED_BYTES_MAX + SIP_BYTES);
        }
        assert!(drained >= DRAINED_BYTES_MAX);
    }
}
