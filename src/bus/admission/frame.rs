//! Messages, cut out of the stream in which they come.
//!
//! Only the header is looked at: D-Bus specification, "Message Format". A
//! message longer than [`LONGEST`] is skipped as it comes and never held.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;

use crate::bus::descriptors::Passed;

/// Longest message, in bytes. The longest call that anybody needs, Exchange.Begin
/// with all its sources, has some 12 KiB; the specification allows 128 MiB.
pub(super) const LONGEST: usize = 64 << 10;

/// The part of the header that says how long the message is, in bytes.
const FIXED: usize = 16;

const METHOD_CALL: u8 = 1;

/// The flag NO_REPLY_EXPECTED, and the byte it stands in.
const NO_REPLY: u8 = 1;
const FLAGS: usize = 2;

/// Codes of header fields.
const MEMBER: u8 = 3;
const SENDER: u8 = 7;
const UNIX_FDS: u8 = 9;

/// Members of the interfaces that D-Bus defines whose answers are long.
const LONG: [&[u8]; 3] = [b"Introspect", b"GetManagedObjects", b"GetAll"];

/// A whole message.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) bytes: Vec<u8>,
    pub(super) descriptors: Vec<Passed>,
}

/// Whose call it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) sender: Arc<str>,
    pub(super) serial: NonZeroU32,
    /// The caller wants no answer.
    pub(super) silent: bool,
    /// Anybody may call it, and its answer has kilobytes.
    pub(super) is_long: bool,
}

/// What was cut out.
#[derive(Debug)]
pub(super) enum Cut {
    /// A method call of a named sender. Its flag NO_REPLY_EXPECTED is taken
    /// away, so that there is an answer by which to see that it is done.
    Call(Call, Frame),
    /// A method call that is too long, or lost its descriptors.
    Unfit(Call),
    /// Anything else: a reply, or a signal. No signal that we hear has
    /// descriptors.
    Other(Frame),
}

/// The stream, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Stream {
    bytes: Vec<u8>,
    /// Where the next message begins in them.
    start: usize,
    /// In the order of the messages they belong to.
    descriptors: VecDeque<Passed>,
    /// The kernel had no room for the descriptors of the next message that has
    /// some.
    lost: bool,
    /// Bytes of a long message that have yet to come.
    skip: usize,
}

impl Stream {
    /// Adds what was read. With `lost`, descriptors that came with it are not
    /// all there.
    pub(super) fn add(&mut self, bytes: &[u8], descriptors: Vec<Passed>, lost: bool) {
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.extend_from_slice(&bytes[skipped..]);
        if lost {
            self.lost = true;
        } else {
            self.descriptors.extend(descriptors);
        }
    }

    /// The next message, if it is there; `None` if more has to be read.
    ///
    /// What cannot be understood is passed on as it is: zbus then ends the
    /// connection, as it would without us.
    pub(super) fn cut(&mut self) -> Option<Cut> {
        loop {
            let here = self.bytes.get(self.start..)?;
            let (header, whole) = Header::new(here.get(..FIXED)?)?.lengths()?;
            if whole <= LONGEST {
                let frame = self.take(whole)?;
                return Some(self.judge(frame));
            }
            if header > LONGEST {
                // Not even its sender can be told, nor which descriptors are its.
                self.descriptors.clear();
                self.skip(whole);
                continue;
            }
            let head = here.get(..header)?;
            let facts = Facts::read(head);
            self.skip(whole);
            let Some(facts) = facts else { continue };
            self.take_descriptors(facts.descriptors);
            if let Some(call) = facts.call {
                return Some(Cut::Unfit(call));
            }
        }
    }

    fn judge(&mut self, bytes: Vec<u8>) -> Cut {
        let Some(facts) = Facts::read(&bytes) else {
            return Cut::Other(Frame {
                bytes,
                descriptors: Vec::new(),
            });
        };
        let descriptors = self.take_descriptors(facts.descriptors);
        let whole = descriptors.is_some();
        let mut frame = Frame {
            bytes,
            descriptors: descriptors.unwrap_or_default(),
        };
        match facts.call {
            Some(call) if whole => {
                frame.bytes[FLAGS] &= !NO_REPLY;
                Cut::Call(call, frame)
            }
            Some(call) => Cut::Unfit(call),
            None => Cut::Other(frame),
        }
    }

    /// The descriptors of a message that has so many; `None` if they were lost.
    fn take_descriptors(&mut self, many: usize) -> Option<Vec<Passed>> {
        if many == 0 {
            return Some(Vec::new());
        }
        if std::mem::take(&mut self.lost) || many > self.descriptors.len() {
            return None;
        }
        Some(self.descriptors.drain(..many).collect())
    }

    fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        let bytes = self.bytes.get(self.start..)?.get(..length)?.to_vec();
        self.start += length;
        Some(bytes)
    }

    fn skip(&mut self, length: usize) {
        let here = length.min(self.bytes.len() - self.start);
        self.start += here;
        self.skip = length - here;
    }
}

struct Facts {
    call: Option<Call>,
    descriptors: usize,
}

impl Facts {
    /// Reads a header; there may be a body behind it. zbus reads it again, and
    /// whole; this one is for floods, of which most is thrown away.
    fn read(bytes: &[u8]) -> Option<Self> {
        let header = Header::new(bytes)?;
        let (mut sender, mut descriptors) = (None, 0);
        let mut is_long = false;
        let mut at = FIXED;
        while at < header.end {
            at = at.next_multiple_of(8);
            let (code, kind) = (*bytes.get(at)?, bytes.get(at + 1..at + 4)?);
            at += 4;
            match kind {
                [1, b's' | b'o', 0] => {
                    at = at.next_multiple_of(4);
                    let length = header.number(at)?;
                    let text = bytes.get(at + 4..)?.get(..length)?;
                    match code {
                        SENDER => sender = Some(std::str::from_utf8(text).ok()?),
                        MEMBER => is_long = LONG.contains(&text),
                        _ => {}
                    }
                    at = at.checked_add(length)?.checked_add(5)?;
                }
                [1, b'u', 0] => {
                    at = at.next_multiple_of(4);
                    if code == UNIX_FDS {
                        descriptors = header.number(at)?;
                    }
                    at += 4;
                }
                [1, b'g', 0] => at += usize::from(*bytes.get(at)?) + 2,
                // The specification has fields of no other type.
                _ => return None,
            }
        }
        let call = match sender {
            Some(sender) if bytes.get(1) == Some(&METHOD_CALL) => Some(Call {
                sender: sender.into(),
                serial: NonZeroU32::new(u32::try_from(header.number(8)?).ok()?)?,
                silent: bytes.get(FLAGS)? & NO_REPLY != 0,
                is_long,
            }),
            _ => None,
        };
        Some(Self { call, descriptors })
    }
}

/// A header, as numbers in its own byte order.
struct Header<'a> {
    bytes: &'a [u8],
    /// Where the last field ends.
    end: usize,
}

impl<'a> Header<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let end = 0;
        let mut header = Self { bytes, end };
        header.end = FIXED.checked_add(header.number(12)?)?;
        Some(header)
    }

    fn number(&self, at: usize) -> Option<usize> {
        let number = *self.bytes.get(at..)?.first_chunk::<4>()?;
        let number = match self.bytes[0] {
            b'B' => u32::from_be_bytes(number),
            _ => u32::from_le_bytes(number),
        };
        usize::try_from(number).ok()
    }

    /// How long the header is, to the body, and the whole message.
    fn lengths(&self) -> Option<(usize, usize)> {
        let header = self.end.checked_next_multiple_of(8)?;
        Some((header, header.checked_add(self.number(4)?)?))
    }
}

#[cfg(test)]
mod tests {
    use zbus::message::{Flags, Message};

    use super::*;

    fn call(serial: u32, flags: Flags, body: &[u8]) -> Vec<u8> {
        let message = Message::method_call("/", "Ping")
            .sender(":1.7")
            .with_flags(flags)
            .serial(NonZeroU32::new(serial).unwrap())
            .build(&(body,))
            .unwrap();
        message.data().to_vec()
    }

    fn cuts(stream: &mut Stream) -> Vec<Cut> {
        std::iter::from_fn(|| stream.cut()).collect()
    }

    #[test]
    fn messages_are_cut_wherever_the_stream_is() {
        let first = call(1, Flags::empty(), b"one");
        let second = call(2, Flags::NO_REPLY_EXPECTED, b"");
        let both = [&first[..], &second].concat();
        for at in 0..both.len() {
            let mut stream = Stream::default();
            stream.add(&both[..at], Vec::new(), false);
            let mut found = cuts(&mut stream);
            stream.add(&both[at..], Vec::new(), false);
            found.extend(cuts(&mut stream));
            let [Cut::Call(one, frame), Cut::Call(two, muted)] = &found[..] else {
                panic!("{at}: {found:?}");
            };
            assert_eq!(
                (one.serial.get(), one.silent, &*one.sender),
                (1, false, ":1.7")
            );
            assert_eq!((two.serial.get(), two.silent), (2, true));
            assert_eq!(frame.bytes, first);
            assert_eq!(muted.bytes[FLAGS] & NO_REPLY, 0, "it will be answered");
            assert_eq!(muted.bytes[3..], second[3..]);
        }
    }

    #[test]
    fn a_long_message_is_told_and_never_held() {
        let long = call(1, Flags::empty(), &vec![0; 4 * LONGEST]);
        let next = call(2, Flags::empty(), b"");
        let mut stream = Stream::default();
        let mut found = Vec::new();
        for piece in [&long[..], &next].concat().chunks(1000) {
            stream.add(piece, Vec::new(), false);
            found.extend(cuts(&mut stream));
            assert!(stream.bytes.len() <= LONGEST + 1000);
        }
        let [Cut::Unfit(one), Cut::Call(two, _)] = &found[..] else {
            panic!("{found:?}");
        };
        assert_eq!((one.serial.get(), two.serial.get()), (1, 2));
    }

    #[test]
    fn a_header_without_end_is_skipped() {
        let mut endless = call(1, Flags::empty(), b"");
        let fields = u32::try_from(2 * LONGEST).unwrap();
        endless[12..16].copy_from_slice(&fields.to_le_bytes());
        endless.resize(FIXED + 2 * LONGEST, 0);
        // The body it was made with is an empty array: four bytes.
        endless.extend_from_slice(&[0; 4]);
        let mut stream = Stream::default();
        stream.add(&endless, Vec::new(), false);
        stream.add(&call(2, Flags::empty(), b""), Vec::new(), false);
        assert!(matches!(&cuts(&mut stream)[..], [Cut::Call(call, _)] if call.serial.get() == 2));
    }
}
