//! What requests under way may hold: bytes in all, bytes of one source, bytes of the unverified, requests of one address.
//!
//! Bytes count from their arrival, not from their announcement, so a client that announces much and sends nothing holds nothing. The
//! unverified may hold half of the whole: however many strangers ring, the other half is left to those who proved who they are. Nobody has
//! proved anything before the last byte is there, so each source has a reserve besides, which strangers at other sources cannot take.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use prometheus::IntGauge;

use super::{address::Client, refusal::Refusal};
use crate::{
    limits::{SOURCE_RESERVE_PERCENT, UNVERIFIED_SHARE_PERCENT, percent_of},
    name::SourceName,
    plan::{Limits, Source},
};

/// What is held, over all requests.
#[derive(Debug)]
pub(super) struct Budget {
    all: AtomicU64,
    unverified: AtomicU64,
    /// By the names of the configuration, so it does not grow with the requests.
    by_source: Mutex<HashMap<SourceName, Arc<AtomicU64>>>,
    /// Unverified requests under way, by address; as long as there are any.
    by_address: Mutex<HashMap<IpAddr, u32>>,
    gauge: IntGauge,
}

/// What one request holds; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share<'a> {
    budget: &'a Budget,
    source: Arc<AtomicU64>,
    bytes: u64,
    /// Those of them that the unverified hold together: beyond the source's reserve, until the request is verified.
    unverified_bytes: u64,
    bytes_max: u64,
    source_bytes_max: u64,
    /// Set until the request is verified, unless it has no address of its own.
    address: Option<IpAddr>,
    verified: bool,
}

impl Budget {
    pub(super) fn new(gauge: IntGauge) -> Self {
        Self { all: AtomicU64::new(0), unverified: AtomicU64::new(0), by_source: Mutex::default(), by_address: Mutex::default(), gauge }
    }

    /// Begins a request's share, with no bytes in it yet.
    ///
    /// # Errors
    /// The address has as many unverified requests under way as it may.
    pub(super) fn enter(&self, source: &Source, client: Client, limits: &Limits) -> Result<Share<'_>, Refusal> {
        let address = client.is_its_own.then(|| client.counted_as());
        if let Some(address) = address {
            let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
            let under_way = by_address.entry(address).or_insert(0);
            if *under_way >= limits.in_flight_per_ip {
                return Err(Refusal::AddressBusy);
            }
            *under_way += 1;
        }
        let source = {
            let mut by_source = self.by_source.lock().unwrap_or_else(PoisonError::into_inner);
            match by_source.get(&source.name) {
                Some(held) => Arc::clone(held),
                None => Arc::clone(by_source.entry(source.name.clone()).or_default()),
            }
        };
        let source_bytes_max = percent_of(limits.in_flight, u64::from(limits.in_flight_per_source));
        Ok(Share {
            budget: self,
            source,
            bytes: 0,
            unverified_bytes: 0,
            bytes_max: limits.in_flight,
            source_bytes_max,
            address,
            verified: false,
        })
    }
}

impl Share<'_> {
    /// Takes so many bytes more.
    ///
    /// # Errors
    /// There are no more to be had: of all, of the source's, or of the unverified's.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let of_all = |percent| percent_of(self.bytes_max, percent);
        let (unverified_max, reserve) = (of_all(UNVERIFIED_SHARE_PERCENT), of_all(SOURCE_RESERVE_PERCENT));
        if !add(&self.budget.all, bytes, self.bytes_max) {
            return Err(Refusal::BytesBusy);
        }
        if !add(&self.source, bytes, self.source_bytes_max) {
            self.budget.all.fetch_sub(bytes, Ordering::AcqRel);
            return Err(Refusal::SourceBytesBusy);
        }
        if !self.verified && self.source.load(Ordering::Acquire) > reserve {
            if !add(&self.budget.unverified, bytes, unverified_max) {
                self.budget.all.fetch_sub(bytes, Ordering::AcqRel);
                self.source.fetch_sub(bytes, Ordering::AcqRel);
                return Err(Refusal::BytesBusy);
            }
            self.unverified_bytes += bytes;
        }
        self.bytes += bytes;
        self.budget.gauge.add(signed(bytes));
        Ok(())
    }

    /// The request is verified: it no longer counts against strangers.
    pub(super) fn is_verified(&mut self) {
        self.verified = true;
        self.budget.unverified.fetch_sub(std::mem::take(&mut self.unverified_bytes), Ordering::AcqRel);
        self.leave_address();
    }

    fn leave_address(&mut self) {
        if let Some(address) = self.address.take() {
            let mut by_address = self.budget.by_address.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(under_way) = by_address.get_mut(&address) {
                *under_way -= 1;
                if *under_way == 0 {
                    by_address.remove(&address);
                }
            }
        }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.is_verified();
        self.source.fetch_sub(self.bytes, Ordering::AcqRel);
        self.budget.all.fetch_sub(self.bytes, Ordering::AcqRel);
        self.budget.gauge.sub(signed(self.bytes));
    }
}

/// Adds when the sum stays within `max`. Others may see the sum too high for a moment, never too low.
fn add(held: &AtomicU64, bytes: u64, max: u64) -> bool {
    let fits = held.fetch_add(bytes, Ordering::AcqRel).saturating_add(bytes) <= max;
    if !fits {
        held.fetch_sub(bytes, Ordering::AcqRel);
    }
    fits
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
