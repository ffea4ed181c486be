//! Cuts the incoming stream into messages.
//!
//! Only the header is read: D-Bus specification, "Message Format". A message longer
//! than [`LONGEST`] is skipped as it arrives and never held.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;

use crate::bus::descriptors::Passed;

/// The longest message, in bytes. The longest call that any client needs,
/// Exchange.Begin with all its sources, has some 12 KiB; the specification allows 128
/// MiB.
pub(super) const LONGEST: usize = 64 << 10;

/// The part of the header that contains the length of the message, in bytes.
const FIXED: usize = 16;

const METHOD_CALL: u8 = 1;
const SIGNAL: u8 = 4;

/// The flag NO_REPLY_EXPECTED, and the position of its byte.
const NO_REPLY: u8 = 1;
const FLAGS: usize = 2;

/// Codes of header fields.
const MEMBER: u8 = 3;
const SENDER: u8 = 7;
const UNIX_FDS: u8 = 9;

/// The last header field of the specification.
const LAST_FIELD: u8 = 9;

/// Members of the interfaces that D-Bus defines whose answers are long.
const LONG: [&[u8]; 3] = [b"Introspect", b"GetManagedObjects", b"GetAll"];

/// A whole message.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) bytes: Vec<u8>,
    pub(super) descriptors: Vec<Passed>,
}

/// The sender and serial number of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) sender: Arc<str>,
    pub(super) serial: NonZeroU32,
    /// The caller wants no reply.
    pub(super) silent: bool,
    /// Any client may call it, and its reply has kilobytes.
    pub(super) is_long: bool,
}

/// A message that was cut out.
#[derive(Debug)]
pub(super) enum Cut {
    /// A method call of a named sender. Its flag NO_REPLY_EXPECTED is removed, so that
    /// a reply shows when the call is done.
    Call(Call, Frame),
    /// A method call that is too long, lost its descriptors, or has a header field that
    /// is not in the specification: zbus would close the connection because of it.
    Unfit(Call),
    /// A reply, or a signal without descriptors: no signal that we subscribe to has
    /// any.
    Other(Frame),
}

/// The stream, as far as it was received.
///
/// Positions count from its start. The kernel ends a read with the piece that had
/// descriptors (unix(7), `unix_stream_read_generic`), and dbus-daemon and dbus-broker
/// send them with the first piece of their message. So the descriptors belong to the
/// message that contains the last byte of the read.
#[derive(Debug, Default)]
pub(super) struct Stream {
    bytes: Vec<u8>,
    /// The offset of the next message in them.
    start: usize,
    /// The position up to which the stream was read.
    read: u64,
    /// The position of the next message. If it is past `read`, a long message is being
    /// skipped.
    next: u64,
    /// The last byte of each read that had descriptors, and these; `None` if the kernel
    /// had no space for all of them.
    descriptors: VecDeque<(u64, Option<Vec<Passed>>)>,
}

impl Stream {
    /// Adds bytes that were read, at least one. With `lost`, some of the descriptors
    /// that came with them are missing.
    pub(super) fn add(&mut self, bytes: &[u8], descriptors: Vec<Passed>, lost: bool) {
        let skipped = usize::try_from(self.next.saturating_sub(self.read)).unwrap_or(usize::MAX);
        let skipped = skipped.min(bytes.len());
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.extend_from_slice(&bytes[skipped..]);
        self.read += bytes.len() as u64;
        let is_skipped = self.read <= self.next;
        if (lost || !descriptors.is_empty()) && !is_skipped {
            let descriptors = (!lost).then_some(descriptors);
            self.descriptors.push_back((self.read - 1, descriptors));
        }
    }

    /// The next message, if it is complete; `None` if more has to be read.
    ///
    /// Messages whose header cannot be read are left out.
    pub(super) fn cut(&mut self) -> Option<Cut> {
        loop {
            let here = self.bytes.get(self.start..)?;
            let (header, whole) = Header::new(here.get(..FIXED)?)?.lengths()?;
            let cut = if whole <= LONGEST {
                let bytes = self.take(whole)?;
                let descriptors = self.take_descriptors();
                judge(bytes, descriptors)
            } else {
                // If the header is endless, not even its sender can be read.
                let facts = match header <= LONGEST {
                    true => Facts::read(here.get(..header)?),
                    false => None,
                };
                self.skip(whole);
                self.take_descriptors();
                facts.and_then(|facts| facts.call).map(Cut::Unfit)
            };
            if cut.is_some() {
                return cut;
            }
        }
    }

    /// The descriptors that came with messages before the next; `None` if some of them
    /// were lost.
    fn take_descriptors(&mut self) -> Option<Vec<Passed>> {
        let mut all = Some(Vec::new());
        while let Some((_, descriptors)) = self.descriptors.pop_front_if(|(at, _)| *at < self.next)
        {
            all = all
                .zip(descriptors)
                .map(|(all, more)| [all, more].into_iter().flatten().collect());
        }
        all
    }

    fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        let bytes = self.bytes.get(self.start..)?.get(..length)?.to_vec();
        self.start += length;
        self.next += length as u64;
        Some(bytes)
    }

    fn skip(&mut self, length: usize) {
        self.start += length.min(self.bytes.len() - self.start);
        self.next += length as u64;
    }
}

/// Classifies a whole message; `None` if no part of the daemon uses it.
fn judge(mut bytes: Vec<u8>, descriptors: Option<Vec<Passed>>) -> Option<Cut> {
    let facts = Facts::read(&bytes)?;
    let descriptors = descriptors.filter(|all| all.len() == facts.descriptors);
    match (facts.call, descriptors) {
        (Some(call), Some(descriptors)) if facts.is_known => {
            bytes[FLAGS] &= !NO_REPLY;
            Some(Cut::Call(call, Frame { bytes, descriptors }))
        }
        (Some(call), _) => Some(Cut::Unfit(call)),
        (None, _) if !facts.is_known || facts.descriptors > 0 && facts.is_signal => None,
        // A reply that lost its descriptors gets substitutes in the socket module.
        (None, descriptors) => Some(Cut::Other(Frame {
            bytes,
            descriptors: descriptors.unwrap_or_default(),
        })),
    }
}

struct Facts {
    call: Option<Call>,
    /// The number of descriptors that belong to the message.
    descriptors: usize,
    is_signal: bool,
    /// Whether the specification has all its header fields.
    is_known: bool,
}

/// How many descriptors belong to a message, by its header.
pub(super) fn descriptors_of(bytes: &[u8]) -> usize {
    Facts::read(bytes).map_or(0, |facts| facts.descriptors)
}

impl Facts {
    /// Reads a header; a body may follow it. zbus reads the header again, and
    /// completely; this reader is fast for floods, most of which is discarded.
    fn read(bytes: &[u8]) -> Option<Self> {
        let header = Header::new(bytes)?;
        let (mut sender, mut descriptors) = (None, 0);
        let (mut is_long, mut is_known) = (false, true);
        let mut at = FIXED;
        while at < header.end {
            at = at.next_multiple_of(8);
            let (code, kind) = (*bytes.get(at)?, bytes.get(at + 1..at + 4)?);
            at += 4;
            is_known &= (1..=LAST_FIELD).contains(&code);
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
                // The specification has no fields of another type.
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
        Some(Self {
            call,
            descriptors,
            is_signal: bytes.get(1) == Some(&SIGNAL),
            is_known,
        })
    }
}

/// A header and its numbers, in the message's byte order.
struct Header<'a> {
    bytes: &'a [u8],
    /// The end of the last field.
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

    /// The length of the header, up to the body, and of the whole message.
    fn lengths(&self) -> Option<(usize, usize)> {
        let header = self.end.checked_next_multiple_of(8)?;
        Some((header, header.checked_add(self.number(4)?)?))
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::fs::{MemfdFlags, fstat, memfd_create};
    use zbus::Fd;
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
        // Its original body is an empty array: four bytes.
        endless.extend_from_slice(&[0; 4]);
        let mut stream = Stream::default();
        stream.add(&endless, Vec::new(), false);
        stream.add(&call(2, Flags::empty(), b""), Vec::new(), false);
        assert!(matches!(&cuts(&mut stream)[..], [Cut::Call(call, _)] if call.serial.get() == 2));
    }

    /// A call with a file in its body, and the file. It is a memory file, identified by
    /// its inode number.
    fn with_file(serial: u32) -> (Vec<u8>, Passed, u64) {
        let file = memfd_create("file", MemfdFlags::CLOEXEC).unwrap();
        let number = fstat(&file).unwrap().st_ino;
        let message = Message::method_call("/", "Import")
            .sender(":1.7")
            .serial(NonZeroU32::new(serial).unwrap())
            .build(&(Fd::from(file.as_fd()),))
            .unwrap();
        (message.data().to_vec(), Passed::from(file), number)
    }

    fn numbers(frame: &Frame) -> Vec<u64> {
        let number = |passed: &Passed| fstat(passed).unwrap().st_ino;
        frame.descriptors.iter().map(number).collect()
    }

    #[test]
    fn descriptors_are_those_of_the_message_they_came_with() {
        for at in 1..with_file(1).0.len() {
            let mut stream = Stream::default();
            let (first, file, one) = with_file(1);
            let (second, lost, _) = with_file(2);
            let (third, other, three) = with_file(3);
            stream.add(&first[..at], vec![file], false);
            assert!(stream.cut().is_none());
            // The kernel had no space for the descriptors of the second.
            stream.add(&[&first[at..], &second[..at]].concat(), Vec::new(), true);
            drop(lost);
            let rest = [&second[at..], &call(9, Flags::empty(), b""), &third[..at]];
            stream.add(&rest.concat(), vec![other], false);
            stream.add(&third[at..], Vec::new(), false);
            let found = cuts(&mut stream);
            let [
                Cut::Call(_, a),
                Cut::Unfit(b),
                Cut::Call(_, none),
                Cut::Call(_, c),
            ] = &found[..]
            else {
                panic!("{at}: {found:?}");
            };
            assert_eq!((numbers(a), b.serial.get()), (vec![one], 2));
            assert_eq!((numbers(none), numbers(c)), (vec![], vec![three]));
        }
    }

    #[test]
    fn descriptors_of_what_is_skipped_are_nobody_s() {
        let long = call(1, Flags::empty(), &vec![0; 4 * LONGEST]);
        let mut endless = call(2, Flags::empty(), b"");
        let fields = u32::try_from(2 * LONGEST).unwrap();
        endless[12..16].copy_from_slice(&fields.to_le_bytes());
        endless.resize(FIXED + 2 * LONGEST + 4, 0);
        let (strange, _) = strange_field();
        for skipped in [long, endless, strange] {
            for lost in [false, true] {
                let mut stream = Stream::default();
                let (_, nobodys, _) = with_file(3);
                let (next, file, number) = with_file(4);
                stream.add(&skipped[..40], vec![nobodys], lost);
                while let Some(Cut::Unfit(_)) = stream.cut() {}
                stream.add(&skipped[40..], Vec::new(), false);
                while let Some(Cut::Unfit(_)) = stream.cut() {}
                stream.add(&next, vec![file], false);
                let Some(Cut::Call(call, frame)) = stream.cut() else {
                    panic!("the next is there");
                };
                assert_eq!((call.serial.get(), numbers(&frame)), (4, vec![number]));
            }
        }
    }

    /// A call, and a signal, with a header field that is not in the specification.
    fn strange_field() -> (Vec<u8>, Vec<u8>) {
        let mut message = call(5, Flags::empty(), b"");
        // The body is an empty array of bytes: its length.
        message.truncate(message.len() - 4);
        // Code 200, a variant that is the string "x".
        let field = [200, 1, b's', 0, 1, 0, 0, 0, b'x', 0];
        let length = u32::from_le_bytes(*message[12..].first_chunk().unwrap());
        message.truncate(FIXED + usize::try_from(length).unwrap());
        message.resize(message.len().next_multiple_of(8), 0);
        message.extend(field);
        let length = u32::try_from(message.len() - FIXED).unwrap();
        message[12..16].copy_from_slice(&length.to_le_bytes());
        message.resize(message.len().next_multiple_of(8), 0);
        message.extend([0; 4]);
        let mut signal = message.clone();
        signal[1] = SIGNAL;
        (message, signal)
    }

    #[test]
    fn what_zbus_would_end_the_connection_at_never_gets_there() {
        let (call_of_it, signal) = strange_field();
        let file = memfd_create("file", MemfdFlags::CLOEXEC).unwrap();
        let told = Message::signal("/", "a.b", "Told")
            .sender(":1.7")
            .build(&(Fd::from(file.as_fd()),))
            .unwrap();
        let mut stream = Stream::default();
        stream.add(&signal, Vec::new(), false);
        stream.add(&told.data()[..], vec![Passed::from(file)], false);
        assert!(stream.cut().is_none(), "nobody hears them");
        stream.add(&call_of_it, Vec::new(), false);
        assert!(matches!(stream.cut(), Some(Cut::Unfit(call)) if call.serial.get() == 5));
        let whole = Message::signal("/", "a.b", "Told")
            .sender(":1.7")
            .build(&());
        stream.add(&whole.unwrap().data()[..], Vec::new(), false);
        assert!(matches!(stream.cut(), Some(Cut::Other(_))));
    }
}
