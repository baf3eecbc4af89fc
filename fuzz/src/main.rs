//! The long fuzz campaign: libFuzzer, guided by coverage, over the targets of the short one. `FUZZ_TARGET` names the target; `make fuzz` sets
//! it, and the flags that a coverage-guided build needs.

#![no_main]

#[path = "../../tests/fuzz/targets/mod.rs"]
#[expect(dead_code, reason = "the short campaign uses more of it")]
mod targets;

use std::sync::OnceLock;

use targets::{TARGETS, Target};

/// The target that `FUZZ_TARGET` names.
fn target() -> &'static Target {
    static TARGET: OnceLock<&'static Target> = OnceLock::new();
    TARGET.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| panic!("FUZZ_TARGET is one of {}", names.join(", ")))
    })
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    target().call(input);
});
