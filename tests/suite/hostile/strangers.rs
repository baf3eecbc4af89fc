//! Strangers: connections from as many addresses as wanted, which nobody waits for.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream},
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};

use crate::support::patience::SOON;

/// The `number`th address of 127/8, from 127.1.0.1 on: all of them are this machine.
pub(super) fn address(number: usize) -> Ipv4Addr {
    let host = u32::try_from(number % 0x00f0_0000).expect("24 bits") + 0x0001_0001;
    Ipv4Addr::from_bits(0x7f00_0000 | host)
}

/// A connection from an address of its own; reads and writes give up after a while.
pub(super) fn from(number: usize, to: SocketAddr) -> std::io::Result<TcpStream> {
    let SocketAddr::V4(to) = to else { panic!("the door under test is on IPv4") };
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddrV4::new(address(number), 0))?;
    connect(&socket, &to)?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(SOON))?;
    stream.set_write_timeout(Some(SOON))?;
    Ok(stream)
}

/// The same, of which no call waits.
pub(super) fn restless(number: usize, to: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = from(number, to)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// What a look at a connection has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Nothing new.
    Nothing,
    /// An answer with this status.
    Answer(u16),
    /// The end.
    Closed,
}

/// Looks without waiting.
pub(super) fn look(stream: &mut TcpStream) -> Seen {
    let mut bytes = [0; 1024];
    match stream.read(&mut bytes) {
        Ok(0) => Seen::Closed,
        Ok(read) => {
            let status = bytes[..read].strip_prefix(b"HTTP/1.1 ").and_then(|rest| std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok());
            status.map_or(Seen::Nothing, Seen::Answer)
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => Seen::Nothing,
        Err(_) => Seen::Closed,
    }
}

/// Sends what can be sent without waiting; how many bytes that was, or `None` when the other side has gone.
pub(super) fn offer(stream: &mut TcpStream, bytes: &[u8]) -> Option<usize> {
    match stream.write(bytes) {
        Ok(sent) => Some(sent),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Some(0),
        Err(_) => None,
    }
}
