//! A target that costs almost nothing: reads a request, answers 200, counts. It keeps its connections.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// Serves until killed.
pub(crate) fn serve(listen: SocketAddr) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let listener = TcpListener::bind(listen).await.expect("a free port");
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                tokio::task::spawn_local(answer(stream));
            }
        }
    });
}

async fn answer(mut stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let mut held: Vec<u8> = Vec::with_capacity(16 * 1024);
    loop {
        while let Some(request_bytes) = whole_request(&held) {
            held.drain(..request_bytes);
            if stream.write_all(ANSWER).await.is_err() {
                return;
            }
        }
        match stream.read_buf(&mut held).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// How many bytes the first request takes, once all of it is here.
fn whole_request(held: &[u8]) -> Option<usize> {
    let head_bytes = held.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&held[..head_bytes]).ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let whole = head_bytes + length.unwrap_or(0);
    (held.len() >= whole).then_some(whole)
}
