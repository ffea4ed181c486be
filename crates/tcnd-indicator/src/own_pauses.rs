//! The pauses that this program asked for.
//!
//! They are kept in the runtime directory of the session, so that a program that was started
//! again can end its own pause, and not that of another person at this computer.

use std::fs;
use std::path::PathBuf;

use tcnd_client::state::TcndState;

use crate::desktop::APPLICATION_ID;

/// Cookies of own pauses.
#[derive(Debug)]
pub(crate) struct OwnPauses {
    /// `None` if there is no runtime directory.
    file: Option<PathBuf>,
    cookies: Vec<u32>,
    /// The newest ones, which tcnd did not show yet.
    unseen: Vec<u32>,
}

impl OwnPauses {
    /// Reads those of a program that ended.
    pub(crate) fn load(runtime_dir: Option<PathBuf>) -> Self {
        let file = runtime_dir.map(|dir| dir.join("tcnd-indicator.pauses"));
        let text = file.as_ref().and_then(|file| fs::read_to_string(file).ok());
        let text = text.unwrap_or_default();
        Self {
            file,
            cookies: text.lines().filter_map(|line| line.parse().ok()).collect(),
            unseen: Vec::new(),
        }
    }

    /// Those of them that tcnd has; the others are over. A tcnd that was started again may
    /// give the same cookie to another, so the application id has to be that of this program. tcnd answers
    /// a moment before it shows a new pause, so one is over only after it was seen.
    pub(crate) fn among(&mut self, tcnd: &TcndState) -> Vec<u32> {
        let is_own = |cookie: &u32| {
            let mut pauses = tcnd.pauses.iter();
            pauses.any(|it| it.cookie == Some(*cookie) && it.application_id == APPLICATION_ID)
        };
        self.unseen.retain(|cookie| !is_own(cookie));
        let is_over = |cookie: &u32| !is_own(cookie) && !self.unseen.contains(cookie);
        if self.cookies.iter().any(is_over) {
            self.cookies
                .retain(|cookie| is_own(cookie) || self.unseen.contains(cookie));
            self.save();
        }
        self.cookies.iter().copied().filter(is_own).collect()
    }

    pub(crate) fn add(&mut self, cookie: u32) {
        self.cookies.push(cookie);
        self.unseen.push(cookie);
        self.save();
    }

    /// Without the file, a later program offers to end all pauses.
    fn save(&self) {
        if let Some(file) = &self.file {
            let lines = self.cookies.iter().map(|cookie| format!("{cookie}\n"));
            let _ = fs::write(file, lines.collect::<String>());
        }
    }
}

#[cfg(test)]
mod tests {
    use tcnd_client::proxy::PauseHold;

    use super::*;

    #[test]
    fn own_pauses_outlive_the_program_and_not_the_pause() {
        let dir = tempfile::tempdir().unwrap();
        let load = || OwnPauses::load(Some(dir.path().to_owned()));
        let tcnd = |pauses: &[(u32, &str)]| TcndState {
            pauses: pauses
                .iter()
                .map(|(cookie, by)| PauseHold {
                    cookie: Some(*cookie),
                    application_id: (*by).to_owned(),
                    ..PauseHold::default()
                })
                .collect(),
            ..TcndState::default()
        };
        let mut first = load();
        first.add(3);
        first.add(5);
        let both = tcnd(&[
            (3, APPLICATION_ID),
            (5, APPLICATION_ID),
            (6, APPLICATION_ID),
        ]);
        assert_eq!(load().among(&both), [3, 5]);
        // tcnd was started again, and gave a cookie to another program.
        let other = tcnd(&[(3, "org.example.Other"), (5, APPLICATION_ID)]);
        assert_eq!(load().among(&other), [5]);
        assert_eq!(load().among(&both), [5]);
        assert_eq!(OwnPauses::load(None).among(&both), [0; 0]);

        let mut early = OwnPauses::load(None);
        early.add(7);
        assert_eq!(early.among(&both), [0; 0], "tcnd does not show it yet");
        let shown = tcnd(&[(7, APPLICATION_ID)]);
        assert_eq!(early.among(&shown), [7]);
        assert_eq!(early.among(&both), [0; 0]);
        assert_eq!(early.among(&shown), [0; 0], "this one is of another person");
    }
}
