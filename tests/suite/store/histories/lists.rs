//! Lists in the histories: pages end where each store likes, and what all of them hold together is the same.

use hookgate::store::{Cursor, Filter, Listing, Page, Store};

use super::{Pair, wait};

/// What is asked for in lists; `@` is the id of some event.
pub(super) const FILTERS: [&str; 12] = [
    "",
    "state=dead",
    "state=dead&target=app",
    "state=pending&state=in_flight&target=crm&target=slow",
    "unrouted=true",
    "type=pu*&since=20s",
    "type=pull",
    "source=github&until=5s",
    "source=other",
    "id=evt_@",
    "id=dlv_@-1&id=dlv_@-0",
    "id=evt_@&state=dead&since=1m",
];
impl Pair {
    /// Pages end where each store likes; what all of them hold together is the same.
    pub(super) fn compare_lists(&self, filter: usize, items_max: usize, rows_max: usize) {
        let id = self.rings.get(self.rings.len() / 2).map_or("evt_0000000000001".to_owned(), |rung| rung.ring.id.to_string());
        let text = FILTERS[filter].replace('@', id.trim_start_matches("evt_"));
        let filter = Filter::read(url::form_urlencoded::parse(text.as_bytes()), self.rig.time.now().wall).expect("a filter");
        let listing = |before| Listing { filter: filter.clone(), before, items_max, rows_max };
        let events = |store: &dyn Store| walked(items_max, |before| wait(store.events(listing(before))).expect("a page"));
        assert_eq!(events(self.store()), events(&self.model), "events of `{text}`");
        let deliveries = |store: &dyn Store| walked(items_max, |before| wait(store.deliveries(listing(before))).expect("a page"));
        assert_eq!(deliveries(self.store()), deliveries(&self.model), "deliveries of `{text}`");
    }
}

/// Everything a list holds, page by page.
fn walked<T>(items_max: usize, mut page: impl FnMut(Option<Cursor>) -> Page<T>) -> Vec<T> {
    let (mut all, mut before) = (Vec::new(), None);
    for _ in 0..10_000 {
        let Page { items, next } = page(before);
        assert!(items.len() <= items_max);
        all.extend(items);
        assert!(next.is_none() || before.is_none() || next < before, "it goes on: {next:?} after {before:?}");
        let Some(next) = next else { return all };
        before = Some(next);
    }
    panic!("the list comes to no end");
}
