//! To whom an event is owed, and how each delivery is born.

use std::{collections::BTreeMap, sync::Arc};

use smallvec::SmallVec;

use crate::{
    handoff::Gates,
    limits::FAN_OUT_MAX,
    name::TargetName,
    plan::Target,
    route::Hit,
    store::{Owed, Start},
};

/// Each target that was hit, in the order of the routes. A delivery is born leased against a slot of its lane that is taken here, before
/// the event is admitted; where there is none (a backlog, a pause, a target that is switched off) it is born waiting. Dropping what is
/// returned gives the slots back.
#[must_use]
pub(super) fn owed(hits: impl IntoIterator<Item = Hit>, targets: &BTreeMap<TargetName, Arc<Target>>, gates: &Gates) -> SmallVec<[Owed; 4]> {
    let owed = hits.into_iter().take(FAN_OUT_MAX).map(|hit| {
        let gate = gates.get(&hit.target);
        let lease = targets.get(&hit.target).filter(|target| !target.disabled).map(|target| target.lease());
        let leased = lease.zip(gate.as_ref()).and_then(|(lease, gate)| Some(Start::Leased(gate.take()?, lease)));
        Owed { target: hit.target, variant: 0, start: leased.unwrap_or(Start::Waiting), gate }
    });
    owed.collect()
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, time::Duration};

    use tokio::sync::{Semaphore, mpsc};

    use super::*;
    use crate::{
        handoff::{Handoff, LaneGate},
        limits::lease_for,
        name::{Name, RouteName},
        plan::{ClientTls, RetryPolicy},
    };

    const TIMEOUT: Duration = Duration::from_secs(20);

    fn name<K>(text: &str) -> Name<K> {
        Name::parse(text).expect("a name")
    }

    fn target(text: &str, disabled: bool) -> (TargetName, Arc<Target>) {
        let retry = RetryPolicy {
            first: TIMEOUT,
            factor: 2.0,
            max: TIMEOUT,
            give_up_after: None,
            attempts: None,
            retry_after_max: TIMEOUT,
            dead_on: Vec::new(),
        };
        let target = Target {
            name: name(text),
            url: "http://127.0.0.1:3000/".parse().expect("a URL"),
            method: http::Method::POST,
            headers: Vec::new(),
            auth: None,
            tls: ClientTls::default(),
            timeout: TIMEOUT,
            connect_timeout: TIMEOUT,
            concurrency: 1,
            rate_limit: None,
            retry,
            breaker: None,
            formerly: Vec::new(),
            disabled,
        };
        (name(text), Arc::new(target))
    }

    /// Gates with room for one, and what comes through them.
    fn gates(names: &[&str]) -> (Gates, mpsc::UnboundedReceiver<Handoff>) {
        let (to, from) = mpsc::unbounded_channel();
        let gate = |text: &&str| {
            let gate = LaneGate::new(name(text), to.clone(), Arc::new(Semaphore::new(0)));
            gate.publish(1);
            (name(text), gate)
        };
        let gates = Gates::default();
        gates.replace(names.iter().map(gate).collect::<HashMap<_, _>>());
        (gates, from)
    }

    fn hits(names: &[&str]) -> Vec<Hit> {
        let route: RouteName = name("all");
        names.iter().map(|text| Hit { target: name(text), route: route.clone() }).collect()
    }

    #[test]
    fn a_delivery_is_born_leased_only_against_a_slot() {
        let targets = BTreeMap::from([target("open", false), target("off", true), target("laneless", false)]);
        let (gates, _from) = gates(&["open", "off"]);
        let first = owed(hits(&["laneless", "open", "off"]), &targets, &gates);
        assert_eq!(first.iter().map(|owed| owed.target.as_str()).collect::<Vec<_>>(), ["laneless", "open", "off"]);
        assert!(matches!(first[0].start, Start::Waiting) && first[0].gate.is_none());
        assert!(matches!(&first[1].start, Start::Leased(_, lease) if *lease == lease_for(TIMEOUT)));
        assert!(matches!(first[2].start, Start::Waiting) && first[2].gate.is_some(), "what is born waiting is announced");
        let second = owed(hits(&["open"]), &targets, &gates);
        assert!(matches!(second[0].start, Start::Waiting) && second[0].gate.is_some(), "the slot is out");
        drop((first, second));
        let third = owed(hits(&["open"]), &targets, &gates);
        assert!(matches!(third[0].start, Start::Leased(..)), "an event that was not admitted gives its slots back");
    }

    #[test]
    fn a_fan_out_is_bounded() {
        let names: Vec<String> = (0..FAN_OUT_MAX + 5).map(|number| format!("t{number}")).collect();
        let hits = hits(&names.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(owed(hits, &BTreeMap::new(), &Gates::default()).len(), FAN_OUT_MAX);
    }
}
