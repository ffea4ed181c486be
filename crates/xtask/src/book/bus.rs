//! org.tcncoalition.Tcnd1(5): the bus interface, from its XML.

use clap_mangen::roff::{Inline, Roff, bold, italic, roman};
use roxmltree::{Document, Node, ParsingOptions};

use super::page::{EDITION, SOURCE, examples, list, section, see_also};

const CONTRACT: &str = include_str!("../../../../dbus/interfaces/org.tcncoalition.Tcnd1.xml");

const NAME: &str = "org.tcncoalition.Tcnd1";

const ABOUT: [&str; 3] = [
    "tcnd(8) owns the name org.tcncoalition.Tcnd1 on the system bus. The object \
     /org/tcncoalition/Tcnd1 has all interfaces except that of the adapters. The bus starts \
     tcnd only if the administrator enabled it.",
    "The number in the name is the version. Within a version the contract only grows, and \
     the property ApiLevel grows with it; clients must tolerate additions. Properties are \
     public and read-only. Methods need a polkit(8) action, which is named at the first \
     method of each interface.",
    "The file in /usr/share/dbus-1/interfaces has the same documentation, for programs that \
     generate clients, such as zbus_xmlgen and gdbus-codegen(1).",
];

const EXAMPLES: [(&str, &str); 3] = [
    (
        "Show the state:",
        "$ busctl get-property org.tcncoalition.Tcnd1 /org/tcncoalition/Tcnd1 \\\n    \
         org.tcncoalition.Tcnd1.Manager State",
    ),
    (
        "Pause for an hour, with a reason that other users see:",
        "$ busctl call org.tcncoalition.Tcnd1 /org/tcncoalition/Tcnd1 \\\n    \
         org.tcncoalition.Tcnd1.Manager Pause tsa{sv} 3600 \"a meeting\" 0",
    ),
    (
        "Show every change:",
        "$ busctl monitor --match \"type='signal',sender='org.tcncoalition.Tcnd1'\"",
    ),
];

/// The manual page.
pub(crate) fn page() -> String {
    let options = ParsingOptions {
        allow_dtd: true,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(CONTRACT, options).expect("the contract is XML");
    let mut roff = Roff::new();
    roff.control("TH", [NAME, "5", EDITION, SOURCE, "D-Bus interfaces"]);
    section(
        &mut roff,
        "NAME",
        &["org.tcncoalition.Tcnd1 - the D-Bus interfaces of the contact tracing service tcnd"],
    );
    section(&mut roff, "DESCRIPTION", &ABOUT);
    for (prose, node) in with_prose(document.root_element(), "interface") {
        interface(&mut roff, node, &prose);
    }
    errors(&mut roff, &document);
    files(&mut roff);
    examples(&mut roff, EXAMPLES);
    see_also(
        &mut roff,
        &[
            "busctl(1)",
            "tcnctl(1)",
            "polkit(8)",
            "tcnd(8)",
            "tcnd-sync(8)",
        ],
        &["/usr/share/doc/tcnd/what-it-reveals.md"],
    );
    roff.render()
}

fn interface(roff: &mut Roff, node: Node<'_, '_>, prose: &str) {
    let paragraphs: Vec<_> = prose.split('\n').collect();
    section(roff, name(node), &paragraphs);
    for (title, tag) in [
        ("Methods", "method"),
        ("Properties", "property"),
        ("Signals", "signal"),
    ] {
        let members = with_prose(node, tag);
        if !members.is_empty() {
            roff.control("SS", [title]);
            let entry = |(prose, node)| (heading(node), prose);
            let entries: Vec<(Vec<Inline>, String)> = members.into_iter().map(entry).collect();
            let entries = entries.iter().map(|(term, prose)| (term.clone(), &**prose));
            list(roff, entries);
        }
    }
}

/// `Pause(t seconds, s reason) → u cookie`, or `State s`.
fn heading(node: Node<'_, '_>) -> Vec<Inline> {
    let mut line = vec![bold(name(node))];
    if node.has_tag_name("property") {
        line.push(roman(format!(" {}", kind(node))));
        line.push(roman(match changes(node) {
            "const" => ", constant",
            "false" => ", no signal when it changes",
            _ => "",
        }));
        return line;
    }
    let args = node.children().filter(|child| child.has_tag_name("arg"));
    let (out, into): (Vec<_>, Vec<_>) =
        args.partition(|arg| arg.attribute("direction") == Some("out"));
    line.push(roman("("));
    line.extend(arguments(&into));
    line.push(roman(")"));
    if !out.is_empty() {
        line.push(roman(" → "));
        line.extend(arguments(&out));
    }
    line
}

fn arguments(args: &[Node<'_, '_>]) -> Vec<Inline> {
    let mut line = Vec::new();
    for arg in args {
        if !line.is_empty() {
            line.push(roman(", "));
        }
        line.extend([roman(format!("{} ", kind(*arg))), italic(name(*arg))]);
    }
    line
}

/// The children with this tag, each with the comment before it.
fn with_prose<'a, 'input>(parent: Node<'a, 'input>, tag: &str) -> Vec<(String, Node<'a, 'input>)> {
    let mut found = Vec::new();
    let mut prose = String::new();
    for node in parent.children() {
        if node.is_comment() {
            prose = squeeze(node.text().unwrap_or_default());
        } else if node.is_element() {
            let prose = std::mem::take(&mut prose);
            if node.has_tag_name(tag) {
                found.push((prose, node));
            }
        }
    }
    found
}

/// The text about errors in the head of the file: lines `Name: meaning.`, and the
/// paragraph after them.
fn errors(roff: &mut Roff, document: &Document<'_>) {
    let comments = document.root().children().filter(Node::is_comment);
    let head: String = comments.filter_map(|node| node.text()).collect();
    let (_, errors) = head
        .split_once("Errors, after ")
        .expect("the head names the errors");
    let (prefix, errors) = errors
        .split_once(" :\n")
        .expect("the head names their prefix");
    let is_entry = |line: &&str| line.starts_with("   ");
    let entries: Vec<_> = errors.lines().take_while(is_entry).collect();
    let rest: Vec<_> = errors.lines().skip_while(is_entry).collect();
    let dbus_errors = squeeze(&rest.join(" "));
    let dbus_errors = dbus_errors.trim_start_matches("and errors that D-Bus itself defines: ");

    section(
        roff,
        "ERRORS",
        &[&format!("Names that begin with {prefix} and end with:")],
    );
    let entries = entries
        .iter()
        .filter_map(|line| line.trim().split_once(": "));
    list(roff, entries.map(|(name, text)| (vec![bold(name)], text)));
    roff.control("PP", []);
    roff.text([roman(format!(
        "Errors that D-Bus itself defines: {dbus_errors}"
    ))]);
}

fn files(roff: &mut Roff) {
    roff.control("SH", ["FILES"]);
    let file = |path| vec![italic(path)];
    list(
        roff,
        [
            (
                file("/usr/share/dbus-1/interfaces/org.tcncoalition.Tcnd1.xml"),
                "This contract, for programs.",
            ),
            (
                file("/usr/share/dbus-1/system.d/org.tcncoalition.Tcnd1.conf"),
                "The bus policy: which user may send which messages.",
            ),
            (
                file("/usr/share/polkit-1/actions/org.tcncoalition.tcnd1.policy"),
                "The polkit actions that methods need, and the users who have them.",
            ),
            (
                file("/usr/share/polkit-1/rules.d/50-tcnd.rules"),
                "The polkit rules for members of the group tcnd at the machine.",
            ),
        ],
    );
}

fn name<'a>(node: Node<'a, '_>) -> &'a str {
    node.attribute("name").unwrap_or_default()
}

fn kind<'a>(node: Node<'a, '_>) -> &'a str {
    node.attribute("type").unwrap_or_default()
}

/// `org.freedesktop.DBus.Property.EmitsChangedSignal`.
fn changes<'a>(node: Node<'a, '_>) -> &'a str {
    let note = node
        .children()
        .find(|child| child.has_tag_name("annotation"));
    note.and_then(|note| note.attribute("value"))
        .unwrap_or("true")
}

/// Joins the lines of each paragraph.
fn squeeze(text: &str) -> String {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.trim()
        .split("\n\n")
        .map(words)
        .collect::<Vec<_>>()
        .join("\n")
}
