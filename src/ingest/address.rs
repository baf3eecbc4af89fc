//! Whose request it is: the peer's address, or what a proxy we trust says.

use std::net::{IpAddr, Ipv6Addr};

use super::head::Head;
use crate::plan::{Server, Tls};

/// The client of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Client {
    /// Its address, for logs.
    pub(super) ip: IpAddr,
    /// Whether the address tells clients apart. It does not when it is a proxy's that speaks for everybody, and says nothing of a stranger
    /// when it is this machine's own: a limit for each address would then be one for all.
    pub(super) is_its_own: bool,
}

impl Client {
    /// The peer, unless it is a trusted proxy: then the right-most address in `X-Forwarded-For` that is not one of theirs. Further left
    /// stands what the client itself wrote. Behind `tls: upstream` without `trusted_proxies` every peer is the proxy.
    pub(super) fn of(head: &Head, server: &Server) -> Self {
        let trusted = |ip: IpAddr| server.trusted_proxies.iter().any(|net| net.contains(&ip));
        let peer = head.peer.to_canonical();
        if !trusted(peer) {
            let proxy = matches!(server.tls, Tls::Upstream) && server.trusted_proxies.is_empty();
            return Self { ip: peer, is_its_own: !proxy && !peer.is_loopback() };
        }
        let fields: Vec<&[u8]> = head.headers.all("x-forwarded-for").collect();
        let hops = fields.iter().rev().flat_map(|value| value.rsplit(|byte| *byte == b','));
        // A hop that is no address was not written by a proxy we can believe: nothing left of it counts.
        let untrusted = hops.map_while(address).find(|ip| !trusted(*ip));
        untrusted.map_or(Self { ip: peer, is_its_own: false }, |ip| Self { ip, is_its_own: true })
    }

    /// What its requests are counted under. An IPv6 client is given whole networks, so its /64 counts.
    pub(super) fn counted_as(self) -> IpAddr {
        match self.ip {
            IpAddr::V4(_) => self.ip,
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
        }
    }
}

/// An address as proxies write it: bare, with a port, or in brackets.
#[must_use]
pub fn address(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?.trim();
    let bare = hop.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(ip, _)| ip);
    let ip = bare.unwrap_or(hop).parse::<IpAddr>();
    ip.ok().or_else(|| hop.parse::<std::net::SocketAddr>().ok().map(|socket| socket.ip())).map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hop_is_read_as_proxies_write_it() {
        let v4 = IpAddr::from([192, 0, 2, 1]);
        for spelled in ["192.0.2.1", " 192.0.2.1 ", "192.0.2.1:443", "::ffff:192.0.2.1", "[::ffff:192.0.2.1]:443"] {
            assert_eq!(address(spelled.as_bytes()), Some(v4), "{spelled}");
        }
        assert_eq!(address(b"[2001:db8::1]:443"), "2001:db8::1".parse().ok());
        for none in ["", "unknown", "_hidden", "192.0.2", "192.0.2.1, 192.0.2.2", "\u{e9}"] {
            assert_eq!(address(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn a_network_of_addresses_counts_as_one_client() {
        let client = |ip: &str| Client { ip: ip.parse().expect("an address"), is_its_own: true }.counted_as();
        assert_eq!(client("2001:db8:1:2:3::4"), client("2001:db8:1:2:ffff::1"));
        assert_ne!(client("2001:db8:1:2::1"), client("2001:db8:1:3::1"));
        assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
    }
}
