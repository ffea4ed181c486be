//! `Reports`: the reports of this machine, and those of other people.
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
use tcnd_client::names::{self, error};
use tcnd_client::proxy;
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;
use zbus::message::Header;
use zbus::names::{BusName, OwnedUniqueName};
use zbus::object_server::SignalEmitter;
use zbus::{Connection, OwnedFd, interface};

use super::bouncer::Bouncer;
use super::error::ErrorReply;
use super::name_watch::{NameWatcher, WatchError, caller, is_present};
use super::options::{MethodOptions, OptionMap, check_short_line, decimal};
use super::replies;
use super::sync_run;
use super::transfer::{FdWriter, Transfers, write_error};
use crate::daemon::{
    BUDGET, Handle, Import, MatchedReportsRequest, OwnReportsRequest, PublishRequest, Refusal,
    ReportRequest, Request, StoreRequest,
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

/// Checks that wait at once. Each may take twenty minutes.
pub(super) const MAX_CHECKS: usize = 8;

/// How often the caller of Import gets its progress.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

#[interface(name = "org.tcncoalition.Tcnd1.Reports", introspection_docs = true)]
impl ReportsInterface {
    /// Returns what a report over this span would disclose. from and to are in seconds
    /// since 1970-01-01 UTC. The call makes no report, and nothing leaves the machine.
    /// The reply has parts (u), the signed reports that it takes, one per key; numbers
    /// (t), those in the parts that were on the air; named (t), all numbers that the
    /// signed reports name: some of them, such as the last of each, never were on the
    /// air; bytes (t), the size of all parts without memos; from (t) and to (t), when
    /// the first of the numbers went on the air and when the last left it, absent if
    /// there is none: a key is disclosed whole, so these may be before and after the
    /// requested span; on_air (b), true if the last of the numbers is still on the air,
    /// so that to is the present and grows until Create; token (s), which identifies
    /// this result for Create; gaps (a(tt)), the silences of five minutes or more in
    /// the span: the report warns no one for these times; reported (u), the keys in the
    /// span that an earlier report used. Needs the polkit action
    /// org.tcncoalition.tcnd1.report-create, as all methods of this interface do except
    /// Export, Publish, Check and Import.
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

    /// Makes a report over this span. The report stays on the machine until Export or
    /// Publish. Its keys are used up; the key on the air is ended first. Every part
    /// contains the memo, which has at most 255 bytes; the memo type says who can read
    /// it. Options: consent (b), must be true, otherwise the call fails with
    /// Error.ConsentRequired: show the result of Preview to the person first; note (s),
    /// a note of the person, which never leaves the machine, at most 256 bytes, without
    /// control characters and invisible characters; numbers (t), how many numbers the
    /// person was shown: if there are more by now, the call fails with
    /// Error.ConsentRequired; token (s), of the Preview that the person was shown: if
    /// the report would disclose anything else by now, the call fails with
    /// Error.ConsentRequired; linkable (b), true if the person knows and accepts that
    /// the memo shows that all parts are from one person: otherwise such a memo fails
    /// with Error.MemoRefused. If no number was on the air in that time, the call fails
    /// with Error.NoData. Returns the id of the report, a decimal number, and what the
    /// report discloses: parts (u), numbers (t), named (t), from (t) and to (t) as in
    /// Preview; concerns (as), the remaining concerns about the memo, for people.
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
    ) -> Result<(String, proxy::CreateReply), ErrorReply> {
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
            return Err(ErrorReply::new(
                error::CONSENT_REQUIRED,
                "a report discloses when other people met this machine; show the result of Preview, and call with consent=true if the person agrees",
            ));
        }
        let request = ReportRequest {
            from: UnixTime(from),
            to: UnixTime(to),
            memo: Memo::new(MemoType::new(memo_type), memo).map_err(|_| {
                ErrorReply::invalid_args("the memo is too long; it may have 255 bytes at most")
            })?,
            note: options.take("note")?.unwrap_or_default(),
            linkable: options.take("linkable")?.unwrap_or(false),
            shown: options.take("numbers")?,
            token: token(&mut options)?,
        };
        if !printable::is_line(&request.note) {
            return Err(ErrorReply::invalid_args(
                "the note has control characters or invisible characters; remove them",
            ));
        }
        let make = |reply| Request::OwnReports(OwnReportsRequest::Make(request, reply));
        let reported = self.handle.ask(make).await?;
        Ok((reported.id.to_string(), reported.into()))
    }

    /// Returns the reports of this machine, oldest first. Each has id (s); created (t),
    /// in seconds since 1970-01-01 UTC; deleted (t), absent unless the report was
    /// deleted after it had left the machine: the entry is then the record of that;
    /// memo_type (y); memo (ay), absent if deleted; note (s); parts (u), numbers (t),
    /// named (t), absent if deleted, from (t) and to (t) as in Preview; departures
    /// (a(ts)), when and how the report left the machine, the latter as a token such as
    /// export-tcn; uploads (aa{sv}), the parts on their way to servers, in an order
    /// without meaning. Each upload has source (s), the name of the server; state (s):
    /// queued; sent, its outcome is not known; accepted; refused; cancelled, it may
    /// have left and is not sent again; at (t), when the state began; due (t), when it
    /// is sent or tried again at the earliest, absent if it is not; reason (s), the
    /// last message of the server or the network. Clients must tolerate other states.
    #[zbus(out_args("reports"))]
    async fn list(
        &self,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Vec<proxy::OwnReportInfo>, ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        let list = |reply| StoreRequest::OwnReports(reply);
        let reports = self.handle.ask_store(list).await?;
        Ok(reports
            .into_iter()
            .map(proxy::OwnReportInfo::from)
            .collect())
    }

    /// Writes a report of this machine to a file. Returns the length in bytes when the
    /// file has all of it. The daemon records that the report left the machine before
    /// it writes. Options: format (s), tcn by default (signed reports one after
    /// another), base64 (one per line) or json (an array of strings). The caller must
    /// read from a pipe or socket during the call: after 30 seconds without progress
    /// the call fails with Error.Failed. A fifth export at the same time fails with
    /// Error.Busy. Needs the polkit action org.tcncoalition.tcnd1.report-publish.
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
        let export = |reply| StoreRequest::Export(id, format, reply);
        let bytes = self.handle.ask_store(export).await?;
        let length = bytes.len() as u64;
        let write = move |mut writer: FdWriter| {
            let written = writer.write_all(&bytes).and_then(|()| writer.flush());
            written.map_err(|error| write_error(&error))
        };
        writer.work(write).await?;
        Ok(length)
    }

    /// Sends a report of this machine to the servers that take reports, from which
    /// everyone can fetch it. Options: consent (b), must be true, otherwise the call
    /// fails with Error.ConsentRequired; source (s), the name of one server, by default
    /// all of them; now (b), true to send all parts at once, also those that are queued
    /// already: by default they leave one by one, in random order over hours, so that
    /// their times do not reveal that they are from one person; dry_run (b), true to
    /// return what would happen, for which no consent is needed; token (s), of the dry
    /// run that the person was shown: if anything else would happen by now, the call
    /// fails with Error.ConsentRequired. Returns when the parts are queued; List shows
    /// the progress of each. The reply has parts (u), queued now or hurried, each
    /// counted for every server; hurried (u), those of them that were queued before;
    /// labels (as) of the servers; last (t), when the last part may leave, in seconds
    /// since 1970-01-01 UTC; token (s). Fails with Error.NotReady if no server takes
    /// reports, and with Error.AlreadyPublished if no part remains to be queued or
    /// hurried. Needs the polkit action org.tcncoalition.tcnd1.report-publish.
    #[zbus(out_args("published"))]
    async fn publish(
        &self,
        id: String,
        options: OptionMap,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<proxy::PublishReply, ErrorReply> {
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
            return Err(ErrorReply::new(
                error::CONSENT_REQUIRED,
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

    /// Cancels the parts of a report of this machine that have not left yet. A part
    /// that has left cannot be taken back; a part that may have left is not sent again.
    /// Options: source (s), the name of one server, by default all of them. The reply
    /// has cancelled (u), the parts that had not left, each counted for every server;
    /// left (u), the parts that had left or may have; servers (a(suu)), for each server
    /// its name, cancelled and left. Needs the polkit action
    /// org.tcncoalition.tcnd1.report-create.
    #[zbus(out_args("cancelled"))]
    async fn cancel_publish(
        &self,
        id: String,
        options: OptionMap,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<proxy::CancelPublishReply, ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        let mut options = MethodOptions::new(options, &[("source", "s")])?;
        let (id, source) = (report_id(&id)?, options.take("source")?);
        let cancel = |reply| StoreRequest::CancelPublish(id, source, reply);
        Ok(replies::cancelled(self.handle.ask_store(cancel).await?))
    }

    /// Fetches reports of other people from all servers now. Returns when that is done;
    /// fails with Error.Failed after ten minutes. There are no options yet. The reply
    /// has reports (t), those that were checked for the first time; new_exposures (t);
    /// checked (t), the last time by which all servers had been checked successfully,
    /// in seconds since 1970-01-01 UTC, absent if that never happened; failed (a(ss)),
    /// for each server that could not be checked its label and a token of the problem.
    /// Fails with Error.NotReady if tcnd-sync does not start, and with
    /// org.freedesktop.DBus.Error.NotSupported if this daemon cannot start it. Needs
    /// the polkit action org.tcncoalition.tcnd1.report-import.
    #[zbus(out_args("checked"))]
    async fn check(
        &self,
        options: OptionMap,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<proxy::CheckReply, ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        MethodOptions::new(options, &[])?;
        let permit = self.checks.try_acquire();
        let _permit = permit.map_err(|_| {
            ErrorReply::busy(
                "too many programs wait for a check; ReportsCheckedAt changes when it is done",
            )
        })?;
        Ok(sync_run::run_sync(&self.handle).await?.into())
    }

    /// Checks reports of other people for numbers that this machine heard. Returns when
    /// the daemon has read the file to its end; it recognises the format. Options:
    /// source (s), a label for people, at most 256 bytes, file by default; published
    /// (t), when the reports were public at the latest, in seconds since 1970-01-01
    /// UTC, now by default: a contact that began later is no exposure. The reply counts
    /// (t): accepted, checked for the first time; duplicate, checked before;
    /// bad_signature, names a contact with an invalid signature; malformed, not a
    /// report; too_large, beyond the work that one file may cause; new_exposures;
    /// updated, known reports of which more is known now; known, reports that were
    /// known to name a contact, including those of updated; heard_later, reports that
    /// name contacts which all began after the reports were public. Fails with
    /// Error.Malformed if the file has no report, breaks off, or gives nothing for 30
    /// seconds. A second import at the same time fails with Error.Busy; so does a file
    /// that is no pipe, socket or memory file while eight such files do not respond.
    /// ImportProgress tells the caller the progress. The import ends when the caller
    /// leaves the bus; the reports that were read until then count. Needs the polkit
    /// action org.tcncoalition.tcnd1.report-import.
    #[zbus(out_args("imported"))]
    async fn import(
        &self,
        file: OwnedFd,
        options: OptionMap,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<proxy::ImportCounts, ErrorReply> {
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
        check_short_line("source", &import.label)?;
        let import = |reply| Request::MatchedReports(MatchedReportsRequest::Import(import, reply));
        let caller = caller(connection, &call);
        if let Some(caller) = &caller {
            let (cancelled, left) = (Arc::clone(&cancelled), Arc::clone(&left));
            let leave = async move {
                cancelled.store(true, Ordering::Relaxed);
                left.notify_one();
            };
            if self.importers.names().contains(caller) {
                return Err(ErrorReply::busy(
                    "your earlier import is in progress; wait for its reply",
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
        // When this task stops waiting, the daemon notices and ends the import.
        let imported = tokio::select! {
            imported = imported => imported,
            () = left.notified() => Err(Refusal::Stopped),
        };
        if let Some(caller) = &caller {
            self.importers.unwatch(caller);
        }
        Ok(imported?)
    }

    /// How many bytes of its file Import has read. The signal goes only to the caller
    /// of Import, once a second while the number grows.
    #[zbus(signal)]
    async fn import_progress(emitter: &SignalEmitter<'_>, bytes: u64) -> zbus::Result<()>;

    /// Deletes a report of this machine and cancels its parts that have not left yet.
    /// If the report never left the machine, its keys can be reported again. Otherwise
    /// List keeps the record that it left.
    async fn delete(
        &self,
        id: String,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        let id = report_id(&id)?;
        let delete = |reply| StoreRequest::DeleteReport(id, reply);
        Ok(self.handle.ask_store(delete).await?)
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
            // A signal that cannot be sent does no harm: only the reply matters.
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
    why.reply("import; try again in a moment", "try again")
}

/// The option `token`. A token that the daemon never returned matches nothing that the
/// person was shown.
fn token(options: &mut MethodOptions) -> Result<Option<u64>, ErrorReply> {
    let text: Option<String> = options.take("token")?;
    let token = text.map(|text| u64::from_str_radix(&text, 16));
    token.transpose().map_err(|_| Refusal::Changed.into())
}

/// The id in `text`. A text that is not an id names no report.
fn report_id(text: &str) -> Result<u64, ErrorReply> {
    decimal(text).ok_or_else(|| Refusal::NoSuchReport.into())
}

fn known(format: Option<&str>) -> Result<Format, ErrorReply> {
    match format {
        None | Some("tcn") => Ok(Format::Tcn),
        Some("base64") => Ok(Format::Base64),
        Some("json") => Ok(Format::Json),
        Some(_) => Err(ErrorReply::invalid_args(
            "unknown format; the formats are: tcn, base64, json",
        )),
    }
}
