//! Where deliveries may not go. The judgement is one, for the address that stands in a configuration and for the one that is connected to:
//! what `check` lets pass is what a delivery may reach.

mod carried;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use self::carried::carried;
use super::{Egress, EgressClass};

/// Where clouds serve credentials: the common one, Alibaba's, Azure's wire server, and Amazon's over IPv6.
const METADATA_V4: [Ipv4Addr; 3] = [Ipv4Addr::new(169, 254, 169, 254), Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16)];
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254);

impl Egress {
    /// The same for who is asked for keys and called: vendors are on the internet and nowhere else, wherever targets may be.
    #[must_use]
    pub fn outside(&self) -> Self {
        Self { deny_classes: EgressClass::ALL.into(), ..self.clone() }
    }

    /// Why an address is refused, for people; `None` lets it through. What is allowed by name wins over every refusal. An IPv6 address that
    /// carries IPv4 addresses leads to them, so each of them is judged as well; either may be the one that is allowed.
    #[must_use]
    pub fn refusal(&self, address: IpAddr) -> Option<String> {
        if self.allows(address) {
            return None;
        }
        if let Some(listed) = self.listed(address) {
            return Some(format!("{address} {listed}"));
        }
        let IpAddr::V6(v6) = address else { return None };
        let inner = carried(v6).into_iter().map(IpAddr::V4).filter(|inner| !self.allows(*inner));
        inner.into_iter().find_map(|inner| Some(format!("{address} leads to {inner}, and that {}", self.listed(inner)?)))
    }

    fn allows(&self, address: IpAddr) -> bool {
        self.allow.iter().any(|net| net.contains(&address))
    }

    /// What `deny` says of an address, to be read behind it.
    fn listed(&self, address: IpAddr) -> Option<String> {
        if let Some(class) = self.deny_classes.iter().find(|class| is_of(**class, address)) {
            return Some(format!("is {}, which egress.deny lists; egress.allow can let it through", described(*class)));
        }
        let net = self.deny_nets.iter().find(|net| net.contains(&address))?;
        Some(format!("is in {net}, which egress.deny lists"))
    }
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
                assert!(denying(&EgressClass::ALL).refusal(address(text)).is_none(), "{text}");
            }
        }
        assert!(denying(&[EgressClass::Loopback]).refusal(address("10.0.0.1")).is_none());
    }

    /// 169.254.169.254 in every coat there is.
    const METADATA_IN_COATS: [&str; 13] = [
        "::ffff:169.254.169.254",
        "::ffff:a9fe:a9fe",
        "::ffff:0:a9fe:a9fe",
        "::169.254.169.254",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::a9fe:a9fe",
        "64:ff9b:1:a9fe:a9:fe00::",
        "64:ff9b:1:99a9:fe:a9fe::",
        "64:ff9b:1:7777:a9:fea9:fe00:0",
        "2002:a9fe:a9fe::",
        "2002:a9fe:a9fe:1:2:3:4:5",
        "2001:0:5db8:d822:0:0:5601:5601",
        "2001:0:a9fe:a9fe:0:0:a247:27dd",
    ];

    #[test]
    fn an_ipv4_address_in_an_ipv6_coat_is_seen_through() {
        for text in METADATA_IN_COATS {
            let refusal = denying(&[EgressClass::Metadata]).refusal(address(text));
            let said = refusal.unwrap_or_else(|| panic!("{text} is let through"));
            assert!(said.contains("leads to 169.254.169.254, and that is a cloud's metadata address"), "{said}");
        }
        assert!(denying(&[EgressClass::Loopback]).refusal(address("::ffff:127.0.0.1")).is_some());
        assert!(denying(&[EgressClass::Unspecified]).refusal(address("2002::")).is_some());
        let in_net = Egress { deny_classes: vec![], deny_nets: vec!["10.0.0.0/8".parse().expect("a network")], allow: vec![] };
        assert!(in_net.refusal(address("2002:a01:203::1")).is_some());
        assert!(in_net.refusal(address("2002:b01:203::1")).is_none());
    }

    #[test]
    fn a_coat_around_an_address_anybody_may_reach_is_let_through() {
        let coats =
            ["::ffff:93.184.216.34", "64:ff9b::5db8:d822", "64:ff9b:1::5db8:d822", "2002:5db8:d822::1", "2001:0:5db8:d822:0:0:a247:27dd"];
        for text in coats {
            assert_eq!(denying(&EgressClass::ALL).refusal(address(text)), None, "{text}");
        }
        // No coats: our own address, and addresses that only begin alike.
        for text in ["::1", "2001:1::a9fe:a9fe", "64:ff9b:2::a9fe:a9fe", "2003:a9fe:a9fe::"] {
            assert_eq!(denying(&[EgressClass::Metadata, EgressClass::Unspecified]).refusal(address(text)), None, "{text}");
        }
    }

    #[test]
    fn either_the_coat_or_what_it_carries_can_be_allowed() {
        for text in METADATA_IN_COATS {
            let allowing = |net: &str| Egress { allow: vec![net.parse().expect("a network")], ..denying(&[EgressClass::Metadata]) };
            assert_eq!(allowing("169.254.169.254/32").refusal(address(text)), None, "{text}");
            assert_eq!(allowing(&format!("{text}/128")).refusal(address(text)), None, "{text}");
            assert!(allowing("169.254.169.253/32").refusal(address(text)).is_some(), "{text}");
        }
        let coat = Egress { deny_classes: vec![], deny_nets: vec!["2002::/16".parse().expect("a network")], allow: vec![] };
        assert!(coat.refusal(address("2002:5db8:d822::1")).is_some_and(|said| said.contains("is in 2002::/16")));
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
