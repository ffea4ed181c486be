//! Report keys at rest, sealed where the system keeps a credential for it.
//!
//! With a report key every number that it put on the air can be computed. Together
//! with what others heard, these numbers tell where this machine was. systemd can hold a secret
//! that is bound to the machine's TPM, or to its installation, and hands it to
//! this service alone (`LoadCredentialEncrypted=`, systemd.exec(5)). With it the
//! keys in the database are sealed: a copy of the file, on a lost card or in a
//! backup, discloses none of its numbers. Contacts and reports are not sealed; for
//! those the whole disk has to be.
//!
//! XChaCha20-Poly1305 under a random nonce, bound to the key's local name, so that
//! sealed keys cannot change places. Without the credential keys are stored as
//! they are, in a file that only its owner and root can read.
//!
//! In memory a seed stands once for each value that holds it, on the heap, and is
//! overwritten when that is dropped. Beyond our reach are the buffers of SQLite: it
//! copies what it is given to write, and keeps pages of the file in memory, without
//! overwriting either when it frees them. With the credential they hold sealed keys
//! alone; without it, keys as they are.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use chacha20poly1305::aead::{Aead, Generate, Payload};
use chacha20poly1305::{Key, KeyInit, XChaCha20Poly1305, XNonce};
use rusqlite::Connection;
use tcn_engine::{KeyId, Seed};
use zeroize::Zeroizing;

use super::error::OpenError;
use super::sql::{signed, unsigned};

/// Bytes of the credential: a key of XChaCha20-Poly1305.
const CREDENTIAL: usize = 32;
const SEED: usize = 32;
const NONCE: usize = 24;
const TAG: usize = 16;

/// How report keys are stored: sealed by a credential, or, by default, as they
/// are.
#[derive(Clone, Default)]
pub struct Seal(Option<XChaCha20Poly1305>);

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() {
            "Seal([REDACTED])"
        } else {
            "Seal(none)"
        })
    }
}

/// The key is sealed by another credential, or there is no credential to unseal it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WrongKey;

/// What the report keys in a database were found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyCheck {
    Readable,
    WrongKey,
    Damaged,
}

impl Seal {
    /// The seal of the credential in this file; none if there is no such file.
    ///
    /// # Errors
    /// If it cannot be read, or is not 32 bytes long.
    pub fn of_credential(file: &Path) -> Result<Self, OpenError> {
        let mut file = match File::open(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            file => file.map_err(OpenError::Credential)?,
        };
        // One byte more, to see that there is no more.
        let mut bytes = Zeroizing::new([0; CREDENTIAL + 1]);
        let mut length = 0;
        while length < bytes.len() {
            match file.read(&mut bytes[length..]) {
                Ok(0) => break,
                Ok(read) => length += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(OpenError::Credential(error)),
            }
        }
        if length != CREDENTIAL {
            return Err(OpenError::CredentialLength);
        }
        let key: &Key = (&bytes[..CREDENTIAL])
            .try_into()
            .map_err(|_| OpenError::CredentialLength)?;
        Ok(Self(Some(XChaCha20Poly1305::new(key))))
    }

    /// Whether there is one.
    pub fn seals(&self) -> bool {
        self.0.is_some()
    }

    /// What stands in the column `seed`.
    pub(super) fn seal(&self, key: KeyId, seed: &Seed) -> Zeroizing<Vec<u8>> {
        let Some(cipher) = &self.0 else {
            return Zeroizing::new(seed.0.to_vec());
        };
        let nonce = XNonce::generate();
        let name = key.0.to_le_bytes();
        let payload = Payload {
            msg: &seed.0[..],
            aad: &name,
        };
        let sealed = cipher
            .encrypt(&nonce, payload)
            .expect("32 bytes are far below what the cipher takes");
        Zeroizing::new([nonce.as_slice(), &sealed].concat())
    }

    /// The key that [`Self::seal`] stored. One stored as it is stays readable.
    pub(super) fn unseal(&self, key: KeyId, stored: &[u8]) -> Result<Seed, WrongKey> {
        let seed = match (stored.split_first_chunk(), &self.0) {
            _ if stored.len() == SEED => Zeroizing::new(stored.to_vec()),
            (Some((nonce, sealed)), Some(cipher)) => {
                let name = key.0.to_le_bytes();
                let payload = Payload {
                    msg: sealed,
                    aad: &name,
                };
                let nonce: &[u8; NONCE] = nonce;
                let seed = cipher.decrypt(nonce.into(), payload);
                Zeroizing::new(seed.map_err(|_| WrongKey)?)
            }
            (None, _) | (_, None) => return Err(WrongKey),
        };
        let bytes: &[u8; SEED] = seed.as_slice().try_into().map_err(|_| WrongKey)?;
        let mut seed = Box::new(Zeroizing::new([0; SEED]));
        seed.copy_from_slice(bytes);
        Ok(Seed(seed))
    }

    /// Looks whether every key can be opened, and seals those that are not sealed
    /// yet, all or none.
    pub(super) fn seal_plaintext(&self, db: &mut Connection) -> rusqlite::Result<KeyCheck> {
        let transaction = db.transaction()?;
        let bare = {
            let mut query = transaction.prepare("SELECT id, seed FROM report_key")?;
            let mut rows = query.query([])?;
            let mut bare = Vec::new();
            while let Some(row) = rows.next()? {
                let key = KeyId(unsigned(row.get(0)?));
                let stored: Zeroizing<Vec<u8>> = Zeroizing::new(row.get(1)?);
                match stored.len() {
                    SEED if self.seals() => bare.push((key, self.unseal(key, &stored))),
                    SEED => {}
                    len if len == NONCE + SEED + TAG => {
                        if self.unseal(key, &stored).is_err() {
                            return Ok(KeyCheck::WrongKey);
                        }
                    }
                    _ => return Ok(KeyCheck::Damaged),
                }
            }
            bare
        };
        for (key, seed) in bare {
            let Ok(seed) = seed else {
                return Ok(KeyCheck::WrongKey);
            };
            transaction.execute(
                "UPDATE report_key SET seed = ?2 WHERE id = ?1",
                rusqlite::params![signed(key.0), &self.seal(key, &seed)[..]],
            )?;
        }
        transaction.commit()?;
        Ok(KeyCheck::Readable)
    }
}
