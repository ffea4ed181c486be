//! Waiting for something that may be absent: then for ever.

use std::future::pending;

use futures::future::BoxFuture;

use super::super::advert::AdvertHandle;
use super::super::discovery::{AdapterEvents, Discovery};
use super::super::session::{AdapterChange, BluezConnection};
use super::state::StepResult;

pub(super) async fn released(advert: Option<&mut AdvertHandle>) {
    match advert {
        Some(advert) => advert.released().await,
        None => pending().await,
    }
}

pub(super) async fn step_result(
    step: Option<&mut ((u64, u64), BoxFuture<'static, StepResult>)>,
) -> ((u64, u64), StepResult) {
    match step {
        Some((started_in, step)) => (*started_in, step.await),
        None => pending().await,
    }
}

pub(super) async fn next_change(bluez: Option<&mut BluezConnection>) -> Option<AdapterChange> {
    match bluez {
        Some(bluez) => bluez.next().await,
        None => pending().await,
    }
}

pub(super) async fn end_of(discovery: Option<&mut Discovery>) -> Option<AdapterEvents> {
    match discovery {
        Some(discovery) => discovery.ended().await,
        None => pending().await,
    }
}
