//! What the stories are told with: the real binary, its senders, its targets, a ledger, and a checker that believes none of them.
//!
//! Nothing here uses the gateway's own code to judge the gateway: signatures, HTTP and metrics are read and written anew.

#![expect(unreachable_pub, reason = "the stories of this binary are its only public")]

pub mod campaign;
pub mod certificate;
pub mod checker;
pub mod dice;
pub mod exposition;
pub mod gateway;
pub mod ledger;
pub mod listener;
pub mod patience;
pub mod proof;
pub mod recorder;
pub mod sender;
pub mod wire;
