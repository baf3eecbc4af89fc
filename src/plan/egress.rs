//! Where deliveries may not go. The judgement is one, for the address that stands in a configuration and for the one that is connected to:
//! what `check` lets pass is what a delivery may reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Egress, EgressClass};

/// The first 96 bits of an address that a NAT64 gateway turns into the IPv4 address in its last 32 (RFC 6052, 2.1).
const NAT64: [u16; 6] = [0x0064, 0xff9b, 0, 0, 0, 0];
/// Where clouds serve credentials: the common one, Alibaba's, Azure's wire server, and Amazon's over IPv6.
const METADATA_V4: [Ipv4Addr; 3] = [Ipv4Addr::new(169, 254, 169, 254), Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16)];
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254);

impl Egress {
    /// The same for who is asked for keys and called: vendors are on the internet and nowhere else, wherever targets may be.
    #[must_use]
    pub fn outside(&self) -> Self {
        let deny_classes = vec![
            EgressClass::LinkLocal,
            EgressClass::Metadata,
            EgressClass::Unspecified,
            EgressClass::Loopback,
            EgressClass::Private,
            EgressClass::Multicast,
        ];
        Self { deny_classes, ..self.clone() }
    }

    /// Why an address is refused, for people; `None` lets it through. What is allowed by name wins over every refusal.
    #[must_use]
    pub fn refusal(&self, address: IpAddr) -> Option<String> {
        let address = unwrapped(address);
        if self.allow.iter().any(|net| net.contains(&address)) {
            return None;
        }
        if let Some(class) = self.deny_classes.iter().find(|class| is_of(**class, address)) {
            return Some(format!("{address} is {}, which egress.deny lists; egress.allow can let it through", described(*class)));
        }
        let net = self.deny_nets.iter().find(|net| net.contains(&address))?;
        Some(format!("{address} is in {net}, which egress.deny lists"))
    }
}

/// The address a packet really goes to: an IPv4 address in an IPv6 coat is taken out of it.
fn unwrapped(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let segments = v6.segments();
    if segments[..6] == NAT64 {
        let [.., a, b, c, d] = v6.octets();
        return IpAddr::V4(Ipv4Addr::new(a, b, c, d));
    }
    address.to_canonical()
}

fn is_of(class: EgressClass, address: IpAddr) -> bool {
    match (class, address) {
        (EgressClass::LinkLocal, IpAddr::V4(v4)) => v4.is_link_local(),
        (EgressClass::LinkLocal, IpAddr::V6(v6)) => v6.is_unicast_link_local(),
        (EgressClass::Metadata, IpAddr::V4(v4)) => METADATA_V4.contains(&v4),
        (EgressClass::Metadata, IpAddr::V6(v6)) => v6 == METADATA_V6,
        // All of 0.0.0.0/8 is "this network" (RFC 1122, 3.2.1.3); Linux connects 0.0.0.0 to itself.
        (EgressClass::Unspecified, IpAddr::V4(v4)) => v4.octets()[0] == 0,
        (EgressClass::Unspecified, IpAddr::V6(v6)) => v6.is_unspecified(),
        (EgressClass::Loopback, address) => address.is_loopback(),
        (EgressClass::Private, IpAddr::V4(v4)) => {
            // 100.64/10 is shared address space, private in all but name (RFC 6598).
            v4.is_private() || (v4.octets()[0] == 100 && v4.octets()[1] & 0b1100_0000 == 64)
        }
        (EgressClass::Private, IpAddr::V6(v6)) => v6.is_unique_local(),
        (EgressClass::Multicast, IpAddr::V4(v4)) => v4.is_multicast() || v4.is_broadcast(),
        (EgressClass::Multicast, IpAddr::V6(v6)) => v6.is_multicast(),
    }
}

fn described(class: EgressClass) -> &'static str {
    match class {
        EgressClass::LinkLocal => "a link-local address",
        EgressClass::Metadata => "a cloud's metadata address",
        EgressClass::Unspecified => "an unspecified address",
        EgressClass::Loopback => "a loopback address",
        EgressClass::Private => "a private address",
        EgressClass::Multicast => "a multicast address",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [EgressClass; 6] = [
        EgressClass::LinkLocal,
        EgressClass::Metadata,
        EgressClass::Unspecified,
        EgressClass::Loopback,
        EgressClass::Private,
        EgressClass::Multicast,
    ];

    fn denying(classes: &[EgressClass]) -> Egress {
        Egress { deny_classes: classes.to_vec(), deny_nets: vec![], allow: vec![] }
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn each_class_knows_its_own_and_no_other() {
        let table = [
            (EgressClass::LinkLocal, &["169.254.0.1", "169.254.169.254", "fe80::1", "febf::1"][..]),
            (EgressClass::Metadata, &["169.254.169.254", "100.100.100.200", "168.63.129.16", "fd00:ec2::254"]),
            (EgressClass::Unspecified, &["0.0.0.0", "0.1.2.3", "::"]),
            (EgressClass::Loopback, &["127.0.0.1", "127.255.0.1", "::1"]),
            (EgressClass::Private, &["10.0.0.1", "172.31.0.1", "192.168.1.1", "100.64.0.1", "100.127.0.1", "fc00::1", "fdff::1"]),
            (EgressClass::Multicast, &["224.0.0.1", "239.1.1.1", "255.255.255.255", "ff02::1"]),
        ];
        for (class, own) in table {
            for text in own {
                assert!(denying(&[class]).refusal(address(text)).is_some(), "{class:?} {text}");
            }
            for text in ["93.184.216.34", "2606:2800:220:1::1", "100.63.0.1", "100.128.0.1", "172.32.0.1", "168.63.129.17"] {
                assert!(denying(&ALL).refusal(address(text)).is_none(), "{text}");
            }
        }
        assert!(denying(&[EgressClass::Loopback]).refusal(address("10.0.0.1")).is_none());
    }

    #[test]
    fn an_ipv4_address_in_an_ipv6_coat_is_seen_through() {
        for text in ["::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "64:ff9b::169.254.169.254"] {
            assert!(denying(&[EgressClass::Metadata]).refusal(address(text)).is_some(), "{text}");
        }
        assert!(denying(&[EgressClass::Loopback]).refusal(address("::ffff:127.0.0.1")).is_some());
    }

    #[test]
    fn outside_is_nowhere_near_unless_that_is_allowed_by_name() {
        let egress = Egress { allow: vec!["10.1.0.0/16".parse().expect("a network")], ..denying(&[]) }.outside();
        for text in ["10.2.2.3", "127.0.0.1", "169.254.169.254", "::1", "fc00::1", "0.0.0.0", "::ffff:10.2.2.3"] {
            assert!(egress.refusal(address(text)).is_some(), "{text}");
        }
        assert!(egress.refusal(address("10.1.2.3")).is_none() && egress.refusal(address("93.184.216.34")).is_none());
    }

    #[test]
    fn what_is_allowed_wins_and_networks_can_be_denied() {
        let net = |text: &str| text.parse().expect("a network");
        let egress = Egress {
            deny_classes: vec![EgressClass::Private],
            deny_nets: vec![net("93.184.216.0/24")],
            allow: vec![net("10.1.0.0/16"), net("93.184.216.34/32")],
        };
        assert!(egress.refusal(address("10.1.2.3")).is_none());
        assert!(egress.refusal(address("::ffff:10.1.2.3")).is_none());
        assert!(egress.refusal(address("10.2.2.3")).is_some());
        assert!(egress.refusal(address("93.184.216.34")).is_none());
        assert!(egress.refusal(address("93.184.216.35")).is_some());
    }
}
