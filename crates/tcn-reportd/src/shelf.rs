//! The editions that are served: those of past intervals, rendered once, and that of
//! the open one.
//!
//! Past editions are in the folder `public` of the state directory, with the same names
//! and layout as published editions (`bucket`), so a web server may serve that folder
//! too. Each is rendered at its first request or soon after the end of its interval,
//! whichever comes first. Simultaneous requests wait for one rendering.
//!
//! The edition of the open interval is rendered again on request if new reports came
//! since. A large one is kept for a minute.

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

/// How long a large edition of the open interval is served.
const LARGE_LASTS: Duration = Duration::from_secs(60);

type Slot = Arc<OnceCell<Arc<Edition>>>;

/// All editions.
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
    /// The editions of a store, in its state directory.
    ///
    /// # Errors
    /// If its folders cannot be created.
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

    /// The folder of past editions, as a location to publish to.
    pub(super) const fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// The edition of a past interval.
    ///
    /// # Errors
    /// If it cannot be rendered or read.
    pub(super) async fn past(&self, interval: Interval) -> Result<Arc<Edition>, BucketError> {
        let slot = {
            let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(past.entry(interval).or_default())
        };
        let edition = slot.get_or_try_init(|| self.fetch(interval)).await?;
        Ok(Arc::clone(edition))
    }

    /// The edition of the open interval.
    ///
    /// # Errors
    /// If it cannot be rendered.
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

    /// Drops the editions of intervals before `oldest`.
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

/// Removes files that a killed run left incomplete: object_store gives such files names
/// with a number sign, and our names have none.
fn sweep(folder: &Path) -> io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().contains(&b'#') {
            match std::fs::remove_file(entry.path()) {
                // A server that is ending completed or removed it meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed?,
            }
        }
    }
    Ok(())
}

/// The edition published at `path`, if it is complete.
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
        // A part of it was removed; the reports are still in the store.
        _ => Ok(None),
    }
}

/// Runs work that waits for a disk on a thread where it blocks no other task.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(end) => std::panic::resume_unwind(end.into_panic()),
    }
}
