//! A folder or bucket: finished intervals are published in it, and front ends leave
//! uploads in it.
//!
//! | name | is |
//! |---|---|
//! | `tcnreport/21600/<n>.tcn` | interval *n* as a stream |
//! | `tcnreport/21600/<n>.json`, `.json.gz`, `.json.zst` | as JSON, plain and packed |
//! | `tcnreport/21600/<n>` | the same as `<n>.json`, written last |
//! | `inbox/<random>` | uploads of a front end, a stream, until the primary server has taken them |
//!
//! An interval is published when its bare name exists. The content written is always
//! the same. So a run that was killed can be repeated without harm, and two runs that
//! publish at once agree.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, ObjectStore, ObjectStoreExt, ObjectStoreScheme, PutMultipartOptions,
    PutOptions, RetryConfig, WriteMultipart,
};
use tcn_exchange::interval::Interval;
use thiserror::Error;

use super::blocking::blocking;
use super::rendered_interval::{Chunk, RenderError, RenderedInterval, RepresentationFile};
use super::representation::Representation;

/// The Cache-Control value of an interval that is over.
pub(super) const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// Bytes sent in one part; S3 wants parts of 5 MiB at least.
const PART_BYTES: usize = 8 << 20;

/// The folder or bucket cannot be used.
#[derive(Debug, Error)]
pub enum BucketError {
    /// The URL names no kind of location that is supported.
    #[error("\"{url}\" cannot hold reports; give file:///FOLDER or s3://BUCKET/PREFIX")]
    Url {
        /// As written.
        url: String,
    },
    /// An option that S3 clients do not have.
    #[error(
        "unknown option \"{name}\"; the usual ones are aws_endpoint, aws_region, aws_access_key_id, aws_secret_access_key and aws_allow_http"
    )]
    Option {
        /// As written.
        name: String,
    },
    /// The folder or bucket does not do what it is asked. The reason may quote its
    /// answer.
    #[error("the folder or bucket for reports failed")]
    ObjectStore(#[from] object_store::Error),
    /// The data to be published cannot be read.
    #[error(transparent)]
    RenderedInterval(#[from] RenderError),
}

/// A folder or bucket. It has no `Debug`, since it holds the secret key.
#[derive(Clone)]
pub(super) struct Bucket {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// False for a folder, which cannot keep headers.
    keeps_headers: bool,
}

impl Bucket {
    /// A folder, which must exist.
    ///
    /// # Errors
    /// If it does not exist.
    pub(super) fn folder(folder: &FilePath) -> Result<Self, BucketError> {
        let store = LocalFileSystem::new_with_prefix(folder)?.with_fsync(true);
        Ok(Self {
            store: Arc::new(store),
            prefix: Path::default(),
            keeps_headers: false,
        })
    }

    /// The folder or bucket at this URL.
    ///
    /// # Errors
    /// If the URL or an option is not understood, or the folder does not exist.
    pub(super) fn at(url: &str, options: &BTreeMap<String, String>) -> Result<Self, BucketError> {
        let bad_url = || BucketError::Url {
            url: url.to_owned(),
        };
        let parsed: reqwest::Url = url.parse().map_err(|_malformed| bad_url())?;
        if parsed.scheme() == "file" {
            let folder: PathBuf = parsed.to_file_path().map_err(|()| bad_url())?;
            return Self::folder(&folder);
        }
        let unknown = |name: &str| BucketError::Option {
            name: name.to_owned(),
        };
        if parsed.scheme() != "s3" {
            return Err(bad_url());
        }
        // Other code in the process may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (_, prefix) = ObjectStoreScheme::parse(&parsed).map_err(|_scheme| bad_url())?;
        let mut store = AmazonS3Builder::new().with_url(url).with_retry(retries());
        for (name, value) in options {
            let name = name.to_ascii_lowercase();
            let key = name.parse().map_err(|_unknown| unknown(&name))?;
            store = store.with_config(key, value);
        }
        Ok(Self {
            store: Arc::new(store.build()?),
            prefix,
            keeps_headers: true,
        })
    }

    /// Publishes an interval.
    ///
    /// # Errors
    /// If the interval was not published; the call can be repeated.
    pub(super) async fn publish(
        &self,
        interval: Interval,
        rendered: &RenderedInterval,
    ) -> Result<(), BucketError> {
        for representation in Representation::ALL {
            self.put(
                &self.path_of(interval, representation.suffix()),
                representation,
                rendered.file(representation),
            )
            .await?;
        }
        let json = self.path_of(interval, Representation::Json.suffix());
        Ok(self.store.copy(&json, &self.path_of(interval, "")).await?)
    }

    /// The intervals that are published, wholly or in part.
    ///
    /// # Errors
    /// If the folder or bucket cannot be listed.
    pub(super) async fn published(&self) -> Result<PublishedIntervals, BucketError> {
        let folder = self.below("tcnreport/21600");
        let mut found = PublishedIntervals::default();
        let mut names = self.store.list(Some(&folder));
        while let Some(object) = names.try_next().await? {
            let name = object.location.filename().unwrap_or_default();
            let digits = name.split('.').next().unwrap_or_default();
            let Some(interval) = digits.parse().ok().and_then(Interval::new) else {
                continue;
            };
            if digits == name {
                found.whole.insert(interval);
            }
            found.names.push((interval, object.location));
        }
        Ok(found)
    }

    /// Removes published files of intervals before `oldest`.
    ///
    /// # Errors
    /// If something could not be removed; the call can be repeated.
    pub(super) async fn remove_before(
        &self,
        oldest: Interval,
        published: &PublishedIntervals,
    ) -> Result<(), BucketError> {
        for (interval, name) in &published.names {
            if *interval < oldest {
                self.remove(name).await?;
            }
        }
        Ok(())
    }

    /// Leaves uploads in the inbox under an unused name.
    ///
    /// # Errors
    /// If they are not in the inbox.
    pub(super) async fn put_upload(&self, name: &str, uploads: Bytes) -> Result<(), BucketError> {
        let path = self.below(&format!("inbox/{name}"));
        self.store.put(&path, uploads.into()).await?;
        Ok(())
    }

    /// Names of objects in the inbox, at most `most` of them.
    ///
    /// # Errors
    /// If it cannot be listed.
    pub(super) async fn list_inbox(&self, most: usize) -> Result<Vec<Path>, BucketError> {
        let folder = self.below("inbox");
        let mut listed = self.store.list(Some(&folder));
        let mut names = Vec::new();
        while names.len() < most
            && let Some(object) = listed.try_next().await?
        {
            names.push(object.location);
        }
        Ok(names)
    }

    /// The content of the object with this name, or `None` if it is longer than `most`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) async fn get_bounded(
        &self,
        name: &Path,
        most: u64,
    ) -> Result<Option<Bytes>, BucketError> {
        let found = self.store.get(name).await?;
        if found.meta.size > most {
            return Ok(None);
        }
        Ok(Some(found.bytes().await?))
    }

    /// Removes the object, if it exists.
    ///
    /// # Errors
    /// If it still exists.
    pub(super) async fn remove(&self, name: &Path) -> Result<(), BucketError> {
        match self.store.delete(name).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn put(
        &self,
        name: &Path,
        representation: Representation,
        file: &RepresentationFile,
    ) -> Result<(), BucketError> {
        let attributes = self.attributes(representation);
        let mut chunk = Some(Chunk::first(file));
        if file.length() <= PART_BYTES as u64 {
            let mut all = Vec::new();
            while let Some(next) = chunk {
                let (bytes, rest) = read(next).await?;
                all.push(bytes);
                chunk = rest;
            }
            let options = PutOptions {
                attributes,
                ..PutOptions::default()
            };
            let payload = all.into_iter().collect();
            self.store.put_opts(name, payload, options).await?;
            return Ok(());
        }
        let options = PutMultipartOptions {
            attributes,
            ..PutMultipartOptions::default()
        };
        let upload = self.store.put_multipart_opts(name, options).await?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        while let Some(next) = chunk {
            upload.wait_for_capacity(2).await?;
            let (bytes, rest) = read(next).await?;
            upload.write(&bytes);
            chunk = rest;
        }
        upload.finish().await?;
        Ok(())
    }

    fn attributes(&self, representation: Representation) -> Attributes {
        let mut attributes = Attributes::new();
        if self.keeps_headers {
            attributes.insert(Attribute::ContentType, representation.media_type().into());
            attributes.insert(Attribute::CacheControl, FOR_EVER.into());
            if let Some(encoding) = representation.encoding() {
                attributes.insert(Attribute::ContentEncoding, encoding.into());
            }
        }
        attributes
    }

    fn path_of(&self, interval: Interval, suffix: &str) -> Path {
        self.below(&format!("tcnreport/21600/{interval}{suffix}"))
    }

    fn below(&self, name: &str) -> Path {
        self.prefix
            .parts()
            .chain(Path::from(name).parts())
            .collect()
    }
}

/// A client waits while its upload is written to the bucket. So the retries are few.
fn retries() -> RetryConfig {
    RetryConfig {
        max_retries: 2,
        retry_timeout: Duration::from_secs(10),
        ..RetryConfig::default()
    }
}

/// The published intervals.
#[derive(Debug, Default)]
pub(super) struct PublishedIntervals {
    /// Intervals that are published completely.
    pub whole: BTreeSet<Interval>,
    /// All names, also those of intervals published in part.
    pub names: Vec<(Interval, Path)>,
}

async fn read(chunk: Chunk) -> Result<(Bytes, Option<Chunk>), RenderError> {
    Ok(blocking(|| chunk.read()).await?)
}
