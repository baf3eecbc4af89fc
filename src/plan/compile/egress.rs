//! Where deliveries may not go.

use crate::{
    config::{self, Denied},
    plan::{Egress, EgressClass},
};

/// The egress rules, kinds and networks apart.
pub(super) fn egress(written: &config::Egress) -> Egress {
    let mut compiled =
        Egress { deny_classes: Vec::new(), deny_nets: Vec::new(), allow: written.allow.iter().map(|network| *network.value).collect() };
    for denied in &*written.deny.value {
        let class = match denied.value {
            Denied::LinkLocal => EgressClass::LinkLocal,
            Denied::Metadata => EgressClass::Metadata,
            Denied::Unspecified => EgressClass::Unspecified,
            Denied::Loopback => EgressClass::Loopback,
            Denied::Private => EgressClass::Private,
            Denied::Multicast => EgressClass::Multicast,
            Denied::Network(network) => {
                compiled.deny_nets.push(*network);
                continue;
            }
        };
        compiled.deny_classes.push(class);
    }
    compiled
}
