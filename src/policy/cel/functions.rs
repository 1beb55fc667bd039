//! What the functions do.
//!
//! Must not know: which arguments are allowed at the door; what comes here is checked again, since data has no types
//! before it is there.

use super::calendar::{self, Part, Zone};
use super::eval::{Run, cut, fault};
use super::fault::{Fault, What};
use super::meter::Spent;
use super::names::{Field, Kind};
use super::node::{Function, Node, Op};
use super::value::{Text, Val, whole};
use ipnet::IpNet;
use std::net::IpAddr;

/// The longest text that is read as a number, an address or a network.
const MAX_READ: usize = 64;

/// What reading or writing a number, an address or a moment costs on top, in steps: it takes several times as long as
/// an operation that only looks at values.
const CONVERSION: usize = 4;

type Result<T> = std::result::Result<T, Box<Fault>>;

/// The value of a node that is a call.
pub(super) fn call<'a>(run: &mut Run<'a>, node: &'a Node) -> Result<Val<'a>> {
    let spent = |spent: Spent| fault(node, What::Spent(spent));
    match &node.op {
        Op::Call(function, arguments) => match &**arguments {
            [one] => {
                let one = run.value(one)?;
                unary(run, node, *function, one)
            }
            [one, two] => {
                let one = run.value(one)?;
                let two = run.value(two)?;
                binary(run, node, *function, &one, &two)
            }
            _ => Ok(Val::Null),
        },
        Op::Matches(operand, pattern) => {
            let operand = run.value(operand)?;
            let text = text(node, "matches", &operand)?;
            run.meter.steps(pattern.cost(text.len())).map_err(spent)?;
            Ok(Val::Bool(pattern.is_in(text)))
        }
        Op::InNetwork(operand, network) => {
            // The client's own address need not become text first.
            let client = match operand.op {
                Op::Field(Field::RequestClientIp) => run.scene.client_ip(),
                _ => None,
            };
            let address = match client {
                Some(client) => client,
                None => {
                    run.meter.steps(CONVERSION).map_err(spent)?;
                    address(node, &run.value(operand)?)?
                }
            };
            Ok(Val::Bool(network.contains(&address)))
        }
        Op::Calendar(part, operand, zone) => calendar_part(run, node, *part, operand, *zone),
        _ => Ok(Val::Null),
    }
}

fn calendar_part<'a>(
    run: &mut Run<'a>,
    node: &'a Node,
    part: Part,
    operand: &'a Node,
    zone: Zone,
) -> Result<Val<'a>> {
    // Finding the hour in a time zone looks through its table of changes.
    run.meter.steps(CONVERSION).map_err(|spent| fault(node, What::Spent(spent)))?;
    match run.value(operand)? {
        Val::Timestamp(moment) => Ok(Val::Int(part.of_moment(moment, zone))),
        Val::Duration(span) if part.kinds().contains(&Kind::Duration) => Ok(Val::Int(part.of_span(span))),
        other => {
            let name = Part::ALL.iter().find(|(_, one)| *one == part).map_or("", |(name, _)| name);
            Err(fault(node, What::Argument(name, "a timestamp", other.kind())))
        }
    }
}

fn unary<'a>(run: &Run<'a>, node: &Node, function: Function, value: Val<'a>) -> Result<Val<'a>> {
    let spent = |spent: Spent| fault(node, What::Spent(spent));
    let wrong = |name, wanted| Err(fault(node, What::Argument(name, wanted, value.kind())));
    let unreadable = |text: &str, wanted| fault(node, What::Unreadable(cut(text), wanted));
    let converts = matches!(
        function,
        Function::Int | Function::Double | Function::String | Function::Timestamp | Function::Duration
    );
    if converts {
        run.meter.steps(CONVERSION).map_err(spent)?;
    }
    match function {
        Function::Size => Ok(Val::Int(match &value {
            Val::String(text) => {
                run.meter.look(text.as_str().len()).map_err(spent)?;
                length(text.as_str().chars().count())
            }
            Val::List(list) => length(list.len()),
            Val::Map(map) => length(map.len()),
            _ => return wrong("size", "text, a list or a map"),
        })),
        Function::LowerAscii | Function::UpperAscii => {
            let name = if function == Function::LowerAscii { "lowerAscii" } else { "upperAscii" };
            let text = text(node, name, &value)?;
            run.meter.make(text.len()).map_err(spent)?;
            let text = match function {
                Function::LowerAscii => text.to_ascii_lowercase(),
                _ => text.to_ascii_uppercase(),
            };
            Ok(Val::String(Text::Made(text.into())))
        }
        Function::Int => match &value {
            Val::Int(_) => Ok(value),
            Val::Double(number) => {
                whole(number.trunc()).map(Val::Int).ok_or_else(|| fault(node, What::Overflow("int")))
            }
            Val::String(text) => {
                let number = short(text.as_str()).and_then(|text| text.parse().ok());
                number.map(Val::Int).ok_or_else(|| unreadable(text.as_str(), "a whole number"))
            }
            Val::Timestamp(moment) => Ok(Val::Int(moment.timestamp())),
            _ => wrong("int", "a number, text or a timestamp"),
        },
        Function::Double => match &value {
            Val::Double(_) => Ok(value),
            Val::Int(number) => Ok(Val::Double(*number as f64)),
            Val::String(text) => {
                let number = short(text.as_str()).and_then(|text| text.parse().ok());
                number.map(Val::Double).ok_or_else(|| unreadable(text.as_str(), "a number"))
            }
            _ => wrong("double", "a number or text"),
        },
        Function::String => match &value {
            Val::String(_) => Ok(value),
            Val::Bool(truth) => Ok(Val::given(if *truth { "true" } else { "false" })),
            Val::Int(number) => Val::made(&number.to_string(), run.meter).map_err(spent),
            Val::Double(number) => Val::made(&number.to_string(), run.meter).map_err(spent),
            Val::Timestamp(moment) => Val::made(&calendar::write_moment(*moment), run.meter).map_err(spent),
            Val::Duration(span) => Val::made(&calendar::write_span(*span), run.meter).map_err(spent),
            _ => wrong("string", "a number, a truth value, a timestamp or a duration"),
        },
        Function::Timestamp => match &value {
            Val::Timestamp(_) => Ok(value),
            Val::String(text) => calendar::read_moment(text.as_str())
                .map(Val::Timestamp)
                .ok_or_else(|| unreadable(text.as_str(), TIMESTAMP)),
            _ => wrong("timestamp", "text"),
        },
        Function::Duration => match &value {
            Val::Duration(_) => Ok(value),
            Val::String(text) => calendar::read_span(text.as_str())
                .map(Val::Duration)
                .ok_or_else(|| unreadable(text.as_str(), DURATION)),
            _ => wrong("duration", "text"),
        },
        _ => Ok(value),
    }
}

/// What a timestamp looks like.
pub(super) const TIMESTAMP: &str = "a timestamp; write it as in `2026-05-29T08:00:00Z`";
/// What a duration looks like.
pub(super) const DURATION: &str = "a duration; write it as in `1h30m` or `90s`";
/// What an address looks like.
const ADDRESS: &str = "an address; write it as in `192.0.2.7` or `2001:db8::7`";
/// What a network looks like.
pub(super) const NETWORK: &str = "a network; write it as in `10.0.0.0/8` or `2001:db8::/32`";

fn binary<'a>(
    run: &Run<'a>,
    node: &Node,
    function: Function,
    one: &Val<'a>,
    two: &Val<'a>,
) -> Result<Val<'a>> {
    if function == Function::InNetwork {
        run.meter.steps(2 * CONVERSION).map_err(|spent| fault(node, What::Spent(spent)))?;
        let address = address(node, one)?;
        let text = text(node, "in_network", two)?;
        let network = read_network(text).ok_or_else(|| fault(node, What::Unreadable(cut(text), NETWORK)))?;
        return Ok(Val::Bool(network.contains(&address)));
    }
    let (name, found): (_, fn(&str, &str) -> bool) = match function {
        Function::StartsWith => ("startsWith", |whole, part| whole.starts_with(part)),
        Function::EndsWith => ("endsWith", |whole, part| whole.ends_with(part)),
        _ => ("contains", |whole, part| whole.contains(part)),
    };
    let (whole, part) = (text(node, name, one)?, text(node, name, two)?);
    // Searching looks at the whole text, the others only at as much as the part has.
    let looked = if function == Function::Contains { whole.len() + part.len() } else { part.len() };
    run.meter.look(looked).map_err(|spent| fault(node, What::Spent(spent)))?;
    Ok(Val::Bool(found(whole, part)))
}

/// Reads a network; an address alone is the network of itself.
pub(super) fn read_network(text: &str) -> Option<IpNet> {
    let text = short(text)?;
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

fn address(node: &Node, value: &Val<'_>) -> Result<IpAddr> {
    let text = text(node, "in_network", value)?;
    let address = short(text).and_then(|text| text.parse::<IpAddr>().ok());
    // An IPv4 address may come in the clothes of an IPv6 one.
    let address = address.map(|address| address.to_canonical());
    address.ok_or_else(|| fault(node, What::Unreadable(cut(text), ADDRESS)))
}

fn text<'v>(node: &Node, name: &'static str, value: &'v Val<'_>) -> Result<&'v str> {
    match value {
        Val::String(text) => Ok(text.as_str()),
        other => Err(fault(node, What::Argument(name, "text", other.kind()))),
    }
}

fn short(text: &str) -> Option<&str> {
    (text.len() <= MAX_READ).then_some(text)
}

fn length(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
