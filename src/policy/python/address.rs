//! Networks as Python's `ipaddress` reads them, and what it counts as private.
//!
//! Must not know: who asks.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network, or an address as a network of one; bits of the host may be set. Nothing for what is neither.
pub fn network(text: &str) -> Option<IpNet> {
    match text.split_once('/') {
        None => text.parse::<IpAddr>().ok().map(IpNet::from),
        Some((start, mask)) => with_mask(start, mask),
    }
}

fn with_mask(start: &str, mask: &str) -> Option<IpNet> {
    if let Ok(prefix) = mask.parse::<u8>() {
        return IpNet::new(start.parse().ok()?, prefix).ok();
    }
    let (start, mask): (IpAddr, IpAddr) = (start.parse().ok()?, mask.parse().ok()?);
    // A mask of the other family would be read as one that takes in everything.
    (start.is_ipv4() == mask.is_ipv4()).then(|| IpNet::with_netmask(start, mask).ok()).flatten()
}

/// Whether it is of a private network, after the special-purpose registries of IANA.
pub fn is_private(address: IpAddr) -> bool {
    PRIVATE.iter().any(|net| net.contains(&address))
}

/// Whether it is reachable from everywhere.
pub fn is_global(address: IpAddr) -> bool {
    !is_private(address) && !SHARED.contains(&address)
}

/// Whether it is only good on its own link.
pub fn is_link_local(address: IpAddr) -> bool {
    LINK_LOCAL.iter().any(|net| net.contains(&address))
}

/// Whether it is reserved by the IETF.
pub fn is_reserved(address: IpAddr) -> bool {
    RESERVED.iter().any(|net| net.contains(&address))
}

const fn four(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix))
}

const fn six(segments: [u16; 8], prefix: u8) -> IpNet {
    let [a, b, c, d, e, f, g, h] = segments;
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix))
}

/// What Python counts as private, after the special-purpose registries of IANA.
const PRIVATE: &[IpNet] = &[
    four(0, 0, 0, 0, 8),
    four(10, 0, 0, 0, 8),
    four(127, 0, 0, 0, 8),
    four(169, 254, 0, 0, 16),
    four(172, 16, 0, 0, 12),
    four(192, 0, 0, 0, 29),
    four(192, 0, 0, 170, 31),
    four(192, 0, 2, 0, 24),
    four(192, 168, 0, 0, 16),
    four(198, 18, 0, 0, 15),
    four(198, 51, 100, 0, 24),
    four(203, 0, 113, 0, 24),
    four(240, 0, 0, 0, 4),
    six([0, 0, 0, 0, 0, 0, 0, 0], 127),
    six([0, 0, 0, 0, 0, 0xffff, 0, 0], 96),
    six([0x100, 0, 0, 0, 0, 0, 0, 0], 64),
    six([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
    six([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
    six([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),
    six([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
];
/// Shared by the customers of a provider: neither private nor global.
const SHARED: IpNet = four(100, 64, 0, 0, 10);
const LINK_LOCAL: &[IpNet] = &[four(169, 254, 0, 0, 16), six([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10)];
const RESERVED: &[IpNet] = &[
    four(240, 0, 0, 0, 4),
    six([0, 0, 0, 0, 0, 0, 0, 0], 8),
    six([0x100, 0, 0, 0, 0, 0, 0, 0], 8),
    six([0x200, 0, 0, 0, 0, 0, 0, 0], 7),
    six([0x400, 0, 0, 0, 0, 0, 0, 0], 6),
    six([0x800, 0, 0, 0, 0, 0, 0, 0], 5),
    six([0x1000, 0, 0, 0, 0, 0, 0, 0], 4),
    six([0x4000, 0, 0, 0, 0, 0, 0, 0], 3),
    six([0x6000, 0, 0, 0, 0, 0, 0, 0], 3),
    six([0x8000, 0, 0, 0, 0, 0, 0, 0], 3),
    six([0xa000, 0, 0, 0, 0, 0, 0, 0], 3),
    six([0xc000, 0, 0, 0, 0, 0, 0, 0], 3),
    six([0xe000, 0, 0, 0, 0, 0, 0, 0], 4),
    six([0xf000, 0, 0, 0, 0, 0, 0, 0], 5),
    six([0xf800, 0, 0, 0, 0, 0, 0, 0], 6),
    six([0xfe00, 0, 0, 0, 0, 0, 0, 0], 9),
];
