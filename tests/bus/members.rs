//! What the methods do with good, bad and unauthorised callers.

use std::collections::HashMap;

use tcnd::bus::proxy::{ContactsProxy, ManagerProxy};
use tcnd::bus::{Bouncer, names};
use tcnd::daemon::Refusal;
use zbus::Variant;

use crate::puppet::{COOKIE, idle};
use crate::rig::{Pair, own_uid, soon};

/// The name of the error reply; empty if there was none.
fn name_of<T: std::fmt::Debug>(result: zbus::Result<T>) -> String {
    let error = result.unwrap_err();
    if let zbus::Error::MethodError(name, _, _) = &error {
        return name.to_string();
    }
    if let zbus::Error::FDO(error) = &error {
        use zbus::DBusError as _;
        return error.name().to_string();
    }
    String::new()
}

#[tokio::test]
async fn what_is_asked_reaches_the_daemon_once() {
    let mut rig = Pair::new(idle()).await;
    let manager = ManagerProxy::new(&rig.client).await.unwrap();
    soon(manager.enable(HashMap::new())).await.unwrap();
    let cookie = soon(manager.pause(60, "why", HashMap::new()))
        .await
        .unwrap();
    assert_eq!(cookie, COOKIE);
    soon(manager.resume(cookie)).await.unwrap();
    let heard = rig.puppet.heard();
    assert_eq!(heard.len(), 3, "{heard:?}");
    assert!(
        heard[0].starts_with("Enable") && heard[1].starts_with("Pause 60s"),
        "{heard:?}"
    );
}

#[tokio::test]
async fn refusals_have_stable_names() {
    let rig = Pair::new(idle()).await;
    let manager = ManagerProxy::new(&rig.client).await.unwrap();
    let cases = [
        (Refusal::NotReady("nothing"), names::error::NOT_READY),
        (Refusal::NotFound, names::error::NOT_FOUND),
        (Refusal::Busy, names::error::BUSY),
        (Refusal::Storage, names::error::FAILED),
        (Refusal::InvalidRange("range"), names::error::INVALID_RANGE),
    ];
    for (refusal, name) in cases {
        rig.puppet.refuse(Some(refusal));
        assert_eq!(name_of(soon(manager.rotate()).await), name);
    }
}

#[tokio::test]
async fn unknown_options_are_refused_and_nothing_is_done() {
    let mut rig = Pair::new(idle()).await;
    let manager = ManagerProxy::new(&rig.client).await.unwrap();
    let misspelt = HashMap::from([("aplication_id", Variant::from("x"))]);
    let name = name_of(soon(manager.pause(0, "", misspelt)).await);
    assert_eq!(name, "org.freedesktop.DBus.Error.InvalidArgs");
    let wrong_type = HashMap::from([("hold", Variant::from("yes"))]);
    let name = name_of(soon(manager.pause(0, "", wrong_type)).await);
    assert_eq!(name, "org.freedesktop.DBus.Error.InvalidArgs");
    assert!(rig.puppet.heard().is_empty());
}

#[tokio::test]
async fn a_stranger_may_look_and_do_nothing() {
    let mut rig = Pair::with(idle(), Bouncer::same_user(own_uid() + 1)).await;
    let manager = ManagerProxy::new(&rig.client).await.unwrap();
    let contacts = ContactsProxy::new(&rig.client).await.unwrap();
    let refused = [
        name_of(soon(manager.enable(HashMap::new())).await),
        name_of(soon(manager.disable()).await),
        name_of(soon(manager.pause(0, "", HashMap::new())).await),
        name_of(soon(manager.resume(0)).await),
        name_of(soon(manager.rotate()).await),
        name_of(soon(manager.reload(0)).await),
        name_of(soon(contacts.get_summary(HashMap::new())).await),
        name_of(soon(contacts.get_statistics()).await),
    ];
    assert_eq!(refused, [names::error::NOT_AUTHORIZED; 8]);
    assert!(
        rig.puppet.heard().is_empty(),
        "a refused call reached the daemon"
    );
    assert_eq!(manager.state().await.unwrap(), "idle");
    assert!(rig.log.read().is_empty());
}
