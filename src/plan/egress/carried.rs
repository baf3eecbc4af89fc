//! IPv4 addresses inside IPv6 ones. Whoever connects to such an address has the packet carried to the IPv4 address in it, by the own
//! kernel, a relay or a gateway, so a guard that looks at the outside alone is no guard.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Every IPv4 address that a packet to this address may be carried to; none for most. At most four.
pub(super) fn carried(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let [a, b, c, d, e, f, _, _] = address.segments();
    let octets = address.octets();
    let last: Ipv4Addr = at(octets, [12, 13, 14, 15]);
    match [a, b, c, d, e, f] {
        // `::` and `::1` are what they are; the rest of ::/96 is "IPv4-compatible" (RFC 4291, 2.5.5.1).
        [0, 0, 0, 0, 0, 0] if address.is_unspecified() || address.is_loopback() => Vec::new(),
        // IPv4-compatible, IPv4-mapped (RFC 4291, 2.5.5.2), IPv4-translated (RFC 2765, 2.1), NAT64 (RFC 6052, 2.1).
        [0, 0, 0, 0, 0, 0 | 0xffff] | [0, 0, 0, 0, 0xffff, 0] | [0x0064, 0xff9b, 0, 0, 0, 0] => vec![last],
        // NAT64 of one's own (RFC 8215): how long the prefix is, 96, 64, 56 or 48 bits, is known to the gateway alone, so every reading
        // counts (RFC 6052, 2.2) but those that find nothing where the address would stand.
        [0x0064, 0xff9b, 1, ..] => {
            let readings = [[12, 13, 14, 15], [9, 10, 11, 12], [7, 9, 10, 11], [6, 7, 9, 10]];
            readings.into_iter().map(|places| at(octets, places)).filter(|read| read.octets()[0] != 0).collect()
        }
        // 6to4 (RFC 3056, 2).
        [0x2002, ..] => vec![at(octets, [2, 3, 4, 5])],
        // Teredo: the server, and the client with its bits turned over (RFC 4380, 4).
        [0x2001, 0, ..] => vec![at(octets, [4, 5, 6, 7]), Ipv4Addr::from_bits(!last.to_bits())],
        _ => Vec::new(),
    }
}

/// The address that stands at four places of an IPv6 address.
fn at(octets: [u8; 16], places: [usize; 4]) -> Ipv4Addr {
    Ipv4Addr::from(places.map(|place| octets.get(place).copied().unwrap_or_default()))
}
