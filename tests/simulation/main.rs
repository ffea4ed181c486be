//! Days of several daemons on one simulated air, in milliseconds.
//!
//! The engine is the real one. Radio, store and time are models (`world.rs`) that know
//! what really happened and check the engine's promises against it at every step. Each
//! test is a story; the stories with randomness run many times, and a failure prints
//! the seed that repeats it.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod clocks;
mod flood;
mod windows;
mod world;

use std::time::Duration;

use tcn_engine::{Input, Pause, Policy};
use tcn_protocol::UnixTime;
use world::{Chaos, World};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

#[test]
fn two_neighbours_log_each_other_for_a_day() {
    let mut world = World::new(1, 2, Policy::default());
    world.run(DAY);
    let aired = world.aired(0);
    assert!(
        (96..=110).contains(&aired),
        "a day has 96 quarters of an hour, aired {aired}"
    );
    assert_eq!(
        world.missed(0, 1, 2 * MINUTE),
        0,
        "neighbour 1 missed numbers of 0"
    );
    assert_eq!(
        world.missed(1, 0, 2 * MINUTE),
        0,
        "neighbour 0 missed numbers of 1"
    );
}

#[test]
fn keys_are_short_lived() {
    let mut world = World::new(2, 1, Policy::default());
    world.run(DAY);
    let keys = world.keys(0);
    assert!(
        (4..=6).contains(&keys),
        "a day takes four or five keys of six hours, took {keys}"
    );
}

#[test]
fn nothing_is_aired_without_consent_or_while_paused() {
    let mut world = World::new(3, 2, Policy::default());
    world.tell(0, Input::Consent(false));
    world.run(MINUTE);
    let before = world.aired(0);
    world.run(HOUR);
    assert_eq!(world.aired(0), before);
    assert!(!world.on_air(0) && !world.listening(0));
    world.tell(0, Input::Consent(true));
    world.run(MINUTE);
    assert_eq!(world.aired(0), before + 1);
    world.tell(0, Input::Paused(Pause::UntilResumed));
    world.run(HOUR);
    assert_eq!(world.aired(0), before + 1);
    assert!(!world.on_air(0) && !world.listening(0));
    world.tell(0, Input::Paused(Pause::No));
    world.run(MINUTE);
    assert!(world.on_air(0) && world.listening(0));
}

#[test]
fn a_number_does_not_survive_a_night_of_suspend() {
    let mut world = World::new(4, 2, Policy::default());
    world.run(5 * MINUTE);
    let before = world.current(0).unwrap();
    world.suspend(0, 8 * HOUR);
    world.run(MINUTE);
    let after = world.current(0).unwrap();
    assert_ne!(before, after);
}

#[test]
fn nothing_is_aired_from_before_a_sleep_until_after_it() {
    let mut world = World::new(44, 2, Policy::default());
    world.run(5 * MINUTE);
    let (before, aired) = (world.current(0).unwrap(), world.aired(0));
    let silent = |world: &World| {
        assert!(!world.on_air(0) && !world.listening(0));
        assert_eq!(world.aired(0), aired);
    };
    for _ in 0..2 {
        world.tell(0, Input::Asleep(true));
        world.run(MINUTE);
        silent(&world);
    }
    // The kernel reports that the machine woke before logind does.
    world.suspend(0, 8 * HOUR);
    world.run(MINUTE);
    silent(&world);
    for _ in 0..2 {
        world.tell(0, Input::Asleep(false));
        world.run(MINUTE);
        assert_ne!(world.current(0).unwrap(), before);
        assert!(world.listening(0));
        assert_eq!(world.aired(0), aired + 1);
    }
}

#[test]
fn a_sleep_does_not_end_a_pause() {
    let mut world = World::new(45, 2, Policy::default());
    world.run(MINUTE);
    world.tell(0, Input::Paused(Pause::UntilResumed));
    world.tell(0, Input::Asleep(true));
    world.run(MINUTE);
    world.tell(0, Input::Asleep(false));
    world.run(HOUR);
    assert!(!world.on_air(0) && !world.listening(0));
}

#[test]
fn a_clock_that_starts_in_1970_is_put_right() {
    let mut world = World::new(5, 2, Policy::default());
    world.set_clock(1, UnixTime(1000));
    world.run(20 * MINUTE);
    assert_eq!(
        world.rows(1),
        0,
        "nothing is logged under a date that cannot be true"
    );
    let seen_since = world.true_time();
    world.set_clock(1, seen_since);
    world.run(5 * MINUTE);
    assert!(world.rows(1) >= 1);
    assert_eq!(
        world.rows_outside(
            1,
            seen_since.before(21 * MINUTE),
            seen_since.after(5 * MINUTE)
        ),
        0
    );
}

#[test]
fn no_contact_spans_a_jump_of_the_clock() {
    let mut world = World::new(6, 2, Policy::default());
    world.run(4 * MINUTE);
    let now = world.true_time();
    world.set_clock(0, now.after(3 * DAY));
    world.run(4 * MINUTE);
    assert!(
        world.longest_contact(0) < 16 * MINUTE,
        "{:?}",
        world.longest_contact(0)
    );
    world.set_clock(0, now.before(2 * DAY));
    world.run(4 * MINUTE);
    assert!(
        world.longest_contact(0) < 16 * MINUTE,
        "{:?}",
        world.longest_contact(0)
    );
}

#[test]
fn a_clock_far_in_the_future_destroys_nothing_at_once() {
    let mut world = World::new(7, 2, Policy::default());
    world.run(HOUR);
    let rows = world.rows(0);
    assert!(rows > 0);
    let now = world.true_time();
    world.set_clock(0, now.after(3650 * DAY));
    world.run(30 * MINUTE);
    assert!(
        world.rows(0) >= rows,
        "half an hour of a wrong clock must not empty the log"
    );
    let elapsed = world.true_time();
    world.set_clock(0, elapsed);
    world.run(2 * HOUR);
    assert!(world.rows(0) >= rows);
}

#[test]
fn retention_is_kept() {
    let policy = Policy {
        retention: DAY,
        ..Policy::default()
    };
    let mut world = World::new(8, 2, policy);
    world.run(3 * DAY);
    let now = world.true_time();
    let limit = now.before(DAY + HOUR + 30 * MINUTE);
    assert!(world.rows(0) > 90);
    assert_eq!(
        world.rows_outside(0, limit, now),
        0,
        "a contact outlived retention"
    );
    assert!(
        world.keys(0) <= 6,
        "keys outlived retention: {}",
        world.keys(0)
    );
}

#[test]
fn a_shorter_period_takes_effect_on_the_number_on_the_air() {
    let mut world = World::new(9, 1, Policy::default());
    world.run(5 * MINUTE);
    let before = world.current(0).unwrap();
    let short = Policy {
        period: MINUTE,
        jitter: Duration::from_secs(5),
        ..Policy::default()
    };
    world.set_policy(0, short);
    world.run(Duration::from_secs(5));
    assert_ne!(world.current(0), Some(before));
}

#[test]
fn whatever_happens_the_promises_hold() {
    let mut aired = 0;
    for seed in 0..60 {
        let policy = Policy {
            period: 5 * MINUTE,
            jitter: MINUTE,
            key_life: HOUR,
            ..Policy::default()
        };
        let mut world = World::new(1000 + seed, 3, policy);
        world.chaos(Chaos::everything());
        world.run(6 * HOUR);
        aired += (0..3).map(|i| world.aired(i)).sum::<usize>();
    }
    assert!(
        aired > 1000,
        "the stories have to go on, {aired} numbers aired in all"
    );
}

#[test]
fn after_any_crash_every_number_aired_can_be_reported() {
    for seed in 0..40 {
        let policy = Policy {
            period: MINUTE,
            jitter: Duration::from_secs(20),
            key_life: HOUR,
            ..Policy::default()
        };
        let mut world = World::new(2000 + seed, 2, policy);
        world.chaos(Chaos::crashes());
        world.run(2 * HOUR);
        assert_eq!(
            world.underivable(0) + world.underivable(1),
            0,
            "seed {seed}"
        );
        let restarts = world.restarts(0) + world.restarts(1);
        assert!(restarts > 0, "seed {seed}: {restarts} restarts");
    }
}

#[test]
fn a_report_takes_its_key_off_the_air() {
    let mut world = World::new(13, 2, Policy::default());
    world.run(5 * MINUTE);
    let (before, keys) = (world.current(0).unwrap(), world.keys(0));
    world.report(0);
    world.run(Duration::from_secs(5));
    assert_ne!(world.current(0).unwrap(), before);
    assert_eq!(world.keys(0), keys + 1, "the new number is of a new key");
    world.run(DAY);
}

#[test]
fn a_failing_store_keeps_the_number_off_the_air_and_loses_no_contact() {
    let mut world = World::new(10, 2, Policy::default());
    world.run(MINUTE);
    world.break_store(0, true);
    world.run(HOUR);
    assert!(
        !world.on_air(0),
        "a number was aired that could not be written"
    );
    world.break_store(0, false);
    world.run(10 * MINUTE);
    assert!(world.on_air(0));
    assert_eq!(
        world.missed(1, 0, 2 * MINUTE),
        0,
        "a contact was lost while the store failed"
    );
}

#[test]
fn the_radio_says_no_to_broadcasting_and_listening_goes_on() {
    let mut world = World::new(11, 2, Policy::default());
    world.run(MINUTE);
    world.forbid_air(0, true);
    world.run(MINUTE);
    assert!(!world.on_air(0) && world.listening(0));
    world.forbid_air(0, false);
    world.run(MINUTE);
    assert!(world.on_air(0) && world.listening(0));
}

#[test]
fn our_own_numbers_coming_back_are_no_contacts() {
    let mut world = World::new(12, 2, Policy::default());
    world.echo(0);
    world.run(2 * HOUR);
    assert_eq!(world.own_rows(0), 0);
}

#[test]
fn two_phones_that_never_meet_hear_of_each_other() {
    let mut world = World::new(14, 1, Policy::default());
    let (anna, ben) = (world.phone(), world.phone());
    world.run(2 * HOUR);
    assert!(world.logged(0, anna) && world.logged(0, ben));
    assert!(world.heard_by_phone(0).contains(&ben));
    assert!(world.heard_by_phone(1).contains(&anna));
    assert!(world.swaps(0) > 2 * 60, "{} swaps", world.swaps(0));
    assert!(world.on_air(0));
}

#[test]
fn a_relay_carries_and_has_no_number_of_its_own() {
    let policy = Policy {
        relay: true,
        ..Policy::default()
    };
    let mut world = World::new(15, 1, policy);
    let (anna, ben) = (world.phone(), world.phone());
    world.run(DAY);
    assert!(world.heard_by_phone(0).contains(&ben));
    assert!(world.heard_by_phone(1).contains(&anna));
    let heard = world.heard_by_phone(0);
    assert_eq!(
        heard,
        [0, anna, ben].into(),
        "its own number, or that of another machine"
    );
    assert_eq!((world.keys(0), world.aired(0)), (0, 0));
}

#[test]
fn who_babbles_is_heard_four_times_and_silences_nobody() {
    let mut world = World::new(16, 2, Policy::default());
    let anna = world.phone();
    world.run(Duration::from_secs(10));
    world.babble(0, 99, 100_000);
    world.run(2 * MINUTE);
    assert_eq!(world.babbled(0), 4);
    assert!(world.logged(0, anna));
    world.run(HOUR);
    assert_eq!(
        world.missed(0, 1, 2 * MINUTE),
        0,
        "our own number was crowded out"
    );
}

#[test]
fn a_number_stays_as_long_as_the_addresses_that_go_with_it() {
    let mut world = World::new(17, 1, Policy::default());
    world.phone();
    world.run(MINUTE);
    world.hold(0, Duration::from_secs(30 * 60));
    world.run(HOUR);
    let (aired, swaps) = (world.aired(0), world.swaps(0));
    world.run(DAY);
    let held = world.aired(0) - aired;
    assert!((48..=50).contains(&held), "{held} numbers in a day");
    assert_eq!(world.swaps(0), swaps, "carried under a kept address");
}

#[test]
fn listening_and_its_number_begin_together() {
    let mut world = World::new(18, 1, Policy::default());
    world.run(MINUTE);
    world.deafen(0, true);
    let deaf = world.current(0).unwrap();
    world.run(MINUTE);
    assert_eq!(world.current(0), Some(deaf), "a deaf number stays");
    world.deafen(0, false);
    world.run(Duration::from_secs(5));
    assert_ne!(world.current(0).unwrap(), deaf);
}

#[test]
fn whatever_happens_the_promises_of_a_carrier_hold() {
    for seed in 0..40 {
        let policy = Policy {
            period: 5 * MINUTE,
            jitter: MINUTE,
            key_life: HOUR,
            relay: seed % 2 == 1,
            ..Policy::default()
        };
        let mut world = World::new(3000 + seed, 2, policy);
        for _ in 0..3 {
            world.phone();
        }
        world.chaos(Chaos::everything());
        world.run(3 * HOUR);
        assert!(world.swaps(0) + world.swaps(1) > 50, "seed {seed}");
    }
}
