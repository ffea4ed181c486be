//! The settings of the server, in TOML. Every setting has a default.
//!
//! Several files are merged key by key. Each is first parsed alone, so that an error
//! names its file and line. Without `--config`, the system's file is read if it exists.
//! A bucket's options contain its secret key, so settings have no `Debug`, and no error
//! repeats a value.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;

use serde::Deserialize;
use tcnd_config::{ConfigError, load_merged};
use thiserror::Error;

use super::sender::{Network, ProxyHeader};

/// The file that is read without `--config`.
const SYSTEM_FILE: &str = "/etc/tcnd/reportd.toml";

/// The configuration cannot be used.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// The files cannot be used.
    #[error(transparent)]
    Files(#[from] ConfigError),
    /// A front end without an inbox.
    #[error("role = \"front\" needs [inbox] with url = \"s3://BUCKET/PREFIX\"")]
    FrontendWithoutInbox,
}

/// The settings of the server.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The role of the server.
    pub role: Role,
    /// Addresses and networks of proxies that are trusted to name their clients.
    pub trusted_proxies: Vec<Network>,
    /// The header in which proxies name their clients.
    pub proxy_header: ProxyHeader,
    /// Uploads accepted in a second, of all senders together.
    pub uploads_per_second: NonZeroU32,
    /// Uploads accepted in a minute from one address.
    pub uploads_per_minute_and_address: NonZeroU32,
    /// Connections at a time.
    pub connections: NonZeroU32,
    /// Connections of one address at a time.
    pub connections_per_address: NonZeroU32,
    /// The location to publish finished intervals in, besides the server's own folder.
    pub mirror: Option<BucketSettings>,
    /// The location where front ends leave uploads.
    pub inbox: Option<BucketSettings>,
}

/// The role of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Role {
    /// It stores all reports, and serves and publishes intervals.
    #[default]
    #[serde(rename = "keeper")]
    Primary,
    /// It checks uploads and leaves them in the inbox; it stores nothing.
    #[serde(rename = "front")]
    Frontend,
}

/// The location of a folder or bucket.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BucketSettings {
    /// `file:///FOLDER` or `s3://BUCKET/PREFIX`.
    pub url: String,
    /// Options of the S3 client.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

impl Default for ServerSettings {
    fn default() -> Self {
        let number = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            role: Role::default(),
            trusted_proxies: Vec::new(),
            proxy_header: ProxyHeader::default(),
            uploads_per_second: number(1000),
            uploads_per_minute_and_address: number(20),
            connections: number(4096),
            connections_per_address: number(256),
            mirror: None,
            inbox: None,
        }
    }
}

impl ServerSettings {
    /// The files [`load`](Self::load) reads, in order.
    pub fn files(named: &[PathBuf]) -> Vec<PathBuf> {
        let system = PathBuf::from(SYSTEM_FILE);
        if named.is_empty() && system.exists() {
            vec![system]
        } else {
            named.to_vec()
        }
    }

    /// Loads the settings in these files, or in the system's file if none is named.
    ///
    /// # Errors
    /// The first error of each file.
    pub fn load(files: &[PathBuf]) -> Result<Self, SettingsError> {
        let settings: Self = load_merged(&Self::files(files))?;
        if settings.role == Role::Frontend && settings.inbox.is_none() {
            return Err(SettingsError::FrontendWithoutInbox);
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(texts: &[&str]) -> Result<ServerSettings, SettingsError> {
        let folder = tempfile::tempdir().unwrap();
        let write = |(index, text)| {
            let path = folder.path().join(format!("{index}.toml"));
            std::fs::write(&path, text).unwrap();
            path
        };
        let files: Vec<_> = texts.iter().enumerate().map(write).collect();
        ServerSettings::load(&files)
    }

    fn complaint(text: &str) -> String {
        load(&[text]).err().unwrap().to_string()
    }

    #[test]
    fn nothing_is_needed_and_later_files_win() {
        let settings = load(&[]).unwrap();
        assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
        let settings = load(&["connections = 1\nrole = \"keeper\"", "connections = 2"]).unwrap();
        assert_eq!(settings.connections.get(), 2);
    }

    #[test]
    fn a_fault_is_named_with_its_line_and_without_values() {
        let unknown = complaint("\nlisten = \"127.0.0.1:1\"\nconnection = 7");
        assert!(
            unknown.contains(":3: ") && unknown.contains("connections"),
            "{unknown}"
        );
        assert!(complaint("connections = 0").contains(":1: "));
        assert!(complaint("role = \"front\"").contains("[inbox]"));
        let networks = "trusted_proxies = [\"10.0.0.0/8\", \"::1\", \"192.0.2.1\"]";
        assert_eq!(load(&[networks]).unwrap().trusted_proxies.len(), 3);
        let faulty = complaint("\ntrusted_proxies = [\"10.0.0.0/33\"]");
        assert!(
            faulty.contains(":2: ") && faulty.contains("10.0.0.0/8"),
            "{faulty}"
        );
        assert!(complaint("proxy_header = \"via\"").contains("x-forwarded-for"));
        let secret = complaint("[mirror]\nurl = \"s3://b\"\nkey = \"hunter2\"");
        assert!(!secret.contains("hunter2"), "{secret}");
    }

    #[test]
    fn the_example_that_ships_is_read_and_says_the_defaults() {
        let text = include_str!("../../../packaging/reportd.toml");
        let plain: String = text
            .lines()
            .filter(|line| !line.starts_with("# "))
            .map(|line| format!("{}\n", line.trim_start_matches('#')))
            .collect();
        let (top, _places) = plain.split_once("[mirror]").unwrap();
        let (said, default) = (load(&[top]).unwrap(), ServerSettings::default());
        assert_eq!(said.listen, default.listen);
        assert_eq!(said.uploads_per_second, default.uploads_per_second);
        assert_eq!(
            said.uploads_per_minute_and_address,
            default.uploads_per_minute_and_address
        );
        assert_eq!(said.connections, default.connections);
        assert_eq!(
            said.connections_per_address,
            default.connections_per_address
        );
        assert_eq!(said.proxy_header, default.proxy_header);
        let whole = load(&[&plain]).unwrap();
        assert!(whole.mirror.is_some() && whole.inbox.is_some());
    }
}
