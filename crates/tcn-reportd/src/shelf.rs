//! The editions that are served: those of past intervals, made once, and that of
//! the open one.
//!
//! Past editions lie in the folder `public` of the state directory, named and
//! laid out as they are published anywhere else (`bucket`), so a web server may
//! serve that folder too. Each is made when it is first asked for, or soon after
//! its interval ended, whichever comes first; two that ask at once wait for one.
//!
//! The edition of the open interval is made anew when somebody asks for it and
//! something came since. One that has grown large is kept for a minute.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tcn_exchange::interval::Interval;
use tcn_protocol::UnixTime;
use tokio::sync::{Mutex as Turn, OnceCell};

use super::bucket::{Bucket, BucketError};
use super::clock::Clock;
use super::edition::{Edition, EditionError, SMALL};
use super::form::Form;
use super::store::Store;

/// How long an edition of the open interval is served when it has grown large.
const LARGE_LASTS: Duration = Duration::from_secs(60);

type Slot = Arc<OnceCell<Arc<Edition>>>;

/// All editions there are.
pub(super) struct Shelf {
    store: Store,
    clock: Arc<dyn Clock>,
    work: PathBuf,
    public: PathBuf,
    bucket: Bucket,
    past: Mutex<BTreeMap<Interval, Slot>>,
    open: Turn<Option<Open>>,
}

/// The edition of the open interval.
struct Open {
    interval: Interval,
    generation: u64,
    made: UnixTime,
    edition: Arc<Edition>,
}

impl Shelf {
    /// The shelf of a store, in its state directory.
    ///
    /// # Errors
    /// If its folders cannot be made.
    pub(super) fn new(
        directory: &Path,
        store: Store,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BucketError> {
        let (work, public) = (directory.join("work"), directory.join("public"));
        for folder in [&work, &public] {
            std::fs::create_dir_all(folder).map_err(EditionError::Files)?;
        }
        sweep(&public.join("tcnreport/21600")).map_err(EditionError::Files)?;
        Ok(Self {
            bucket: Bucket::folder(&public)?,
            past: Mutex::default(),
            open: Turn::default(),
            store,
            clock,
            work,
            public,
        })
    }

    /// The folder that past editions lie in, as a place to publish.
    pub(super) const fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// The edition of an interval that is past.
    ///
    /// # Errors
    /// If it cannot be made or read.
    pub(super) async fn past(&self, interval: Interval) -> Result<Arc<Edition>, BucketError> {
        let slot = {
            let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(past.entry(interval).or_default())
        };
        let edition = slot.get_or_try_init(|| self.fetch(interval)).await?;
        Ok(Arc::clone(edition))
    }

    /// The edition of the interval that is open.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(super) async fn open(&self, interval: Interval) -> Result<Arc<Edition>, BucketError> {
        let mut turn = self.open.lock().await;
        let (generation, now) = (self.store.generation(), self.clock.now());
        if let Some(open) = &*turn
            && open.is_good(interval, generation, now)
        {
            return Ok(Arc::clone(&open.edition));
        }
        let edition = Arc::new(self.make(interval).await?);
        *turn = Some(Open {
            interval,
            generation,
            made: now,
            edition: Arc::clone(&edition),
        });
        Ok(edition)
    }

    /// Lets go of intervals before `oldest`.
    pub(super) fn forget_before(&self, oldest: Interval) {
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        *past = past.split_off(&oldest);
    }

    async fn fetch(&self, interval: Interval) -> Result<Arc<Edition>, BucketError> {
        let name = format!("tcnreport/21600/{interval}");
        let path = self.public.join(name);
        let found = blocking(move || find(&path)).await;
        let found = found.map_err(EditionError::Files)?;
        if let Some(edition) = found {
            return Ok(Arc::new(edition));
        }
        let edition = self.make(interval).await?;
        self.bucket.publish(interval, &edition).await?;
        Ok(Arc::new(edition))
    }

    async fn make(&self, interval: Interval) -> Result<Edition, EditionError> {
        let (store, work) = (self.store.clone(), self.work.clone());
        blocking(move || Edition::make(&store, interval, &work)).await
    }
}

impl Open {
    fn is_good(&self, interval: Interval, generation: u64, now: UnixTime) -> bool {
        let is_large = self.edition.form(Form::Json).length() > SMALL;
        let lasts = self.made <= now && now < self.made.after(LARGE_LASTS);
        self.interval == interval && (self.generation == generation || (is_large && lasts))
    }
}

/// Removes what a run that was killed was writing: object_store gives such files
/// names with a number sign, and ours have none.
fn sweep(folder: &Path) -> io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().contains(&b'#') {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The edition published at `path`, if it is whole.
fn find(path: &Path) -> io::Result<Option<Edition>> {
    let whole = path.try_exists()?;
    if !whole {
        return Ok(None);
    }
    let open = |form: Form| {
        let mut name = path.as_os_str().to_owned();
        name.push(form.suffix());
        File::open(name)
    };
    let [json, gzip, zstd, tcn] = Form::ALL.map(open);
    match (json, gzip, zstd, tcn) {
        (Ok(json), Ok(gzip), Ok(zstd), Ok(tcn)) => Edition::open([json, gzip, zstd, tcn]).map(Some),
        // Somebody took a part of it away; the reports are still there.
        _ => Ok(None),
    }
}

/// Runs what waits for a disk where it holds nobody up.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(end) => std::panic::resume_unwind(end.into_panic()),
    }
}
