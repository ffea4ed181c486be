//! `Privacy`: `WipeAll` destroys all state.

use std::sync::Arc;

use tcnd_client::names;
use zbus::message::Header;
use zbus::{Connection, interface};

use super::bouncer::Bouncer;
use super::error::ErrorReply;
use super::options::{MethodOptions, OptionMap};
use crate::daemon::{ContactsRequest, Handle, Request};

pub(super) struct PrivacyInterface {
    pub(super) handle: Handle,
    pub(super) bouncer: Arc<Bouncer>,
}

#[interface(name = "org.tcncoalition.Tcnd1.Privacy", introspection_docs = true)]
impl PrivacyInterface {
    /// Destroys all state: contacts, keys, reports, exposures, pauses and consent.
    /// Nothing is on the air meanwhile. Files are overwritten before they are removed.
    /// Afterwards the state is as after the installation. Exports from before are not
    /// destroyed. The phrase must be "destroy everything", as a protection against
    /// mistakes. Options: dry_run (b), true to check whether the caller is authorised,
    /// and destroy nothing. Overwriting does not reach copies elsewhere: snapshots and
    /// file systems that copy on write, blocks that a drive has put out of use,
    /// backups. Needs the polkit action org.tcncoalition.tcnd1.erase.
    async fn wipe_all(
        &self,
        phrase: String,
        options: OptionMap,
        #[zbus(header)] call: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), ErrorReply> {
        self.bouncer.admit(connection, &call).await?;
        let mut options = MethodOptions::new(options, &[("dry_run", "b")])?;
        if options.take("dry_run")?.unwrap_or(false) {
            return Ok(());
        }
        if phrase != names::WIPE_PHRASE {
            return Err(ErrorReply::invalid_args(format!(
                "this destroys all contacts, keys, reports and exposures; to confirm, give the phrase \"{}\"",
                names::WIPE_PHRASE
            )));
        }
        let wipe = |reply| Request::Contacts(ContactsRequest::Wipe(reply));
        Ok(self.handle.ask(wipe).await?)
    }
}
