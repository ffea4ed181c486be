//! The program: settings and state in, one file out.

use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tcnd_config::{ConfigError, runtime_directory, valid};
use tempfile::Builder;
use thiserror::Error;

use crate::args::KioskArgs;
use crate::clock;
use crate::page::Page;
use crate::settings::PageSettings;
use crate::state::{self, StateError};

/// The page in the runtime directory.
const FILE: &str = "index.html";

/// The program did not do all that it should.
#[derive(Debug, Error)]
pub(crate) enum KioskError {
    #[error(transparent)]
    Settings(#[from] ConfigError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error("{} cannot be written: {source}", printable::path(path))]
    Output { path: PathBuf, source: io::Error },
    #[error("the page cannot be made: {0}")]
    Page(#[from] askama::Error),
    #[error("the system refused a resource that the program needs: {0}")]
    System(#[from] io::Error),
}

impl KioskError {
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Settings(_) => ExitCode::from(2),
            Self::State(StateError::Unreachable(_)) => ExitCode::from(3),
            Self::State(_) | Self::Output { .. } | Self::Page(_) | Self::System(_) => {
                ExitCode::FAILURE
            }
        }
    }
}

/// Writes the page. Returns what goes to the standard output, and what is missing in the page:
/// the page says that too.
pub(crate) fn run(args: &KioskArgs) -> Result<(String, Option<KioskError>), KioskError> {
    let loaded = PageSettings::load(&args.config);
    if args.check_config {
        loaded?;
        return Ok((valid(&PageSettings::files(&args.config)) + "\n", None));
    }
    // With settings that are not valid the page has the defaults: it is better than none.
    let (settings, wrong) = match loaded {
        Ok(settings) => (settings, None),
        Err(error) => (PageSettings::default(), Some(error.into())),
    };
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build()?;
    let (tcnd, missing) = runtime.block_on(state::read(&args.bus));
    let page = Page::new(&tcnd, &settings, &clock::local()).html()?;
    let file = args.output.clone();
    let file = file.or_else(|| runtime_directory().map(|directory| directory.join(FILE)));
    let said = match file {
        Some(path) => {
            replace(&path, &page).map_err(|source| KioskError::Output { path, source })?;
            String::new()
        }
        None => page,
    };
    Ok((said, wrong.or(missing.map(KioskError::from))))
}

/// Replaces a file whole, so that a browser never reads half of it. Everyone may read it.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let mut file = Builder::new()
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(directory.unwrap_or(Path::new(".")))?;
    file.write_all(text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}
