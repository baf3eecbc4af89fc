//! A socket that is read a piece at a time, and a head no further than a head may go.
//!
//! actix reads on as long as something comes, up to 128 KiB, before it looks at what it has, and a buffer that was once filled is twice as
//! large the next time, up to a whole body: ten thousand clients with large bodies would fill gigabytes that no budget of ours knows of.
//! Behind this, each look at a connection reads little, whatever room there is, and what is in it is handed on, counted, or refused before
//! the next.
//!
//! actix cannot hold a target or a name of 64 KiB: it answers 400 to the one and panics at the other. So a head that has not ended after
//! [`HEAD_BYTES_MAX`] is ended here, in words of ours: of a target that makes a request, which [`handle`](super::handle) refuses unseen; of
//! fields, more than actix takes, which it refuses itself. What is left of the client's is read and thrown away. Bytes belong to a head
//! when no request is being answered, and actix has looked at them and found no request. Those that came along with the body before are
//! not counted: where that body ended, only actix knows.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use super::{course::Course, framing::Framing};
use crate::limits::{DRAINED_BYTES_MAX, HEAD_BYTES_MAX};

/// Bytes that are read before they are looked at: a request of usual size never pauses. actix begins with room for 8 KiB.
const SIP_BYTES: usize = 7 * 1024;
/// With less room left than this, actix makes more before it looks at what it has: twice as much, and it keeps that for good. It was 21 KiB
/// for each of ten thousand large bodies, of which no budget knows.
const ROOM_LEFT_BYTES: usize = 1024;

/// Ends a request whose target goes on and on.
const TARGET_ENDS: &[u8] = b" HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n";
/// The statuses of a head that is too long (RFC 9112, 3; RFC 6585, 5).
const TARGET_TOO_LONG: u16 = 414;
const FIELDS_TOO_LONG: u16 = 431;
/// Goes on with a field until actix has had enough.
const FIELD_GOES_ON: &[u8] = &[b'x'; 1024];

/// How far a head has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reached {
    /// Empty lines at most.
    Nothing,
    Method,
    Target,
    Fields,
}

impl Reached {
    fn and(self, bytes: &[u8]) -> Self {
        let step = |reached, byte: &u8| match (reached, byte) {
            (Self::Nothing, b'\r' | b'\n') => Self::Nothing,
            (Self::Fields, _) | (_, b'\n') => Self::Fields,
            (Self::Nothing | Self::Method, b' ') | (Self::Target, _) => Self::Target,
            (Self::Nothing | Self::Method, _) => Self::Method,
        };
        if self == Self::Fields { self } else { bytes.iter().fold(self, step) }
    }
}

/// The socket, with its pauses.
#[derive(Debug)]
pub(super) struct Sips<T> {
    io: T,
    course: Arc<Course>,
    /// Where requests begin and end.
    framing: Framing,
    /// Bytes that were read, and have not been looked at yet.
    unseen: usize,
    /// Bytes of the head being read that actix has looked at, and found no request in.
    head: usize,
    reached: Reached,
    /// Answers that had been made when this head began.
    answers: u32,
    /// What actix gets to see from here on, instead of what comes.
    instead: Option<&'static [u8]>,
    /// Bytes read that nobody looks at.
    drained: usize,
}

impl<T> Sips<T> {
    pub(super) fn new(io: T) -> Self {
        Self {
            io,
            course: Arc::default(),
            framing: Framing::default(),
            unseen: 0,
            head: 0,
            reached: Reached::Nothing,
            answers: 0,
            instead: None,
            drained: 0,
        }
    }

    /// To be told where the connection stands.
    pub(super) fn course(&self) -> Arc<Course> {
        Arc::clone(&self.course)
    }

    /// Whether a head is being read. One that begins is counted from nothing.
    fn in_head(&mut self) -> bool {
        let answers = self.course.answers();
        if answers != self.answers {
            (self.answers, self.head, self.unseen, self.reached) = (answers, 0, 0, Reached::Nothing);
        }
        self.course.is_at_head()
    }

    /// actix looks at what it has: if that was a request, nobody counts on.
    fn pause(&mut self, in_head: bool) {
        let looked_at = std::mem::take(&mut self.unseen);
        self.head = if in_head { self.head + looked_at } else { 0 };
    }

    /// The socket itself.
    pub(super) fn io(&self) -> &T {
        &self.io
    }
}

impl<T: AsyncRead + Unpin> Sips<T> {
    /// Reads at most `bytes_max` bytes; says how many.
    fn read_some(&mut self, context: &mut Context<'_>, into: &mut ReadBuf<'_>, bytes_max: usize) -> Poll<io::Result<usize>> {
        let before = into.filled().len();
        let bytes_max = u64::try_from(bytes_max).unwrap_or(u64::MAX);
        let read = Pin::new(&mut (&mut self.io).take(bytes_max)).poll_read(context, into);
        read.map_ok(|()| into.filled().len() - before)
    }

    /// Throws away what the client sends on, and hands out what stands for it.
    fn read_instead(&mut self, context: &mut Context<'_>, into: &mut ReadBuf<'_>, instead: &'static [u8]) -> Poll<io::Result<()>> {
        let mut waste = [0; 4096];
        loop {
            let mut nobodys = ReadBuf::new(&mut waste);
            match self.read_some(context, &mut nobodys, SIP_BYTES) {
                Poll::Ready(Ok(0)) if instead.is_empty() => return Poll::Ready(Ok(())),
                Poll::Pending if instead.is_empty() => return Poll::Pending,
                // actix closes the connection over what it is told, also when the client has hung up.
                Poll::Ready(Ok(0)) | Poll::Pending => break,
                Poll::Ready(Err(broken)) => return Poll::Ready(Err(broken)),
                Poll::Ready(Ok(bytes)) => self.drained += bytes,
            }
            if self.drained >= DRAINED_BYTES_MAX {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
        }
        let (now, later) = instead.split_at(instead.len().min(into.remaining()));
        into.put_slice(now);
        self.drained += now.len();
        if self.course.refusal() == Some(TARGET_TOO_LONG) {
            self.instead = Some(later);
        }
        Poll::Ready(Ok(()))
    }

    /// Ends a head that does not end, and says in which words.
    fn end_head(&mut self) -> &'static [u8] {
        let (status, instead) = match self.reached {
            Reached::Target => (TARGET_TOO_LONG, TARGET_ENDS),
            Reached::Nothing | Reached::Method | Reached::Fields => (FIELDS_TOO_LONG, FIELD_GOES_ON),
        };
        self.course.refuse(status);
        self.instead = Some(instead);
        instead
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Sips<T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(instead) = this.instead {
            return this.read_instead(context, into, instead);
        }
        let in_head = this.in_head();
        let is_room_scarce = into.remaining() <= 2 * ROOM_LEFT_BYTES;
        if this.unseen >= SIP_BYTES || this.unseen > 0 && is_room_scarce {
            this.pause(in_head);
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if in_head && this.head >= HEAD_BYTES_MAX {
            let instead = this.end_head();
            return this.read_instead(context, into, instead);
        }
        if this.drained >= DRAINED_BYTES_MAX {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let before = into.filled().len();
        // What little room is left behind what was looked at is not filled either: half of it empty, actix goes back to the beginning of
        // what it has.
        let room = if is_room_scarce { into.remaining().div_ceil(2) } else { into.remaining() - ROOM_LEFT_BYTES };
        let read = this.read_some(context, into, room.min(SIP_BYTES - this.unseen));
        match read {
            Poll::Ready(Ok(bytes)) => this.unseen += bytes,
            Poll::Ready(Err(_)) => {}
            Poll::Pending => this.pause(in_head),
        }
        this.framing.follow(into.filled_mut().get_mut(before..).unwrap_or_default());
        if in_head {
            this.reached = this.reached.and(into.filled().get(before..).unwrap_or_default());
        } else if this.course.has_ended() {
            this.drained = this.drained.saturating_add(into.filled().len() - before);
        }
        read.map_ok(|_| ())
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
    use std::pin::pin;

    use bytes::BytesMut;

    use super::*;

    #[tokio::test]
    async fn nothing_is_lost_between_two_pieces() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|number| number.to_le_bytes()[0]).collect();
        let mut read = Vec::new();
        let mut sips = Sips::new(&bytes[..]);
        sips.course().begin();
        sips.read_to_end(&mut read).await.expect("in memory");
        assert_eq!(read, bytes);
    }

    #[test]
    fn after_two_pieces_it_pauses_and_then_goes_on() {
        let bytes = vec![7; 3 * SIP_BYTES];
        let mut sips = Sips::new(&bytes[..]);
        sips.course().begin();
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut room = vec![0; SIP_BYTES / 2 + ROOM_LEFT_BYTES];
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
        sips.course().begin();
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

    /// actix's own loop, with its own figures: whatever comes is a body, and let go as soon as it is looked at.
    #[test]
    fn a_body_takes_no_more_room_than_a_connection_begins_with() {
        const ROOM_BYTES: usize = 8 * 1024;
        let body = vec![7; 1 << 20];
        let mut sips = Sips::new(&body[..]);
        sips.course().begin();
        let mut context = Context::from_waker(std::task::Waker::noop());
        let (mut room, mut read, mut looks) = (BytesMut::with_capacity(ROOM_BYTES), 0, 0);
        while read < body.len() {
            let left = room.capacity() - room.len();
            if left < ROOM_LEFT_BYTES {
                room.reserve(ROOM_BYTES - left);
                assert!(room.capacity() <= ROOM_BYTES, "{} bytes after {read}", room.capacity());
            }
            match pin!(sips.read_buf(&mut room)).poll(&mut context) {
                Poll::Ready(Ok(bytes)) if bytes > 0 => {}
                other => {
                    assert!(!matches!(other, Poll::Ready(Err(_))), "in memory");
                    read += room.split().len();
                    looks += 1;
                }
            }
        }
        assert!(looks <= body.len() / SIP_BYTES + 1, "{looks} looks");
    }

    /// What actix would see of a request in its first 128 KiB, where it gives up on a head.
    async fn seen(request: &str) -> (Option<u16>, Vec<u8>) {
        let mut sips = Sips::new(request.as_bytes());
        let course = sips.course();
        let mut seen = Vec::new();
        let mut room = vec![0; 64 * 1024];
        while seen.len() < 128 * 1024 {
            match sips.read(&mut room).await.expect("in memory") {
                0 => break,
                bytes => seen.extend_from_slice(&room[..bytes]),
            }
        }
        (course.refusal(), seen)
    }

    #[tokio::test]
    async fn a_head_goes_so_far_and_no_further() {
        let (refusal, read) = seen(&format!("\r\nPOST /{} HTTP/1.1\r\n\r\n", "a".repeat(200_000))).await;
        assert_eq!(refusal, Some(414));
        let own = read.strip_suffix(TARGET_ENDS).expect("a target that is ended makes a request");
        assert!(own.starts_with(b"\r\nPOST /aaa") && own.ends_with(b"aaa") && (HEAD_BYTES_MAX..2 * HEAD_BYTES_MAX).contains(&own.len()));
        for endless in [format!("POST / HTTP/1.1\r\n{}: a\r\n\r\n", "X".repeat(200_000)), "M".repeat(200_000)] {
            let (refusal, read) = seen(&endless).await;
            assert_eq!(refusal, Some(431));
            let own = read.iter().take_while(|byte| **byte != b'x').count();
            assert!((HEAD_BYTES_MAX..2 * HEAD_BYTES_MAX).contains(&own), "{own} bytes of it were seen");
            assert!(read.len() >= 128 * 1024 && read[own..].iter().all(|byte| *byte == b'x'), "and then there is no end of it");
        }
        let large = format!("POST / HTTP/1.1\r\nX: {}", "a".repeat(HEAD_BYTES_MAX - 30));
        assert_eq!(seen(&large).await, (None, large.into_bytes()));
    }

    #[tokio::test]
    async fn what_is_no_head_goes_on_for_ever() {
        let mut sips = Sips::new(tokio::io::repeat(b'a'));
        let course = sips.course();
        let mut room = vec![0; SIP_BYTES];
        for answer in 0..20 {
            // A head, its body, and the beginning of the next head, none of which is as long as all together.
            sips.read_exact(&mut room).await.expect("endless");
            course.begin();
            for _ in 0..10 * answer {
                sips.read_exact(&mut room).await.expect("endless");
            }
            course.finish(true);
        }
        assert_eq!(course.refusal(), None);
    }

    #[tokio::test]
    async fn behind_the_last_answer_it_reads_only_so_much() {
        let mut endless = Sips::new(tokio::io::repeat(7));
        endless.course().finish(false);
        let mut drained = 0;
        let mut room = vec![0; 1 << 20];
        while let Ok(bytes) = endless.read(&mut room).await {
            drained += bytes;
            assert!(drained <= DRAINED_BYTES_MAX + SIP_BYTES);
        }
        assert!(drained >= DRAINED_BYTES_MAX);
    }
}
