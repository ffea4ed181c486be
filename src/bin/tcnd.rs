//! The service: see [`tcnd::run`].

use std::io;
use std::process::ExitCode;

use clap::Parser;
use tcnd::run::DaemonFlags;

fn main() -> ExitCode {
    let flags = DaemonFlags::parse();
    let bus_prepared = prepare_bus(&flags);
    tcnd::run::main(&flags, bus_prepared)
}

/// Leads bluer to its relay by the environment: libdbus reads nothing else.
#[cfg(feature = "bluez")]
#[expect(unsafe_code, reason = "the environment of the process is changed")]
fn prepare_bus(flags: &DaemonFlags) -> io::Result<()> {
    use tcnd::radio::bluez::BluerRelay;
    use tcnd::run::RadioChoice;

    if flags.check_config || flags.radio != RadioChoice::Bluez {
        return Ok(());
    }
    let relay = BluerRelay::bind(tcnd::daemon::random_seed())?;
    // SAFETY: no other thread was started yet, so none reads the environment meanwhile.
    unsafe { std::env::set_var(BluerRelay::VARIABLE, relay.address()) };
    relay.start()
}

#[cfg(not(feature = "bluez"))]
fn prepare_bus(_: &DaemonFlags) -> io::Result<()> {
    Ok(())
}
