//! What operators ask of the reference store: pauses, jobs step by step, and the audit of both.

use std::{collections::BTreeMap, convert::Infallible};

use crate::{
    clock::UnixMs,
    delivery::{DeliveryId, State},
    event::EventId,
    name::TargetName,
    pause::{Pause, Pauses},
    plan::Plan,
    store::{
        Act, AuditLine, Counted, Job, JobId, Refusal, Standing, Step, Stepped, Task, Verb,
        acts::{
            self, AUDIT_LINES_MAX, Deed, EventFacts, Facts, JOBS_KEPT_MAX, JOBS_RUNNING_MAX, Page, STEP_DELIVERIES_MAX, STEP_ROWS_MAX,
            Today, Walked,
        },
    },
};

use super::{DeliveryRow, Model, rows::Rows};

/// The tables of operators.
#[derive(Clone, Debug, Default)]
pub(super) struct ActTables {
    pauses: Pauses,
    jobs: BTreeMap<JobId, Job>,
    audit: BTreeMap<u64, AuditLine>,
}

impl Model {
    /// What an operator wants; see [`crate::store::Store::operate`].
    pub fn operate(&mut self, act: &Act, now: UnixMs) -> Step {
        let step = match &act.verb {
            Verb::Pause { target, until } => {
                let pause = Pause { since: now, until: *until, by: act.by.clone() };
                self.hold(target, Some(pause), now)
            }
            Verb::Resume { target } => self.hold(target, None, now),
            Verb::Begin { id, task, rate, expected } => {
                let highest = EventId::from_i64(self.highest_event_id()).unwrap_or(EventId::LEAST);
                let job = Job::begin((*id, &act.by), task.clone(), (*rate, *expected), highest, now);
                self.begin(job)
            }
            Verb::Go { id, at_most, plan } => self.go(*id, *at_most, plan, now),
            Verb::Stop { id } => self.stop(*id, now),
        };
        if !matches!(step, Step::Refused(_))
            && let Some(what) = act.verb.audited()
        {
            self.rows.acts_mut().note(now, &act.by, what);
        }
        step
    }

    /// What a task would do; see [`crate::store::Store::count`].
    #[must_use]
    pub fn count(&self, task: &Task, plan: &Plan, from: EventId) -> Counted {
        let (least, upto) = task.filter.event_range();
        let page = self.rows.page(task, from.max(least), upto);
        let walked = self.walk(task, plan, &page, (STEP_DELIVERIES_MAX, None));
        Counted { progress: walked.progress, next: walked.next }
    }

    /// The jobs there are, the newest first; see [`crate::store::Store::jobs`].
    #[must_use]
    pub fn jobs(&self) -> Vec<Job> {
        let mut jobs = self.rows.acts().jobs.values().cloned().collect::<Vec<_>>();
        jobs.sort_by_key(|job| (job.begun_at, job.id));
        jobs.reverse();
        jobs
    }

    /// The last lines of the audit, the newest first; see [`crate::store::Store::audit`].
    #[must_use]
    pub fn audit(&self, at_most: usize) -> Vec<AuditLine> {
        self.rows.acts().audit.values().rev().take(at_most).cloned().collect()
    }

    /// What stands, the tail's included; see [`crate::store::Store::standing`].
    #[must_use]
    pub fn standing(&self) -> Standing {
        let ActTables { pauses, jobs, .. } = self.rows.acts();
        Standing { pauses: pauses.clone(), jobs: jobs.values().filter(|job| job.runs()).map(|job| job.id).collect() }
    }

    fn hold(&mut self, target: &TargetName, pause: Option<Pause>, now: UnixMs) -> Step {
        let held = &mut self.rows.acts_mut().pauses.0;
        held.retain(|_, pause| pause.holds(now));
        match &pause {
            Some(pause) => drop(held.insert(target.clone(), pause.clone())),
            None => drop(held.remove(target)),
        }
        Step::Held(target.clone(), pause)
    }

    fn begin(&mut self, job: Job) -> Step {
        let jobs = &self.rows.acts().jobs;
        if let Some(job) = jobs.get(&job.id) {
            return job.clone().unchanged();
        }
        if jobs.values().filter(|job| job.runs()).count() >= JOBS_RUNNING_MAX {
            return Step::Refused(Refusal::TooManyJobs);
        }
        self.rows.acts_mut().put(job.clone());
        job.unchanged()
    }

    fn go(&mut self, id: JobId, at_most: usize, plan: &Plan, now: UnixMs) -> Step {
        let Some(mut job) = self.rows.acts().jobs.get(&id).cloned() else { return Step::Refused(Refusal::NoSuchJob) };
        if !job.runs() {
            return job.unchanged();
        }
        let page = self.rows.page(&job.task, job.cursor, job.upto);
        let walked = self.walk(&job.task, plan, &page, job.bounds(at_most));
        let mut waiting = Vec::new();
        for deed in &walked.deeds {
            waiting.extend(self.carry_out(deed, now).filter(|target| !waiting.contains(target)));
        }
        job.advance(&walked, now);
        let acts = self.rows.acts_mut();
        if !job.runs() {
            acts.note(now, &job.by, job.said_at_end());
        }
        acts.put(job.clone());
        Step::Job(Box::new(Stepped { job, done: walked.progress.done, waiting }))
    }

    fn stop(&mut self, id: JobId, now: UnixMs) -> Step {
        let Some(mut job) = self.rows.acts().jobs.get(&id).cloned() else { return Step::Refused(Refusal::NoSuchJob) };
        if job.runs() {
            job.end = Some((acts::End::Stopped, now));
            self.rows.acts_mut().put(job.clone());
        }
        job.unchanged()
    }

    fn walk(&self, task: &Task, plan: &Plan, page: &Page, bounds: (usize, Option<u64>)) -> Walked {
        let mut has_bytes = |event, variant| Ok::<_, Infallible>(self.payload(event, variant).is_some());
        match acts::walk(task, Today::of(plan), page, bounds, &mut has_bytes) {
            Ok(walked) => walked,
        }
    }

    /// Writes one deed; the target that has a delivery waiting since.
    fn carry_out(&mut self, deed: &Deed, now: UnixMs) -> Option<TargetName> {
        match deed {
            Deed::Replay { id, target, variant, replay_of } => {
                let row = DeliveryRow { replay_of: *replay_of, ..DeliveryRow::waiting(target.clone(), *variant, now) };
                self.rows.put_delivery(*id, Some(row));
                Some(target.clone())
            }
            Deed::Cancel(id) => {
                let row = self.rows.delivery(*id)?.clone();
                self.rows.put_delivery(*id, Some(DeliveryRow { state: State::Cancelled, due: None, done_at: Some(now), ..row }));
                None
            }
            Deed::Move(id, to) => {
                let row = self.rows.delivery(*id)?.clone();
                let moved = DeliveryRow { target: to.clone(), due: Some(now), failures: 0, first_at: now, ..row };
                self.rows.put_delivery(*id, Some(moved));
                Some(to.clone())
            }
        }
    }
}

impl Rows {
    /// The events a task looks at between two ids, each with all of its deliveries.
    fn page(&self, task: &Task, from: EventId, upto: EventId) -> Page {
        let named = task.filter.named_events();
        let is_meant = |id: &EventId| named.as_ref().is_none_or(|named| named.contains(id));
        let mut page = Page { events: Vec::new(), is_last: true };
        let mut rows = 0;
        for (id, event) in self.events_from(from).take_while(|(id, _)| *id <= upto).filter(|(id, _)| is_meant(id)) {
            let facts = |(id, row): (&DeliveryId, &DeliveryRow)| Facts {
                slot: id.slot,
                target: row.target.clone(),
                state: row.state,
                variant: row.variant,
            };
            let deliveries = self.of_event(id).map(facts).collect::<Vec<_>>();
            rows += deliveries.len().max(1);
            if rows > STEP_ROWS_MAX {
                page.is_last = false;
                break;
            }
            let (source, types) = (event.source.clone(), event.types.clone());
            page.events.push(EventFacts { id, source, types, received_at: event.received_at, deliveries });
        }
        page
    }
}

impl ActTables {
    /// Writes a job down, and forgets the oldest that ended when there are too many.
    fn put(&mut self, job: Job) {
        self.jobs.insert(job.id, job);
        let mut ended = self.jobs.values().filter_map(|job| Some((job.end?.1, job.begun_at, job.id))).collect::<Vec<_>>();
        ended.sort_unstable();
        for (.., id) in ended.iter().rev().skip(JOBS_KEPT_MAX) {
            self.jobs.remove(id);
        }
    }

    fn note(&mut self, at: UnixMs, by: &str, what: String) {
        let n = self.audit.last_key_value().map_or(1, |(n, _)| n + 1);
        self.audit.insert(n, AuditLine { at, by: by.into(), what: what.into() });
        while self.audit.len() > AUDIT_LINES_MAX {
            self.audit.pop_first();
        }
    }
}
