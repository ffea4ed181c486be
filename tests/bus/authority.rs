//! A stand-in for polkitd, which says what it is told to. The real one wants a
//! whole system around it, and a person.

use std::collections::HashMap;

use tokio::sync::{mpsc, watch};
use zbus::{Connection, OwnedVariant, fdo, interface};

use crate::rig::soon;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allow,
    Deny,
    /// No answer until there is another verdict.
    Hang,
}

/// The test's end of it.
pub(crate) struct Polkit {
    pub(crate) verdict: watch::Sender<Verdict>,
    asked: mpsc::UnboundedReceiver<String>,
    _connection: Connection,
}

impl Polkit {
    pub(crate) async fn serve(connection: Connection, first: Verdict) -> Self {
        let (verdict, shown) = watch::channel(first);
        let (tell, asked) = mpsc::unbounded_channel();
        let authority = Authority {
            verdict: shown,
            tell,
        };
        let path = "/org/freedesktop/PolicyKit1/Authority";
        let server = connection.object_server();
        server.at(path, authority).await.unwrap();
        let name = "org.freedesktop.PolicyKit1";
        connection.request_name(name).await.unwrap();
        Self {
            verdict,
            asked,
            _connection: connection,
        }
    }

    /// The action of the next question.
    pub(crate) async fn asked(&mut self) -> String {
        soon(self.asked.recv()).await.unwrap()
    }
}

struct Authority {
    verdict: watch::Receiver<Verdict>,
    tell: mpsc::UnboundedSender<String>,
}

type Answer = (bool, bool, HashMap<String, String>);

#[interface(name = "org.freedesktop.PolicyKit1.Authority")]
impl Authority {
    async fn check_authorization(
        &self,
        subject: (String, HashMap<String, OwnedVariant>),
        action: String,
        _details: HashMap<String, String>,
        _flags: u32,
        _cancellation: String,
    ) -> fdo::Result<(Answer,)> {
        // A process id could be another process by now.
        assert_eq!(subject.0, "system-bus-name");
        let _ = self.tell.send(action);
        let mut verdict = self.verdict.clone();
        let verdict = verdict.wait_for(|verdict| *verdict != Verdict::Hang).await;
        let allowed = verdict.is_ok_and(|verdict| *verdict == Verdict::Allow);
        Ok(((allowed, false, HashMap::new()),))
    }
}
