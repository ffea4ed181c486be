//! The installed contract and the running daemon say the same.

use zbus::fdo::IntrospectableProxy;

use crate::puppet::busy;
use crate::rig::{Pair, soon};
use tcnd::bus::names;

#[tokio::test]
async fn dump() {
    let rig = Pair::new(busy()).await;
    for path in [
        names::ROOT.to_owned(),
        names::adapter_path("hci0").unwrap(),
        names::LOG_CONTROL_PATH.to_owned(),
    ] {
        let proxy = IntrospectableProxy::builder(&rig.client)
            .destination(names::BUS)
            .path(path)
            .build()
            .await
            .unwrap();
        println!("{}", soon(proxy.introspect()).await.unwrap());
    }
}
