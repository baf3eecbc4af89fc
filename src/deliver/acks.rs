//! A connection to a target that acknowledges at once what it has read.
//!
//! Many servers write the head and the body of an answer apart. With Nagle's algorithm on (RFC 896), and it is on unless somebody thought
//! of it, their second write waits until we acknowledge the first; with delayed acknowledgement (RFC 1122, section 4.2.3.2) we wait 40 ms
//! for something to send along. Each waits for the other, and a target that answers in 1 ms is given 16 requests in 40. A gateway cannot
//! mend its targets; it can acknowledge.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// A TCP connection whose reads are acknowledged without delay.
#[derive(Debug)]
pub struct PromptAcks(pub(super) TcpStream);

impl AsyncRead for PromptAcks {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.0).poll_read(cx, buf));
        if buf.filled().len() > before {
            acknowledge(&self.0);
        }
        Poll::Ready(read)
    }
}

/// Sends what acknowledgement is due. The kernel goes back to delaying by itself, so this is asked for after each read.
#[cfg(target_os = "linux")]
fn acknowledge(tcp: &TcpStream) {
    // A kernel that refuses costs the target its time, and nobody an event.
    let _ = rustix::net::sockopt::set_tcp_quickack(tcp, true);
}

#[cfg(not(target_os = "linux"))]
fn acknowledge(_: &TcpStream) {}

impl AsyncWrite for PromptAcks {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }
}

impl Connection for PromptAcks {
    fn connected(&self) -> Connected {
        self.0.connected()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::net::sockopt::tcp_quickack;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// Conversations long enough for any kernel to take the connection for an interactive one.
    const TURNS_MAX: usize = 1_000;

    /// Asks and is answered until the kernel delays its acknowledgements; says whether it came to that.
    async fn comes_to_delay<S>(mut ours: S, mut theirs: TcpStream, delays: impl Fn(&S) -> bool) -> bool
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        for _ in 0..TURNS_MAX {
            let mut byte = [0];
            ours.write_all(b"?").await.expect("loopback");
            theirs.read_exact(&mut byte).await.expect("loopback");
            theirs.write_all(b"!").await.expect("loopback");
            ours.read_exact(&mut byte).await.expect("loopback");
            if delays(&ours) {
                return true;
            }
        }
        false
    }

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let ours = TcpStream::connect(listener.local_addr().expect("loopback")).await.expect("loopback");
        (ours, listener.accept().await.expect("loopback").0)
    }

    #[tokio::test]
    async fn a_connection_in_conversation_never_comes_to_delay_its_acknowledgements() {
        let (plain, theirs) = pair().await;
        assert!(
            comes_to_delay(plain, theirs, |tcp| !tcp_quickack(tcp).expect("loopback")).await,
            "this kernel never delays: nothing is shown"
        );
        let (ours, theirs) = pair().await;
        assert!(!comes_to_delay(PromptAcks(ours), theirs, |ours| !tcp_quickack(&ours.0).expect("loopback")).await);
    }
}
