//! What the reference store purges, and when.

use crate::{clock::UnixMs, delivery::State, plan::Outcomes, store::Swept};

use super::{Model, rows::EventRow};

impl Model {
    /// Purges everything that is past its retention; see [`crate::store::Store::sweep`].
    pub fn sweep(&mut self, now: UnixMs) -> Swept {
        let mut swept = Swept::default();
        for id in self.rows.event_ids() {
            let deliveries = self.rows.of_event(id).map(|(_, row)| row).collect::<Vec<_>>();
            if deliveries.iter().any(|row| row.state.is_open()) {
                continue;
            }
            let has = |state| deliveries.iter().any(|row| row.state == state);
            let outcomes = Outcomes { delivered: has(State::Delivered), cancelled: has(State::Cancelled), dead: has(State::Dead) };
            let kept = self.retention.kept(outcomes);
            let settled_at = deliveries.iter().filter_map(|row| row.done_at).max();
            let Some(row) = self.rows.event(id) else { continue };
            let since = settled_at.unwrap_or(row.received_at);
            let payload_kept = self.retention.payload.filter(|_| outcomes.all_delivered());
            if since.after(kept) <= now {
                self.rows.purge(id);
                swept.events += 1;
            } else if !row.payloads.is_empty() && payload_kept.is_some_and(|kept| since.after(kept) <= now) {
                swept.payloads += u64::try_from(row.payloads.len()).unwrap_or(u64::MAX);
                let without = EventRow { payloads: Vec::new(), ..row.clone() };
                self.rows.put_event(id, Some(without));
            }
        }
        for (key, seen) in self.rows.all_seen() {
            if !self.is_known(seen, now) {
                self.rows.put_seen(key, None);
            }
        }
        swept
    }
}
