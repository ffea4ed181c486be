//! Reads D-Bus messages in place: a cursor goes over the bytes, and skips what it is not asked
//! for.
//!
//! A function returns `None` where a value does not fit the bytes. The bus checks messages
//! before it delivers them, so `None` means that the bus is faulty.
//!
//! D-Bus specification: "Marshaling (Wire Format)", "Message Format".

/// The part of the header that contains the length of the message, in bytes.
const FIXED_HEADER: usize = 16;

/// Where in it the length of the body is, and that of the header fields.
const BODY_LENGTH: usize = 4;
const FIELDS_LENGTH: usize = 12;

/// The longest message, in bytes: D-Bus specification, "Message Format".
const MAX_MESSAGE: usize = 1 << 27;

/// How deep values may contain each other: the specification allows 32 arrays and 32
/// structs.
const MAX_DEPTH: u8 = 64;

/// The type of a method call.
pub const METHOD_CALL: u8 = 1;
/// The type of a reply.
pub const METHOD_RETURN: u8 = 2;
/// The type of an error.
pub const ERROR: u8 = 3;
/// The type of a signal.
pub const SIGNAL: u8 = 4;

/// Codes of header fields.
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const SENDER: u8 = 7;

/// A message says that it is longer than the specification allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// The length of the message that these bytes begin, if they are enough to tell.
///
/// # Errors
/// When no message may be this long.
pub fn length(bytes: &[u8]) -> Result<Option<usize>, TooLong> {
    let Some(fixed) = bytes.get(..FIXED_HEADER) else {
        return Ok(None);
    };
    let length = || {
        let mut cursor = Cursor::new(fixed, fixed[0]);
        cursor.at = BODY_LENGTH;
        let body = usize::try_from(cursor.u32()?).ok()?;
        cursor.at = FIELDS_LENGTH;
        let fields = usize::try_from(cursor.u32()?).ok()?;
        let header = FIXED_HEADER
            .checked_add(fields)?
            .checked_next_multiple_of(8)?;
        header.checked_add(body).filter(|all| *all <= MAX_MESSAGE)
    };
    length().map(Some).ok_or(TooLong)
}

/// Whether the message that these bytes begin answers a call.
#[must_use]
pub fn is_reply(bytes: &[u8]) -> bool {
    bytes
        .get(1)
        .is_some_and(|kind| [METHOD_RETURN, ERROR].contains(kind))
}

/// The header fields that tcnd uses; empty if the message does not have one.
#[derive(Clone, Copy, Debug, Default)]
pub struct MessageHeader<'m> {
    /// `PATH`: the object that is called, or that the signal is from.
    pub path: &'m str,
    /// `INTERFACE`.
    pub interface: &'m str,
    /// `MEMBER`: the name of the method or signal.
    pub member: &'m str,
    /// `SENDER`: a unique name, which the bus sets.
    pub sender: &'m str,
}

/// The header of a whole message of type `kind`, and its body; `None` if it has another type.
pub fn message(bytes: &[u8], kind: u8) -> Option<(MessageHeader<'_>, Cursor<'_>)> {
    if *bytes.get(1)? != kind {
        return None;
    }
    let mut header = MessageHeader::default();
    let mut cursor = Cursor::new(bytes, bytes[0]);
    cursor.at = FIELDS_LENGTH;
    let mut fields = cursor.array(8)?;
    while !fields.is_empty() {
        fields.align(8)?;
        let code = fields.byte()?;
        let signature = fields.signature()?;
        let text = match code {
            PATH => &mut header.path,
            INTERFACE => &mut header.interface,
            MEMBER => &mut header.member,
            SENDER => &mut header.sender,
            _ => {
                fields.skip(signature)?;
                continue;
            }
        };
        *text = fields.string()?;
    }
    cursor.align(8)?;
    Some((header, cursor))
}

/// A method call like this one, whose body is the string `argument`.
pub fn with_argument(call: &[u8], argument: &str) -> Option<Vec<u8>> {
    let (_, body) = message(call, METHOD_CALL)?;
    let number = |value: usize| {
        let value = u32::try_from(value).ok()?;
        Some(match call[0] {
            b'B' => value.to_be_bytes(),
            _ => value.to_le_bytes(),
        })
    };
    let mut bytes = call.get(..body.at)?.to_vec();
    bytes.extend(number(argument.len())?);
    bytes.extend(argument.as_bytes());
    bytes.push(0);
    let length = number(bytes.len() - body.at)?;
    bytes[BODY_LENGTH..BODY_LENGTH + length.len()].copy_from_slice(&length);
    Some(bytes)
}

/// A position in a message.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'m> {
    /// The message from its start, since values are aligned to it, up to where this cursor
    /// ends.
    bytes: &'m [u8],
    at: usize,
    big_endian: bool,
    depth: u8,
}

impl<'m> Cursor<'m> {
    /// At the start of `bytes`, which begin at a multiple of eight of their message.
    /// `endian` is the first byte of the message.
    pub fn new(bytes: &'m [u8], endian: u8) -> Self {
        Self {
            bytes,
            at: 0,
            big_endian: endian == b'B',
            depth: 0,
        }
    }

    /// Whether the cursor is at its end.
    pub fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// Goes to the next multiple of `to`, counted from the start of the message.
    pub fn align(&mut self, to: usize) -> Option<()> {
        self.at = self.at.checked_next_multiple_of(to)?;
        Some(())
    }

    fn take(&mut self, length: usize) -> Option<&'m [u8]> {
        let taken = self.bytes.get(self.at..)?.get(..length)?;
        self.at += length;
        Some(taken)
    }

    /// A `BYTE`.
    pub fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|byte| byte[0])
    }

    fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.align(N)?;
        let mut chunk: [u8; N] = self.take(N)?.try_into().ok()?;
        if self.big_endian {
            chunk.reverse();
        }
        Some(chunk)
    }

    /// A `UINT32`.
    pub fn u32(&mut self) -> Option<u32> {
        self.chunk().map(u32::from_le_bytes)
    }

    /// An `INT16`.
    pub fn i16(&mut self) -> Option<i16> {
        self.chunk().map(i16::from_le_bytes)
    }

    /// `true` or `false`: "BOOLEAN values are encoded in 32 bits".
    pub fn boolean(&mut self) -> Option<bool> {
        self.u32().map(|value| value != 0)
    }

    /// A string or an object path.
    pub fn string(&mut self) -> Option<&'m str> {
        let length = usize::try_from(self.u32()?).ok()?;
        let text = self.take(length)?;
        self.take(1)?;
        std::str::from_utf8(text).ok()
    }

    /// The signature of a variant; its value follows.
    pub fn signature(&mut self) -> Option<&'m [u8]> {
        let length = usize::from(self.byte()?);
        let signature = self.take(length)?;
        self.take(1)?;
        Some(signature)
    }

    /// The elements of an array, which are aligned to `alignment`. This cursor goes on behind
    /// them.
    pub fn array(&mut self, alignment: usize) -> Option<Self> {
        let length = usize::try_from(self.u32()?).ok()?;
        self.align(alignment)?;
        let end = self.at.checked_add(length)?;
        let elements = Self {
            bytes: self.bytes.get(..end)?,
            ..*self
        };
        self.at = end;
        Some(elements)
    }

    /// The bytes of an array of bytes.
    pub fn byte_array(&mut self) -> Option<&'m [u8]> {
        let elements = self.array(1)?;
        elements.bytes.get(elements.at..)
    }

    /// Goes behind the value of a variant with this signature.
    pub fn skip(&mut self, signature: &[u8]) -> Option<()> {
        let rest = self.skip_one(signature)?;
        rest.is_empty().then_some(())
    }

    /// Goes behind one value; returns the signature of what follows it.
    fn skip_one<'s>(&mut self, signature: &'s [u8]) -> Option<&'s [u8]> {
        let (code, rest) = signature.split_first()?;
        match code {
            b'a' => {
                self.array(alignment(*rest.first()?)?)?;
                return after_one(rest, MAX_DEPTH);
            }
            b'(' => {
                self.deeper()?;
                self.align(8)?;
                let mut rest = rest;
                while *rest.first()? != b')' {
                    rest = self.skip_one(rest)?;
                }
                self.depth -= 1;
                return rest.get(1..);
            }
            b'v' => {
                self.deeper()?;
                let signature = self.signature()?;
                self.skip(signature)?;
                self.depth -= 1;
            }
            b's' | b'o' => {
                self.string()?;
            }
            b'g' => {
                self.signature()?;
            }
            other => {
                let length = alignment(*other)?;
                self.align(length)?;
                self.take(length)?;
            }
        }
        Some(rest)
    }

    fn deeper(&mut self) -> Option<()> {
        self.depth += 1;
        (self.depth < MAX_DEPTH).then_some(())
    }
}

/// To what a type is aligned. Types of a fixed length have this length too.
fn alignment(code: u8) -> Option<usize> {
    Some(match code {
        b'y' | b'g' | b'v' => 1,
        b'n' | b'q' => 2,
        b'b' | b'i' | b'u' | b'h' | b's' | b'o' | b'a' => 4,
        b'x' | b't' | b'd' | b'(' | b'{' => 8,
        _ => return None,
    })
}

/// The signature behind its first complete type.
fn after_one(signature: &[u8], depth: u8) -> Option<&[u8]> {
    let depth = depth.checked_sub(1)?;
    let (code, rest) = signature.split_first()?;
    match code {
        b'a' => after_one(rest, depth),
        b'(' | b'{' => {
            let end = if *code == b'(' { b')' } else { b'}' };
            let mut rest = rest;
            while *rest.first()? != end {
                rest = after_one(rest, depth)?;
            }
            rest.get(1..)
        }
        _ => Some(rest),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use zbus::message::Message;
    use zbus::wire::Endian;
    use zbus::{OwnedVariant, Variant};

    use super::*;

    fn changed(endian: Endian, properties: &BTreeMap<&str, Variant<'_>>) -> Vec<u8> {
        let path = "/org/bluez/hci0/dev_40_00_00_00_00_01";
        let message = Message::signal(path, "org.freedesktop.DBus.Properties", "PropertiesChanged")
            .sender(":1.7")
            .endian(endian)
            .build(&("org.bluez.Device1", properties, Vec::<&str>::new()))
            .unwrap();
        message.data().to_vec()
    }

    #[test]
    fn a_header_is_read_in_both_byte_orders() {
        for endian in [Endian::Little, Endian::Big] {
            let bytes = changed(endian, &BTreeMap::from([("RSSI", Variant::from(-60i16))]));
            assert_eq!(length(&bytes), Ok(Some(bytes.len())));
            assert_eq!(length(&bytes[..15]), Ok(None));
            let (header, mut body) = message(&bytes, SIGNAL).unwrap();
            let read = (header.sender, header.interface, header.member);
            assert_eq!(
                read,
                (
                    ":1.7",
                    "org.freedesktop.DBus.Properties",
                    "PropertiesChanged"
                )
            );
            assert_eq!(header.path, "/org/bluez/hci0/dev_40_00_00_00_00_01");
            assert_eq!(body.string(), Some("org.bluez.Device1"));
            assert!(message(&bytes, METHOD_CALL).is_none());
        }
    }

    #[test]
    fn no_message_is_longer_than_the_specification_allows() {
        let mut bytes = changed(Endian::Little, &BTreeMap::new());
        bytes[4..8].copy_from_slice(&u32::try_from(MAX_MESSAGE).unwrap().to_le_bytes());
        assert_eq!(length(&bytes), Err(TooLong));
        bytes[4..16].fill(0xff);
        assert_eq!(length(&bytes), Err(TooLong));
    }

    #[test]
    fn an_argument_takes_the_place_of_another() {
        for endian in [Endian::Little, Endian::Big] {
            let call = |argument| {
                let message = Message::method_call("/", "AddMatch").endian(endian);
                let message = message.serial(7.try_into().unwrap()).build(&(argument,));
                message.unwrap().data().to_vec()
            };
            let (short, long) = (call("type='signal'"), call("type='signal',arg0='a'"));
            assert_eq!(
                with_argument(&short, "type='signal',arg0='a'"),
                Some(long.clone())
            );
            assert_eq!(with_argument(&long, "type='signal'"), Some(short.clone()));
            // Cut off anywhere in its header, it is no call.
            let header = short.len() - "type='signal'".len() - 5;
            for end in 0..header {
                assert_eq!(with_argument(&short[..end], "type='signal'"), None, "{end}");
            }
        }
    }

    /// Values of every type that BlueZ sends, and of some that it does not.
    fn value() -> impl Strategy<Value = OwnedVariant> {
        let owned = |value: Variant<'_>| value.try_to_owned().unwrap();
        let leaf = prop_oneof![
            any::<u8>().prop_map(move |value| owned(value.into())),
            any::<bool>().prop_map(move |value| owned(value.into())),
            any::<i16>().prop_map(move |value| owned(value.into())),
            any::<u64>().prop_map(move |value| owned(value.into())),
            "[a-z]{0,9}".prop_map(move |value| owned(value.into())),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(move |value| owned(value.into())),
            prop::collection::vec("[a-z]{0,9}", 0..5).prop_map(move |value| owned(value.into())),
            (any::<u8>(), "[a-z]{0,9}", any::<u64>()).prop_map(move |value| owned(value.into())),
        ];
        leaf.prop_recursive(3, 16, 4, move |inner| {
            prop::collection::btree_map("[a-z]{1,9}", inner, 0..4)
                .prop_map(move |map| owned(map.into()))
        })
    }

    proptest! {
        #[test]
        fn every_value_is_skipped_to_its_end(
            first in value(),
            second in any::<i16>(),
            big in any::<bool>(),
        ) {
            let endian = if big { Endian::Big } else { Endian::Little };
            let properties = BTreeMap::from([
                ("First", Variant::from(first)),
                ("Second", Variant::from(second)),
            ]);
            let bytes = changed(endian, &properties);
            let (_, mut body) = message(&bytes, SIGNAL).unwrap();
            body.string().unwrap();
            let mut entries = body.array(8).unwrap();
            entries.align(8).unwrap();
            prop_assert_eq!(entries.string(), Some("First"));
            let signature = entries.signature().unwrap();
            entries.skip(signature).unwrap();
            entries.align(8).unwrap();
            prop_assert_eq!(entries.string(), Some("Second"));
            prop_assert_eq!(entries.signature(), Some(&b"n"[..]));
            prop_assert_eq!(entries.i16(), Some(second));
            prop_assert!(entries.is_empty());
        }

        /// Whatever the bytes are: no panic, and no endless loop.
        #[test]
        fn damage_is_no_harm(
            value in value(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
            end in any::<prop::sample::Index>(),
        ) {
            let mut bytes = changed(
                Endian::Little,
                &BTreeMap::from([("Value", Variant::from(value))]),
            );
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(end.index(bytes.len()) + 1);
            let _ = length(&bytes);
            let _ = with_argument(&bytes, "x");
            if let Some((_, mut body)) = message(&bytes, SIGNAL) {
                let _ = [b"s".as_slice(), b"a{sv}", b"as"].map(|one| body.skip(one));
            }
        }
    }
}
