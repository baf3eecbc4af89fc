//! Logs: one line an event, flat, with stable keys, through a bounded writer that never blocks and counts what it drops.
//!
//! JSON off a terminal, text on one. tracing-subscriber's own formats nest fields and name the keys differently, so the line is composed
//! here: `ts`, `level`, `event`, `msg`, then the fields. Promises: a line is one line whatever a provider sends (control characters, line
//! separators and bidirectional marks are escaped), a field is at most [`FIELD_CHARS_MAX`] characters, and a pipe that nobody reads costs
//! lines, never a request. Messages of dependencies are written from `warn` on, but for those that any stranger can bring about: those are
//! counted instead (`http_errors_total`, `tls_handshake_failures_total`) and written only at `debug`.

use std::{
    fmt::{self, Write as _},
    io::{self, Write as _},
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    layer::{Context, SubscriberExt as _},
    util::SubscriberInitExt as _,
};

use crate::clock::Clock;

/// The longest field, in characters; what is longer is cut and ends with `…`.
pub const FIELD_CHARS_MAX: usize = 256;
/// The longest message, in characters.
pub const MESSAGE_CHARS_MAX: usize = 1024;
/// Lines that may wait for the writer; further ones are dropped and counted.
pub const LINES_WAITING_MAX: usize = 8 * 1024;

/// The keys that are composed here; a field of that name would make a second one in the same object.
const OWN_KEYS: [&str; 4] = ["ts", "level", "event", "msg"];

/// Dependencies that speak of what clients send: actix of every request it cannot parse, rustls of odd handshakes. A line for each would be
/// a log that anybody on the internet can fill.
const LED_BY_STRANGERS: [&str; 2] = ["actix_http", "rustls"];

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Keeps the log's own thread; dropped at the very end, it writes what still waits.
#[derive(Debug)]
pub struct Logging {
    _flush: WorkerGuard,
    dropped: ErrorCounter,
}

/// How many lines were dropped; cheap to clone and to read.
#[derive(Clone, Debug)]
pub struct Dropped(ErrorCounter);

impl Logging {
    /// The counter of dropped lines.
    #[must_use]
    pub fn dropped(&self) -> Dropped {
        Dropped(self.dropped.clone())
    }
}

impl Dropped {
    /// Lines dropped since the start, because nobody read the output fast enough.
    #[must_use]
    pub fn lines(&self) -> usize {
        self.0.dropped_lines()
    }
}

/// Starts logging to standard output; once in a process.
///
/// # Errors
/// Somebody else has set a subscriber already.
pub fn start(layout: Layout, level: Level, clock: Clock) -> Result<Logging, tracing_subscriber::util::TryInitError> {
    let (writer, flush) =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(LINES_WAITING_MAX).thread_name("log").finish(io::stdout());
    let dropped = writer.error_counter();
    tracing_subscriber::registry().with(wanted(level)).with(Lines { layout, writer, clock }).try_init()?;
    Ok(Logging { _flush: flush, dropped })
}

/// Whose messages are written, from which level on.
fn wanted(level: Level) -> Targets {
    // Dependencies speak from `warn` on, and not even then when we were asked for errors only.
    let others = LevelFilter::from_level(level.min(Level::WARN));
    let led = if level >= Level::DEBUG { others } else { LevelFilter::OFF };
    Targets::new().with_targets(LED_BY_STRANGERS.map(|target| (target, led))).with_default(others).with_target("hookgate", level)
}

/// Composes each event's line and hands it to the writer.
struct Lines {
    layout: Layout,
    writer: NonBlocking,
    clock: Clock,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let line = compose(self.layout, event, &self.clock.wall().to_string());
        // The writer is lossy: it counts what it cannot take, and never fails.
        let _ = self.writer.clone().write_all(line.as_bytes());
    }
}

fn compose(layout: Layout, event: &Event<'_>, at: &str) -> String {
    let mut found = Found { layout, event: String::new(), message: String::new(), logger: None, fields: String::new() };
    event.record(&mut found);
    let module = event.metadata().target();
    if found.logger.is_none() && !module.starts_with("hookgate") {
        found.logger = Some(module.to_owned());
    }
    if let Some(logger) = found.logger.take() {
        found.text("logger", &logger);
    }
    let level = level_name(*event.metadata().level());
    match layout {
        Layout::Json => found.json(at, level),
        Layout::Text => found.line(at, level),
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// What an event brought along, already escaped for its layout.
struct Found {
    layout: Layout,
    event: String,
    message: String,
    logger: Option<String>,
    fields: String,
}

impl Found {
    fn json(&self, at: &str, level: &str) -> String {
        let mut line = String::with_capacity(128 + self.fields.len());
        line.push_str("{\"ts\":");
        push_json(&mut line, at);
        line.push_str(",\"level\":");
        push_json(&mut line, level);
        if !self.event.is_empty() {
            line.push_str(",\"event\":");
            push_json(&mut line, &self.event);
        }
        line.push_str(",\"msg\":");
        push_json(&mut line, &self.message);
        line.push_str(&self.fields);
        line.push_str("}\n");
        line
    }

    fn line(&self, at: &str, level: &str) -> String {
        let mut line = String::with_capacity(128 + self.fields.len());
        line.push_str(at);
        line.push(' ');
        // Writing to a String cannot fail, here and below.
        let _ = write!(line, "{level:<5} ");
        if !self.event.is_empty() {
            push_plain(&mut line, &self.event);
            line.push_str(": ");
        }
        push_plain(&mut line, &self.message);
        line.push_str(&self.fields);
        line.push('\n');
        line
    }

    fn key(&mut self, name: &str) {
        match self.layout {
            Layout::Json => {
                self.fields.push(',');
                push_json(&mut self.fields, name);
                self.fields.push(':');
            }
            Layout::Text => {
                self.fields.push(' ');
                push_plain(&mut self.fields, name);
                self.fields.push('=');
            }
        }
    }

    fn text(&mut self, name: &str, value: &str) {
        self.key(name);
        match self.layout {
            Layout::Json => push_json(&mut self.fields, value),
            Layout::Text if value.contains([' ', '"', '=']) || value.is_empty() => {
                self.fields.push('"');
                push_plain(&mut self.fields, &value.replace('"', "\\\""));
                self.fields.push('"');
            }
            Layout::Text => push_plain(&mut self.fields, value),
        }
    }

    fn bare(&mut self, name: &str, value: impl fmt::Display) {
        if OWN_KEYS.contains(&name) || name.starts_with("log.") {
            return;
        }
        self.key(name);
        let _ = write!(self.fields, "{value}");
    }

    fn take(&mut self, name: &str, value: fmt::Arguments<'_>) {
        match name {
            "message" => self.message = capped(value, MESSAGE_CHARS_MAX),
            "event" => self.event = capped(value, FIELD_CHARS_MAX),
            // The module a message of the log crate came from; its other `log.` fields are file and line.
            "log.target" => self.logger = Some(capped(value, FIELD_CHARS_MAX)),
            _ if OWN_KEYS.contains(&name) || name.starts_with("log.") => {}
            _ => self.text(name, &capped(value, FIELD_CHARS_MAX)),
        }
    }
}

impl Visit for Found {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field.name(), format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field.name(), format_args!("{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.bare(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.bare(field.name(), value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.bare(field.name(), value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.bare(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.bare(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no infinity and no NaN.
        if value.is_finite() {
            self.bare(field.name(), value);
        } else {
            self.take(field.name(), format_args!("{value}"));
        }
    }
}

/// Formats at most `chars_max` characters, and never more work than that.
fn capped(value: fmt::Arguments<'_>, chars_max: usize) -> String {
    let mut cut = Cut { text: String::new(), left: chars_max };
    if cut.write_fmt(value).is_err() {
        cut.text.push('…');
    }
    cut.text
}

/// Takes so many characters and then fails, which ends the formatting.
struct Cut {
    text: String,
    left: usize,
}

impl fmt::Write for Cut {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        match more.char_indices().nth(self.left) {
            Some((end, _)) => {
                self.text.push_str(&more[..end]);
                self.left = 0;
                Err(fmt::Error)
            }
            None => {
                self.left -= more.chars().count();
                self.text.push_str(more);
                Ok(())
            }
        }
    }
}

/// Whether a terminal or a log viewer would act on the character instead of showing it.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
        || matches!(c, '\u{fff9}'..='\u{fffb}')
}

fn push_json(out: &mut String, text: &str) {
    // A string always serialises.
    let quoted = serde_json::to_string(text).unwrap_or_default();
    if quoted.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        out.push_str(&quoted);
        return;
    }
    for c in quoted.chars() {
        if acts(c) {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
}

fn push_plain(out: &mut String, text: &str) {
    for c in text.chars() {
        if acts(c) {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use tracing_subscriber::Registry;

    use super::*;

    /// Collects the lines of what `emit` logs.
    struct Kept(Layout, Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber> Layer<S> for Kept {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let line = compose(self.0, event, "2026-11-22T13:00:00.007Z");
            self.1.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    }

    fn lines(layout: Layout, emit: impl FnOnce()) -> Vec<String> {
        let kept = Arc::new(Mutex::new(Vec::new()));
        tracing::subscriber::with_default(Registry::default().with(Kept(layout, Arc::clone(&kept))), emit);
        let lines = kept.lock().unwrap_or_else(PoisonError::into_inner);
        lines.clone()
    }

    #[test]
    fn a_line_is_one_flat_object_with_the_stable_keys_first() {
        let lines = lines(Layout::Json, || {
            tracing::info!(event = "request", source = "stripe", status = 200_u16, duration_ms = 1.5, fresh = true, "taken");
        });
        assert_eq!(
            lines,
            [concat!(
                r#"{"ts":"2026-11-22T13:00:00.007Z","level":"info","event":"request","msg":"taken","source":"stripe","#,
                r#""status":200,"duration_ms":1.5,"fresh":true}"#,
                "\n"
            )]
        );
    }

    #[test]
    fn hostile_text_stays_one_line_that_shows_what_it_is() {
        let hostile = "a\n{\"level\":\"error\"}\u{1b}[31m\u{9b}31m\u{2028}\u{202e}\u{7f}é";
        for layout in [Layout::Json, Layout::Text] {
            let lines = lines(layout, || tracing::warn!(event = hostile, kind = hostile, "{hostile}"));
            let line = lines[0].strip_suffix('\n').expect("ends with a line feed");
            assert!(!line.contains(acts), "{line}");
            assert!(line.contains('é'), "{line}");
            if layout == Layout::Json {
                let read: serde_json::Value = serde_json::from_str(line).expect("JSON");
                assert_eq!([&read["kind"], &read["msg"], &read["event"]], [hostile; 3]);
            }
        }
    }

    #[test]
    fn long_fields_are_cut_between_characters() {
        let long = "é".repeat(FIELD_CHARS_MAX + 1);
        let lines = lines(Layout::Json, || tracing::info!(kind = %long, exact = %&long[2..], "x"));
        let read: serde_json::Value = serde_json::from_str(&lines[0]).expect("JSON");
        assert_eq!(read["kind"].as_str().map(|text| text.chars().count()), Some(FIELD_CHARS_MAX + 1));
        assert!(read["kind"].as_str().is_some_and(|text| text.ends_with('…')));
        assert_eq!(read["exact"].as_str(), Some(&long[2..]));
    }

    #[test]
    fn no_field_doubles_a_key_of_ours() {
        let lines = lines(Layout::Json, || tracing::info!(ts = 1, level = "x", msg = "y", "z"));
        assert_eq!(lines, ["{\"ts\":\"2026-11-22T13:00:00.007Z\",\"level\":\"info\",\"msg\":\"z\"}\n"]);
    }

    #[test]
    fn strangers_write_no_lines_unless_they_are_asked_for() {
        let written = |level| {
            ["hookgate::door", "actix_server::accept", "actix_http::h1::dispatcher", "rustls::check"]
                .map(|target| wanted(level).would_enable(target, &Level::ERROR))
        };
        assert_eq!(written(Level::ERROR), [true, true, false, false]);
        assert_eq!(written(Level::INFO), [true, true, false, false]);
        assert_eq!(written(Level::DEBUG), [true; 4]);
        assert!(!wanted(Level::TRACE).would_enable("rustls::check", &Level::INFO));
    }

    #[test]
    fn a_dependency_is_named() {
        let lines = lines(Layout::Json, || tracing::warn!(target: "rustls::server", "odd"));
        assert!(lines[0].contains(r#""logger":"rustls::server""#), "{}", lines[0]);
    }

    #[test]
    fn text_quotes_only_what_needs_it() {
        let lines = lines(Layout::Text, || tracing::info!(event = "start", a = "b", c = "d e", "up"));
        assert_eq!(lines, ["2026-11-22T13:00:00.007Z info  start: up a=b c=\"d e\"\n"]);
    }
}
