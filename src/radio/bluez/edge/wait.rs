//! Waiting for what may not be there: then for ever.

use std::future::pending;

use futures::future::BoxFuture;

use super::super::advert::Handle;
use super::super::discovery::{Arrivals, Discovery};
use super::super::session::{Change, Link};
use super::Outcome;

pub(super) async fn released(advert: Option<&mut Handle>) {
    match advert {
        Some(advert) => advert.released().await,
        None => pending().await,
    }
}

pub(super) async fn outcome(
    step: Option<&mut ((u64, u64), BoxFuture<'static, Outcome>)>,
) -> ((u64, u64), Outcome) {
    match step {
        Some((begun, step)) => (*begun, step.await),
        None => pending().await,
    }
}

pub(super) async fn next_change(link: Option<&mut Link>) -> Option<Change> {
    match link {
        Some(link) => link.next().await,
        None => pending().await,
    }
}

pub(super) async fn end_of(discovery: Option<&mut Discovery>) -> Option<Arrivals> {
    match discovery {
        Some(discovery) => discovery.ended().await,
        None => pending().await,
    }
}
