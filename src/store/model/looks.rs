//! What can be asked of the reference store, its tail included; nothing here changes it.

use std::sync::Arc;

use crate::{
    delivery::DeliveryId,
    event::{EventId, Payload},
    store::{EventView, Tallies},
};

use super::{DeliveryRow, Model};

impl Model {
    /// The bytes of deliveries; see [`crate::store::Store::payloads`].
    #[must_use]
    pub fn payload(&self, event: EventId, variant: u8) -> Option<Payload> {
        self.rows.event(event)?.payloads.get(usize::from(variant)).cloned()
    }

    /// One event with its deliveries; see [`crate::store::Store::event`].
    #[must_use]
    pub fn event(&self, id: EventId) -> Option<EventView> {
        self.rows.view(id)
    }

    /// Whether there is such an event, the tail's included.
    #[must_use]
    pub fn knows(&self, id: EventId) -> bool {
        self.rows.event(id).is_some()
    }

    /// Every delivery, the tail's included.
    pub fn deliveries(&self) -> impl Iterator<Item = (&DeliveryId, &DeliveryRow)> {
        self.rows.deliveries()
    }

    /// One delivery, the tail's included.
    #[must_use]
    pub fn delivery(&self, id: DeliveryId) -> Option<&DeliveryRow> {
        self.rows.delivery(id)
    }

    /// See [`crate::store::Store::tallies`].
    #[must_use]
    pub fn tallies(&self) -> Arc<Tallies> {
        Arc::clone(&self.tallies)
    }

    /// See [`crate::store::Store::highest_event_id`].
    #[must_use]
    pub fn highest_event_id(&self) -> i64 {
        self.rows.event_ids().last().map_or(0, |id| id.to_i64())
    }

    /// Whether the index and, with no tail, the tallies say what the rows say.
    ///
    /// # Errors
    /// What differs, for people.
    pub fn check(&self) -> Result<(), String> {
        self.rows.check(&self.tallies)
    }
}
