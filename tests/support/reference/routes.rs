//! Which route a request fits best, by looking at all of them.

use bindery::proto::v1;

/// A request to a gateway: host, path and method.
pub(crate) type Request<'a> = (&'a str, &'a str, &'a str);

/// The host as one text; `*` for any.
fn host_of(route: &v1::Route) -> String {
    let host = route.host.to_lowercase();
    match host.strip_prefix('[') {
        Some(rest) => format!("[{}]", rest.trim_end_matches(']').parse::<std::net::Ipv6Addr>().unwrap()),
        None if host.is_empty() => "*".to_owned(),
        None => host,
    }
}

/// With escapes in capital letters.
fn prefix_of(route: &v1::Route) -> String {
    let mut parts = route.path_prefix.trim_matches('/').split('%');
    let mut prefix = format!("/{}", parts.next().unwrap());
    for part in parts {
        prefix += &format!("%{}{}", part[..2].to_uppercase(), &part[2..]);
    }
    prefix
}

/// The id that a route has, or gets.
pub(crate) fn id_of(route: &v1::Route) -> String {
    if !route.id.is_empty() {
        return route.id.clone();
    }
    let mut methods = route.methods.clone();
    methods.sort();
    methods.dedup();
    let methods = if methods.is_empty() { String::new() } else { format!("#{}", methods.join(",")) };
    format!("{}{}{methods}", host_of(route), prefix_of(route))
}

/// A segment without its escapes.
fn plain(segment: &str) -> Vec<u8> {
    let (mut bytes, mut plain) = (segment.as_bytes(), Vec::new());
    while let Some((first, rest)) = bytes.split_first() {
        let digits = rest.get(..2).and_then(|it| std::str::from_utf8(it).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if *first == b'%' => {
                plain.push(byte);
                bytes = &rest[2..];
            }
            _ => {
                plain.push(*first);
                bytes = rest;
            }
        }
    }
    plain
}

fn segments(path: &str) -> Vec<Vec<u8>> {
    if path == "/" { Vec::new() } else { path[1..].split('/').map(plain).collect() }
}

/// How well a request fits a route: more is better. Nothing: not at all.
pub(crate) fn fit(route: &v1::Route, (host, path, method): Request<'_>) -> Option<(usize, usize, bool)> {
    let of_host = match host_of(route).as_str() {
        "*" => 0,
        pattern if pattern.starts_with("*.") => host.ends_with(&pattern[1..]).then_some(pattern.len())?,
        exact => {
            let same = match (exact.strip_prefix('['), host.strip_prefix('[')) {
                (Some(a), Some(b)) => {
                    let address = |text: &str| text.trim_end_matches(']').parse::<std::net::Ipv6Addr>().ok();
                    address(a) == address(b)
                }
                _ => exact == host,
            };
            same.then_some(usize::MAX)?
        }
    };
    let prefix = segments(&prefix_of(route));
    let fits = path.starts_with('/') && segments(path).starts_with(&prefix);
    let has_methods = !route.methods.is_empty();
    let fits = fits && (!has_methods || route.methods.iter().any(|it| it == method));
    fits.then_some((of_host, prefix.len(), has_methods))
}

/// The best route; two that are equally good are a mistake of the test.
pub(crate) fn best<'a>(
    routes: impl Iterator<Item = &'a v1::Route>,
    request: Request<'_>,
) -> Option<&'a v1::Route> {
    let mut best: Option<(&v1::Route, _)> = None;
    for route in routes {
        let Some(fit) = fit(route, request) else { continue };
        match best {
            Some((other, fit_of_other)) => {
                assert_ne!(fit, fit_of_other, "{other:?} and {route:?} for {request:?}");
                if fit > fit_of_other {
                    best = Some((route, fit));
                }
            }
            None => best = Some((route, fit)),
        }
    }
    best.map(|(route, _)| route)
}
