//! The command line of bluetoothd, which alone decides some of its behaviour.
//!
//! Pure. BlueZ: src/main.c, `options`; src/plugin.c, `enable_plugin`.

/// The arguments of bluetoothd, its name first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommandLine(Vec<String>);

impl CommandLine {
    /// Parses `/proc/PID/cmdline`, if that is bluetoothd's.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let words: Vec<String> = text.split_terminator('\0').map(printable::clean).collect();
        let program = words.first()?.rsplit('/').next()?;
        program.contains("bluetoothd").then_some(Self(words))
    }

    /// A file used instead of main.conf.
    pub(crate) fn config_file(&self) -> Option<&str> {
        self.option("--configfile", "-f")
    }

    /// Whether a plugin is disabled.
    pub(crate) fn lacks(&self, plugin: &str) -> bool {
        let listed = |option: &str| {
            let mut patterns = option.split([',', ' ']);
            patterns.any(|pattern| matches(pattern.as_bytes(), plugin.as_bytes()))
        };
        let without = self.option(NO_PLUGIN.0, NO_PLUGIN.1).is_some_and(listed);
        let only = self.option("--plugin", "-p");
        without || only.is_some_and(|only| !listed(only))
    }

    /// The command line without this plugin, to be written into a unit.
    pub(crate) fn without(&self, plugin: &str) -> String {
        let mut words = Vec::new();
        let mut rest = self.0.iter();
        while let Some(word) = rest.next() {
            match value(word, NO_PLUGIN.0, NO_PLUGIN.1) {
                None => words.push(word.clone()),
                Some(Value::Here(_)) => {}
                Some(Value::Next) => drop(rest.next()),
            }
        }
        let left_out = self.option(NO_PLUGIN.0, NO_PLUGIN.1);
        let list = left_out.map_or(plugin.to_owned(), |list| format!("{list},{plugin}"));
        words.push(format!("{}={list}", NO_PLUGIN.0));
        words.join(" ")
    }

    /// The value of an option; the last of several counts.
    fn option(&self, long: &str, short: &str) -> Option<&str> {
        let words = self.0.iter().enumerate();
        let mut values = words.filter_map(|(index, word)| match value(word, long, short)? {
            Value::Here(value) => Some(value),
            Value::Next => self.0.get(index + 1).map(String::as_str),
        });
        values.next_back()
    }
}

/// The long and the short form.
const NO_PLUGIN: (&str, &str) = ("--noplugin", "-P");

/// Where the value of an option is written.
enum Value<'a> {
    Here(&'a str),
    Next,
}

/// `--long=VALUE`, `--long VALUE`, `-lVALUE` or `-l VALUE`.
fn value<'a>(word: &'a str, long: &str, short: &str) -> Option<Value<'a>> {
    if word == long || word == short {
        return Some(Value::Next);
    }
    let behind_long = word
        .strip_prefix(long)
        .and_then(|rest| rest.strip_prefix('='));
    behind_long
        .or_else(|| word.strip_prefix(short))
        .map(Value::Here)
}

/// GLib's `g_pattern_match_simple`: `*` is any text, `?` any one letter.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|at| matches(rest, &text[at..])),
        Some((letter, rest)) => text.split_first().is_some_and(|(first, text)| {
            (*letter == b'?' || letter == first) && matches(rest, text)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM: &str = "/usr/libexec/bluetooth/bluetoothd";

    fn line(words: &[&str]) -> CommandLine {
        let bytes = [&[PROGRAM], words].concat().join("\0") + "\0";
        CommandLine::parse(bytes.as_bytes()).unwrap()
    }

    #[test]
    fn only_bluetoothd_is_taken_for_it() {
        assert_eq!(CommandLine::parse(b""), None);
        assert_eq!(CommandLine::parse(b"/usr/bin/python3\0mock.py\0"), None);
        assert!(CommandLine::parse(b"/nix/store/x/.bluetoothd-wrapped\0-n\0").is_some());
    }

    #[test]
    fn a_plugin_is_left_out_however_it_is_written() {
        for words in [
            &["--noplugin=battery"][..],
            &["--noplugin", "a2dp,battery"],
            &["-Pbattery"],
            &["-n", "-P", "batt*"],
            &["--noplugin=*"],
            &["--noplugin=batter?"],
            &["--noplugin=a2dp", "--noplugin=battery"],
            &["--plugin=hostname,gap"],
        ] {
            assert!(line(words).lacks("battery"), "{words:?}");
        }
        for words in [
            &[][..],
            &["--noplugin=bat"],
            &["--noplugin=battery", "--noplugin=a2dp"],
            &["--noplugin=battery?"],
            &["--plugin=battery"],
            &["-p", "*"],
            &["--noplugin"],
        ] {
            assert!(!line(words).lacks("battery"), "{words:?}");
        }
    }

    #[test]
    fn the_cure_keeps_what_was_there() {
        let without = |words: &[&str]| line(words).without("battery");
        assert_eq!(without(&[]), format!("{PROGRAM} --noplugin=battery"));
        assert_eq!(
            without(&["-P", "sap", "--experimental"]),
            format!("{PROGRAM} --experimental --noplugin=sap,battery")
        );
        assert!(line(&["-P", "sap"]).0.len() == 3);
    }

    #[test]
    fn another_file_is_followed() {
        assert_eq!(line(&["-d"]).config_file(), None);
        let given = line(&["-f", "/etc/bluetooth/other.conf"]);
        assert_eq!(given.config_file(), Some("/etc/bluetooth/other.conf"));
        let given = line(&["--configfile=/x", "-f/y"]);
        assert_eq!(given.config_file(), Some("/y"));
    }
}
