//! The rendered intervals that are served. A past interval is rendered once; the open
//! interval is rendered again when it has changed.
//!
//! Files of past intervals are in the folder `public` of the state directory. Names and
//! layout are those of published intervals (`bucket`), so a web server may serve that
//! folder too. A past interval is rendered at its first request or soon after its end,
//! whichever comes first. Simultaneous requests wait for one rendering.
//!
//! The open interval is rendered on request if reports came since the last rendering. A
//! large rendering is served for a minute, even if reports came since.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tcn_exchange::interval::Interval;
use tcn_protocol::UnixTime;
use tokio::sync::{Mutex as AsyncMutex, OnceCell};

use super::blocking::blocking;
use super::bucket::{Bucket, BucketError};
use super::clock::Clock;
use super::rendered_interval::{MAX_HELD_BYTES, RenderError, RenderedInterval};
use super::representation::Representation;
use super::store::Store;

/// How long a large rendering of the open interval is served.
const LARGE_MAX_AGE: Duration = Duration::from_secs(60);

type Slot = Arc<OnceCell<Arc<RenderedInterval>>>;

/// All rendered intervals.
pub(super) struct IntervalCache {
    store: Store,
    clock: Arc<dyn Clock>,
    work: PathBuf,
    public: PathBuf,
    bucket: Bucket,
    past: Mutex<BTreeMap<Interval, Slot>>,
    open: AsyncMutex<Option<OpenInterval>>,
}

/// The open interval as it was rendered last.
struct OpenInterval {
    interval: Interval,
    generation: u64,
    rendered_at: UnixTime,
    rendered: Arc<RenderedInterval>,
}

impl IntervalCache {
    /// A cache of the intervals of a store, in its state directory.
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
            std::fs::create_dir_all(folder).map_err(RenderError::Files)?;
        }
        remove_incomplete(&public.join("tcnreport/21600")).map_err(RenderError::Files)?;
        Ok(Self {
            bucket: Bucket::folder(&public)?,
            past: Mutex::default(),
            open: AsyncMutex::default(),
            store,
            clock,
            work,
            public,
        })
    }

    /// The folder of past intervals, as a location to publish to.
    pub(super) const fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// A past interval, rendered.
    ///
    /// # Errors
    /// If it cannot be rendered or read.
    pub(super) async fn past(
        &self,
        interval: Interval,
    ) -> Result<Arc<RenderedInterval>, BucketError> {
        let slot = {
            let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(past.entry(interval).or_default())
        };
        let rendered = slot
            .get_or_try_init(|| self.load_or_render(interval))
            .await?;
        Ok(Arc::clone(rendered))
    }

    /// The open interval, rendered.
    ///
    /// # Errors
    /// If it cannot be rendered.
    pub(super) async fn open(
        &self,
        interval: Interval,
    ) -> Result<Arc<RenderedInterval>, BucketError> {
        let mut cached = self.open.lock().await;
        let (generation, now) = (self.store.generation(), self.clock.now());
        if let Some(open) = &*cached
            && open.is_good(interval, generation, now)
        {
            return Ok(Arc::clone(&open.rendered));
        }
        let rendered = Arc::new(self.render(interval).await?);
        *cached = Some(OpenInterval {
            interval,
            generation,
            rendered_at: now,
            rendered: Arc::clone(&rendered),
        });
        Ok(rendered)
    }

    /// Drops the renderings of intervals before `oldest`.
    pub(super) fn forget_before(&self, oldest: Interval) {
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        *past = past.split_off(&oldest);
    }

    async fn load_or_render(
        &self,
        interval: Interval,
    ) -> Result<Arc<RenderedInterval>, BucketError> {
        let name = format!("tcnreport/21600/{interval}");
        let path = self.public.join(name);
        let found = blocking(move || load(&path)).await;
        let found = found.map_err(RenderError::Files)?;
        if let Some(rendered) = found {
            return Ok(Arc::new(rendered));
        }
        let rendered = self.render(interval).await?;
        self.bucket.publish(interval, &rendered).await?;
        Ok(Arc::new(rendered))
    }

    async fn render(&self, interval: Interval) -> Result<RenderedInterval, RenderError> {
        let (store, work) = (self.store.clone(), self.work.clone());
        blocking(move || RenderedInterval::render(&store, interval, &work)).await
    }
}

impl OpenInterval {
    fn is_good(&self, interval: Interval, generation: u64, now: UnixTime) -> bool {
        let is_large = self.rendered.file(Representation::Json).length() > MAX_HELD_BYTES;
        let lasts = self.rendered_at <= now && now < self.rendered_at.after(LARGE_MAX_AGE);
        self.interval == interval && (self.generation == generation || (is_large && lasts))
    }
}

/// Removes files that a killed run left incomplete: object_store gives such files names
/// with a number sign, which names of intervals do not have.
fn remove_incomplete(folder: &Path) -> io::Result<()> {
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

/// The interval published at `path`, if it is complete.
fn load(path: &Path) -> io::Result<Option<RenderedInterval>> {
    let whole = path.try_exists()?;
    if !whole {
        return Ok(None);
    }
    let open = |representation: Representation| {
        let mut name = path.as_os_str().to_owned();
        name.push(representation.suffix());
        File::open(name)
    };
    let [json, gzip, zstd, tcn] = Representation::ALL.map(open);
    match (json, gzip, zstd, tcn) {
        (Ok(json), Ok(gzip), Ok(zstd), Ok(tcn)) => {
            RenderedInterval::open([json, gzip, zstd, tcn]).map(Some)
        }
        // A part of it was removed; the reports are still in the store.
        _ => Ok(None),
    }
}
