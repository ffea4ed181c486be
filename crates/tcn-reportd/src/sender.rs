//! The sender of an upload: the peer, or the client that a trusted proxy names.
//!
//! A proxy names its client in `X-Forwarded-For`, as nginx, AWS and Azure write it, or
//! in `Forwarded` (RFC 7239). Each proxy adds to the right. So both headers are read
//! from the right, and the first address that is not a trusted proxy counts. Anything
//! to the left of it may be forged.
//!
//! | written | read as |
//! |---|---|
//! | `192.0.2.1`, `192.0.2.1:4711` | 192.0.2.1 |
//! | `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:443` | 2001:db8::1 |
//! | `for=192.0.2.1;proto=https`, `For="[2001:db8::1]:443"` | the same |
//! | `unknown`, `_hidden`, anything else | a sender of that name |
//!
//! A name that is not an address has a count of its own: it is charged neither to the
//! proxy nor to a sender whose header is valid.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// An address, or a network by its prefix: `192.0.2.1`, `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network(IpNet);

impl Network {
    /// Whether the network contains an address.
    pub fn contains(self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

/// Neither an address nor a network. The error does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotANetwork;

impl fmt::Display for NotANetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no address and no network; give one such as 192.0.2.1, 10.0.0.0/8 or fd00::/8")
    }
}

impl std::error::Error for NotANetwork {}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let network = text
            .parse()
            .or_else(|_| text.parse::<IpAddr>().map(|one| one.to_canonical().into()));
        network.map(Self).map_err(|_text| NotANetwork)
    }
}

impl TryFrom<String> for Network {
    type Error = NotANetwork;

    fn try_from(text: String) -> Result<Self, NotANetwork> {
        text.parse()
    }
}

/// Which header the proxies write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyHeader {
    /// `X-Forwarded-For` if the request has it, else `Forwarded`.
    #[default]
    Auto,
    /// `X-Forwarded-For` alone.
    XForwardedFor,
    /// `Forwarded` alone.
    Forwarded,
}

/// The sender of an upload.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(test, derive(Debug))]
pub(super) enum Sender {
    /// By address, canonical.
    Address(IpAddr),
    /// By the name a proxy gives the sender; SHA-256, truncated.
    Named([u8; 16]),
}

impl Sender {
    fn named(name: &[u8]) -> Self {
        let digest = Sha256::digest(name.to_ascii_lowercase());
        let mut short = [0; 16];
        short.copy_from_slice(&digest[..16]);
        Self::Named(short)
    }

    /// The sender's household, which counts as one: an IPv4 address or an IPv6 network
    /// of 64 bits.
    pub(super) fn household(self) -> Self {
        self.network(64)
    }

    /// The largest network of one customer of a provider: an IPv6 network of 48 bits
    /// (RFC 6177, 2). `None` where that is the household itself.
    pub(super) fn site(self) -> Option<Self> {
        matches!(self, Self::Address(IpAddr::V6(_))).then(|| self.network(48))
    }

    fn network(self, bits: u32) -> Self {
        match self {
            Self::Address(IpAddr::V6(v6)) => {
                let kept = v6.to_bits() >> (128 - bits) << (128 - bits);
                Self::Address(Ipv6Addr::from_bits(kept).into())
            }
            Self::Address(IpAddr::V4(_)) | Self::Named(_) => self,
        }
    }
}

/// The trusted proxies before the server.
#[derive(Clone, Debug, Default)]
pub(super) struct Proxies {
    networks: Vec<Network>,
    header: ProxyHeader,
}

impl Proxies {
    /// The proxies in these networks, which write this header.
    pub(super) fn new(networks: &[Network], header: ProxyHeader) -> Self {
        let networks = networks.to_vec();
        Self { networks, header }
    }

    /// Whether an address is one of the proxies.
    pub(super) fn include(&self, address: IpAddr) -> bool {
        self.networks
            .iter()
            .any(|network| network.contains(address))
    }

    /// The sender of a request with these headers over a connection with this peer.
    pub(super) fn sender(&self, peer: IpAddr, headers: &HeaderMap) -> Sender {
        let peer = peer.to_canonical();
        if !self.include(peer) {
            return Sender::Address(peer);
        }
        let legacy = HeaderName::from_static("x-forwarded-for");
        let is_legacy = match self.header {
            ProxyHeader::Auto => headers.contains_key(&legacy),
            ProxyHeader::XForwardedFor => true,
            ProxyHeader::Forwarded => false,
        };
        let name = if is_legacy {
            legacy
        } else {
            axum::http::header::FORWARDED
        };
        let mut outermost = peer;
        for line in headers.get_all(name).iter().rev() {
            let mut rest = Some(line.as_bytes());
            while let Some(list) = rest {
                let (before, element) = last_element(list, b',', !is_legacy);
                rest = before;
                let node = if is_legacy {
                    Node::of(element)
                } else {
                    Node::of_forwarded(element)
                };
                match node {
                    Node::Nothing => {}
                    Node::Address(address) if self.include(address) => outermost = address,
                    Node::Address(address) => return Sender::Address(address),
                    Node::Name(name) => return Sender::named(&name),
                }
            }
        }
        Sender::Address(outermost)
    }
}

/// One hop, as a proxy wrote it.
enum Node {
    /// An empty element (RFC 9110, 5.6.1).
    Nothing,
    Address(IpAddr),
    Name(Vec<u8>),
}

impl Node {
    fn of(element: &[u8]) -> Self {
        let element = element.trim_ascii();
        if element.is_empty() {
            return Self::Nothing;
        }
        let address = std::str::from_utf8(element).ok().and_then(address);
        address.map_or_else(|| Self::Name(name(element).to_vec()), Self::Address)
    }

    /// An element of `Forwarded`: pairs, one of which names the client.
    fn of_forwarded(element: &[u8]) -> Self {
        let mut rest = Some(element);
        while let Some(pairs) = rest {
            let (before, pair) = last_element(pairs, b';', true);
            rest = before;
            let pair = pair.trim_ascii();
            let sign = pair.iter().position(|byte| *byte == b'=');
            if let Some((key, value)) = sign.map(|at| (&pair[..at], &pair[at + 1..]))
                && key.trim_ascii().eq_ignore_ascii_case(b"for")
                && let node @ (Self::Address(_) | Self::Name(_)) = Self::of(&unquoted(value))
            {
                return node;
            }
        }
        // A proxy that names no client stands for all clients it serves.
        match element.trim_ascii() {
            [] => Self::Nothing,
            element => Self::Name(element.to_vec()),
        }
    }
}

/// The last element of a list, and the part before it. With `quotes`, a separator in
/// quotes does not count. Quotes are counted from the right, so that an open quote on
/// the left hides nothing that was added later.
fn last_element(list: &[u8], separator: u8, quotes: bool) -> (Option<&[u8]>, &[u8]) {
    let mut inside = false;
    for (at, byte) in list.iter().enumerate().rev() {
        if *byte == b'"' && quotes {
            inside = !inside;
        } else if *byte == separator && !inside {
            return (Some(&list[..at]), &list[at + 1..]);
        }
    }
    (None, list)
}

/// The content of a quoted string, or the token itself.
fn unquoted(value: &[u8]) -> Vec<u8> {
    let value = value.trim_ascii();
    let inner = value
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""));
    match inner {
        Some(inner) => inner
            .iter()
            .copied()
            .filter(|byte| *byte != b'\\')
            .collect(),
        None => value.to_vec(),
    }
}

/// An address, with or without brackets, port and zone.
fn address(text: &str) -> Option<IpAddr> {
    if let Some(rest) = text.strip_prefix('[') {
        let (inside, after) = rest.split_once(']')?;
        let is_sound = after.is_empty() || after.strip_prefix(':').is_some_and(is_port);
        return plain(inside).filter(|_| is_sound);
    }
    plain(text).or_else(|| {
        let (host, port) = text.rsplit_once(':')?;
        plain(host).filter(|_| is_port(port))
    })
}

fn plain(text: &str) -> Option<IpAddr> {
    let without_zone = text.split('%').next().unwrap_or(text);
    let address: IpAddr = without_zone.parse().ok()?;
    Some(address.to_canonical())
}

/// A port in digits, or obfuscated (RFC 7239, 6.3).
fn is_port(text: &str) -> bool {
    text.starts_with('_') || text.parse::<u16>().is_ok()
}

/// A name without its port: the port differs by connection.
fn name(element: &[u8]) -> &[u8] {
    match element.iter().rposition(|byte| *byte == b':') {
        Some(at) if std::str::from_utf8(&element[at + 1..]).is_ok_and(is_port) => &element[..at],
        _ => element,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn proxies(header: ProxyHeader) -> Proxies {
        let networks = ["10.0.0.0/8", "127.0.0.1", "fd00::/8"].map(|text| text.parse().unwrap());
        Proxies::new(&networks, header)
    }

    fn request(header: ProxyHeader, peer: &str, lines: &[(&str, &[u8])]) -> Sender {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, axum::http::HeaderValue::from_bytes(value).unwrap());
        }
        proxies(header).sender(ip(peer), &headers)
    }

    fn legacy(value: &str) -> Sender {
        let lines = [("x-forwarded-for", value.as_bytes())];
        request(ProxyHeader::Auto, "127.0.0.1", &lines)
    }

    fn forwarded(value: &str) -> Sender {
        let lines = [("forwarded", value.as_bytes())];
        request(ProxyHeader::Auto, "127.0.0.1", &lines)
    }

    #[test]
    fn addresses_are_read_as_proxies_write_them() {
        for (written, read) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1:4711", "192.0.2.1"),
            (" \t192.0.2.1 ", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("[2001:db8::1]:_port", "2001:db8::1"),
            ("2001:db8:1:2:3:4:5:6:443", "2001:db8:1:2:3:4:5:6"),
            ("fe80::1%eth0", "fe80::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("unknown, 192.0.2.7", "192.0.2.7"),
            (
                "192.0.2.9, 192.0.2.7:80, 10.1.2.3:99, [fd00::1]",
                "192.0.2.7",
            ),
            ("192.0.2.7, , ,", "192.0.2.7"),
            ("\"192.0.2.9, 192.0.2.7", "192.0.2.7"),
        ] {
            assert_eq!(legacy(written), Sender::Address(ip(read)), "{written}");
        }
    }

    #[test]
    fn forwarded_is_read_by_its_grammar() {
        for (written, read) in [
            ("for=192.0.2.1", "192.0.2.1"),
            ("For=\"192.0.2.1:4711\";proto=https;by=_me", "192.0.2.1"),
            ("proto=http; FOR = \"[2001:db8::1]:443\"", "2001:db8::1"),
            ("for=\"[2001:db8::1]\"", "2001:db8::1"),
            ("for=\"\\1\\92.0.2.1\"", "192.0.2.1"),
            ("for=192.0.2.9, for=192.0.2.7;by=\"a,b;c\"", "192.0.2.7"),
            (
                "for=192.0.2.7, for=10.0.0.1, for=\"[fd00::1]:1\"",
                "192.0.2.7",
            ),
            // An open quote hides nothing that a proxy adds.
            ("for=\"_x, for=192.0.2.7", "192.0.2.7"),
            ("for=\"192.0.2.9\\\", for=192.0.2.7", "192.0.2.7"),
        ] {
            assert_eq!(forwarded(written), Sender::Address(ip(read)), "{written}");
        }
    }

    #[test]
    fn what_is_no_address_counts_for_itself_alone() {
        let names = [
            "unknown",
            "_a",
            "_b",
            "1.2.3",
            "[::1",
            "1.2.3.4:99999",
            "300.1.1.1",
        ];
        let mut seen = std::collections::BTreeSet::from([Sender::Address(ip("127.0.0.1"))]);
        for name in names {
            assert!(seen.insert(legacy(name)), "{name}");
            assert_eq!(
                legacy(&format!("192.0.2.1, {name}")),
                legacy(name),
                "{name}"
            );
            assert_eq!(
                forwarded(&format!("for=\"{name}\"")),
                legacy(name),
                "{name}"
            );
        }
        assert_eq!(legacy("_a:1"), legacy("_A:2"));
        assert!(seen.insert(forwarded("for=192.0.2.1, proto=https")));
        let bytes = [("x-forwarded-for", &b"\xff\xfe"[..])];
        assert!(seen.insert(request(ProxyHeader::Auto, "127.0.0.1", &bytes)));
        // Bytes from the client must not hide what the proxy adds to them.
        let bytes = [("x-forwarded-for", &b"\xff, 192.0.2.7"[..])];
        let sender = request(ProxyHeader::Auto, "127.0.0.1", &bytes);
        assert_eq!(sender, Sender::Address(ip("192.0.2.7")));
    }

    #[test]
    fn only_what_a_proxy_of_ours_wrote_is_believed() {
        let line = |name: &'static str, value: &'static str| (name, value.as_bytes());
        let both = [
            line("forwarded", "for=192.0.2.1"),
            line("x-forwarded-for", "192.0.2.2"),
        ];
        let read = |header, peer: &str| request(header, peer, &both);
        let address = |text: &str| Sender::Address(ip(text));
        assert_eq!(read(ProxyHeader::Auto, "192.0.2.9"), address("192.0.2.9"));
        assert_eq!(read(ProxyHeader::Auto, "10.9.9.9"), address("192.0.2.2"));
        assert_eq!(
            read(ProxyHeader::XForwardedFor, "10.9.9.9"),
            address("192.0.2.2")
        );
        assert_eq!(
            read(ProxyHeader::Forwarded, "::ffff:10.9.9.9"),
            address("192.0.2.1")
        );
        let two = [
            line("x-forwarded-for", "192.0.2.3"),
            line("x-forwarded-for", "192.0.2.4, 10.0.0.1"),
        ];
        assert_eq!(
            request(ProxyHeader::Auto, "127.0.0.1", &two),
            address("192.0.2.4")
        );
        assert_eq!(legacy("10.0.0.7, 10.0.0.1"), address("10.0.0.7"));
        assert_eq!(legacy(""), address("127.0.0.1"));
    }

    #[test]
    fn a_household_and_a_site_are_one_each() {
        let of = |text: &str| Sender::Address(ip(text));
        let (first, second) = (of("2001:db8::1"), of("2001:db8::2:0:0:9"));
        assert_eq!(first.household(), second.household());
        let next = of("2001:db8:0:1::1");
        assert_ne!(first.household(), next.household());
        assert_eq!(first.site(), next.site());
        assert_ne!(first.site(), of("2001:db8:1::1").site());
        assert_eq!(of("192.0.2.1").household(), of("192.0.2.1"));
        assert_eq!(of("192.0.2.1").site(), None);
    }

    #[test]
    fn a_network_is_an_address_or_a_prefix() {
        let network: Network = "10.0.0.0/8".parse().unwrap();
        assert!(network.contains(ip("10.255.0.1")) && !network.contains(ip("11.0.0.1")));
        assert!(network.contains(ip("::ffff:10.0.0.1")));
        for text in ["", "10.0.0.0/33", "proxy.example.org", "10.0.0.1:80"] {
            assert_eq!(text.parse::<Network>(), Err(NotANetwork), "{text}");
        }
    }
}
