//! A mock of polkitd. It answers as the test configures, and records the questions. The
//! real one has no user interface to script and needs a whole system.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tcnd_client::names;
use tokio::sync::Notify;
use zbus::fdo::DBusProxy;
use zbus::names::BusName;
use zbus::{Connection, OwnedVariant, interface};

use crate::mock_driver::idle;
use crate::system_bus::{OTHERS, ROOT, SYNC, Served, SystemBus};

/// The configured answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Yes,
    No,
    /// The answer would be yes if a person were asked.
    Challenge,
    /// A person was asked, and closed the dialog.
    Dismissed,
    /// The action is not installed.
    Unregistered,
    /// A person hesitates at the prompt; yes when [`Polkit::decide`]d.
    Think,
    /// The result of the rules we ship, as far as they are a list: for a member of the
    /// group at the machine, for `tcnd-sync`, and for no other user.
    Rules,
}

/// A bus with a polkit that answers so, and an idle daemon.
pub(crate) async fn scene(verdict: Verdict) -> (SystemBus, Polkit, Served) {
    let bus = SystemBus::new();
    let polkit = Polkit::serve(bus.connect(ROOT).await, verdict).await;
    let served = bus.serve(idle()).await;
    (bus, polkit, served)
}

/// Stands for a member of the group tcnd who uses the machine in person.
pub(crate) const MEMBER: u32 = OTHERS[0];

const RULES: &str = include_str!("../../dbus/rules.d/50-tcnd.rules");

/// Whether the rules grant an action without a password. There is no engine for
/// JavaScript here; the real polkitd reads them in the virtual machine.
fn granted(user: u32, action: &str) -> bool {
    match user {
        MEMBER => {
            let list = RULES.split("var granted = [").nth(1).unwrap();
            let list = list.split(']').next().unwrap();
            list.split('"')
                .skip(1)
                .step_by(2)
                .any(|name| name == action)
        }
        SYNC => action == names::action::EXCHANGE,
        _ => false,
    }
}

/// One question: subject, action, flags.
pub(crate) type Question = (String, String, String, u32);

#[derive(Clone)]
pub(crate) struct Polkit {
    /// Keeps the connection open until the test closes it.
    connection: Option<Connection>,
    verdict: Arc<Mutex<Verdict>>,
    questions: Arc<Mutex<Vec<Question>>>,
    asked: Arc<Notify>,
    decided: Arc<Notify>,
    answered: Arc<Notify>,
}

impl Polkit {
    /// Serves polkit's name on `connection`.
    pub(crate) async fn serve(connection: Connection, verdict: Verdict) -> Self {
        let mut polkit = Self {
            connection: None,
            verdict: Arc::new(Mutex::new(verdict)),
            questions: Arc::default(),
            asked: Arc::default(),
            decided: Arc::default(),
            answered: Arc::default(),
        };
        connection
            .object_server()
            .at("/org/freedesktop/PolicyKit1/Authority", polkit.clone())
            .await
            .unwrap();
        connection
            .request_name("org.freedesktop.PolicyKit1")
            .await
            .unwrap();
        polkit.connection = Some(connection);
        polkit
    }

    pub(crate) fn answer(&self, verdict: Verdict) {
        *self.verdict.lock().unwrap() = verdict;
    }

    /// The questions since the last call.
    pub(crate) fn questions(&self) -> Vec<Question> {
        std::mem::take(&mut self.questions.lock().unwrap())
    }

    /// Lets the hesitating person say yes.
    pub(crate) fn decide(&self) {
        self.decided.notify_one();
    }

    /// The number of questions.
    pub(crate) fn count(&self) -> usize {
        self.questions.lock().unwrap().len()
    }

    /// Waits until the hesitating person has said yes.
    pub(crate) async fn answered(&self) {
        self.answered.notified().await;
    }

    /// Waits until a question arrives.
    pub(crate) async fn asked(&self) {
        self.asked.notified().await;
    }
}

type Answer = (bool, bool, HashMap<String, String>);

#[interface(name = "org.freedesktop.PolicyKit1.Authority")]
impl Polkit {
    async fn check_authorization(
        &self,
        subject: (String, HashMap<String, OwnedVariant>),
        action: String,
        _details: HashMap<String, String>,
        flags: u32,
        _cancellation: String,
        #[zbus(connection)] connection: &Connection,
    ) -> zbus::fdo::Result<(Answer,)> {
        let (kind, details) = subject;
        let name = <&str>::try_from(&details["name"]).unwrap().to_owned();
        let user = user(connection, &name).await;
        self.questions
            .lock()
            .unwrap()
            .push((kind, name, action.clone(), flags));
        self.asked.notify_one();
        let told = *self.verdict.lock().unwrap();
        let admitted = match (user, told) {
            // polkit(8): root may do everything, without a question.
            (Some(ROOT), _) => true,
            (Some(user), Verdict::Rules) => granted(user, &action),
            (_, _) => false,
        };
        let verdict = if admitted { Verdict::Yes } else { told };
        let dismissed = HashMap::from([("polkit.dismissed".to_owned(), "true".to_owned())]);
        let answer = match verdict {
            Verdict::Yes => (true, false, HashMap::new()),
            Verdict::No | Verdict::Rules => (false, false, HashMap::new()),
            Verdict::Challenge => (false, true, HashMap::new()),
            Verdict::Dismissed => (false, true, dismissed),
            Verdict::Unregistered => {
                return Err(zbus::fdo::Error::Failed("not registered".to_owned()));
            }
            Verdict::Think => {
                self.decided.notified().await;
                self.answered.notify_one();
                (true, false, HashMap::new())
            }
        };
        Ok((answer,))
    }
}

async fn user(connection: &Connection, name: &str) -> Option<u32> {
    let bus = DBusProxy::new(connection).await.unwrap();
    let name = BusName::try_from(name).unwrap();
    bus.get_connection_unix_user(name).await.ok()
}
