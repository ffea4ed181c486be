//! tcnd's sandbox, as systemd reports it. In the modes `full` and `relay` tcnd asks the
//! kernel about privacy, and its unit as shipped forbids that.

use tcnd_client::notices::DROP_IN;
use zbus::Connection;

use super::check::DoctorCheck;
use super::unit::Unit;

/// `tcnd.service`, escaped.
const UNIT: &str = "/org/freedesktop/systemd1/unit/tcnd_2eservice";

/// The settings that decide.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sandbox {
    private_network: bool,
    /// Whether the list names the allowed families, and the list. Without a restriction
    /// it is `false` and empty.
    families: (bool, Vec<String>),
}

/// Asks systemd.
pub(crate) async fn check(system: &Connection) -> DoctorCheck {
    let sandbox = Sandbox::read(system).await;
    sandbox.map_or_else(
        || DoctorCheck::unchecked("sandbox", "systemd does not know tcnd.service"),
        |sandbox| sandbox.check(),
    )
}

impl Sandbox {
    /// `None` without systemd, and without the unit.
    async fn read(system: &Connection) -> Option<Self> {
        let unit = Unit::loaded(system, UNIT).await?;
        Some(Self {
            private_network: unit.service("PrivateNetwork").await?,
            families: unit.service("RestrictAddressFamilies").await?,
        })
    }

    fn check(&self) -> DoctorCheck {
        let obstacle = match (self.private_network, self.may_open("AF_BLUETOOTH")) {
            (false, true) => {
                return DoctorCheck::ok("sandbox", "lets tcnd ask the kernel about privacy");
            }
            (true, true) => "PrivateNetwork=yes",
            (false, false) => "RestrictAddressFamilies= without AF_BLUETOOTH",
            (true, false) => "PrivateNetwork=yes and RestrictAddressFamilies= without AF_BLUETOOTH",
        };
        DoctorCheck::fail(
            "sandbox",
            format!("tcnd may not ask the kernel about privacy: tcnd.service has {obstacle}"),
            DROP_IN,
        )
    }

    fn may_open(&self, family: &str) -> bool {
        let (allowed, families) = &self.families;
        *allowed == families.iter().any(|listed| listed == family)
    }
}

#[cfg(test)]
mod tests {
    use zbus::interface;

    use super::super::check::CheckVerdict;
    use super::super::unit::tests::systemd;
    use super::*;

    const SHIPPED: &str = include_str!("../../../../systemd/system/tcnd.service");
    const FULL_MODE: &str = include_str!("../../../../systemd/dropin/full-mode.conf");

    /// The settings of the unit, followed by its drop-in.
    fn of(texts: &[&str]) -> Sandbox {
        let mut sandbox = Sandbox::default();
        for line in texts.iter().flat_map(|text| text.lines()) {
            match line.split_once('=') {
                Some(("PrivateNetwork", value)) => sandbox.private_network = value == "yes",
                Some(("RestrictAddressFamilies", "")) => sandbox.families = Default::default(),
                Some(("RestrictAddressFamilies", value)) => {
                    sandbox.families.0 = true;
                    let words = value.split(' ').map(str::to_owned);
                    sandbox.families.1.extend(words);
                }
                _ => {}
            }
        }
        sandbox
    }

    #[test]
    fn the_unit_forbids_it_and_the_drop_in_allows_it() {
        let shipped = of(&[SHIPPED]).check();
        assert_eq!(shipped.verdict, CheckVerdict::Fail);
        assert!(shipped.found.contains("PrivateNetwork=yes and "));
        assert!(
            shipped
                .cure
                .unwrap()
                .contains("/usr/share/tcnd/full-mode.conf")
        );
        let both = of(&[SHIPPED, FULL_MODE]);
        assert_eq!(both.check().verdict, CheckVerdict::Ok);
        // And no more than that: IP stays forbidden. Bluetooth sockets cannot be told
        // apart here, and the drop-in says so.
        assert!(FULL_MODE.contains("grants more than tcnd uses"));
        assert!(FULL_MODE.contains("L2CAP, RFCOMM, SCO"));
        assert_eq!(both.families.1, ["AF_UNIX", "AF_BLUETOOTH"]);
        assert!(!FULL_MODE.contains("\nIPAddress"));
    }

    #[test]
    fn each_of_the_two_is_in_the_way() {
        let unix = (true, vec!["AF_UNIX".to_owned()]);
        let told = |private_network, families| {
            Sandbox {
                private_network,
                families,
            }
            .check()
        };
        let check = told(false, unix);
        assert_eq!(check.verdict, CheckVerdict::Fail);
        assert!(!check.found.contains("PrivateNetwork"));
        // Nothing is restricted; and all but one is allowed.
        assert_eq!(told(false, (false, Vec::new())).verdict, CheckVerdict::Ok);
        assert_eq!(told(true, (false, Vec::new())).verdict, CheckVerdict::Fail);
        let barred = (false, vec!["AF_BLUETOOTH".to_owned()]);
        assert_eq!(told(false, barred).verdict, CheckVerdict::Fail);
    }

    struct Service;

    #[interface(name = "org.freedesktop.systemd1.Service")]
    impl Service {
        #[zbus(property)]
        fn private_network(&self) -> bool {
            true
        }

        #[zbus(property)]
        fn restrict_address_families(&self) -> (bool, Vec<&str>) {
            (true, vec!["AF_UNIX", "AF_BLUETOOTH"])
        }
    }

    /// The result of reading a systemd with the unit in this state.
    async fn read(state: &'static str) -> Option<Sandbox> {
        let (_systemd, asker) = systemd(UNIT, state, Service).await;
        Sandbox::read(&asker).await
    }

    #[tokio::test]
    async fn systemd_is_asked() {
        let families = ["AF_UNIX", "AF_BLUETOOTH"].map(str::to_owned);
        let expected = Sandbox {
            private_network: true,
            families: (true, families.to_vec()),
        };
        assert_eq!(read("loaded").await, Some(expected));
        assert_eq!(read("not-found").await, None);
    }
}
