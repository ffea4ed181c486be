//! Whether bluetoothd is restarted after a crash.
//!
//! Where other devices connect, one of them can cause a crash. If a connection ends
//! while a read or a write waits for the answer of a program such as tcnd, bluetoothd
//! keeps memory that it has freed and uses it five seconds later. No answer is quick
//! enough to rule that out, and most systems do not restart a bluetoothd that crashed.
//!
//! BlueZ: src/shared/gatt-server.c, `write_complete_cb`, seen with 5.66 and the
//! same in 5.87; reported as bluez#2447. systemd: `Restart=` in
//! systemd.service(5).

use zbus::Connection;

use super::check::DoctorCheck;
use super::unit::Unit;

/// `bluetooth.service`, escaped.
const UNIT: &str = "/org/freedesktop/systemd1/unit/bluetooth_2eservice";

const NAME: &str = "restart";

/// Asks systemd.
pub(crate) async fn check(system: &Connection) -> DoctorCheck {
    restart(system).await.map_or_else(
        || DoctorCheck::unchecked(NAME, "systemd does not know bluetooth.service"),
        |restart| judge(&restart),
    )
}

async fn restart(system: &Connection) -> Option<String> {
    Unit::loaded(system, UNIT).await?.service("Restart").await
}

fn judge(restart: &str) -> DoctorCheck {
    match restart {
        "on-failure" | "on-abnormal" | "on-abort" | "always" => {
            DoctorCheck::ok(NAME, "systemd restarts bluetoothd if it crashes")
        }
        _ => DoctorCheck::warn(
            NAME,
            format!(
                "systemd does not restart bluetoothd if it crashes (bluetooth.service has \
                 Restart={restart}), and a device that connects can crash it (bluez#2447)"
            ),
            "systemctl edit bluetooth: write two lines, \"[Service]\" and \"Restart=on-failure\" \
             (the file is /etc/systemd/system/bluetooth.service.d/override.conf)",
        ),
    }
}

#[cfg(test)]
mod tests {
    use zbus::interface;

    use super::super::check::CheckVerdict;
    use super::super::unit::tests::systemd;
    use super::*;

    struct Service(&'static str);

    #[interface(name = "org.freedesktop.systemd1.Service")]
    impl Service {
        #[zbus(property)]
        fn restart(&self) -> &str {
            self.0
        }
    }

    async fn told(state: &'static str, restart: &'static str) -> DoctorCheck {
        let (_systemd, asker) = systemd(UNIT, state, Service(restart)).await;
        check(&asker).await
    }

    #[tokio::test]
    async fn a_crash_has_to_be_followed_by_a_start() {
        for restart in ["on-failure", "on-abnormal", "on-abort", "always"] {
            assert_eq!(told("loaded", restart).await.verdict, CheckVerdict::Ok);
        }
        for restart in ["no", "on-success", "on-watchdog"] {
            let told = told("loaded", restart).await;
            assert_eq!(told.verdict, CheckVerdict::Warn);
            let said = format!("Restart={restart})");
            assert!(told.found.contains(&said), "{}", told.found);
            assert!(told.cure.unwrap().contains("Restart=on-failure"));
        }
    }

    #[tokio::test]
    async fn without_the_unit_it_is_not_known() {
        assert_eq!(
            told("not-found", "no").await.verdict,
            CheckVerdict::Unchecked
        );
    }
}
