//! A pause with a hold ends with its holder, however the holder leaves.

use std::collections::HashMap;
use std::io::Write;

use futures::StreamExt;
use tcnd_client::names;
use tcnd_client::proxy::{ManagerProxy, ReportsProxy};
use zbus::message::Type;
use zbus::{Connection, MessageStream, Variant};

use crate::contact_log::fd;
use crate::harness::{Harness, soon};
use crate::members::error_name;
use crate::mock_driver::{COOKIE, idle};
use crate::polkit::{Verdict, scene};
use crate::system_bus::{OTHERS, STRANGER};

fn hold() -> HashMap<&'static str, Variant<'static>> {
    HashMap::from([("hold", true.into())])
}

async fn pause(client: &Connection) -> zbus::Result<u32> {
    let manager = ManagerProxy::new(client).await.unwrap();
    soon(manager.pause(0, "call", hold())).await
}

fn name(client: &Connection) -> String {
    client.unique_name().unwrap().to_string()
}

#[tokio::test]
async fn the_holder_leaves() {
    let (bus, _polkit, mut served) = scene(Verdict::Yes).await;
    let holder = bus.connect(STRANGER).await;
    let name = name(&holder);
    for _ in 0..2 {
        assert_eq!(pause(&holder).await.unwrap(), COOKIE);
    }
    let asked = format!("Pause 0s \"call\" \"\" Some({name:?})");
    assert_eq!(served.driver.heard(), [asked.clone(), asked]);
    let other = bus.connect(STRANGER).await;
    other.close().await.unwrap();

    holder.close().await.unwrap();
    let left = soon(served.driver.asked.recv()).await.unwrap();
    assert_eq!(
        left,
        format!("ClientDisconnected {name}"),
        "said once, of the holder alone"
    );
}

/// The holder is gone before polkit has decided, so no departure will follow.
#[tokio::test]
async fn the_holder_left_before_it_could_hold() {
    let (bus, polkit, mut served) = scene(Verdict::Think).await;
    let holder = bus.connect(STRANGER).await;
    let name = name(&holder);
    let manager = ManagerProxy::new(&holder).await.unwrap();
    let pause = manager.pause(0, "call", hold());
    tokio::select! {
        _ = pause => panic!("it was answered"),
        () = soon(polkit.asked()) => {}
    }
    drop(manager);
    let bus = zbus::fdo::DBusProxy::new(&served.connection).await.unwrap();
    let leaving = &[(0, name.as_str())];
    let mut owners = bus
        .receive_name_owner_changed_with_args(leaving)
        .await
        .unwrap();
    holder.close().await.unwrap();
    // The bus has to have noticed, or the test has nothing to check.
    soon(owners.next()).await.unwrap();
    polkit.decide();
    let asked = soon(served.driver.asked.recv()).await.unwrap();
    assert!(asked.starts_with("Pause"), "{asked}");
    let left = soon(served.driver.asked.recv()).await.unwrap();
    assert_eq!(left, format!("ClientDisconnected {name}"));
}

#[tokio::test]
async fn holders_are_bounded() {
    let (bus, _polkit, mut served) = scene(Verdict::Yes).await;
    let mut holders = Vec::new();
    for _ in 0..64 {
        let holder = bus.connect(STRANGER).await;
        pause(&holder).await.unwrap();
        holders.push(holder);
    }
    let one_more = bus.connect(STRANGER).await;
    assert_eq!(error_name(pause(&one_more).await), names::error::BUSY);
    pause(&holders[0]).await.expect("it is watched already");
    served.driver.heard();

    holders.pop().unwrap().close().await.unwrap();
    let left = soon(served.driver.asked.recv()).await.unwrap();
    assert!(left.starts_with("ClientDisconnected"), "{left}");
    pause(&one_more).await.expect("there is room again");
}

#[tokio::test]
async fn there_is_nobody_to_watch_without_a_bus() {
    let mut harness = Harness::new(idle()).await;
    assert_eq!(
        error_name(pause(&harness.client).await),
        names::error::INVALID_ARGS
    );
    harness.driver.heard_nothing();
}

/// The caller of an import leaves, and keeps its end of the pipe busy.
#[tokio::test]
async fn an_import_ends_with_its_caller() {
    let (bus, _polkit, mut served) = scene(Verdict::Yes).await;
    let importer = bus.connect(STRANGER).await;
    let (ours, theirs) = std::io::pipe().unwrap();
    let call = {
        let importer = importer.clone();
        tokio::spawn(async move {
            let reports = ReportsProxy::new(&importer).await.unwrap();
            let _ = reports.import(fd(ours), HashMap::new()).await;
        })
    };
    // More than fits a pipe can be written only when the import is in progress.
    let (mut write, written) = (theirs, [0; 1 << 17]);
    let write = tokio::task::spawn_blocking(move || write.write_all(&written).map(|()| write));
    let mut write = soon(write).await.unwrap().unwrap();
    importer.close().await.unwrap();
    let drip = tokio::task::spawn_blocking(move || while write.write_all(b"x").is_ok() {});
    let ended = soon(served.driver.asked.recv()).await.unwrap();
    assert!(ended.starts_with("Import \"file\""), "{ended}");
    soon(drip).await.unwrap();
    call.abort();
}

/// Another user, who subscribes to all messages of tcnd, receives nothing of it.
#[tokio::test]
async fn an_import_tells_its_caller_alone_how_far_it_is() {
    let (bus, _polkit, served) = scene(Verdict::Yes).await;
    let other = bus.connect(OTHERS[0]).await;
    let mut overheard = MessageStream::from(&other);
    let rule = format!("type='signal',sender='{}'", name(&served.connection));
    let dbus = "org.freedesktop.DBus";
    let listen = other.call_method(Some(dbus), "/", Some(dbus), "AddMatch", &rule);
    soon(listen).await.unwrap();

    let importer = bus.connect(STRANGER).await;
    let reports = ReportsProxy::new(&importer).await.unwrap();
    let mut told = soon(reports.receive_import_progress()).await.unwrap();
    let (ours, mut theirs) = std::io::pipe().unwrap();
    let import = {
        let reports = reports.clone();
        tokio::spawn(async move { reports.import(fd(ours), HashMap::new()).await })
    };
    for (more, all) in [(100, 100), (50, 150)] {
        theirs.write_all(&vec![0; more]).unwrap();
        let progress = soon(told.next()).await.unwrap();
        assert_eq!(progress.args().unwrap().bytes, all);
    }
    drop(theirs);
    soon(import).await.unwrap().unwrap();

    served.driver.change(|now| now.enabled = true);
    let heard = async {
        loop {
            let message = overheard.next().await.unwrap().unwrap();
            let header = message.header();
            let member = header.member().map(ToString::to_string);
            if message.message_type() == Type::Signal && member.as_deref() != Some("NameAcquired") {
                return member;
            }
        }
    };
    assert_eq!(soon(heard).await.as_deref(), Some("PropertiesChanged"));
}
