//! A key file as GLib reads it, which is how bluetoothd reads its main.conf.
//!
//! A person who corrects the file needs the line, so every key is stored with its line,
//! and so is each `#Key = value` that distributions ship in place of a default. GLib is
//! strict: one line that it cannot parse invalidates the whole file, and anything after
//! a value, be it a blank or a comment, is part of the value.
//!
//! Pure. GLib: glib/gkeyfile.c. Escapes in values are left unchanged.

/// The content of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFile {
    groups: Vec<(String, usize)>,
    keys: Vec<Key>,
}

/// `name = value`, or the same as a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    group: String,
    name: String,
    value: String,
    line: usize,
    commented: bool,
}

/// The line, counted from 1, because of which GLib refuses a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadLine(pub usize);

/// Where a person has to write a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyLocation {
    /// In this line, which sets it.
    Set(usize),
    /// In this line, which is a comment.
    Commented(usize),
    /// Below this line, where its group begins.
    Below(usize),
    /// At the end; its group has to be added as well.
    Nowhere,
}

impl KeyFile {
    /// Reads all of it.
    ///
    /// # Errors
    /// The first line that GLib does not understand.
    pub fn parse(text: &str) -> Result<Self, BadLine> {
        let mut file = Self::default();
        for (index, line) in text.split('\n').enumerate() {
            let line = line.strip_suffix('\r').unwrap_or(line);
            file.take(line.trim_ascii_start(), index + 1)
                .ok_or(BadLine(index + 1))?;
        }
        Ok(file)
    }

    /// The value in effect: the last one that was set.
    pub fn value(&self, group: &str, name: &str) -> Option<&str> {
        self.set(group, name).map(|key| key.value.as_str())
    }

    /// Where to write the key.
    pub fn location(&self, group: &str, name: &str) -> KeyLocation {
        if let Some(key) = self.set(group, name) {
            return KeyLocation::Set(key.line);
        }
        if let Some(key) = self.named(group, name).next() {
            return KeyLocation::Commented(key.line);
        }
        let start = self.groups.iter().find(|(known, _)| known == group);
        start.map_or(KeyLocation::Nowhere, |(_, line)| KeyLocation::Below(*line))
    }

    fn set(&self, group: &str, name: &str) -> Option<&Key> {
        self.named(group, name).filter(|key| !key.commented).last()
    }

    fn named<'a, 'b>(
        &'a self,
        group: &'b str,
        name: &'b str,
    ) -> impl Iterator<Item = &'a Key> + use<'a, 'b> {
        let keys = self.keys.iter();
        keys.filter(move |key| key.group == group && key.name == name)
    }

    /// `None` if the line is none of the three valid kinds.
    fn take(&mut self, line: &str, number: usize) -> Option<()> {
        if line.is_empty() {
            return Some(());
        }
        if let Some(comment) = line.strip_prefix('#') {
            let comment = comment.trim_start_matches('#').trim_ascii_start();
            // A comment before the first group is no default.
            if let (Some((name, value)), Some(group)) = (pair(comment), self.group()) {
                self.keys.push(Key::new(group, name, value, number, true));
            }
            return Some(());
        }
        if line.starts_with('[') {
            let group = group(line)?;
            self.groups.push((group.to_owned(), number));
            return Some(());
        }
        let (name, value) = pair(line)?;
        let group = self.group()?;
        self.keys.push(Key::new(group, name, value, number, false));
        Some(())
    }

    /// The group that the current line belongs to.
    fn group(&self) -> Option<&str> {
        self.groups.last().map(|(group, _)| group.as_str())
    }
}

impl Key {
    fn new(group: &str, name: &str, value: &str, line: usize, commented: bool) -> Self {
        Self {
            group: group.to_owned(),
            name: name.to_owned(),
            value: value.to_owned(),
            line,
            commented,
        }
    }
}

/// `[group]`, with nothing after it.
fn group(line: &str) -> Option<&str> {
    let (group, rest) = line.strip_prefix('[')?.split_once(']')?;
    let named = !group.is_empty() && !group.contains(|c: char| c == '[' || c.is_ascii_control());
    (named && rest.trim_ascii().is_empty()).then_some(group)
}

/// `name = value`; a name may end in a locale, `Name[de]`.
fn pair(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once('=')?;
    let name = name.trim_ascii_end();
    let (base, locale) = name.split_once('[').unwrap_or((name, "x]"));
    let locale = locale.strip_suffix(']')?;
    let spells_locale = |c: char| c.is_alphanumeric() || "-_.@".contains(c);
    let named = !base.is_empty() && !base.contains(']') && locale.chars().all(spells_locale);
    named.then(|| (name, value.trim_ascii_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each was given to GLib 2.74; `Err` is its refusal, `Ok` its
    /// `g_key_file_get_string(…, "General", "Privacy")`.
    const AS_GLIB: &[(&str, Result<Option<&str>, usize>)] = &[
        ("", Ok(None)),
        ("[General]\nPrivacy = device\n", Ok(Some("device"))),
        ("[General]\nPrivacy = device  \n", Ok(Some("device  "))),
        ("[General]\nPrivacy = device # x\n", Ok(Some("device # x"))),
        ("[General]\nPrivacy = \"device\"\n", Ok(Some("\"device\""))),
        ("  [General]  \n  Privacy=device\r\n", Ok(Some("device"))),
        ("[General]\n Privacy\t=\tx\t\n", Ok(Some("x\t"))),
        ("[General]\n\x0cPrivacy=1", Ok(Some("1"))),
        ("[General]\nPrivacy=a\nPrivacy=b\n", Ok(Some("b"))),
        (
            "[General]\nPrivacy=a\n[LE]\nX=1\n[General]\nPrivacy=c\n",
            Ok(Some("c")),
        ),
        ("[General]\nPrivacy=\n", Ok(Some(""))),
        ("[General]\n#Privacy=x\n   # y\nPrivacy=1", Ok(Some("1"))),
        ("[General]\nPri vacy = 1\nPrivacy=2", Ok(Some("2"))),
        ("[General]\n*=1\nPrivacy=2", Ok(Some("2"))),
        ("[General]\nPrivacy[de]=1\n", Ok(None)),
        ("[General]\nprivacy=1", Ok(None)),
        ("[general]\nPrivacy=1", Ok(None)),
        ("[ General ]\nPrivacy=1", Ok(None)),
        ("Privacy=a\n[General]\n", Err(1)),
        ("\u{feff}[General]\nPrivacy=2", Err(1)),
        ("[General]\nPrivacy\n", Err(2)),
        ("[General]\n;x\n", Err(2)),
        ("[General] x\nPrivacy=1", Err(1)),
        ("[General]#x\nPrivacy=1", Err(1)),
        ("[General\nPrivacy=1", Err(1)),
        ("[Gen]eral]\nPrivacy=1", Err(1)),
        ("[[General]]\nPrivacy=1", Err(1)),
        ("[]\nA=1\n", Err(1)),
        ("[General]\n=1\n", Err(2)),
        ("[General]\n[x]=1\nPrivacy=2", Err(2)),
        ("[General]\nPriv[acy=1\nPrivacy=2", Err(2)),
        ("[General]\nPriv[a cy]=1\nPrivacy=2", Err(2)),
    ];

    #[test]
    fn files_are_read_as_glib_reads_them() {
        for (text, expected) in AS_GLIB {
            let file = KeyFile::parse(text);
            let found = file
                .as_ref()
                .map(|file| file.value("General", "Privacy"))
                .map_err(|bad| bad.0);
            assert_eq!(found, *expected, "{text:?}");
        }
    }

    fn location(text: &str) -> KeyLocation {
        KeyFile::parse(text).unwrap().location("General", "Privacy")
    }

    #[test]
    fn the_line_to_change_is_the_one_that_holds() {
        assert_eq!(
            location("[General]\nPrivacy=a\n#Privacy = b\nPrivacy=c\n[LE]\nPrivacy=d"),
            KeyLocation::Set(4)
        );
    }

    #[test]
    fn a_default_in_a_comment_is_a_place_and_prose_is_none() {
        let shipped = "[General]\n# Privacy: see below\n# Defaults to \"off\"\n#Privacy = off\n";
        assert_eq!(location(shipped), KeyLocation::Commented(4));
        assert_eq!(
            location("[General]\n ##  Privacy=off\n"),
            KeyLocation::Commented(2)
        );
        assert_eq!(
            location("#Privacy = x\n[LE]\n#Privacy = y\n\n[General]\n"),
            KeyLocation::Below(5)
        );
    }

    #[test]
    fn without_its_group_there_is_no_place() {
        assert_eq!(location(""), KeyLocation::Nowhere);
        assert_eq!(location("[LE]\nPrivacy = x\n"), KeyLocation::Nowhere);
    }
}
