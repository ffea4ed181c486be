//! `Reports`: our own reports, and those of other people.
//!
//! Methods only: a report reveals that a person is ill. Reports travel as files, and
//! files as descriptors: the daemon cannot open paths of its callers, and must not.

use std::io::Write;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tcn_protocol::file::Format;
use tcn_protocol::{Memo, MemoType, UnixTime};
use tcnd_client::{names, proxy};
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;
use zbus::message::Header;
use zbus::names::{BusName, OwnedUniqueName};
use zbus::object_server::SignalEmitter;
use zbus::{Connection, OwnedFd, interface};

use super::bouncer::Bouncer;
use super::error::ErrorReply;
use super::name_watch::{NameWatcher, WatchError, caller, is_present};
use super::options::{MethodOptions, OptionMap};
use super::replies;
use super::sync_run;
use super::transfer::{FdWriter, Transfers, write_error};
use crate::daemon::{
    BUDGET, Handle, Import, LONGEST_LABEL, MatchedReportsRequest, OwnReportsRequest,
    PublishRequest, Refusal, ReportRequest, Request,
};

pub(super) struct ReportsInterface {
    pub(super) handle: Handle,
    pub(super) bouncer: Arc<Bouncer>,
    pub(super) transfers: Arc<Transfers>,
    /// The callers with an import in progress.
    pub(super) importers: NameWatcher,
    /// Permits to wait for a run of tcnd-sync.
    pub(super) checks: Semaphore,
}

/// How many checks are waited for at once. Each may take twenty minutes.
pub(super) const MAX_CHECKS: usize = 8;

/// How often the caller of Import gets its progress.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

#[interface(name = "org.tcncoalition.Tcnd1.Reports", introspection_docs = true)]
impl ReportsInterface {
    /// What a report over this span would give away, both in seconds since
    /// 1970-01-01 UTC. Nothing is made, and nothing leaves the machine. The
    /// answer has parts (u), signed reports it takes, one a key; numbers (t)
    /// in them that were on the air; named (t), all that the signed reports
    /// name, of which some, such as the last of each, never were; bytes (t) of all parts without memos;
    /// from (t) and to (t), when the first of the numbers came on the air and
    /// when the last left it, absent if there is none: that may be before and
    /// after what was asked for, since a key is given away to its end; on_air (b),
    /// true if the last of them is on the air yet, so that to is the present and
    /// grows until Create; token (s), which names just this for Create; gaps
    /// (a(tt)), silences of five minutes or more in the span, of which nobody
    /// can be warned; reported (u), keys in it that an earlier report took.
    /// Needs the polkit action org.tcncoalition.tcnd1.report-create, as all
    /// methods here but Export and Import.
    #[zbus(out_args("disclosure"))]
    async fn preview(
        &self,
        from: u64,
        to: u64,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<proxy::Disclosure, ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        let (from, to) = (UnixTime(from), UnixTime(to));
        let preview = |reply| Request::OwnReports(OwnReportsRequest::Preview(from, to, reply));
        Ok(replies::disclosure(&self.handle.ask(preview).await?))
    }

    /// Makes a report over this span. It stays on the machine until Export;
    /// its keys are used up, and the key on the air is ended first. The memo
    /// goes into every part; it has 255 bytes at most, and its type says who
    /// can read it. Options: consent (b) must be true, or the answer is
    /// Error.ConsentRequired: show the person what Preview says before; note
    /// (s), words for oneself that never leave the machine, 256 bytes at most and
    /// none that steer a terminal or cannot be seen; numbers (t), how many numbers the person was
    /// shown, so that if there are more by now the answer is
    /// Error.ConsentRequired; token (s), of the Preview that the person was shown,
    /// so that if anything else would be given away by now the answer is
    /// Error.ConsentRequired too; linkable (b), true if the person knows and wants that the memo shows
    /// the parts to be one person's, which else is Error.MemoRefused. Nothing
    /// on the air in that time is Error.NoData. The answer is the report's
    /// local name, a decimal number, and what was given into it: parts (u),
    /// numbers (t), named (t), from (t), to (t) as in Preview; concerns (as), what may be
    /// held against the memo all the same, for people.
    #[zbus(out_args("id", "created"))]
    #[expect(
        clippy::too_many_arguments,
        reason = "they are the method's, and two of them zbus's"
    )]
    async fn create(
        &self,
        memo_type: u8,
        memo: Vec<u8>,
        from: u64,
        to: u64,
        options: OptionMap,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(String, proxy::Created), ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        let known = &[
            ("consent", "b"),
            ("note", "s"),
            ("numbers", "t"),
            ("token", "s"),
            ("linkable", "b"),
        ];
        let mut options = MethodOptions::new(options, known)?;
        if !options.take("consent")?.unwrap_or(false) {
            return Err(ErrorReply::ConsentRequired(
                "a report gives away when and where others met this machine; show what Preview says, and call with consent=true if the person agrees",
            ));
        }
        let request = ReportRequest {
            from: UnixTime(from),
            to: UnixTime(to),
            memo: Memo::new(MemoType::new(memo_type), memo).map_err(|_| {
                ErrorReply::InvalidArgs("a memo takes 255 bytes at most".to_owned())
            })?,
            note: options.take("note")?.unwrap_or_default(),
            linkable: options.take("linkable")?.unwrap_or(false),
            shown: options.take("numbers")?,
            token: token(&mut options)?,
        };
        if !printable::is_line(&request.note) {
            return Err(ErrorReply::InvalidArgs(
                "a note may have no characters that steer a terminal or cannot be seen".to_owned(),
            ));
        }
        let make = |reply| Request::OwnReports(OwnReportsRequest::Make(request, reply));
        let reported = self.handle.ask(make).await?;
        Ok((reported.id.to_string(), reported.into()))
    }

    /// Our reports, oldest first. Of each: id (s); created (t), in seconds
    /// since 1970-01-01 UTC; deleted (t), absent unless it was deleted after it
    /// had left the machine, then this is the record of that; memo_type (y);
    /// memo (ay), absent when deleted; note (s); parts (u), numbers (t), named
    /// (t), absent when deleted, from (t), to (t) as in Preview; departures (a(ts)), what left the machine:
    /// when, and how, a token like export-tcn; uploads (aa{sv}), the parts on
    /// their way to servers, in no order that says anything: of each source
    /// (s), the server's name; state (s): queued; sent, what became of it is
    /// not known; accepted; refused; cancelled, it may have left and is not sent
    /// again; at (t), since when; due (t), when it
    /// leaves or is tried again at the earliest, absent if it does not; reason
    /// (s), what the server or the network said last. Clients must tolerate
    /// other states.
    #[zbus(out_args("reports"))]
    async fn list(
        &self,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Vec<proxy::OwnReport>, ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        let list = |reply| Request::OwnReports(OwnReportsRequest::List(reply));
        let reports = self.handle.ask(list).await?;
        Ok(reports.into_iter().map(proxy::OwnReport::from).collect())
    }

    /// Writes a report of ours to a file and returns when it has it, with the
    /// length in bytes. That it left the machine is recorded before. Options:
    /// format (s), tcn if not given (signed reports one after another), base64
    /// (one a line) or json (an array of strings). Whoever calls must read
    /// from a pipe or socket meanwhile: 30 seconds without progress are
    /// Error.Failed, five exports at once Error.Busy. Needs the polkit action
    /// org.tcncoalition.tcnd1.report-publish.
    #[zbus(out_args("bytes"))]
    async fn export(
        &self,
        id: String,
        file: OwnedFd,
        options: OptionMap,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<u64, ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        let mut options = MethodOptions::new(options, &[("format", "s")])?;
        let format: Option<String> = options.take("format")?;
        let format = known(format.as_deref())?;
        let id = report_id(&id)?;
        // Before the departure is recorded: a report that no reader could have received
        // must not be recorded as having left.
        let writer = self.transfers.writer(file)?;
        let export = |reply| Request::OwnReports(OwnReportsRequest::Export(id, format, reply));
        let bytes = self.handle.ask(export).await?;
        let length = bytes.len() as u64;
        let write = move |mut writer: FdWriter| {
            let written = writer.write_all(&bytes).and_then(|()| writer.flush());
            written.map_err(|error| write_error(&error))
        };
        writer.work(write).await?;
        Ok(length)
    }

    /// Sends a report of ours to the servers that take reports, where everybody
    /// can fetch it. Options: consent (b) must be true, or the answer is
    /// Error.ConsentRequired; source (s), the name of one server, else all of
    /// them; now (b), true to send all parts at once, those too that are queued
    /// already: else they leave one by one, in random order over hours, so that
    /// nobody can tell by their times that they are one person's; dry_run (b),
    /// true to be told what would happen, for which no consent is needed; token
    /// (s), of the dry run that the person was shown, so that if anything else
    /// would happen by now the answer is Error.ConsentRequired. It returns when the
    /// parts are queued; List shows how far each is. The answer has parts (u),
    /// queued now or hurried, each counted for every server; hurried (u), those of
    /// them that were queued before; labels (as) of the servers; last (t), when the
    /// last part may leave, in seconds since 1970-01-01 UTC; token (s).
    /// Error.NotReady if no server takes reports, Error.AlreadyPublished if nothing
    /// was left to queue or to hurry. Needs the polkit action org.tcncoalition.tcnd1.report-publish.
    #[zbus(out_args("published"))]
    async fn publish(
        &self,
        id: String,
        options: OptionMap,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<proxy::Published, ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        let known = &[
            ("consent", "b"),
            ("source", "s"),
            ("now", "b"),
            ("dry_run", "b"),
            ("token", "s"),
        ];
        let mut options = MethodOptions::new(options, known)?;
        let dry_run = options.take("dry_run")?.unwrap_or(false);
        if !options.take("consent")?.unwrap_or(false) && !dry_run {
            return Err(ErrorReply::ConsentRequired(
                "a published report cannot be taken back; call with consent=true if the person agrees",
            ));
        }
        let request = PublishRequest {
            id: report_id(&id)?,
            source: options.take("source")?,
            urgent: options.take("now")?.unwrap_or(false),
            dry_run,
            token: token(&mut options)?,
        };
        let publish = |reply| Request::OwnReports(OwnReportsRequest::Publish(request, reply));
        Ok(self.handle.ask(publish).await?.into())
    }

    /// Has what of a report of ours has not left yet leave no more. Options: source
    /// (s), the name of one server, else all of them. What has left cannot be taken
    /// back; what may have left is not sent again. The answer has cancelled (u),
    /// parts that had not left, each counted for every server; left (u), parts that
    /// had, or may have; servers (a(suu)), of each server the name, cancelled and
    /// left. Needs the polkit action org.tcncoalition.tcnd1.report-create.
    #[zbus(out_args("cancelled"))]
    async fn cancel_publish(
        &self,
        id: String,
        options: OptionMap,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<proxy::Cancelled, ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        let mut options = MethodOptions::new(options, &[("source", "s")])?;
        let (id, source) = (report_id(&id)?, options.take("source")?);
        let cancel =
            |reply| Request::OwnReports(OwnReportsRequest::CancelPublish(id, source, reply));
        Ok(replies::cancelled(self.handle.ask(cancel).await?))
    }

    /// Has reports of others fetched from all servers now, and returns when
    /// that is done, or after ten minutes with Error.Failed. There are no
    /// options yet. The answer has reports (t), looked at for the first time;
    /// new_exposures (t); checked (t), when all servers had been gone through
    /// well, in seconds since 1970-01-01 UTC, absent if they never were; failed
    /// (a(ss)), of the servers that could not be gone through the label and a
    /// token of what was wrong. Error.NotReady if tcnd-sync does not start,
    /// org.freedesktop.DBus.Error.NotSupported where it cannot be started from
    /// here. Needs the polkit action org.tcncoalition.tcnd1.report-import.
    #[zbus(out_args("checked"))]
    async fn check(
        &self,
        options: OptionMap,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<proxy::Checked, ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        MethodOptions::new(options, &[])?;
        let permit = self.checks.try_acquire();
        let _permit = permit.map_err(|_| {
            ErrorReply::Busy(
                "too many programs wait for a check; its end is told by ReportsCheckedAt",
            )
        })?;
        Ok(sync_run::run_sync(&self.handle).await?.into())
    }

    /// Looks for ourselves in reports of others, and returns when the file was
    /// read to its end, in whatever format it has. Options: source (s), a
    /// label for people, 256 bytes at most, file if not given; published (t),
    /// by when the reports were public, in seconds since 1970-01-01 UTC, now
    /// if not given: who was heard only later is no exposure. Counted are (t):
    /// accepted, looked at for the first time; duplicate, looked at before;
    /// bad_signature, named us with a signature that does not hold; malformed,
    /// no report; too_large, past the work one file may cause; new_exposures;
    /// updated, known reports of which more is known now; known, reports that
    /// were known to name a contact, with those of updated; heard_later, reports
    /// that name contacts which all began after they were public. A file without
    /// a report, or that breaks off or gives nothing for 30 seconds, is
    /// Error.Malformed; a second import at once Error.Busy, and so is a file that
    /// is neither pipe, socket nor memory while eight such files do not answer.
    /// ImportProgress tells the caller how far it is. It ends when the caller
    /// leaves the bus; what was read until then counts. Needs the polkit action
    /// org.tcncoalition.tcnd1.report-import.
    #[zbus(out_args("imported"))]
    async fn import(
        &self,
        file: OwnedFd,
        options: OptionMap,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<proxy::Imported, ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        let mut options = MethodOptions::new(options, &[("source", "s"), ("published", "t")])?;
        let label: Option<String> = options.take("source")?;
        let published: Option<u64> = options.take("published")?;
        let (cancelled, left) = (Arc::<AtomicBool>::default(), Arc::<Notify>::default());
        let reader = self.transfers.reader(file, Arc::clone(&cancelled))?;
        let progress = reader.progress();
        let import = Import {
            label: label.unwrap_or_else(|| "file".to_owned()),
            published: published.map(UnixTime),
            budget: BUDGET,
            source: Box::new(reader),
        };
        if import.label.len() > LONGEST_LABEL || !printable::is_line(&import.label) {
            return Err(ErrorReply::InvalidArgs(
                "source may have 256 bytes at most, and none that steer a terminal or cannot be seen"
                    .to_owned(),
            ));
        }
        let import = |reply| Request::MatchedReports(MatchedReportsRequest::Import(import, reply));
        let caller = caller(connection, &call);
        if let Some(caller) = &caller {
            let (cancelled, left) = (Arc::clone(&cancelled), Arc::clone(&left));
            let leave = async move {
                cancelled.store(true, Ordering::Relaxed);
                left.notify_one();
            };
            if self.importers.names().contains(caller) {
                return Err(ErrorReply::Busy(
                    "an import of yours is under way; wait for its answer",
                ));
            }
            let watch = self.importers.watch(connection, caller, leave);
            watch.await.map_err(watch_error)?;
            // The caller may have left before the watch was set up.
            if !is_present(connection, caller).await {
                self.importers.unwatch(caller);
                return Err(Refusal::Stopped.into());
            }
        }
        let imported = self.handle.ask(import);
        let imported = send_progress(connection, caller.as_ref(), &progress, imported);
        // The daemon sees that its answer is not awaited any more.
        let imported = tokio::select! {
            imported = imported => imported,
            () = left.notified() => Err(Refusal::Stopped),
        };
        if let Some(caller) = &caller {
            self.importers.unwatch(caller);
        }
        Ok(imported?.into())
    }

    /// Import has read so many bytes of its file. Sent to its caller alone, once a
    /// second while the number grows.
    #[zbus(signal)]
    async fn import_progress(emitter: &SignalEmitter<'_>, bytes: u64) -> zbus::Result<()>;

    /// Deletes a report of ours. What of it has not left yet leaves no more. If it
    /// never left the machine its keys can be reported again; otherwise the record
    /// of that stays in List.
    async fn delete(
        &self,
        id: String,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        let id = report_id(&id)?;
        let delete = |reply| Request::OwnReports(OwnReportsRequest::Delete(id, reply));
        Ok(self.handle.ask(delete).await?)
    }
}

/// Runs `work` and meanwhile sends its progress to `caller`.
async fn send_progress<T>(
    connection: &Connection,
    caller: Option<&OwnedUniqueName>,
    progress: &AtomicU64,
    work: impl Future<Output = T>,
) -> T {
    let mut work = pin!(work);
    let mut told = 0;
    loop {
        if let Ok(done) = timeout(PROGRESS_INTERVAL, &mut work).await {
            return done;
        }
        let read = progress.load(Ordering::Relaxed);
        if read != told {
            told = read;
            // A signal that cannot be sent does no harm: only the answer counts.
            let _ = emit_progress(connection, caller, read).await;
        }
    }
}

async fn emit_progress(
    connection: &Connection,
    caller: Option<&OwnedUniqueName>,
    read: u64,
) -> zbus::Result<()> {
    let mut emitter = SignalEmitter::new(connection, names::ROOT)?;
    if let Some(caller) = caller {
        emitter = emitter.set_destination(BusName::from(caller.clone()));
    }
    ReportsInterface::import_progress(&emitter, read).await
}

fn watch_error(why: WatchError) -> ErrorReply {
    match why {
        WatchError::TooMany => ErrorReply::Busy("too many programs import; try again in a moment"),
        WatchError::Unavailable => {
            ErrorReply::Failed("the bus does not tell when you leave it; try again")
        }
    }
}

/// The option `token`. A token that the daemon never gave out matches nothing that was
/// shown.
fn token(options: &mut MethodOptions) -> Result<Option<u64>, ErrorReply> {
    let text: Option<String> = options.take("token")?;
    let token = text.map(|text| u64::from_str_radix(&text, 16));
    token.transpose().map_err(|_| Refusal::Changed.into())
}

/// A text that is no id names no report.
fn report_id(text: &str) -> Result<u64, ErrorReply> {
    super::options::decimal(text).ok_or_else(|| Refusal::NoSuchReport.into())
}

fn known(format: Option<&str>) -> Result<Format, ErrorReply> {
    match format {
        None | Some("tcn") => Ok(Format::Tcn),
        Some("base64") => Ok(Format::Base64),
        Some("json") => Ok(Format::Json),
        Some(_) => Err(ErrorReply::InvalidArgs(
            "unknown format; there are: tcn, base64, json".to_owned(),
        )),
    }
}
