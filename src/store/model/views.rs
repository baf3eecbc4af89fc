//! Lists as the reference store gives them: everything is looked at, nothing is bounded but the page.

use super::Model;
use crate::{
    delivery::DeliveryId,
    store::{DeliveryView, EventView, Filter, ListedDelivery, Listing, Page, listing::Cursor},
};

impl Model {
    /// Events of a listing, with their deliveries and no attempts; see [`crate::store::Store::events`].
    #[must_use]
    pub fn events(&self, listing: &Listing) -> Page<EventView> {
        let before = |view: &EventView| listing.before.is_none_or(|before| view.id < before.event);
        let meant = self.views().filter(|view| before(view) && wants(&listing.filter, view));
        let events = meant.map(|mut view| {
            view.deliveries.iter_mut().for_each(|delivery| delivery.attempts.clear());
            view
        });
        page(events, listing.items_max, |view| Cursor::of_event(view.id))
    }

    /// Deliveries of a listing; see [`crate::store::Store::deliveries`].
    #[must_use]
    pub fn listed_deliveries(&self, listing: &Listing) -> Page<ListedDelivery> {
        let filter = &listing.filter;
        let before = |id: DeliveryId| listing.before.is_none_or(|before| Cursor::of_delivery(id) < before);
        let of_event = |view: EventView| {
            let meant = filter.wants_event(view.id, &view.source, &view.types, view.received_at);
            let (source, types, received_at) = (view.source, view.types, view.received_at);
            view.deliveries.into_iter().rev().filter(move |_| meant).map(move |mut delivery| {
                delivery.attempts.drain(..delivery.attempts.len().saturating_sub(1));
                ListedDelivery { source: source.clone(), types: types.clone(), received_at, delivery }
            })
        };
        let deliveries = self.views().flat_map(of_event).filter(|listed| {
            let DeliveryView { id, target, state, .. } = &listed.delivery;
            before(*id) && filter.wants_delivery(*id, target, *state)
        });
        page(deliveries, listing.items_max, |listed| Cursor::of_delivery(listed.delivery.id))
    }

    /// Every event, newest first.
    fn views(&self) -> impl Iterator<Item = EventView> {
        self.rows.event_ids().into_iter().rev().filter_map(|id| self.rows.view(id))
    }
}

/// Whether an event is meant: it is itself, and one of its deliveries is where something is said about those.
fn wants(filter: &Filter, view: &EventView) -> bool {
    let mut deliveries = view.deliveries.iter();
    filter.wants_event(view.id, &view.source, &view.types, view.received_at)
        && (!filter.unrouted || view.deliveries.is_empty())
        && (!filter.is_about_deliveries() || deliveries.any(|one| filter.wants_delivery(one.id, &one.target, one.state)))
}

fn page<T>(mut items: impl Iterator<Item = T>, items_max: usize, place: impl Fn(&T) -> Cursor) -> Page<T> {
    let page: Vec<T> = items.by_ref().take(items_max).collect();
    let next = items.next().and_then(|_| page.last().map(place));
    Page { items: page, next }
}
