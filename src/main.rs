//! The `hookgate` binary: everything is in the library.

use std::process::ExitCode;

/// Many small allocations on many threads are this program's life; the system's allocator keeps what they free.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    hookgate::cli::main()
}
