//! Networks as programs write them, and which addresses are private or global.
//!
//! Must not know: whose address it is.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6(first: [u16; 4], last: u16, length: u8) -> Ipv6Net {
    let [a, b, c, d] = first;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, last), length)
}

/// What IANA's registry of special addresses does not route between networks.
const PRIVATE_V4: [Ipv4Net; 14] = [
    v4(0, 0, 0, 0, 8),
    v4(10, 0, 0, 0, 8),
    v4(127, 0, 0, 0, 8),
    v4(169, 254, 0, 0, 16),
    v4(172, 16, 0, 0, 12),
    v4(192, 0, 0, 0, 24),
    v4(192, 0, 0, 170, 31),
    v4(192, 0, 2, 0, 24),
    v4(192, 168, 0, 0, 16),
    v4(198, 18, 0, 0, 15),
    v4(198, 51, 100, 0, 24),
    v4(203, 0, 113, 0, 24),
    v4(240, 0, 0, 0, 4),
    v4(255, 255, 255, 255, 32),
];
/// Single parts of these that are routed.
const ROUTED_V4: [Ipv4Net; 2] = [v4(192, 0, 0, 9, 32), v4(192, 0, 0, 10, 32)];
/// Shared by the customers of a carrier: neither private nor global.
const SHARED_V4: Ipv4Net = v4(100, 64, 0, 0, 10);

const PRIVATE_V6: [Ipv6Net; 10] = [
    v6([0, 0, 0, 0], 1, 128),
    v6([0, 0, 0, 0], 0, 128),
    v6([0x64, 0xff9b, 1, 0], 0, 48),
    v6([0x100, 0, 0, 0], 0, 64),
    v6([0x2001, 0, 0, 0], 0, 23),
    v6([0x2001, 0xdb8, 0, 0], 0, 32),
    v6([0x2002, 0, 0, 0], 0, 16),
    v6([0x3fff, 0, 0, 0], 0, 20),
    v6([0xfc00, 0, 0, 0], 0, 7),
    v6([0xfe80, 0, 0, 0], 0, 10),
];
const ROUTED_V6: [Ipv6Net; 6] = [
    v6([0x2001, 1, 0, 0], 1, 128),
    v6([0x2001, 1, 0, 0], 2, 128),
    v6([0x2001, 3, 0, 0], 0, 32),
    v6([0x2001, 4, 0x112, 0], 0, 48),
    v6([0x2001, 0x20, 0, 0], 0, 28),
    v6([0x2001, 0x30, 0, 0], 0, 28),
];

/// Whether the address is not routed between networks. An address that maps an IPv4 one counts as that.
pub(super) fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(it) => {
            PRIVATE_V4.iter().any(|net| net.contains(&it)) && !ROUTED_V4.iter().any(|net| net.contains(&it))
        }
        IpAddr::V6(it) => {
            PRIVATE_V6.iter().any(|net| net.contains(&it)) && !ROUTED_V6.iter().any(|net| net.contains(&it))
        }
    }
}

/// Whether the address is routed everywhere.
pub(super) fn is_global(address: IpAddr) -> bool {
    let shared = matches!(address.to_canonical(), IpAddr::V4(it) if SHARED_V4.contains(&it));
    !shared && !is_private(address)
}

/// A network such as `10.0.0.0/8` or `10.0.0.0/255.0.0.0`; an address alone is one, and bits behind the prefix do not
/// matter.
pub(super) fn network(text: &str) -> Option<IpNet> {
    let text = text.trim();
    if let Ok(net) = text.parse::<IpNet>() {
        return Some(net);
    }
    match text.split_once('/') {
        None => text.parse::<IpAddr>().ok().map(IpNet::from),
        Some((address, mask)) => {
            let (address, mask): (IpAddr, IpAddr) = (address.parse().ok()?, mask.parse().ok()?);
            // A mask of the other family would be read as one that lets everything in.
            let same_family = address.is_ipv4() == mask.is_ipv4();
            IpNet::with_netmask(address, mask).ok().filter(|_| same_family)
        }
    }
}

/// Whether the address lies in the network. An address that maps an IPv4 one lies in networks of both families.
pub(super) fn is_in(address: IpAddr, network: &IpNet) -> bool {
    network.contains(&address) || network.contains(&address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_global_and_neither() {
        for (text, private, global) in [
            ("10.1.2.3", true, false),
            ("172.31.255.255", true, false),
            ("172.32.0.0", false, true),
            ("192.0.0.9", false, true),
            ("100.64.0.1", false, false),
            ("127.0.0.1", true, false),
            ("8.8.8.8", false, true),
            ("::1", true, false),
            ("fd00::1", true, false),
            ("fe80::1", true, false),
            ("2001:db8::1", true, false),
            ("2001:4:112::1", false, true),
            ("2606:4700::1", false, true),
            ("::ffff:10.0.0.1", true, false),
            ("::ffff:8.8.8.8", false, true),
            ("::ffff:100.64.0.1", false, false),
        ] {
            let address = text.parse().unwrap();
            assert_eq!((is_private(address), is_global(address)), (private, global), "{text}");
        }
    }

    #[test]
    fn networks_of_every_form() {
        let inside = |address: &str, net: &str| is_in(address.parse().unwrap(), &network(net).unwrap());
        assert!(inside("10.9.9.9", "10.1.2.3/8"));
        assert!(inside("10.9.9.9", "10.0.0.0/255.0.0.0"));
        assert!(inside("10.1.2.3", "10.1.2.3"));
        assert!(!inside("10.1.2.4", "10.1.2.3"));
        assert!(inside("2001:db8::7", "2001:db8::/32"));
        assert!(inside("::ffff:10.9.9.9", "10.0.0.0/8"));
        assert!(inside("::ffff:10.9.9.9", "::ffff:0:0/96"));
        assert!(!inside("::1", "0.0.0.0/0"));
        for text in ["", "foo", "10.0.0.0/33", "10.0.0.0/8/8", "10.0.0.0/255.0.255.0", "10.0.0.0/::"] {
            assert_eq!(network(text), None, "{text}");
        }
    }
}
