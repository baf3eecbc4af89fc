//! The stores against what the words on `Store` promise: the same random histories over the reference and the embedded one, crashes
//! included; the stories behind other queues' bugs; the file itself.

mod acts;
mod commits;
mod files;
mod histories;
mod order;
#[cfg(feature = "faults")]
mod planted;
mod regressions;
mod rig;
