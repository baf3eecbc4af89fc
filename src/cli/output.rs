//! Standard output. What could not be written is remembered, so that no command ends as if somebody had it.

use std::{
    io::{self, Write},
    sync::OnceLock,
};

/// Why something was not written, the first time.
static LOST: OnceLock<String> = OnceLock::new();

/// Standard output.
#[derive(Debug)]
pub(super) struct Output;

impl Output {
    /// Why not everything was written; `None` when it was, or when a closed pipe ended it: then nobody wants the rest.
    pub(super) fn lost() -> Option<&'static str> {
        let _ = Self.flush();
        LOST.get().map(String::as_str)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        remembered(io::stdout().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        remembered(io::stdout().flush())
    }
}

fn remembered<T>(result: io::Result<T>) -> io::Result<T> {
    result.inspect_err(|error| {
        if !matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::Interrupted) {
            LOST.get_or_init(|| error.to_string());
        }
    })
}
