//! The command-line options of `tcn-reportd`: those that are needed before the settings.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

/// Takes and serves reports of Temporary Contact Numbers over HTTP.
///
/// It speaks the API of CoEpi's servers, version 4, and serves finished intervals
/// as files that any cache may store. See /openapi.json.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
#[command(name = "tcn-reportd", version)]
pub struct ReportdArgs {
    /// Listen here [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,
    /// Store reports here [default: $STATE_DIRECTORY, else the XDG state
    /// directory]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Read these settings instead of /etc/tcnd/reportd.toml; may be repeated,
    /// later files overrule earlier ones
    #[arg(long, value_name = "FILE")]
    pub config: Vec<PathBuf>,
    /// Check the settings and exit
    #[arg(long)]
    pub check_config: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_flags_are_sound() {
        ReportdArgs::command().debug_assert();
        let bare = ReportdArgs::try_parse_from(["tcn-reportd"]).unwrap();
        assert!(bare.listen.is_none() && bare.state_dir.is_none() && bare.config.is_empty());
        assert!(!bare.check_config);
        let usage = ReportdArgs::try_parse_from(["tcn-reportd", "--listen", "here"]).unwrap_err();
        assert_eq!(usage.exit_code(), 2);
    }
}
