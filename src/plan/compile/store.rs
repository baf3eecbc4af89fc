//! The store's settings and the logs.

use crate::{
    config::{self, Config, Durability, LogAttempts, LogLevel, LogRequests, PayloadAge, RejectedAge, StoreUrl},
    plan::{Level, Log, LogFormat, LogWhat, Retention, StoreSettings},
};

/// The database file under the data directory.
const DATABASE: &str = "hookgate.db";

/// The store's settings.
pub(super) fn store(config: &Config) -> StoreSettings {
    let written = &config.store;
    StoreSettings {
        path: match &written.url.value {
            StoreUrl::Sqlite => config.data_dir.join(DATABASE),
            StoreUrl::SqliteAt(path) => path.clone(),
        },
        data_dir: config.data_dir.value.clone(),
        durability: match *written.durability {
            Durability::Any => None,
            Durability::Ephemeral => Some(Level::Ephemeral),
            Durability::Embedded => Some(Level::Embedded),
        },
        retention: Retention {
            delivered: written.retention.delivered.0,
            unrouted: written.retention.unrouted.0,
            cancelled: written.retention.cancelled.0,
            dead: written.retention.dead.0,
            payload: match *written.retention.payload {
                PayloadAge::AsDelivered => None,
                PayloadAge::For(age) => Some(age.0),
            },
            rejected: match *written.retention.rejected {
                RejectedAge::None => None,
                RejectedAge::For(age) => Some(age.0),
            },
        },
        max_bytes: written.max_size.0,
        min_free_bytes: written.min_free.0,
        lock_wait: written.lock_wait.0,
    }
}

/// What is logged and how.
pub(super) fn log(written: &config::Log) -> Log {
    Log {
        format: match *written.format {
            config::LogFormat::Auto => LogFormat::Auto,
            config::LogFormat::Json => LogFormat::Json,
            config::LogFormat::Text => LogFormat::Text,
        },
        level: match *written.level {
            LogLevel::Error => tracing::Level::ERROR,
            LogLevel::Warn => tracing::Level::WARN,
            LogLevel::Info => tracing::Level::INFO,
            LogLevel::Debug => tracing::Level::DEBUG,
            LogLevel::Trace => tracing::Level::TRACE,
        },
        requests: match *written.requests {
            LogRequests::All => LogWhat::All,
            LogRequests::Rejected => LogWhat::Failed,
            LogRequests::None => LogWhat::None,
        },
        attempts: match *written.attempts {
            LogAttempts::All => LogWhat::All,
            LogAttempts::Failed => LogWhat::Failed,
            LogAttempts::None => LogWhat::None,
        },
    }
}
