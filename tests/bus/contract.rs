//! The installed contract equals the interfaces of the running daemon, word for word.
//!
//! The comparison is of parsed documents: order and white space may differ, all else
//! must not.

use std::collections::{BTreeMap, BTreeSet};

use roxmltree::{Document, Node, ParsingOptions};
use tcnd_client::{names, proxy};
use zbus::Connection;
use zbus::fdo::IntrospectableProxy;
use zbus::proxy::Defaults;

use crate::harness::{Harness, soon};
use crate::mock_driver::{adapter, busy};

const CONTRACT: &str = include_str!("../../dbus/interfaces/org.tcncoalition.Tcnd1.xml");

/// The interfaces of the object at the root, in the order of their names.
const ON_ROOT: [&str; 6] = [
    names::CONTACTS,
    names::EXCHANGE,
    names::EXPOSURES,
    names::MANAGER,
    names::PRIVACY,
    names::REPORTS,
];

/// One interface: its members, each with its documentation.
pub(crate) type Members = BTreeMap<String, Member>;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// `method`, `property` or `signal`.
    pub(crate) kind: String,
    /// The attributes but the name, in the order of their keys.
    attributes: BTreeMap<String, String>,
    /// Arguments in order: direction, name, type.
    arguments: Vec<(String, String, String)>,
    annotations: BTreeMap<String, String>,
    prose: String,
}

impl Member {
    /// `org.freedesktop.DBus.Property.EmitsChangedSignal`, "true" by default.
    pub(crate) fn emits(&self) -> &str {
        let key = "org.freedesktop.DBus.Property.EmitsChangedSignal";
        self.annotations.get(key).map_or("true", String::as_str)
    }

    /// The type of a property.
    pub(crate) fn value_type(&self) -> &str {
        &self.attributes["type"]
    }

    /// The types of the arguments that go in.
    pub(crate) fn signature(&self) -> String {
        let into = self.arguments.iter().filter(|(way, ..)| way == "in");
        into.map(|(.., signature)| signature.as_str()).collect()
    }
}

/// The interfaces in an introspection document, ours and `LogControl1`.
pub(crate) fn parse(xml: &str) -> BTreeMap<String, Members> {
    let document = parse_document(xml);
    let root = document.root_element();
    assert_eq!(root.tag_name().name(), "node");
    root.children()
        .filter(|node| node.has_tag_name("interface"))
        .map(|node| (attribute(node, "name"), members(node)))
        .filter(|(name, _)| name.starts_with(names::BUS) || name == names::LOG_CONTROL)
        .collect()
}

pub(crate) fn parse_document(xml: &str) -> Document<'_> {
    let options = ParsingOptions {
        allow_dtd: true,
        ..ParsingOptions::default()
    };
    Document::parse_with_options(xml, options).expect("it is XML")
}

fn members(interface: Node<'_, '_>) -> Members {
    let mut members = Members::new();
    let mut prose = String::new();
    for node in interface.children() {
        if node.is_comment() {
            prose = squeeze(node.text().unwrap_or_default());
        } else if node.is_element() {
            let member = member(node, std::mem::take(&mut prose));
            assert_eq!(members.insert(attribute(node, "name"), member), None);
        }
    }
    members
}

fn member(node: Node<'_, '_>, prose: String) -> Member {
    let elements = |tag: &'static str| node.children().filter(move |child| child.has_tag_name(tag));
    let argument = |arg| {
        (
            attribute(arg, "direction"),
            attribute(arg, "name"),
            attribute(arg, "type"),
        )
    };
    let annotation = |note| (attribute(note, "name"), attribute(note, "value"));
    Member {
        kind: node.tag_name().name().to_owned(),
        attributes: node
            .attributes()
            .filter(|attribute| attribute.name() != "name")
            .map(|attribute| (attribute.name().to_owned(), attribute.value().to_owned()))
            .collect(),
        arguments: elements("arg").map(argument).collect(),
        annotations: elements("annotation").map(annotation).collect(),
        prose,
    }
}

fn attribute(node: Node<'_, '_>, name: &str) -> String {
    node.attribute(name).unwrap_or_default().to_owned()
}

fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The interfaces of the object at `path`, as the daemon serves them.
pub(crate) async fn introspect(client: &Connection, path: &str) -> BTreeMap<String, Members> {
    let object = IntrospectableProxy::builder(client)
        .destination(names::BUS)
        .path(path)
        .build()
        .await
        .unwrap();
    parse(&soon(object.introspect()).await.unwrap())
}

/// All interfaces of a daemon with one adapter, by name.
pub(crate) async fn served(client: &Connection) -> BTreeMap<String, Members> {
    let mut served = introspect(client, names::ROOT).await;
    served.extend(introspect(client, &names::adapter_path("hci0").unwrap()).await);
    served.extend(introspect(client, names::LOG_CONTROL_PATH).await);
    served
}

#[tokio::test]
async fn the_daemon_serves_the_contract() {
    let harness = Harness::new(busy()).await;
    let mut served = served(&harness.client).await;
    served.remove(names::LOG_CONTROL).unwrap();
    let contract = parse(CONTRACT);

    let interfaces: Vec<_> = contract.keys().map(String::as_str).collect();
    assert_eq!(interfaces, [&[names::ADAPTER], &ON_ROOT[..]].concat());
    for (interface, members) in &contract {
        for (name, member) in members {
            assert_eq!(
                served[interface].get(name),
                Some(member),
                "{interface}.{name}"
            );
            assert!(member.prose.len() > 10, "{interface}.{name} says something");
        }
    }
    assert_eq!(
        served, contract,
        "nothing is served that is not in the contract"
    );
}

/// zbus does not serve the documentation before an interface, so no other test would
/// notice if it were missing.
#[test]
fn every_interface_says_what_it_is_and_where() {
    let contract = parse_document(CONTRACT);
    let mut prose = String::new();
    for node in contract.root_element().children() {
        if node.is_comment() {
            prose = squeeze(node.text().unwrap());
        } else if node.is_element() {
            let name = attribute(node, "name");
            assert!(
                prose.contains(" /org/tcncoalition/Tcnd1"),
                "{name}: {prose}"
            );
            prose.clear();
        }
    }
}

/// Both ways: the errors that exist, and those that the introduction explains.
#[test]
fn the_head_explains_every_error() {
    let code = include_str!("../../crates/tcnd-client/src/names.rs");
    let ours = code.split(".Tcnd1.Error.").skip(1);
    let ours: BTreeSet<_> = ours.filter_map(|rest| rest.split('"').next()).collect();
    let (head, _) = CONTRACT.split_once("<node>").unwrap();
    let explained = head.lines().filter_map(|line| line.strip_prefix("   "));
    let explained: BTreeSet<_> = explained
        .filter_map(|line| line.split(": ").next())
        .collect();
    assert_eq!(explained, ours);
    for generic in [names::error::INVALID_ARGS, names::error::NOT_SUPPORTED] {
        assert!(head.contains(generic), "{generic}");
    }
}

#[test]
fn the_contract_names_every_problem_that_has_words() {
    let contract = parse(CONTRACT);
    let prose = &contract[names::MANAGER]["Problems"].prose;
    let is_token = |c: char| c.is_ascii_lowercase() || c == '-';
    let named: BTreeSet<_> = prose.split(|c| !is_token(c)).collect();
    for problem in tcnd_client::notices::PROBLEMS {
        assert!(named.contains(problem.token), "{}", problem.token);
    }
}

/// LogControl1(5).
#[tokio::test]
async fn log_control_is_what_systemd_expects() {
    let harness = Harness::new(busy()).await;
    let served = introspect(&harness.client, names::LOG_CONTROL_PATH).await;
    let log_control = &served[names::LOG_CONTROL];
    let said: Vec<_> = log_control
        .iter()
        .map(|(name, member)| {
            let get = |key: &str| member.attributes[key].as_str();
            (name.as_str(), get("type"), get("access"), member.emits())
        })
        .collect();
    assert_eq!(
        said,
        [
            ("LogLevel", "s", "readwrite", "false"),
            ("LogTarget", "s", "readwrite", "false"),
            ("SyslogIdentifier", "s", "read", "false"),
        ]
    );
}

/// Interfaces are at their paths, and nowhere else. The prefix in zbus's attributes is
/// the one in `names`, because these paths and names are.
#[tokio::test]
async fn every_object_has_its_interfaces() {
    let mut first = busy();
    first.adapters.push(adapter("hci1"));
    let harness = Harness::new(first).await;
    for (path, interfaces) in [
        ("/", vec![]),
        (names::ROOT, ON_ROOT.to_vec()),
        (&format!("{}/adapter", names::ROOT), vec![]),
        (
            &format!("{}/adapter/hci0", names::ROOT),
            vec![names::ADAPTER],
        ),
        (
            &format!("{}/adapter/hci1", names::ROOT),
            vec![names::ADAPTER],
        ),
        (names::LOG_CONTROL_PATH, vec![names::LOG_CONTROL]),
    ] {
        let there = introspect(&harness.client, path).await;
        let there: Vec<_> = there.keys().map(String::as_str).collect();
        assert_eq!(there, interfaces, "{path}");
    }
}

#[test]
fn the_proxies_name_what_names_names() {
    fn defaults<T: Defaults>() -> [Option<&'static str>; 3] {
        [
            T::INTERFACE.as_ref().map(|name| name.as_str()),
            T::DESTINATION.as_ref().map(|name| name.as_str()),
            T::PATH.as_ref().map(|path| path.as_str()),
        ]
    }
    let (bus, root) = (Some(names::BUS), Some(names::ROOT));
    for (found, interface, path) in [
        (defaults::<proxy::ManagerProxy<'_>>(), names::MANAGER, root),
        (
            defaults::<proxy::ContactsProxy<'_>>(),
            names::CONTACTS,
            root,
        ),
        (defaults::<proxy::ReportsProxy<'_>>(), names::REPORTS, root),
        (
            defaults::<proxy::ExposuresProxy<'_>>(),
            names::EXPOSURES,
            root,
        ),
        (
            defaults::<proxy::ExchangeProxy<'_>>(),
            names::EXCHANGE,
            root,
        ),
        (defaults::<proxy::PrivacyProxy<'_>>(), names::PRIVACY, root),
        (defaults::<proxy::AdapterProxy<'_>>(), names::ADAPTER, None),
    ] {
        assert_eq!(found, [Some(interface), bus, path]);
    }
}

/// `exposures` and `holds` show that only the clients that asked receive the signals
/// that there are.
#[tokio::test]
async fn no_signal_reaches_every_user() {
    let asked = [
        (names::EXPOSURES, "Changed"),
        (names::REPORTS, "ImportProgress"),
    ];
    let harness = Harness::new(busy()).await;
    let mut signals = Vec::new();
    let served = served(&harness.client).await;
    for (interface, members) in &served {
        let of = members.iter().filter(|(_, member)| member.kind == "signal");
        signals.extend(of.map(|(name, _)| (interface.as_str(), name.as_str())));
    }
    assert_eq!(signals, asked);
}
