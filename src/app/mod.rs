//! The composition root: from a file to a running gateway, and back to nothing, in a fixed order.

mod exit;
mod machine;

pub use exit::Exit;
