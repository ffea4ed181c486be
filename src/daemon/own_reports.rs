//! Own reports: planned and made.
//!
//! Before a report is made the engine is told to end the key in use, so that
//! nothing a report gives away can go on the air afterwards; then the report
//! keys are read, after all that the engine still wrote. The one that makes a report
//! takes its keys in the same transaction that keeps it.

use std::collections::BTreeMap;
use std::time::Duration;

use tcn_engine::disclosure::{Part, Plan};
use tcn_engine::{Aired, Input, KeyHistory, KeyId, Moment, Seed, activity};
use tcn_protocol::memo::MemoConcern;
use tcn_protocol::{Memo, ReportAuthorizationKey, SignedReport, UnixTime};
use tcnd_client::failure;

use super::clock;
use super::driver::Driver;
use super::refusal::Refusal;
use super::reply::{Later, respond_later};
use super::requests::{OwnReportsRequest, ReportRequest, Reported};
use crate::store::{self, NewPart, NewReport, Store};

impl Driver {
    pub(super) async fn answer_own_reports(&mut self, request: OwnReportsRequest) {
        match request {
            OwnReportsRequest::Preview(from, to, reply) => {
                respond_later(reply, self.preview(from, to));
            }
            OwnReportsRequest::Activity(from, to, reply) => {
                respond_later(reply, self.activity(from, to));
            }
            OwnReportsRequest::Make(asked, reply) => respond_later(reply, self.report(asked).await),
            OwnReportsRequest::Publish(asked, reply) => respond_later(reply, self.publish(asked)),
        }
    }

    fn preview(&self, from: UnixTime, to: UnixTime) -> Later<Plan> {
        let now = clock::plausible()?;
        let span = past(from, to, now).ok_or(NOT_YET)?;
        let (life, histories) = (self.longest_life(), self.histories());
        Ok(Box::pin(async move {
            Ok(Plan::new(&histories.await?, span, life, now.wall))
        }))
    }

    fn activity(&self, from: UnixTime, to: UnixTime) -> Later<BTreeMap<UnixTime, Duration>> {
        let now = clock::plausible()?;
        let (life, histories) = (self.longest_life(), self.histories());
        Ok(Box::pin(async move {
            Ok(activity::by_quarter(
                &histories.await?,
                (from, to),
                life,
                now.wall,
            ))
        }))
    }

    /// The numbers of each key that were on the air.
    fn histories(&self) -> impl Future<Output = Result<Vec<KeyHistory>, store::Error>> + use<> {
        let (store, limit) = (self.store.clone(), self.engine.next_key());
        let reserved = self.engine.reserved();
        async move {
            let mut histories = store.history(limit).await?;
            // This number is not on the air yet. If a report ends the key, it never will be.
            for history in &mut histories {
                let key = history.key;
                let is_aired = |number: &Aired| Some((key, number.index)) != reserved;
                history.numbers.retain(is_aired);
            }
            Ok(histories)
        }
    }

    /// What a number aired by an earlier start, whose end a crash kept from
    /// being written, may have been on the air for.
    fn longest_life(&self) -> Duration {
        self.engine.longest_life().max(self.settings.longest_life())
    }

    async fn report(&mut self, asked: ReportRequest) -> Later<Reported> {
        let now = clock::plausible()?;
        let span = past(asked.from, asked.to, now).ok_or(NOT_YET)?;
        if asked.note.len() > printable::MAX_TEXT {
            return Err(Refusal::InvalidArgument(
                "the note is too long; it may have 256 bytes at most",
            ));
        }
        let limit = self.engine.next_key();
        self.tell(now, Input::EndKey).await;
        let (store, life) = (self.store.clone(), self.longest_life());
        Ok(Box::pin(async move {
            let histories = store.history(limit).await?;
            let plan = Plan::new(&histories, span, life, now.wall);
            make(&store, asked, plan, now.wall).await
        }))
    }
}

const NOT_YET: Refusal = Refusal::InvalidRange(
    "the time is not valid; it must begin in the past and end after it began",
);

/// The part of `[from, to)` that has begun, this second included.
fn past(from: UnixTime, to: UnixTime, now: Moment) -> Option<(UnixTime, UnixTime)> {
    let to = to.min(now.wall.after(Duration::from_secs(1)));
    (from < to).then_some((from, to))
}

async fn make(
    store: &Store,
    asked: ReportRequest,
    plan: Plan,
    now: UnixTime,
) -> Result<Reported, Refusal> {
    if plan.parts.is_empty() {
        let text = failure::nothing_to_report(plan.reported > 0);
        return Err(Refusal::NoData(text));
    }
    let more = asked.shown.is_some_and(|shown| plan.numbers() > shown);
    let other = asked.token.is_some_and(|token| plan.fingerprint() != token);
    if more || other {
        return Err(Refusal::Changed);
    }
    let concerns = asked.memo.concerns(plan.parts.len());
    let accepted = |concern: &MemoConcern| asked.linkable && concern.is_about_linking();
    if let Some(refusal) = concerns.iter().find(|c| c.is_refusal() && !accepted(c)) {
        return Err(Refusal::Memo(*refusal));
    }
    let keys = plan.parts.iter().map(|part| part.key).collect();
    let seeds: BTreeMap<KeyId, Seed> = store.seeds(keys).await?.into_iter().collect();
    let parts: Option<Vec<NewPart>> = plan
        .parts
        .iter()
        .map(|part| Some(sign(part, seeds.get(&part.key)?, &asked.memo)))
        .collect();
    let report = NewReport {
        created: now,
        memo: asked.memo,
        note: asked.note,
        parts: parts.ok_or(OVERTAKEN)?,
    };
    let id = store.keep_report(report).await?.ok_or(OVERTAKEN)?;
    Ok(Reported { id, plan, concerns })
}

const OVERTAKEN: Refusal = Refusal::InUse(
    "another report took one of the keys meanwhile, or it was destroyed; look again and retry",
);

fn sign(part: &Part, seed: &Seed, memo: &Memo) -> NewPart {
    let rak = ReportAuthorizationKey::from_bytes(&seed.0);
    NewPart {
        key: part.key,
        numbers: part.numbers,
        from: part.from,
        to: part.to,
        signed: SignedReport::create(&rak, part.span, memo.clone()),
    }
}
