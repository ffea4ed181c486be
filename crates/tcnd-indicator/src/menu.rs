//! The menu of the tray item. Pure: state in, lines out.
//!
//! Bystanders see a panel and its menu. So no line tells how many exposures there are, and
//! none says that there is one: only that there is something new.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tcnd_client::notices;
use tcnd_client::state::{Tcnd, TcndState, UNTIL_RESUMED};

use crate::desktop::WindowPage;

/// What a person chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Open the window at a page.
    Open(WindowPage),
    /// Pause, until when.
    Pause(PauseLength),
    /// End the pauses of this program.
    Resume,
    /// End all pauses.
    ResumeAll,
    /// Check the sources of reports.
    Check,
    /// Ask for permission to see exposures.
    AskPermission,
    /// End this program.
    Quit,
}

/// How long to pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PauseLength {
    Hour,
    /// Until midnight, local time.
    Tomorrow,
    UntilResumed,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Text that cannot be chosen.
    Text(String),
    /// Text that can.
    Choice(String, Action),
    Separator,
}

/// What the menu depends on besides tcnd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MenuContext {
    /// Cookies of the pauses that this program asked for.
    pub(crate) own_pauses: Vec<u32>,
    /// There is a window to open.
    pub(crate) window: bool,
    /// For times of the day.
    pub(crate) zone: TimeZone,
}

/// The lines, from the top.
pub(crate) fn lines(tcnd: &Tcnd, context: &MenuContext) -> Vec<Line> {
    let mut lines = vec![Line::Text(headline(tcnd, &context.zone))];
    if let Some(tcnd) = tcnd.state() {
        for problem in &tcnd.problems {
            let text = format!("! {}", sentence(problem));
            lines.push(if context.window {
                Line::Choice(text, Action::Open(WindowPage::Status))
            } else {
                Line::Text(text)
            });
        }
        section(&mut lines, new_exposures(tcnd, context.window));
        section(&mut lines, switches(tcnd, context));
    }
    let mut end = Vec::new();
    if context.window {
        end.push(Line::Choice(
            "Open Contact Tracing…".to_owned(),
            Action::Open(WindowPage::Last),
        ));
    }
    end.push(Line::Choice("Quit".to_owned(), Action::Quit));
    section(&mut lines, end);
    lines
}

/// What a problem means, in English.
fn sentence(token: &str) -> String {
    match notices::problem(token) {
        Some(notice) => notice.sentence.to_owned(),
        None => format!("Another problem: {}", printable::clean(token)),
    }
}

/// The state of tcnd in a few words: the title of the tray item.
pub(crate) fn headline(tcnd: &Tcnd, zone: &TimeZone) -> String {
    let tcnd = match tcnd {
        Tcnd::NotRunning => return "Contact tracing is not running".to_owned(),
        Tcnd::Silent => return "Contact tracing does not answer".to_owned(),
        Tcnd::Running(tcnd) => tcnd,
    };
    let state = match tcnd.state.as_str() {
        "running" if tcnd.advertising => "on the air".to_owned(),
        "running" => "listening".to_owned(),
        "paused" => paused(tcnd.paused_until, zone),
        "degraded" => "not all of it works".to_owned(),
        "idle" if !tcnd.enabled => "off".to_owned(),
        "idle" => "not working".to_owned(),
        _ => "starting".to_owned(),
    };
    let simulated = if tcnd.simulated { "Simulation. " } else { "" };
    format!("{simulated}Contact tracing: {state}")
}

/// A pause with its end in local time.
fn paused(until: u64, zone: &TimeZone) -> String {
    let end = i64::try_from(until).ok();
    let end = end.and_then(|end| Timestamp::from_second(end).ok());
    match end.filter(|_| until != UNTIL_RESUMED) {
        Some(end) => {
            let end = end.to_zoned_datetime(zone.clone());
            format!("paused until {}", end.strftime("%A, %H:%M"))
        }
        None => "paused until you resume it".to_owned(),
    }
}

fn new_exposures(tcnd: &TcndState, window: bool) -> Vec<Line> {
    match tcnd.unseen {
        Some(1..) if window => {
            let text = "Something new for you…".to_owned();
            vec![Line::Choice(text, Action::Open(WindowPage::Exposures))]
        }
        Some(1..) => {
            let text = "Something new for you. In a terminal: tcnctl status".to_owned();
            vec![Line::Text(text)]
        }
        None if tcnd.refused => {
            let text = "Ask for permission to see exposures…".to_owned();
            vec![Line::Choice(text, Action::AskPermission)]
        }
        Some(0) | None => Vec::new(),
    }
}

fn switches(tcnd: &TcndState, context: &MenuContext) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut choice = |text: &str, action| lines.push(Line::Choice(text.to_owned(), action));
    if tcnd.state == "paused" {
        let is_own = |cookie: &u32| context.own_pauses.contains(cookie);
        let cookies = tcnd.pauses.iter().filter_map(|pause| pause.cookie);
        let own = cookies.filter(is_own).count();
        if own > 0 {
            choice("Resume", Action::Resume);
        }
        match tcnd.pauses.len() - own {
            0 => {}
            1 => choice("End all pauses, 1 of them not from here", Action::ResumeAll),
            others => {
                let text = format!("End all pauses, {others} of them not from here");
                choice(&text, Action::ResumeAll);
            }
        }
    } else if tcnd.enabled {
        choice("Pause for an hour", Action::Pause(PauseLength::Hour));
        choice("Pause until tomorrow", Action::Pause(PauseLength::Tomorrow));
        choice(
            "Pause until I resume",
            Action::Pause(PauseLength::UntilResumed),
        );
    }
    if tcnd.can_check {
        choice("Check for reports now", Action::Check);
    }
    lines
}

fn section(lines: &mut Vec<Line>, more: Vec<Line>) {
    if !more.is_empty() {
        lines.push(Line::Separator);
        lines.extend(more);
    }
}

#[cfg(test)]
mod tests {
    use tcnd_client::proxy::PauseHold;

    use super::*;

    fn context() -> MenuContext {
        MenuContext {
            own_pauses: vec![7],
            window: false,
            zone: TimeZone::UTC,
        }
    }

    fn running() -> TcndState {
        TcndState {
            state: "running".to_owned(),
            enabled: true,
            advertising: true,
            can_check: true,
            unseen: Some(0),
            ..TcndState::default()
        }
    }

    fn shown(tcnd: &Tcnd, context: &MenuContext) -> String {
        let line = |line: Line| match line {
            Line::Text(text) => format!("({text})"),
            Line::Choice(text, _) => text,
            Line::Separator => "-".to_owned(),
        };
        let lines = lines(tcnd, context).into_iter().map(line);
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_menu_of_each_state() {
        assert_eq!(
            shown(&Tcnd::NotRunning, &context()),
            "(Contact tracing is not running)\n-\nQuit"
        );
        assert_eq!(
            shown(&Tcnd::Silent, &context()),
            "(Contact tracing does not answer)\n-\nQuit"
        );
        let pauses = "Pause for an hour\nPause until tomorrow\nPause until I resume";
        assert_eq!(
            shown(&Tcnd::Running(running()), &context()),
            format!("(Contact tracing: on the air)\n-\n{pauses}\nCheck for reports now\n-\nQuit")
        );
        let off = TcndState {
            state: "idle".to_owned(),
            enabled: false,
            can_check: false,
            ..running()
        };
        assert_eq!(
            shown(&Tcnd::Running(off), &context()),
            "(Contact tracing: off)\n-\nQuit"
        );
        let broken = TcndState {
            state: "degraded".to_owned(),
            simulated: true,
            problems: vec!["adapter-off".to_owned(), "new\u{1b}[2J".to_owned()],
            can_check: false,
            ..running()
        };
        assert_eq!(
            shown(&Tcnd::Running(broken), &context()),
            format!(
                "(Simulation. Contact tracing: not all of it works)\n\
                 (! The Bluetooth adapter is switched off.)\n\
                 (! Another problem: new [2J)\n-\n{pauses}\n-\nQuit"
            )
        );
    }

    #[test]
    fn the_window_is_offered_where_it_is() {
        let context = MenuContext {
            window: true,
            ..context()
        };
        let broken = TcndState {
            problems: vec!["adapter-off".to_owned()],
            ..running()
        };
        let lines = lines(&Tcnd::Running(broken), &context);
        let opens: Vec<_> = lines
            .iter()
            .filter(|line| matches!(line, Line::Choice(_, Action::Open(_))))
            .collect();
        assert_eq!(opens.len(), 2, "{lines:?}");
    }

    /// Without a window there is nothing to open, so the line says what to type.
    #[test]
    fn without_a_window_the_menu_names_the_command() {
        let new = TcndState {
            unseen: Some(1),
            ..running()
        };
        let text = "Something new for you. In a terminal: tcnctl status".to_owned();
        let lines = lines(&Tcnd::Running(new), &context());
        assert!(lines.contains(&Line::Text(text)), "{lines:?}");
        let opens = |line: &Line| matches!(line, Line::Choice(_, Action::Open(_)));
        assert!(!lines.iter().any(opens), "{lines:?}");
    }

    #[test]
    fn pauses_of_others_are_not_ended_unsaid() {
        let pause = |cookie| PauseHold {
            cookie: Some(cookie),
            ..PauseHold::default()
        };
        let paused = |pauses: &[u32]| TcndState {
            state: "paused".to_owned(),
            paused_until: 1_795_168_800,
            pauses: pauses.iter().copied().map(pause).collect(),
            can_check: false,
            ..running()
        };
        let head = "(Contact tracing: paused until Friday, 10:00)\n-\n";
        for (pauses, offered) in [
            (&[7][..], "Resume"),
            (&[7, 8], "Resume\nEnd all pauses, 1 of them not from here"),
            (&[8, 9], "End all pauses, 2 of them not from here"),
        ] {
            let menu = shown(&Tcnd::Running(paused(pauses).clone()), &context());
            assert_eq!(menu, format!("{head}{offered}\n-\nQuit"));
        }
        let forever = TcndState {
            paused_until: UNTIL_RESUMED,
            ..paused(&[7])
        };
        let headline = headline(&Tcnd::Running(forever), &TimeZone::UTC);
        assert_eq!(headline, "Contact tracing: paused until you resume it");
    }

    /// Bystanders see menus: the menu is the same for one exposure and for many, and does not
    /// call them what they are.
    #[test]
    fn a_menu_says_of_exposures_that_there_is_something() {
        for window in [false, true] {
            let context = MenuContext {
                window,
                ..context()
            };
            let menu = |unseen| {
                let tcnd = TcndState {
                    unseen,
                    ..running()
                };
                shown(&Tcnd::Running(tcnd), &context)
            };
            let some = menu(Some(1));
            assert_eq!(some, menu(Some(9999)));
            assert!(some.contains("Something new for you") && !some.contains("xposure"));
            assert_ne!(some, menu(Some(0)));
            assert_eq!(menu(Some(0)), menu(None));
        }
        let refused = TcndState {
            unseen: None,
            refused: true,
            ..running()
        };
        assert!(shown(&Tcnd::Running(refused), &context()).contains("Ask for permission"));
    }
}
