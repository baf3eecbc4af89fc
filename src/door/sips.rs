//! A socket that is read one piece at a time.
//!
//! actix reads on as long as something comes, up to 128 KiB, before it looks at what it has: ten thousand clients with large bodies would
//! fill a gigabyte that no budget of ours knows of. Behind this, each look at a connection reads one piece, and what is in it is handed on,
//! counted, or refused before the next.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The socket, with its pauses.
#[derive(Debug)]
pub(super) struct Sips<T> {
    io: T,
    /// Something was read, and has not been looked at yet.
    pauses: bool,
}

impl<T> Sips<T> {
    pub(super) fn new(io: T) -> Self {
        Self { io, pauses: false }
    }

    /// The socket itself.
    pub(super) fn io(&self) -> &T {
        &self.io
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Sips<T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.pauses) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = into.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(context, into))?;
        self.pauses = into.filled().len() > before;
        Poll::Ready(Ok(()))
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
    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn nothing_is_lost_between_two_pieces() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|number| number.to_le_bytes()[0]).collect();
        let mut read = Vec::new();
        Sips::new(&bytes[..]).read_to_end(&mut read).await.expect("in memory");
        assert_eq!(read, bytes);
    }

    #[test]
    fn each_look_reads_one_piece() {
        let mut sips = Sips::new(&b"0123456789"[..]);
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut room = [0; 4];
        let mut look = |sips: &mut Sips<&[u8]>| {
            let mut into = ReadBuf::new(&mut room);
            Pin::new(sips).poll_read(&mut context, &mut into).map_ok(|()| into.filled().len())
        };
        assert!(matches!(look(&mut sips), Poll::Ready(Ok(4))));
        assert!(look(&mut sips).is_pending());
        assert!(matches!(look(&mut sips), Poll::Ready(Ok(4))));
        assert!(look(&mut sips).is_pending());
        assert!(matches!(look(&mut sips), Poll::Ready(Ok(2))));
        assert!(look(&mut sips).is_pending());
        assert!(matches!(look(&mut sips), Poll::Ready(Ok(0))), "the end is no piece");
        assert!(matches!(look(&mut sips), Poll::Ready(Ok(0))));
    }
}
