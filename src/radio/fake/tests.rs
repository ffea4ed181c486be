//! The simulated radio keeps the contract of the radio's queues, under paused time.

use std::collections::BTreeSet;
use std::time::Duration;

use tcn_engine::RadioCapabilities;
use tcn_protocol::TemporaryContactNumber;
use tcn_protocol::beacon::Frame;
use tcnd_client::Problem;
use tokio::time::timeout;

use super::super::Status;
use super::*;

fn frame(byte: u8) -> Frame {
    Frame::own(TemporaryContactNumber::from_bytes([byte; 16]))
}

/// The first event of which `pick` makes something, within a minute.
async fn find<T>(radio: &mut Radio, mut pick: impl FnMut(Event) -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = pick(radio.events.recv().await.expect("the radio runs")) {
                return found;
            }
        }
    };
    timeout(Duration::from_secs(60), found)
        .await
        .expect("it happens within a minute")
}

/// The next event that is neither a status nor a frame heard.
async fn next(radio: &mut Radio) -> Event {
    let is_other = |event: &Event| {
        !matches!(
            event,
            Event::Status(_) | Event::DiscoveryStarted | Event::Heard { .. }
        )
    };
    find(radio, |event| Some(event).filter(is_other)).await
}

async fn next_heard(radio: &mut Radio) -> (Frame, i16) {
    find(radio, |event| {
        let Event::Heard { frame, rssi } = event else {
            return None;
        };
        Some((frame, rssi.unwrap()))
    })
    .await
}

async fn status_when(radio: &mut Radio, is: impl Fn(&Status) -> bool) -> Status {
    find(radio, |event| {
        let Event::Status(status) = event else {
            return None;
        };
        Some(status).filter(&is)
    })
    .await
}

async fn up(air: &Air, name: &str) -> (Radio, Switch) {
    let (mut radio, switch) = air.radio_with_switch(name);
    assert!(matches!(
        next(&mut radio).await,
        Event::Up(RadioCapabilities { can_air: true, .. })
    ));
    (radio, switch)
}

#[tokio::test(start_paused = true)]
async fn two_radios_hear_each_other_but_not_themselves() {
    let air = Air::new(1);
    let (mut anna, _a) = up(&air, "anna").await;
    let (mut ben, _b) = up(&air, "ben").await;
    anna.orders.send(Order::Air(frame(1))).await.unwrap();
    ben.orders.send(Order::Air(frame(2))).await.unwrap();
    for _ in 0..20 {
        assert_eq!(next_heard(&mut anna).await.0, frame(2));
        assert_eq!(next_heard(&mut ben).await.0, frame(1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_resting_radio_neither_airs_nor_hears() {
    let air = Air::new(1);
    let (mut anna, _a) = up(&air, "anna").await;
    let (mut ben, _b) = up(&air, "ben").await;
    anna.orders.send(Order::Air(frame(1))).await.unwrap();
    ben.orders.send(Order::Listen).await.unwrap();
    assert_eq!(next_heard(&mut ben).await.0, frame(1));
    anna.orders.send(Order::Rest).await.unwrap();
    while !matches!(anna.events.recv().await, Some(Event::Rested)) {}
    ben.orders.send(Order::Rest).await.unwrap();
    assert!(matches!(next(&mut ben).await, Event::Rested));
    let silence = timeout(Duration::from_secs(30), next_heard(&mut ben)).await;
    assert!(silence.is_err(), "heard {silence:?} while resting");
}

#[tokio::test(start_paused = true)]
async fn it_airs_and_does_not_hear_while_discovery_pauses() {
    let air = Air::new(1);
    let (mut anna, _a) = up(&air, "anna").await;
    let (mut ben, _b) = up(&air, "ben").await;
    anna.orders.send(Order::Air(frame(1))).await.unwrap();
    ben.orders.send(Order::Air(frame(2))).await.unwrap();
    assert_eq!(next_heard(&mut ben).await.0, frame(1));
    ben.orders.send(Order::StopDiscovery).await.unwrap();
    assert_eq!(next_heard(&mut anna).await.0, frame(2));
    let silence = timeout(Duration::from_secs(30), next_heard(&mut ben)).await;
    assert!(silence.is_err(), "heard {silence:?} in a pause");
    ben.orders.send(Order::StartDiscovery).await.unwrap();
    assert_eq!(next_heard(&mut ben).await.0, frame(1));
}

#[tokio::test(start_paused = true)]
async fn switched_off_it_withdraws_and_comes_back_silent() {
    let air = Air::new(1);
    let (mut anna, switch) = up(&air, "anna").await;
    anna.orders.send(Order::Air(frame(1))).await.unwrap();
    assert!(matches!(next(&mut anna).await, Event::Aired(aired) if aired == frame(1)));
    switch.set(Condition::Off);
    assert!(matches!(next(&mut anna).await, Event::Withdrawn(gone) if gone == frame(1)));
    assert!(matches!(next(&mut anna).await, Event::Down));
    let status = status_when(&mut anna, |s| !s.problems.is_empty()).await;
    assert!(status.problems.keys().eq([&Problem::AdapterOff]));
    assert!(!status.advertising && !status.scanning && status.simulated);
    switch.set(Condition::Working);
    assert!(matches!(
        next(&mut anna).await,
        Event::Up(RadioCapabilities { can_air: true, .. })
    ));
    let status = status_when(&mut anna, |s| s.problems.is_empty()).await;
    assert!(!status.advertising, "an old order came back to life");
    assert_eq!(status.adapters[0].recoveries, 1);
}

#[tokio::test(start_paused = true)]
async fn discoverable_it_stops_airing_and_goes_on_listening() {
    let air = Air::new(1);
    let (mut anna, switch) = up(&air, "anna").await;
    let (ben, _b) = up(&air, "ben").await;
    anna.orders.send(Order::Air(frame(1))).await.unwrap();
    assert!(matches!(next(&mut anna).await, Event::Aired(_)));
    switch.set(Condition::Discoverable);
    assert!(matches!(next(&mut anna).await, Event::Withdrawn(_)));
    assert!(matches!(
        next(&mut anna).await,
        Event::Up(RadioCapabilities { can_air: false, .. })
    ));
    ben.orders.send(Order::Air(frame(2))).await.unwrap();
    assert_eq!(next_heard(&mut anna).await.0, frame(2));
    switch.set(Condition::Working);
    assert!(matches!(
        next(&mut anna).await,
        Event::Up(RadioCapabilities { can_air: true, .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn a_frame_refused_is_aired_when_adverts_are_taken_again() {
    let air = Air::new(1);
    let (mut anna, switch) = up(&air, "anna").await;
    switch.set(Condition::Refusing);
    anna.orders.send(Order::Air(frame(1))).await.unwrap();
    let status = status_when(&mut anna, |s| !s.problems.is_empty()).await;
    assert!(status.problems.keys().eq([&Problem::AdvertiseFailed]));
    switch.set(Condition::Working);
    assert!(matches!(next(&mut anna).await, Event::Aired(aired) if aired == frame(1)));
}

async fn a_walk_through_the_street(seed: u64) -> Vec<(Frame, i16)> {
    let mut radio = spawn(Options {
        neighbours: 12,
        seed,
        mode: Mode::Broadcast,
    });
    radio.orders.send(Order::Listen).await.unwrap();
    let mut heard = Vec::new();
    while heard.len() < 3000 {
        heard.push(next_heard(&mut radio).await);
    }
    heard
}

#[tokio::test(start_paused = true)]
async fn people_come_near_and_go_and_others_come() {
    let heard = a_walk_through_the_street(7).await;
    let numbers: BTreeSet<_> = heard.iter().map(|(frame, _)| frame.tcn).collect();
    assert!(numbers.len() > 12, "only {} numbers heard", numbers.len());
    assert!(
        heard.iter().any(|(_, rssi)| *rssi > -70),
        "no person came near"
    );
    assert!(
        heard.iter().any(|(_, rssi)| *rssi < -80),
        "no person was far"
    );
    assert!(heard.iter().all(|(frame, _)| !frame.is_bridged()));
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_makes_the_same_street() {
    let first = a_walk_through_the_street(7).await;
    assert!(first == a_walk_through_the_street(7).await);
    assert!(first != a_walk_through_the_street(8).await);
}

#[tokio::test(start_paused = true)]
async fn who_cannot_broadcast_tells_each_carrier_once() {
    let mut radio = spawn(Options {
        neighbours: 12,
        seed: 7,
        mode: Mode::Full,
    });
    let (mut written, mut heard) = (Vec::new(), BTreeSet::new());
    for carrier in 1..=2 {
        radio.orders.send(Order::Air(frame(carrier))).await.unwrap();
        let mut here = BTreeSet::new();
        for _ in 0..2000 {
            match radio.events.recv().await.unwrap() {
                Event::Written { tcn, peer, .. } => {
                    assert!(here.insert(peer.0), "told twice");
                    written.push(tcn);
                }
                Event::Heard { frame, .. } => {
                    heard.insert(frame.tcn);
                }
                Event::Status(_)
                | Event::Up(_)
                | Event::Down
                | Event::Aired(_)
                | Event::Withdrawn(_)
                | Event::DiscoveryStarted
                | Event::Rested
                | Event::Malformed => {}
            }
        }
        assert!(!here.is_empty(), "no person wrote to carrier {carrier}");
    }
    assert!(written.iter().all(|tcn| !heard.contains(tcn)));
}

#[tokio::test(start_paused = true)]
async fn a_frame_is_swapped_on_the_air_and_nowhere_else() {
    let air = Air::new(1);
    let (mut anna, _a) = up(&air, "anna").await;
    let (mut ben, _b) = up(&air, "ben").await;
    ben.orders.send(Order::Listen).await.unwrap();
    anna.orders.send(Order::Swap(frame(9))).await.unwrap();
    anna.orders.send(Order::Air(frame(1))).await.unwrap();
    anna.orders.send(Order::Swap(frame(2))).await.unwrap();
    for byte in [1, 2] {
        let event = next(&mut anna).await;
        assert!(
            matches!(event, Event::Aired(aired) if aired == frame(byte)),
            "{event:?}"
        );
    }
    assert_eq!(next_heard(&mut ben).await.0, frame(2));
}
