//! The flags of `tcn-reportd`: only what must be known before the settings are.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

/// Takes and serves reports of Temporary Contact Numbers over HTTP.
///
/// It speaks the API of CoEpi's servers, version 4, and serves intervals that
/// are over as files that any cache may keep. See /openapi.json.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
#[command(name = "tcn-reportd", version)]
pub struct Flags {
    /// Listen here [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,
    /// Keep reports here [default: $STATE_DIRECTORY, else the XDG state
    /// directory]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Read these settings instead of /etc/tcnd/reportd.toml; may be repeated,
    /// later files overrule earlier ones
    #[arg(long, value_name = "FILE")]
    pub config: Vec<PathBuf>,
    /// Check the settings and leave
    #[arg(long)]
    pub check_config: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_flags_are_sound() {
        Flags::command().debug_assert();
        let bare = Flags::try_parse_from(["tcn-reportd"]).unwrap();
        assert!(bare.listen.is_none() && bare.state_dir.is_none() && bare.config.is_empty());
        assert!(!bare.check_config);
        let usage = Flags::try_parse_from(["tcn-reportd", "--listen", "here"]).unwrap_err();
        assert_eq!(usage.exit_code(), 2);
    }
}
