//! What the radio and the store tell, put to the engine.

use tcn_engine::{Input, Seq, WriterId};

use super::driver::{Driver, Error};
use super::{clock, convert};
use crate::{radio, store};

impl Driver {
    pub(super) async fn radio_event(&mut self, event: radio::Event) {
        self.only_heard = matches!(event, radio::Event::Heard { .. });
        let input = match event {
            radio::Event::Up(capabilities) => Input::RadioUp(capabilities),
            radio::Event::Down => Input::RadioDown,
            radio::Event::Aired(frame) => Input::Aired(frame),
            radio::Event::Withdrawn(frame) => Input::Withdrawn(frame),
            radio::Event::DiscoveryStarted => Input::DiscoveryStarted,
            radio::Event::Rested => Input::Rested,
            radio::Event::Heard { frame, rssi } => Input::Heard(convert::sighting(frame, rssi)),
            radio::Event::Written { tcn, rssi, peer } => {
                Input::Written(convert::written_sighting(tcn, rssi), WriterId(peer.0))
            }
            radio::Event::Malformed => {
                self.invalid_frames += 1;
                return;
            }
            radio::Event::Status(status) => {
                self.radio_known = true;
                self.status = status;
                return;
            }
        };
        self.tell(clock::now(), input).await;
    }

    pub(super) async fn store_event(&mut self, event: store::Event) -> Result<(), Error> {
        let input = match event {
            store::Event::Stored { seq, matched } => {
                if matched {
                    self.recount();
                }
                self.complaints.succeeded(self.engine.saves(Seq(seq)));
                Input::Stored(Seq(seq))
            }
            store::Event::RowsChanged => {
                self.recount();
                return Ok(());
            }
            store::Event::NotStored(_, fault @ store::Error::Corrupt(_))
            | store::Event::Failed(fault @ store::Error::Corrupt(_)) => {
                return Err(Error::StoreDamaged(fault));
            }
            store::Event::NotStored(seq, fault) => {
                if self.complaints.is_new(self.engine.saves(Seq(seq)), &fault) {
                    tracing::warn!(%fault, "the store did not take a batch; it is kept and tried again");
                }
                Input::NotStored(Seq(seq))
            }
            store::Event::Failed(fault) => {
                tracing::warn!(%fault, "the store could not do its upkeep");
                return Ok(());
            }
        };
        self.tell(clock::now(), input).await;
        Ok(())
    }
}
