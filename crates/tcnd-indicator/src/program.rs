//! The program: connects the state of tcnd with the tray item and the notifications.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use directories::BaseDirs;
use futures::StreamExt;
use jiff::tz::TimeZone;
use ksni::TrayMethods;
use tcnd_client::state::{Tcnd, TcndState};
use tcnd_client::watch::Watch;
use tcnd_client::{BusChoice, Unreachable, connect};
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinSet;
use tokio::time::timeout;
use zbus::Connection;
use zbus::proxy::OwnerChangedStream;

use crate::clock;
use crate::desktop::{self, ActionInvokedStream, NotificationClosedStream, Notifier, WindowPage};
use crate::icon::IconKind;
use crate::menu::{self, Action, MenuContext};
use crate::own_pauses::OwnPauses;
use crate::reminder::{Order, Reminder, Subject};
use crate::request::{self, Outcome, Request};
use crate::tray::TrayItem;

/// How long tcnd may take to tell its state.
const ANSWER: Duration = Duration::from_secs(5);

/// After how many seconds a tcnd that does not answer is asked again.
const RETRY: u64 = 60;

/// How many clicks may wait until the program takes them.
const CLICKS: usize = 8;

/// What a person chose `later` for, in a notification.
const LATER: &str = "later";

/// The key of a click on a notification.
const DEFAULT: &str = "default";

/// The program cannot go on.
#[derive(Debug, Error)]
pub(crate) enum IndicatorError {
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    #[error("the message bus closed the connection; it is started again with the next login")]
    BusGone,
    #[error("a message bus does not answer as it should: {0}")]
    Bus(zbus::Error),
    #[error("the tray item cannot be shown: {0}")]
    Tray(#[from] ksni::Error),
    #[error("the system refused a resource that the program needs: {0}")]
    System(#[from] io::Error),
}

impl From<zbus::Error> for IndicatorError {
    fn from(error: zbus::Error) -> Self {
        if let zbus::Error::InputOutput(_) = error {
            return Self::BusGone;
        }
        Self::Bus(error)
    }
}

impl IndicatorError {
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Unreachable(_) | Self::BusGone => ExitCode::from(3),
            Self::Bus(_) | Self::Tray(_) | Self::System(_) => ExitCode::FAILURE,
        }
    }
}

/// Runs until the person or the session ends it.
pub(crate) fn run(bus: &BusChoice) -> Result<(), IndicatorError> {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build()?;
    runtime.block_on(async {
        let session = connect(&BusChoice::Session).await?;
        if !desktop::is_only(&session).await? {
            return Ok(());
        }
        let tcnd = connect(bus).await?;
        Indicator::start(&session, tcnd).await?.serve().await
    })
}

/// What happened.
enum Event {
    /// tcnd may have changed.
    Tcnd,
    Chosen(Action),
    Done(Outcome),
    /// A person answered a notification: its id, and the key of the action.
    Answered(u32, String),
    /// A notification is gone.
    Closed(u32),
    /// The server of notifications came or went.
    ServerChanged,
    /// It is time to look again.
    Time,
    /// The program is to end.
    End,
}

struct Indicator<'a> {
    session: &'a Connection,
    tcnd: Connection,
    watch: Watch,
    last: Tcnd,
    reminder: Reminder,
    notifier: Notifier<'a>,
    own_pauses: OwnPauses,
    requests: JoinSet<Outcome>,
    tray: ksni::Handle<TrayItem>,
    chosen: Receiver<Action>,
    answers: ActionInvokedStream,
    closings: NotificationClosedStream,
    servers: OwnerChangedStream<'a>,
}

impl<'a> Indicator<'a> {
    async fn start(session: &'a Connection, tcnd: Connection) -> Result<Self, IndicatorError> {
        let (sender, chosen) = channel(CLICKS);
        let tray = TrayItem {
            title: menu::headline(&Tcnd::default(), &TimeZone::system()),
            lines: Vec::new(),
            icon: IconKind::Off,
            needs_attention: false,
            chosen: sender,
        };
        // Without a tray, there are still notifications.
        let tray = tray.assume_sni_available(true).spawn().await?;
        let notifier = Notifier::new(session).await?;
        let server = notifier.server();
        Ok(Self {
            session,
            watch: Watch::new(tcnd.clone()).await?,
            tcnd,
            last: Tcnd::default(),
            reminder: Reminder::default(),
            own_pauses: OwnPauses::load(runtime_dir()),
            requests: JoinSet::new(),
            tray,
            chosen,
            answers: server.receive_action_invoked().await?,
            closings: server.receive_notification_closed().await?,
            servers: server.inner().receive_owner_changed().await?,
            notifier,
        })
    }

    async fn serve(mut self) -> Result<(), IndicatorError> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        self.look().await?;
        loop {
            let next_look = self.next_look();
            let event = tokio::select! {
                more = self.watch.changed() => {
                    if !more {
                        return Err(IndicatorError::BusGone);
                    }
                    Event::Tcnd
                }
                Some(action) = self.chosen.recv() => Event::Chosen(action),
                Some(Ok(outcome)) = self.requests.join_next() => Event::Done(outcome),
                answer = self.answers.next() => match answer {
                    None => return Err(IndicatorError::BusGone),
                    Some(answer) => match answer.args() {
                        Ok(args) => Event::Answered(args.id, args.action_key),
                        Err(_) => continue,
                    },
                },
                Some(closing) = self.closings.next() => match closing.args() {
                    Ok(args) => Event::Closed(args.id),
                    Err(_) => continue,
                },
                Some(_) = self.servers.next() => Event::ServerChanged,
                () = clock::until(next_look) => Event::Time,
                _ = terminate.recv() => Event::End,
                _ = interrupt.recv() => Event::End,
            };
            if self.react(event).await? == Next::End {
                self.tray.shutdown().await;
                return Ok(());
            }
        }
    }

    async fn react(&mut self, event: Event) -> Result<Next, IndicatorError> {
        match event {
            Event::End | Event::Chosen(Action::Quit) => return Ok(Next::End),
            Event::Chosen(action) => self.begin(action),
            Event::Done(Outcome::Done) => {}
            Event::Done(Outcome::Paused(cookie)) => self.own_pauses.add(cookie),
            Event::Done(Outcome::Failed(why)) => self.notifier.show_error(&why).await,
            Event::Answered(id, key) => self.answered(id, &key).await,
            Event::Closed(id) => {
                if let Some(subject) = self.notifier.gone(id) {
                    self.reminder.closed(subject);
                }
                return Ok(Next::GoOn);
            }
            Event::ServerChanged => {
                self.notifier.restarted();
                self.reminder.restarted();
            }
            Event::Tcnd | Event::Time => {}
        }
        self.look().await?;
        Ok(Next::GoOn)
    }

    /// A person answered a notification. Not every server closes it then: dunst does so after
    /// a click alone.
    async fn answered(&mut self, id: u32, key: &str) {
        let Some(subject) = self.notifier.subject(id) else {
            return;
        };
        match key {
            LATER => self.reminder.later(subject, clock::now()),
            DEFAULT => {
                self.reminder.closed(subject);
                self.begin(Action::Open(match subject {
                    Subject::NewExposures => WindowPage::Exposures,
                    Subject::Stopped => WindowPage::Status,
                }));
            }
            _ => return,
        }
        self.notifier.close(subject).await;
    }

    /// Reads the state of tcnd, and shows it.
    async fn look(&mut self) -> Result<(), IndicatorError> {
        let tcnd = match timeout(ANSWER, self.watch.look()).await {
            Err(_) => Tcnd::Silent,
            Ok(snapshot) => match snapshot? {
                None => Tcnd::NotRunning,
                Some(snapshot) => Tcnd::Running(TcndState::of(snapshot)),
            },
        };
        let state = tcnd.state();
        let window = desktop::has_window(self.session).await;
        let news = state.is_some_and(|state| state.unseen.is_some_and(|unseen| unseen > 0));
        let shown = news && window && desktop::exposures_shown(self.session).await;
        self.reminder.set_exposures_shown(shown);
        for order in self.reminder.look(state, clock::now()) {
            match order {
                Order::Show(subject) => self.notifier.show(subject, window).await,
                Order::Close(subject) => self.notifier.close(subject).await,
            }
        }
        let own = state.map(|state| self.own_pauses.among(state));
        let context = MenuContext {
            own_pauses: own.unwrap_or_default(),
            window,
            zone: TimeZone::system(),
        };
        let title = menu::headline(&tcnd, &context.zone);
        let lines = menu::lines(&tcnd, &context);
        let icon = IconKind::of(&tcnd);
        let needs_attention = state.is_some_and(TcndState::is_stopped);
        self.last = tcnd;
        let change = |tray: &mut TrayItem| {
            (tray.title, tray.lines) = (title, lines);
            (tray.icon, tray.needs_attention) = (icon, needs_attention);
        };
        self.tray.update(change).await;
        Ok(())
    }

    /// When to look again, though nothing changed, in seconds since 1970.
    fn next_look(&self) -> Option<u64> {
        let again = (self.last == Tcnd::Silent).then(|| clock::now() + RETRY);
        self.reminder.next_look().into_iter().chain(again).min()
    }

    /// Begins what a person chose.
    fn begin(&mut self, action: Action) {
        let request = match action {
            Action::Open(page) => Request::OpenWindow(page),
            Action::Pause(length) => Request::Pause(request::seconds(length, &clock::local())),
            Action::Resume => {
                let own = self.last.state().map(|it| self.own_pauses.among(it));
                Request::Resume(own.unwrap_or_default())
            }
            Action::ResumeAll => Request::Resume(vec![0]),
            Action::Check => Request::Check,
            Action::AskPermission => Request::AskPermission,
            Action::Quit => return,
        };
        let run = request.run(self.session.clone(), self.tcnd.clone());
        self.requests.spawn(run);
    }
}

/// The runtime directory of the session, which is emptied when the session ends.
fn runtime_dir() -> Option<PathBuf> {
    let directories = BaseDirs::new()?;
    directories.runtime_dir().map(Path::to_owned)
}

/// Whether the program goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    GoOn,
    End,
}
