//! The files under `dbus/`, which other programs read, agree with the code.
//!
//! A bus policy that does not name the destination opens every service of the machine.
//! polkit refuses an action that it does not know, always. A service file with another
//! name is not found. None of that shows before installation, so it is tested here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use roxmltree::Node;
use tcnd_client::names::{self, action};

use crate::contract::parse_document;

const POLICY: &str = include_str!("../../dbus/system.d/org.tcncoalition.Tcnd1.conf");
const ACTIONS: &str = include_str!("../../dbus/actions/org.tcncoalition.tcnd1.policy");
const SERVICE: &str = include_str!("../../dbus/system-services/org.tcncoalition.Tcnd1.service");
const UNIT: &str = include_str!("../../systemd/system/tcnd.service");
const RULES: &str = include_str!("../../dbus/rules.d/50-tcnd.rules");
const KIOSK_PAGE: &str = include_str!("../../dbus/rules.d/50-tcnd-kiosk-page.rules");
const KIOSK_USER: &str = include_str!("../../systemd/sysusers.d/tcnd-kiosk.conf");
const KIOSK: &str = include_str!("../../dbus/examples/50-tcnd-kiosk.rules");

fn elements<'a, 'input>(node: Node<'a, 'input>) -> impl Iterator<Item = Node<'a, 'input>> {
    node.children().filter(Node::is_element)
}

fn text<'a>(node: Node<'a, '_>, tag: &str) -> &'a str {
    let found = node.descendants().find(|child| child.has_tag_name(tag));
    found.unwrap().text().unwrap()
}

#[test]
fn the_bus_policy_is_these_rules() {
    let document = parse_document(POLICY);
    let mut rules = Vec::new();
    for policy in elements(document.root_element()) {
        let [whom] = &policy.attributes().collect::<Vec<_>>()[..] else {
            panic!("a policy is for one kind of caller");
        };
        for rule in elements(policy) {
            let mut what = format!(
                "{}={} {}",
                whom.name(),
                whom.value(),
                rule.tag_name().name()
            );
            for attribute in rule.attributes() {
                what += &format!(" {}={}", attribute.name(), attribute.value());
            }
            rules.push(what);
        }
    }
    let open = [
        "org.freedesktop.DBus.Introspectable",
        "org.freedesktop.DBus.ObjectManager",
        "org.freedesktop.DBus.Peer",
        "org.freedesktop.DBus.Properties",
        names::MANAGER,
        names::CONTACTS,
        names::REPORTS,
        names::EXPOSURES,
        names::PRIVACY,
    ];
    let mut expected = vec![format!("user=tcnd allow own={}", names::BUS)];
    expected.extend(open.map(|interface| {
        format!(
            "context=default allow send_destination={} send_interface={interface}",
            names::BUS
        )
    }));
    expected.push(format!(
        "user=tcnd-sync allow send_destination={} send_interface={}",
        names::BUS,
        names::EXCHANGE
    ));
    assert_eq!(rules, expected);
}

/// The values of any, inactive and active; reference: polkit(8), "Declaring actions".
#[test]
fn polkit_knows_the_actions_and_who_owns_them() {
    let document = parse_document(ACTIONS);
    let root = document.root_element();
    let actions = root.children().filter(|node| node.has_tag_name("action"));
    let actions: BTreeMap<_, _> = actions
        .map(|action| {
            let owner = action
                .children()
                .find(|node| node.has_tag_name("annotate"))
                .unwrap();
            assert_eq!(
                owner.attribute("key"),
                Some("org.freedesktop.policykit.owner")
            );
            assert_eq!(owner.text(), Some("unix-user:tcnd"));
            let kinds = ["allow_any", "allow_inactive", "allow_active"];
            let defaults = kinds.map(|kind| text(action, kind));
            // Where a person is never asked, the message is no question.
            let asks = text(action, "message").starts_with("Authentication is required");
            assert_eq!(asks, defaults != ["no"; 3]);
            (action.attribute("id").unwrap(), defaults)
        })
        .collect();
    let administrators = ["auth_admin", "no", "auth_admin_keep"];
    let each_time = ["auth_admin", "no", "auth_admin"];
    assert_eq!(
        actions,
        BTreeMap::from([
            (action::CONTROL, ["auth_admin", "no", "yes"]),
            (action::RELOAD, ["auth_admin_keep"; 3]),
            (action::CONTACTS_READ, administrators),
            (action::PRESENCE_READ, ["no", "no", "auth_admin"]),
            (action::EXPOSURES_READ, administrators),
            (action::CONTACTS_EXPORT, administrators),
            (action::REPORT_CREATE, each_time),
            (action::REPORT_PUBLISH, each_time),
            (action::REPORT_IMPORT, administrators),
            (action::ERASE, each_time),
            (action::EXCHANGE, ["no"; 3]),
        ])
    );
}

#[test]
fn the_service_file_starts_an_enabled_unit_only() {
    let said: Vec<_> = SERVICE
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let name = format!("Name={}", names::BUS);
    let unit = format!("SystemdService=dbus-{}.service", names::BUS);
    assert_eq!(
        said,
        [
            "[D-BUS Service]",
            &name,
            "Exec=/bin/false",
            "User=tcnd",
            &unit
        ]
    );
}

/// The alias exists from the moment the unit is enabled; the bus starts it by that.
#[test]
fn the_unit_answers_to_the_bus() {
    let said: Vec<_> = UNIT.lines().collect();
    assert!(said.contains(&format!("Alias=dbus-{}.service", names::BUS).as_str()));
    assert!(said.contains(&format!("BusName={}", names::BUS).as_str()));
    assert!(said.contains(&"User=tcnd"));
}

/// There is no JavaScript engine here; the test checks that the names in the rules
/// exist.
#[test]
fn the_rules_name_actions_that_exist() {
    let named = |list: &str| -> BTreeSet<&str> {
        let (_, rest) = RULES.split_once(&format!("var {list} = [")).unwrap();
        let (list, _) = rest.split_once("];").unwrap();
        list.split('"')
            .filter(|word| word.starts_with("org."))
            .collect()
    };
    assert_eq!(
        named("granted"),
        [
            action::CONTROL,
            action::CONTACTS_READ,
            action::EXPOSURES_READ,
            action::REPORT_IMPORT,
        ]
        .into()
    );
    assert_eq!(
        named("own"),
        [
            action::CONTACTS_EXPORT,
            action::REPORT_CREATE,
            action::REPORT_PUBLISH,
            action::ERASE,
        ]
        .into()
    );
    for line in [
        "if (!subject.local || !subject.active || !subject.isInGroup(\"tcnd\")) {\n        return polkit.Result.NOT_HANDLED;",
        "if (granted.indexOf(action.id) >= 0) {\n        return polkit.Result.YES;",
        "if (own.indexOf(action.id) >= 0) {\n        return polkit.Result.AUTH_SELF;",
    ] {
        assert!(RULES.contains(line), "{line}");
    }
    assert!(KIOSK.contains("action.id.indexOf(\"org.tcncoalition.tcnd1.\") == 0"));
    assert!(KIOSK.contains("return polkit.Result.NO;"));
    assert!(
        "50-tcnd-kiosk.rules" < "50-tcnd.rules",
        "polkit reads them in this order"
    );
}

/// Only presence, only for the user of the page, and before the rules for kiosks refuse it.
#[test]
fn the_page_of_a_kiosk_may_know_presence_and_nothing_else() {
    let user = KIOSK_USER.lines().find_map(|line| line.strip_prefix("u "));
    let user = user.unwrap().split(' ').next().unwrap();
    let allows = format!(
        "if (action.id == \"{}\" && subject.user == \"{user}\") {{\n        \
         return polkit.Result.YES;",
        action::PRESENCE_READ
    );
    assert!(KIOSK_PAGE.contains(&allows));
    assert_eq!(KIOSK_PAGE.matches("polkit.Result.").count(), 2);
    assert!(KIOSK_PAGE.contains("return polkit.Result.NOT_HANDLED;"));
    assert!(
        "50-tcnd-kiosk-page.rules" < "50-tcnd-kiosk.rules",
        "polkit reads them in this order"
    );
}

/// D-Bus, polkit and lintian require file names that match their contents.
#[test]
fn files_are_called_after_what_is_in_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("dbus");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let files: BTreeSet<_> = files
        .iter()
        .map(|path| {
            path.strip_prefix(&root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    let bus = names::BUS;
    let actions = action::CONTROL.strip_suffix(".control").unwrap();
    let expected = [
        format!("actions/{actions}.policy"),
        "examples/50-tcnd-kiosk.rules".to_owned(),
        format!("interfaces/{bus}.xml"),
        "rules.d/50-tcnd-kiosk-page.rules".to_owned(),
        "rules.d/50-tcnd.rules".to_owned(),
        format!("services/{bus}.Window.service"),
        format!("system-services/{bus}.service"),
        format!("system.d/{bus}.conf"),
    ];
    assert_eq!(files, expected.into());
    for path in &files {
        let text = fs::read_to_string(root.join(path)).unwrap();
        let opening: String = text.chars().take(300).collect();
        let comment = ["<!--", "# ", "// "]
            .iter()
            .any(|mark| opening.contains(mark));
        assert!(comment, "{path} says what it is for");
    }
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}
