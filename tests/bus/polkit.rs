//! A stand-in for polkitd: it says what it is told to, and remembers what it was
//! asked. The real one has no user interface to script and wants a whole system.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use zbus::fdo::DBusProxy;
use zbus::names::BusName;
use zbus::{Connection, OwnedVariant, interface};

/// What it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Yes,
    No,
    /// Would be yes, had a person been asked.
    Challenge,
    /// A person was asked, and closed the window.
    Dismissed,
    /// The action is not installed.
    Unregistered,
    /// A person sits before the prompt and thinks; yes when [`Polkit::decide`]d.
    Think,
}

/// One question: subject, action, flags.
pub(crate) type Question = (String, String, String, u32);

#[derive(Clone)]
pub(crate) struct Polkit {
    /// Kept open by the test's end of it.
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

    /// What it was asked since the last time.
    pub(crate) fn questions(&self) -> Vec<Question> {
        std::mem::take(&mut self.questions.lock().unwrap())
    }

    /// Lets one who thinks say yes.
    pub(crate) fn decide(&self) {
        self.decided.notify_one();
    }

    /// How many questions there were.
    pub(crate) fn count(&self) -> usize {
        self.questions.lock().unwrap().len()
    }

    /// Waits until one who thought has said yes.
    pub(crate) async fn answered(&self) {
        self.answered.notified().await;
    }

    /// Waits until it is asked something.
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
        let root = is_root(connection, &name).await;
        self.questions
            .lock()
            .unwrap()
            .push((kind, name, action, flags));
        self.asked.notify_one();
        let told = *self.verdict.lock().unwrap();
        let verdict = if root { Verdict::Yes } else { told };
        let dismissed = HashMap::from([("polkit.dismissed".to_owned(), "true".to_owned())]);
        let answer = match verdict {
            Verdict::Yes => (true, false, HashMap::new()),
            Verdict::No => (false, false, HashMap::new()),
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

/// polkit(8): root may do everything, unasked.
async fn is_root(connection: &Connection, name: &str) -> bool {
    let bus = DBusProxy::new(connection).await.unwrap();
    let name = BusName::try_from(name).unwrap();
    bus.get_connection_unix_user(name)
        .await
        .is_ok_and(|uid| uid == 0)
}
