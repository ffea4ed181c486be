//! The files under `dbus/` that other programs read say what the code says.

use std::fs;
use std::path::Path;

use roxmltree::{Document, ParsingOptions};
use tcnd::bus::names;

fn read(file: &str) -> String {
    fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("dbus")
            .join(file),
    )
    .unwrap()
}

fn with_document<T>(file: &str, look: impl FnOnce(&Document<'_>) -> T) -> T {
    let text = read(file);
    let options = ParsingOptions {
        allow_dtd: true,
        ..ParsingOptions::default()
    };
    look(&Document::parse_with_options(&text, options).unwrap())
}

#[test]
fn the_policy_names_our_service_in_every_rule() {
    with_document("system.d/org.tcncoalition.Tcnd1.conf", |policy| {
        let rules: Vec<_> = policy
            .descendants()
            .filter(|node| node.has_tag_name("allow"))
            .collect();
        assert!(rules.len() > 4);
        for rule in rules {
            let target = rule.attribute("own").or(rule.attribute("send_destination"));
            assert_eq!(
                target,
                Some(names::BUS),
                "a rule without our name opens other services"
            );
        }
        let owner = policy
            .descendants()
            .find(|node| node.attribute("own").is_some())
            .unwrap();
        assert_eq!(owner.parent().unwrap().attribute("user"), Some("tcnd"));
    });
}

#[test]
fn polkit_lets_the_daemon_ask_and_strangers_do_nothing() {
    with_document("actions/org.tcncoalition.tcnd1.policy", |policy| {
        let actions: Vec<_> = policy
            .descendants()
            .filter(|n| n.has_tag_name("action"))
            .collect();
        assert_eq!(actions.len(), 3);
        for action in actions {
            let id = action.attribute("id").unwrap();
            assert!(id.starts_with("org.tcncoalition.tcnd1."), "{id}");
            let owner = action
                .children()
                .find(|node| node.attribute("key") == Some("org.freedesktop.policykit.owner"));
            assert_eq!(
                owner.and_then(|node| node.text()),
                Some("unix-user:tcnd"),
                "{id}"
            );
            let any = action
                .descendants()
                .find(|n| n.has_tag_name("allow_any"))
                .unwrap();
            assert_ne!(any.text(), Some("yes"), "{id} is open to remote strangers");
        }
    });
}

#[test]
fn activation_goes_by_the_name_of_the_bus() {
    let service = read("system-services/org.tcncoalition.Tcnd1.service");
    let lines: Vec<_> = service.lines().collect();
    assert!(lines.contains(&format!("Name={}", names::BUS).as_str()));
    assert!(lines.contains(&"User=tcnd"));
    let unit = include_str!("../../systemd/system/tcnd.service");
    let alias = unit
        .lines()
        .find_map(|line| line.strip_prefix("Alias="))
        .unwrap();
    assert!(lines.contains(&format!("SystemdService={alias}").as_str()));
    assert!(
        unit.lines()
            .any(|line| line == format!("BusName={}", names::BUS))
    );
}
