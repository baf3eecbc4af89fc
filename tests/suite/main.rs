//! The gateway from outside.

mod deliver;
