//! A pause that is held ends with its holder; a mistyped `hold` is no hold.

use std::collections::HashMap;

use tcnd::bus::names;
use tcnd::bus::proxy::ManagerProxy;
use zbus::Variant;

use crate::authority::{Polkit, Verdict};
use crate::private_bus::PrivateBus;
use crate::puppet::{COOKIE, idle};
use crate::rig::{Pair, soon};

#[tokio::test]
async fn a_held_pause_ends_when_its_holder_leaves() {
    let bus = PrivateBus::start();
    let _polkit = Polkit::serve(bus.connect().await, Verdict::Allow).await;
    let (_daemon, mut puppet, _log) = bus.serve(idle()).await;
    let pause = async |hold: bool| {
        let client = bus.connect().await;
        let manager = ManagerProxy::new(&client).await.unwrap();
        let options = HashMap::from([("hold", Variant::from(hold))]);
        assert_eq!(soon(manager.pause(0, "", options)).await.unwrap(), COOKIE);
        client
    };
    // Whoever pauses without hold may leave.
    let passer_by = pause(false).await;
    assert_eq!(puppet.heard(), [r#"Pause 0s "" "" None"#]);
    let holder = pause(true).await;
    let name = holder.unique_name().unwrap().to_string();
    assert_eq!(
        puppet.heard(),
        [format!("Pause 0s \"\" \"\" Some({name:?})")]
    );

    passer_by.close().await.unwrap();
    holder.close().await.unwrap();
    let left = soon(puppet.asked.recv()).await.unwrap();
    assert_eq!(left, format!("Left {name}"));
}

#[tokio::test]
async fn a_mistyped_option_is_answered_with_the_known_ones() {
    let mut rig = Pair::new(idle()).await;
    let manager = ManagerProxy::new(&rig.client).await.unwrap();
    for options in [
        HashMap::from([("holdd", Variant::from(true))]),
        HashMap::from([("hold", Variant::from("true"))]),
    ] {
        let error = soon(manager.pause(0, "", options)).await.unwrap_err();
        let said = error.to_string();
        assert!(said.contains(names::error::INVALID_ARGS), "{said}");
        assert!(said.contains("hold (b), application_id (s)"), "{said}");
    }
    assert_eq!(rig.puppet.heard(), [""; 0]);
}
