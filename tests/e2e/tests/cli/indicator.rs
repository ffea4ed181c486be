//! The tray item and its notifications: the real tcnd-indicator in a session of its own,
//! whose panel and server of notifications are played.
//!
//! References: StatusNotifierItem 0.1 (`org.kde.StatusNotifierWatcher`, `ItemPath`),
//! com.canonical.dbusmenu 3, Desktop Notifications Specification 1.3.

use std::collections::HashMap;
use std::process::{Child, Command, Stdio};

use futures::StreamExt;
use tcn_protocol::UnixTime;
use tcnd::daemon::{Hold, Pause, State};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use zbus::message::Type;
use zbus::object_server::SignalEmitter;
use zbus::{Connection, MatchRule, MessageStream, OwnedVariant, Signature, Variant, interface};

use crate::dbus_daemon::DbusDaemon;
use crate::mock_tcnd::mock_driver::COOKIE;
use crate::mock_tcnd::{MockTcnd, idle, soon};

const NOTIFICATIONS: &str = "org.freedesktop.Notifications";
const MENU: &str = "com.canonical.dbusmenu";
const WATCHER: &str = "org.kde.StatusNotifierWatcher";

/// What the indicator asked of the session.
#[derive(Debug, PartialEq)]
enum Asked {
    /// The bus name of a tray item.
    Registered(String),
    /// The id it replaces, summary, body, and actions of a notification.
    Notified(u32, String, String, Vec<String>),
    Closed(u32),
    /// The window was asked to show itself, or to do an action.
    Activated(String),
}

/// The window.
struct Window(UnboundedSender<Asked>);

#[interface(name = "org.freedesktop.Application")]
impl Window {
    fn activate(&self, platform_data: HashMap<String, OwnedVariant>) {
        drop(platform_data);
        let _ = self.0.send(Asked::Activated(String::new()));
    }

    fn activate_action(
        &self,
        action_name: String,
        parameter: Vec<OwnedVariant>,
        platform_data: HashMap<String, OwnedVariant>,
    ) {
        drop((parameter, platform_data));
        let _ = self.0.send(Asked::Activated(action_name));
    }
}

/// Whether the window shows the exposures now.
struct WindowActions(bool);

#[interface(name = "org.gtk.Actions")]
impl WindowActions {
    fn describe(&self, action_name: &str) -> (bool, Signature, Vec<OwnedVariant>) {
        assert_eq!(action_name, "exposures-shown");
        (true, Signature::Unit, vec![OwnedVariant::from(self.0)])
    }
}

/// A panel that shows tray items.
struct Watcher(UnboundedSender<Asked>);

#[interface(name = "org.kde.StatusNotifierWatcher")]
impl Watcher {
    fn register_status_notifier_item(&self, service: String) {
        // ksni gives its bus name, other programs a path on their connection.
        let is_name = service.starts_with("org.kde.StatusNotifierItem-");
        assert!(is_name, "{service}");
        let _ = self.0.send(Asked::Registered(service));
    }

    #[zbus(property)]
    fn is_status_notifier_host_registered(&self) -> bool {
        true
    }

    #[zbus(property)]
    fn protocol_version(&self) -> i32 {
        0
    }
}

/// A server of notifications, whose ids count from 1.
struct Server {
    asked: UnboundedSender<Asked>,
    last: u32,
}

#[interface(name = "org.freedesktop.Notifications")]
impl Server {
    #[expect(clippy::too_many_arguments, reason = "the specification has as many")]
    fn notify(
        &mut self,
        app_name: &str,
        replaces_id: u32,
        _app_icon: &str,
        summary: String,
        body: String,
        actions: Vec<String>,
        mut hints: HashMap<String, OwnedVariant>,
        expire_timeout: i32,
    ) -> u32 {
        assert_eq!((app_name, expire_timeout), ("Contact Tracing", 0));
        let urgency = hints.remove("urgency").map(u8::try_from);
        assert_eq!(urgency, Some(Ok(1)), "normal");
        let scope = hints.remove("x-gnome-privacy-scope").map(String::try_from);
        assert_eq!(scope, Some(Ok("user".to_owned())));
        let asked = Asked::Notified(replaces_id, summary, body, actions);
        let _ = self.asked.send(asked);
        if replaces_id == 0 {
            self.last += 1;
            return self.last;
        }
        replaces_id
    }

    fn close_notification(&self, id: u32) {
        let _ = self.asked.send(Asked::Closed(id));
    }
}

/// A login session with an indicator; it ends with the test.
struct Session {
    bus: DbusDaemon,
    runtime_dir: TempDir,
    connection: Connection,
    asked: UnboundedReceiver<Asked>,
    ask: UnboundedSender<Asked>,
    indicator: Option<Child>,
}

impl Session {
    async fn new() -> Self {
        let bus = DbusDaemon::start("--session");
        let address = tcnd_client::BusChoice::Address(bus.address.clone());
        let (ask, asked) = unbounded_channel();
        Self {
            connection: tcnd_client::connect(&address).await.unwrap(),
            runtime_dir: TempDir::new().unwrap(),
            bus,
            asked,
            ask,
            indicator: None,
        }
    }

    async fn start_panel(&self) {
        let server = self.connection.object_server();
        let watcher = Watcher(self.ask.clone());
        server.at("/StatusNotifierWatcher", watcher).await.unwrap();
        self.connection.request_name(WATCHER).await.unwrap();
    }

    async fn start_notifications(&self) {
        let server = self.connection.object_server();
        let asked = self.ask.clone();
        let played = Server { asked, last: 0 };
        let path = "/org/freedesktop/Notifications";
        // The one before went with its name.
        let _ = server.remove::<Server, _>(path).await;
        server.at(path, played).await.unwrap();
        self.connection.request_name(NOTIFICATIONS).await.unwrap();
    }

    async fn start_window(&self) {
        let server = self.connection.object_server();
        let (path, window) = ("/org/tcncoalition/Tcnd1/Window", Window(self.ask.clone()));
        server.at(path, window).await.unwrap();
        let name = "org.tcncoalition.Tcnd1.Window";
        self.connection.request_name(name).await.unwrap();
    }

    async fn show_exposures(&self, shown: bool) {
        let server = self.connection.object_server();
        let path = "/org/tcncoalition/Tcnd1/Window";
        let _ = server.remove::<WindowActions, _>(path).await;
        server.at(path, WindowActions(shown)).await.unwrap();
    }

    fn command(&self, tcnd: &str) -> Command {
        let mut command = Command::new(e2e::program("tcnd-indicator"));
        command.args(["--bus", tcnd]).env("TZ", "UTC");
        command.env("DBUS_SESSION_BUS_ADDRESS", &self.bus.address);
        command.env("XDG_RUNTIME_DIR", self.runtime_dir.path());
        command.stderr(Stdio::inherit());
        command
    }

    fn start(&mut self, it: &MockTcnd) {
        self.stop();
        let started = self.command(&it.fixture.address).spawn().unwrap();
        self.indicator = Some(started);
    }

    fn stop(&mut self) {
        if let Some(mut indicator) = self.indicator.take() {
            let _ = indicator.kill();
            let _ = indicator.wait();
        }
    }

    /// What the indicator asks for next.
    async fn asked(&mut self) -> Asked {
        soon(self.asked.recv()).await.unwrap()
    }

    async fn registered(&mut self) -> Menu<'_> {
        let Asked::Registered(item) = self.asked().await else {
            panic!("it registers its item first");
        };
        let connection = &self.connection;
        let rule = MatchRule::builder().msg_type(Type::Signal);
        let rule = rule.interface(MENU).build().unwrap();
        let changes = MessageStream::for_match_rule(rule, connection, None).await;
        Menu {
            connection,
            item,
            changes: changes.unwrap(),
        }
    }

    /// A person answers a notification.
    async fn answer(&self, id: u32, key: &str) {
        let path = "/org/freedesktop/Notifications";
        let emitter = SignalEmitter::new(&self.connection, path).unwrap();
        let answer = (id, key);
        let sending = emitter.emit(NOTIFICATIONS, "ActionInvoked", &answer);
        sending.await.unwrap();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.stop();
    }
}

/// One level of a menu: id, properties, children.
type Layout = (i32, HashMap<String, OwnedVariant>, Vec<OwnedVariant>);

/// The menu of the tray item.
struct Menu<'a> {
    connection: &'a Connection,
    item: String,
    /// Its signals, each of which says that something of it changed.
    changes: MessageStream,
}

impl Menu<'_> {
    /// The ids and labels that can be seen, from the top.
    async fn lines(&self) -> Vec<(i32, String)> {
        let none: [&str; 0] = [];
        let reply = self.call("GetLayout", &(0, -1, &none[..])).await;
        let (_revision, (_, _, children)): (u32, Layout) = reply.body().deserialize().unwrap();
        let line = |child| {
            let (id, mut properties, _) = Layout::try_from(child).unwrap();
            let label = properties.remove("label");
            let label = label.map_or("-".to_owned(), |label| label.try_into().unwrap());
            (id, label)
        };
        children.into_iter().map(line).collect()
    }

    /// Waits until there is this line, and returns its id.
    async fn until(&mut self, label: &str) -> i32 {
        loop {
            let lines = self.lines().await;
            if let Some((id, _)) = lines.into_iter().find(|(_, shown)| shown == label) {
                return id;
            }
            soon(self.changes.next()).await.unwrap().unwrap();
        }
    }

    async fn click(&mut self, label: &str) {
        let id = self.until(label).await;
        let nothing = Variant::from(0_i32);
        self.call("Event", &(id, "clicked", nothing, 0_u32)).await;
    }

    async fn call<B>(&self, member: &str, body: &B) -> zbus::Message
    where
        B: serde::Serialize + zbus::Type,
    {
        let to = Some(self.item.as_str());
        let call = self
            .connection
            .call_method(to, "/MenuBar", Some(MENU), member, body);
        soon(call).await.unwrap()
    }
}

const NEWS: &str = "Contact tracing has something for you";

fn news(replaces: u32) -> Asked {
    let body = "When nobody looks over your shoulder, type in a terminal: tcnctl status";
    let actions = vec!["later".to_owned(), "Tomorrow".to_owned()];
    Asked::Notified(replaces, NEWS.to_owned(), body.to_owned(), actions)
}

fn running() -> tcnd::daemon::Snapshot {
    let mut running = idle();
    (running.enabled, running.advertising) = (true, true);
    running.state = State::Running;
    running
}

/// A tcnd with no new exposure.
async fn well() -> MockTcnd {
    let it = MockTcnd::new(running()).await;
    it.driver.unseen.send_replace(0);
    it
}

#[tokio::test]
async fn the_menu_pauses_and_resumes() {
    let mut it = well().await;
    let mut session = Session::new().await;
    session.start_panel().await;
    session.start(&it);
    let mut menu = session.registered().await;
    menu.until("Contact tracing: on the air").await;
    menu.click("Pause for an hour").await;
    let asked = async {
        loop {
            if let Some(asked) = it.driver.asked.recv().await
                && asked.starts_with("Pause")
            {
                return asked;
            }
        }
    };
    let expected = "Pause 3600s \"from the panel\" \"org.tcncoalition.Tcnd1.Indicator\" None";
    assert_eq!(soon(asked).await, expected);
    it.driver.change(|now| {
        let until = Pause::Until(UnixTime(1_795_168_800));
        (now.state, now.paused) = (State::Paused, until);
        let hold = |cookie, id: &str| Hold {
            cookie,
            until,
            reason: String::new(),
            application_id: id.to_owned(),
        };
        now.holds = vec![
            hold(COOKIE, "org.tcncoalition.Tcnd1.Indicator"),
            hold(COOKIE + 1, "org.tcncoalition.Tcnd1.Indicator"),
        ];
    });
    menu.until("Contact tracing: paused until Friday, 10:00")
        .await;
    // The other one is of another person at this computer.
    menu.until("End all pauses, 1 of them not from here").await;

    // A new indicator knows its pause.
    session.start(&it);
    let mut menu = session.registered().await;
    menu.click("Resume").await;
    let resumed =
        async { while it.driver.asked.recv().await.unwrap() != format!("Resume {COOKIE}") {} };
    soon(resumed).await;
}

#[tokio::test]
async fn one_notification_tells_of_news_and_goes_with_them() {
    let it = well().await;
    let mut session = Session::new().await;
    session.start_notifications().await;
    session.start_panel().await;
    session.start(&it);
    session
        .registered()
        .await
        .until("Contact tracing: on the air")
        .await;

    it.driver.unseen.send_replace(2);
    assert_eq!(session.asked().await, news(0));
    it.driver.unseen.send_replace(3);
    it.driver.unseen.send_replace(0);
    assert_eq!(
        session.asked().await,
        Asked::Closed(1),
        "not again while it is open"
    );

    it.driver.unseen.send_replace(1);
    assert_eq!(session.asked().await, news(0), "these are new");
}

#[tokio::test]
async fn a_click_on_the_notification_opens_the_window() {
    let it = well().await;
    let mut session = Session::new().await;
    session.start_notifications().await;
    session.start_window().await;
    session.start(&it);
    it.driver.unseen.send_replace(1);
    let body = "Open it when nobody looks over your shoulder.";
    let actions = ["default", "Open", "later", "Tomorrow"].map(str::to_owned);
    let (summary, body) = (NEWS.to_owned(), body.to_owned());
    let notified = Asked::Notified(0, summary, body, actions.to_vec());
    assert_eq!(session.asked().await, notified);
    session.answer(7, "default").await;
    session.answer(1, "default").await;
    let asked = [session.asked().await, session.asked().await];
    assert!(
        asked.contains(&Asked::Activated("show-exposures".to_owned())),
        "7 is not of ours"
    );
    assert!(asked.contains(&Asked::Closed(1)), "the server need not");
}

#[tokio::test]
async fn what_the_window_shows_is_not_told_as_well() {
    let it = well().await;
    let mut session = Session::new().await;
    session.start_notifications().await;
    session.start_panel().await;
    session.start_window().await;
    session.show_exposures(true).await;
    session.start(&it);
    it.driver.unseen.send_replace(1);
    let mut menu = session.registered().await;
    menu.until("Something new for you…").await;
    // The menu changes after a notification is shown.
    assert!(session.asked.is_empty(), "the window shows it");
    session.show_exposures(false).await;
    it.driver.unseen.send_replace(2);
    let asked = session.asked().await;
    assert!(matches!(asked, Asked::Notified(0, ..)), "{asked:?}");
    it.driver.unseen.send_replace(0);
    assert_eq!(session.asked().await, Asked::Closed(1));
}

#[tokio::test]
async fn tomorrow_closes_the_notification_though_the_server_does_not() {
    let it = well().await;
    let mut session = Session::new().await;
    session.start_notifications().await;
    session.start(&it);
    it.driver.unseen.send_replace(1);
    assert_eq!(session.asked().await, news(0));
    session.answer(1, "later").await;
    assert_eq!(session.asked().await, Asked::Closed(1));
}

#[tokio::test]
async fn it_outlives_tcnd_and_is_told_again() {
    let mut session = Session::new().await;
    session.start_notifications().await;
    session.start_panel().await;
    let mut it = well().await;
    it.leave().await;
    session.start(&it);
    let mut menu = session.registered().await;
    menu.until("Contact tracing is not running").await;
    it.come_back().await;
    menu.until("Contact tracing: on the air").await;
    // The new tcnd knows no earlier subscriber, and has something to tell: one.
    it.restart(running()).await;
    assert_eq!(session.asked().await, news(0));
}

#[tokio::test]
async fn a_tcnd_that_does_not_answer_is_shown_as_such() {
    let it = well().await;
    it.leave().await;
    // It has the name, and serves nothing: no call gets an answer.
    let silent = it.connect().await;
    silent.request_name(tcnd_client::names::BUS).await.unwrap();
    let mut session = Session::new().await;
    session.start_panel().await;
    session.start(&it);
    let mut menu = session.registered().await;
    menu.until("Contact tracing does not answer").await;
    silent.release_name(tcnd_client::names::BUS).await.unwrap();
    it.come_back().await;
    menu.until("Contact tracing: on the air").await;
}

#[tokio::test]
async fn neither_panel_nor_server_is_needed_and_each_may_come_later() {
    let it = MockTcnd::new(running()).await;
    let mut session = Session::new().await;
    session.start(&it);
    session.start_notifications().await;
    assert_eq!(session.asked().await, news(0));
    session.start_panel().await;
    let mut menu = session.registered().await;
    menu.until("Something new for you. In a terminal: tcnctl status")
        .await;
    // A new server shows nothing of what the old one showed.
    session
        .connection
        .release_name(NOTIFICATIONS)
        .await
        .unwrap();
    session.start_notifications().await;
    assert_eq!(session.asked().await, news(0));
}

#[tokio::test]
async fn who_may_not_know_is_offered_to_ask() {
    // tcnd obeys another user.
    let it = MockTcnd::with(running(), 4_294_000_000).await;
    let mut session = Session::new().await;
    session.start_panel().await;
    session.start(&it);
    let mut menu = session.registered().await;
    menu.until("Ask for permission to see exposures…").await;
    let lines = menu.lines().await;
    assert!(
        !lines.iter().any(|(_, label)| label.contains("new")),
        "{lines:?}"
    );
}

#[tokio::test]
async fn a_second_one_ends_at_once() {
    let it = well().await;
    let mut session = Session::new().await;
    session.start_panel().await;
    session.start(&it);
    session
        .registered()
        .await
        .until("Contact tracing: on the air")
        .await;
    let mut second = session.command(&it.fixture.address).spawn().unwrap();
    let ended = tokio::task::spawn_blocking(move || second.wait().unwrap());
    assert_eq!(soon(ended).await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn quit_ends_it() {
    let it = well().await;
    let mut session = Session::new().await;
    session.start_panel().await;
    session.start(&it);
    session.registered().await.click("Quit").await;
    let mut indicator = session.indicator.take().unwrap();
    let ended = tokio::task::spawn_blocking(move || indicator.wait().unwrap());
    assert_eq!(soon(ended).await.unwrap().code(), Some(0));
}
