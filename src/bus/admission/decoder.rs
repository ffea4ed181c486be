//! Cuts the incoming byte stream into messages.
//!
//! Only the header is read: D-Bus specification, "Message Format". A message longer
//! than [`MAX_MESSAGE`] is skipped as it arrives and never held.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;

use crate::bus::descriptors::ReceivedFd;

/// The longest message, in bytes. The longest call that any client needs,
/// Exchange.Begin with all its sources, has some 12 KiB; the specification allows 128
/// MiB.
pub(super) const MAX_MESSAGE: usize = 64 << 10;

/// The part of the header that contains the length of the message, in bytes.
const FIXED_HEADER: usize = 16;

const METHOD_CALL: u8 = 1;
const SIGNAL: u8 = 4;

/// The flag NO_REPLY_EXPECTED, and the position of its byte.
const NO_REPLY_EXPECTED: u8 = 1;
const FLAGS: usize = 2;

/// Codes of header fields.
const MEMBER: u8 = 3;
const SENDER: u8 = 7;
const UNIX_FDS: u8 = 9;

/// The last header field of the specification.
const LAST_FIELD: u8 = 9;

/// Members of the standard D-Bus interfaces that have long replies.
const LONG_REPLIES: [&[u8]; 3] = [b"Introspect", b"GetManagedObjects", b"GetAll"];

/// A complete message, as received.
#[derive(Debug)]
pub(super) struct RawMessage {
    pub(super) bytes: Vec<u8>,
    pub(super) descriptors: Vec<ReceivedFd>,
}

/// The sender and serial number of a call, and how it is replied to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MethodCall {
    pub(super) sender: Arc<str>,
    pub(super) serial: NonZeroU32,
    /// The caller wants no reply.
    pub(super) no_reply: bool,
    /// The member is one of [`LONG_REPLIES`]: any client may call it, and its reply has
    /// kilobytes.
    pub(super) has_long_reply: bool,
}

/// The next message of the stream.
#[derive(Debug)]
pub(super) enum DecodedMessage {
    /// A method call of a named sender. Its flag NO_REPLY_EXPECTED is removed, so that
    /// a reply shows when the call is done.
    Call(MethodCall, RawMessage),
    /// A method call that is too long, lost its descriptors, or has a header field that
    /// is not in the specification: zbus would close the connection because of it.
    Unacceptable(MethodCall),
    /// A reply, or a signal without descriptors: no signal that tcnd subscribes to
    /// has any.
    Other(RawMessage),
}

/// The bytes of the stream that were received and not yet decoded.
///
/// Positions count from its start. The kernel ends a read with the piece that had
/// descriptors (unix(7), `unix_stream_read_generic`), and dbus-daemon and dbus-broker
/// send them with the first piece of their message. So the descriptors belong to the
/// message that contains the last byte of the read.
#[derive(Debug, Default)]
pub(super) struct MessageDecoder {
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
    descriptors: VecDeque<(u64, Option<Vec<ReceivedFd>>)>,
}

impl MessageDecoder {
    /// Adds bytes that were read, at least one. With `lost`, some of the descriptors
    /// that came with them are missing.
    pub(super) fn add(&mut self, bytes: &[u8], descriptors: Vec<ReceivedFd>, lost: bool) {
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
    /// It skips messages whose header cannot be read.
    pub(super) fn next_message(&mut self) -> Option<DecodedMessage> {
        loop {
            let here = self.bytes.get(self.start..)?;
            let (header, whole) = HeaderReader::new(here.get(..FIXED_HEADER)?)?.lengths()?;
            let decoded = if whole <= MAX_MESSAGE {
                let bytes = self.take(whole)?;
                let descriptors = self.take_descriptors();
                classify(bytes, descriptors)
            } else {
                // If the header is too long, not even its sender can be read.
                let fields = match header <= MAX_MESSAGE {
                    true => HeaderFields::read(here.get(..header)?),
                    false => None,
                };
                self.skip(whole);
                self.take_descriptors();
                fields
                    .and_then(|fields| fields.call)
                    .map(DecodedMessage::Unacceptable)
            };
            if decoded.is_some() {
                return decoded;
            }
        }
    }

    /// The descriptors that came with messages before the next; `None` if some of them
    /// were lost.
    fn take_descriptors(&mut self) -> Option<Vec<ReceivedFd>> {
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
fn classify(mut bytes: Vec<u8>, descriptors: Option<Vec<ReceivedFd>>) -> Option<DecodedMessage> {
    let fields = HeaderFields::read(&bytes)?;
    let descriptors = descriptors.filter(|all| all.len() == fields.descriptors);
    match (fields.call, descriptors) {
        (Some(call), Some(descriptors)) if fields.is_known => {
            bytes[FLAGS] &= !NO_REPLY_EXPECTED;
            Some(DecodedMessage::Call(
                call,
                RawMessage { bytes, descriptors },
            ))
        }
        (Some(call), _) => Some(DecodedMessage::Unacceptable(call)),
        (None, _) if !fields.is_known || fields.descriptors > 0 && fields.is_signal => None,
        // A reply that lost its descriptors gets substitutes in the socket module.
        (None, descriptors) => Some(DecodedMessage::Other(RawMessage {
            bytes,
            descriptors: descriptors.unwrap_or_default(),
        })),
    }
}

struct HeaderFields {
    call: Option<MethodCall>,
    /// The number of descriptors that belong to the message.
    descriptors: usize,
    is_signal: bool,
    /// Whether the specification has all its header fields.
    is_known: bool,
}

/// How many descriptors belong to a message, by its header.
pub(super) fn descriptor_count(bytes: &[u8]) -> usize {
    HeaderFields::read(bytes).map_or(0, |fields| fields.descriptors)
}

impl HeaderFields {
    /// Reads a header; a body may follow it. zbus reads the header again, and
    /// completely; this reader is fast for floods, most of which is discarded.
    fn read(bytes: &[u8]) -> Option<Self> {
        let header = HeaderReader::new(bytes)?;
        let (mut sender, mut descriptors) = (None, 0);
        let (mut has_long_reply, mut is_known) = (false, true);
        let mut at = FIXED_HEADER;
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
                        MEMBER => has_long_reply = LONG_REPLIES.contains(&text),
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
            Some(sender) if bytes.get(1) == Some(&METHOD_CALL) => Some(MethodCall {
                sender: sender.into(),
                serial: NonZeroU32::new(u32::try_from(header.number(8)?).ok()?)?,
                no_reply: bytes.get(FLAGS)? & NO_REPLY_EXPECTED != 0,
                has_long_reply,
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

/// Reads the numbers of a header, in the byte order of the message.
struct HeaderReader<'a> {
    bytes: &'a [u8],
    /// The end of the last field.
    end: usize,
}

impl<'a> HeaderReader<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let end = 0;
        let mut header = Self { bytes, end };
        header.end = FIXED_HEADER.checked_add(header.number(12)?)?;
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

    fn decode_all(decoder: &mut MessageDecoder) -> Vec<DecodedMessage> {
        std::iter::from_fn(|| decoder.next_message()).collect()
    }

    #[test]
    fn messages_are_cut_wherever_the_stream_is() {
        let first = call(1, Flags::empty(), b"one");
        let second = call(2, Flags::NO_REPLY_EXPECTED, b"");
        let both = [&first[..], &second].concat();
        for at in 0..both.len() {
            let mut decoder = MessageDecoder::default();
            decoder.add(&both[..at], Vec::new(), false);
            let mut found = decode_all(&mut decoder);
            decoder.add(&both[at..], Vec::new(), false);
            found.extend(decode_all(&mut decoder));
            let [
                DecodedMessage::Call(one, message),
                DecodedMessage::Call(two, cleared),
            ] = &found[..]
            else {
                panic!("{at}: {found:?}");
            };
            assert_eq!(
                (one.serial.get(), one.no_reply, &*one.sender),
                (1, false, ":1.7")
            );
            assert_eq!((two.serial.get(), two.no_reply), (2, true));
            assert_eq!(message.bytes, first);
            assert_eq!(
                cleared.bytes[FLAGS] & NO_REPLY_EXPECTED,
                0,
                "it will be answered"
            );
            assert_eq!(cleared.bytes[3..], second[3..]);
        }
    }

    #[test]
    fn a_long_message_is_told_and_never_held() {
        let long = call(1, Flags::empty(), &vec![0; 4 * MAX_MESSAGE]);
        let next = call(2, Flags::empty(), b"");
        let mut decoder = MessageDecoder::default();
        let mut found = Vec::new();
        for piece in [&long[..], &next].concat().chunks(1000) {
            decoder.add(piece, Vec::new(), false);
            found.extend(decode_all(&mut decoder));
            assert!(decoder.bytes.len() <= MAX_MESSAGE + 1000);
        }
        let [
            DecodedMessage::Unacceptable(one),
            DecodedMessage::Call(two, _),
        ] = &found[..]
        else {
            panic!("{found:?}");
        };
        assert_eq!((one.serial.get(), two.serial.get()), (1, 2));
    }

    #[test]
    fn a_header_without_end_is_skipped() {
        let mut endless = call(1, Flags::empty(), b"");
        let fields = u32::try_from(2 * MAX_MESSAGE).unwrap();
        endless[12..16].copy_from_slice(&fields.to_le_bytes());
        endless.resize(FIXED_HEADER + 2 * MAX_MESSAGE, 0);
        // Its original body is an empty array: four bytes.
        endless.extend_from_slice(&[0; 4]);
        let mut decoder = MessageDecoder::default();
        decoder.add(&endless, Vec::new(), false);
        decoder.add(&call(2, Flags::empty(), b""), Vec::new(), false);
        assert!(
            matches!(&decode_all(&mut decoder)[..], [DecodedMessage::Call(call, _)] if call.serial.get() == 2)
        );
    }

    /// A call with a file in its body, and the file. It is a memory file, identified by
    /// its inode number.
    fn with_file(serial: u32) -> (Vec<u8>, ReceivedFd, u64) {
        let file = memfd_create("file", MemfdFlags::CLOEXEC).unwrap();
        let number = fstat(&file).unwrap().st_ino;
        let message = Message::method_call("/", "Import")
            .sender(":1.7")
            .serial(NonZeroU32::new(serial).unwrap())
            .build(&(Fd::from(file.as_fd()),))
            .unwrap();
        (message.data().to_vec(), ReceivedFd::from(file), number)
    }

    fn numbers(message: &RawMessage) -> Vec<u64> {
        let number = |passed: &ReceivedFd| fstat(passed).unwrap().st_ino;
        message.descriptors.iter().map(number).collect()
    }

    #[test]
    fn descriptors_are_those_of_the_message_they_came_with() {
        for at in 1..with_file(1).0.len() {
            let mut decoder = MessageDecoder::default();
            let (first, file, one) = with_file(1);
            let (second, lost, _) = with_file(2);
            let (third, other, three) = with_file(3);
            decoder.add(&first[..at], vec![file], false);
            assert!(decoder.next_message().is_none());
            // The kernel had no space for the descriptors of the second.
            decoder.add(&[&first[at..], &second[..at]].concat(), Vec::new(), true);
            drop(lost);
            let rest = [&second[at..], &call(9, Flags::empty(), b""), &third[..at]];
            decoder.add(&rest.concat(), vec![other], false);
            decoder.add(&third[at..], Vec::new(), false);
            let found = decode_all(&mut decoder);
            let [
                DecodedMessage::Call(_, a),
                DecodedMessage::Unacceptable(b),
                DecodedMessage::Call(_, none),
                DecodedMessage::Call(_, c),
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
        let long = call(1, Flags::empty(), &vec![0; 4 * MAX_MESSAGE]);
        let mut endless = call(2, Flags::empty(), b"");
        let fields = u32::try_from(2 * MAX_MESSAGE).unwrap();
        endless[12..16].copy_from_slice(&fields.to_le_bytes());
        endless.resize(FIXED_HEADER + 2 * MAX_MESSAGE + 4, 0);
        let (strange, _) = strange_field();
        for skipped in [long, endless, strange] {
            for lost in [false, true] {
                let mut decoder = MessageDecoder::default();
                let (_, nobodys, _) = with_file(3);
                let (next, file, number) = with_file(4);
                decoder.add(&skipped[..40], vec![nobodys], lost);
                while let Some(DecodedMessage::Unacceptable(_)) = decoder.next_message() {}
                decoder.add(&skipped[40..], Vec::new(), false);
                while let Some(DecodedMessage::Unacceptable(_)) = decoder.next_message() {}
                decoder.add(&next, vec![file], false);
                let Some(DecodedMessage::Call(call, message)) = decoder.next_message() else {
                    panic!("the next is there");
                };
                assert_eq!((call.serial.get(), numbers(&message)), (4, vec![number]));
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
        message.truncate(FIXED_HEADER + usize::try_from(length).unwrap());
        message.resize(message.len().next_multiple_of(8), 0);
        message.extend(field);
        let length = u32::try_from(message.len() - FIXED_HEADER).unwrap();
        message[12..16].copy_from_slice(&length.to_le_bytes());
        message.resize(message.len().next_multiple_of(8), 0);
        message.extend([0; 4]);
        let mut signal = message.clone();
        signal[1] = SIGNAL;
        (message, signal)
    }

    #[test]
    fn what_zbus_would_end_the_connection_at_never_gets_there() {
        let (unknown_call, unknown_signal) = strange_field();
        let file = memfd_create("file", MemfdFlags::CLOEXEC).unwrap();
        let signal = Message::signal("/", "a.b", "Changed")
            .sender(":1.7")
            .build(&(Fd::from(file.as_fd()),))
            .unwrap();
        let mut decoder = MessageDecoder::default();
        decoder.add(&unknown_signal, Vec::new(), false);
        decoder.add(&signal.data()[..], vec![ReceivedFd::from(file)], false);
        assert!(
            decoder.next_message().is_none(),
            "signals with a file are skipped"
        );
        decoder.add(&unknown_call, Vec::new(), false);
        assert!(
            matches!(decoder.next_message(), Some(DecodedMessage::Unacceptable(call)) if call.serial.get() == 5)
        );
        let whole = Message::signal("/", "a.b", "Changed")
            .sender(":1.7")
            .build(&());
        decoder.add(&whole.unwrap().data()[..], Vec::new(), false);
        assert!(matches!(
            decoder.next_message(),
            Some(DecodedMessage::Other(_))
        ));
    }
}
