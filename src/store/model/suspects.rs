//! What a crash makes of a lease in the reference store.

use crate::{clock::UnixMs, delivery::State, faults::Fault};

use super::{DeliveryRow, Model};

impl Model {
    /// A lease whose holder is gone: its delivery is due at once, and suspect. It counts against it when it was the one suspect under way.
    pub(super) fn void(&self, row: DeliveryRow, now: UnixMs) -> DeliveryRow {
        let was_tried = row.tried.is_some() && row.tried == row.token || self.is_planted(Fault::EveryCrashCounts);
        let trials = row.trials + u32::from(was_tried);
        DeliveryRow { state: State::Pending, due: Some(now), crashes: row.crashes + 1, trials, ..row }
    }
}
