//! The GeoIP policy: passes by autonomous system or country, and by the distance to former sign-ins.
//!
//! Must not know: GeoIP databases; what is known of an address comes with the context or from the world.

use super::{CompileError, Input, Verdict, World};
use crate::model::{self, Login, Timestamp, Value};
use geographiclib_rs::{Geodesic, InverseGeodesic};
use std::borrow::Cow;
use std::net::IpAddr;

const NO_ASN: &str = "GeoIP: client IP not found in ASN database.";
const NO_CITY: &str = "GeoIP: client IP address not found in City database.";

/// How far somebody can travel in an hour, km. A part of an hour counts as a whole one only when it is the first.
const TRAVEL_PER_HOUR: f64 = 1_000.0;
const HOUR: i64 = 60 * 60;

#[derive(Debug)]
pub(super) struct Geoip {
    config: model::Geoip,
    /// Only there when distances are asked for.
    earth: Option<Box<Earth>>,
}

#[derive(Debug)]
struct Earth(Geodesic);

/// Degrees of latitude and longitude.
type Place = (f64, f64);

impl Geoip {
    pub(super) fn new(config: &model::Geoip) -> Result<Self, CompileError> {
        if config.asns.contains(&0) {
            let message = "0 is no autonomous system; remove it".to_owned();
            return Err(CompileError { field: "geoip.asns", message });
        }
        let distances = config.check_history_distance || config.check_impossible_travel;
        Ok(Self { config: config.clone(), earth: distances.then(|| Box::new(Earth::new())) })
    }

    pub(super) fn evaluate(&self, input: &Input<'_>) -> Verdict {
        self.judge(input).unwrap_or_else(Verdict::error)
    }

    fn judge(&self, input: &Input<'_>) -> Result<Verdict, Box<str>> {
        let config = &self.config;
        let mut verdict = Verdict::of(config.asns.is_empty() && config.countries.is_empty());
        if !config.asns.is_empty() {
            if self.is_in_system(input)? {
                verdict.result = Ok(true);
            } else {
                verdict = verdict.with_message("Client IP is not part of an allowed autonomous system.");
            }
        }
        let needs_city = !config.countries.is_empty() || self.earth.is_some();
        let city =
            if needs_city { known(input, "geoip", |world, address| world.city(address))? } else { None };
        if !config.countries.is_empty() {
            if self.is_in_country(city.as_deref())? {
                verdict.result = Ok(true);
            } else {
                verdict = verdict.with_message("Client IP is not in an allowed country.");
            }
        }
        let Some(earth) = &self.earth else { return Ok(verdict) };
        match self.compare_logins(earth, input, city.as_deref())? {
            Near::Yes => Ok(verdict),
            Near::No { message, until } => {
                verdict.result = Ok(false);
                verdict.messages.extend(message.map(Box::from));
                Ok(verdict.until(until))
            }
        }
    }

    fn is_in_system(&self, input: &Input<'_>) -> Result<bool, Box<str>> {
        let asn = known(input, "asn", |world, address| world.asn(address))?;
        match asn.as_deref().and_then(|asn| asn.get("asn")) {
            Some(number) if number.is_truthy() => {
                let is = |asn: &u32| *number == Value::Number(f64::from(*asn));
                Ok(self.config.asns.iter().any(is))
            }
            _ => Err(NO_ASN.into()),
        }
    }

    fn is_in_country(&self, city: Option<&Value>) -> Result<bool, Box<str>> {
        match city.and_then(|city| city.get("country")) {
            Some(country) if country.is_truthy() => {
                Ok(self.config.countries.iter().any(|allowed| country.as_str() == Some(allowed)))
            }
            _ => Err(NO_CITY.into()),
        }
    }

    fn compare_logins(
        &self,
        earth: &Earth,
        input: &Input<'_>,
        city: Option<&Value>,
    ) -> Result<Near, Box<str>> {
        let config = &self.config;
        let no = |message| Near::No { message, until: None };
        let Some(city) = city else { return Ok(no(None)) };
        let logins = logins(input, config.history_login_count as usize)?;
        if logins.is_empty() {
            return Ok(Near::Yes);
        }
        let here = place(city)?;
        let tolerance = f64::from(config.distance_tolerance_km);
        let mut any_place = false;
        for login in logins.iter() {
            let Some(there) = login.place else { continue };
            any_place = true;
            let km = earth.kilometres(here, there)?;
            if config.check_history_distance && km >= config.history_max_distance_km as f64 + tolerance {
                return Ok(no(Some("Distance from previous authentication is larger than threshold.")));
            }
            if config.check_impossible_travel {
                let hours = input.context.now.nanoseconds_since(login.time) / (HOUR * 1_000_000_000);
                if km >= TRAVEL_PER_HOUR * hours.max(1) as f64 + tolerance {
                    // The first full hour after which it can have been travelled.
                    let hours = ((km - tolerance) / TRAVEL_PER_HOUR).floor() as i64 + 1;
                    let until = Some(login.time.plus_seconds(hours.saturating_mul(HOUR)));
                    return Ok(Near::No { message: Some("Distance is further than possible."), until });
                }
            }
        }
        // Sign-ins that tell no place are no proof of being near.
        Ok(if any_place { Near::Yes } else { no(None) })
    }
}

/// Whether the client is near enough to the former sign-ins.
enum Near {
    Yes,
    No {
        message: Option<&'static str>,
        /// From when on it can be otherwise.
        until: Option<Timestamp>,
    },
}

/// What is known of the client's address: what the context says, else what the world does.
fn known<'a>(
    input: &Input<'a>,
    key: &str,
    look_up: impl Fn(&dyn World, IpAddr) -> Option<Value>,
) -> Result<Option<Cow<'a, Value>>, Box<str>> {
    match input.context.values.get(key) {
        None | Some(Value::Null) => {
            Ok(input.context.client_ip.and_then(|address| look_up(input.world, address)).map(Cow::Owned))
        }
        Some(nothing) if !nothing.is_truthy() => Ok(None),
        Some(data @ Value::Map(_)) => Ok(Some(Cow::Borrowed(data))),
        Some(_) => Err(format!("the context's `{key}` is not a mapping; write one, or leave it out").into()),
    }
}

/// Where an address is. A coordinate that is null reads as 0, as in authentik.
fn place(city: &Value) -> Result<Place, Box<str>> {
    let coordinate = |key: &str| -> Result<f64, Box<str>> {
        match city.get(key) {
            Some(Value::Number(degrees)) => Ok(*degrees),
            Some(Value::Null) => Ok(0.0),
            Some(_) => Err(format!("the `{key}` of `geoip` is not a number").into()),
            None => Err(format!("`geoip` has no `{key}`, which distances need").into()),
        }
    };
    on_earth((coordinate("lat")?, coordinate("long")?))
}

fn on_earth(place: Place) -> Result<Place, Box<str>> {
    let (latitude, longitude) = place;
    if latitude.abs() <= 90.0 && longitude.abs() <= 180.0 {
        return Ok(place);
    }
    Err("a place is not on Earth; latitude is -90 to 90, longitude -180 to 180".into())
}

/// The latest sign-ins: those of the context, else those of the directory.
fn logins<'a>(input: &Input<'a>, count: usize) -> Result<Cow<'a, [Login]>, Box<str>> {
    match input.context.values.get("logins") {
        None | Some(Value::Null) => {
            let logins = input.person.user.map_or(&[][..], |user| &user.logins);
            Ok(Cow::Borrowed(logins.get(..count).unwrap_or(logins)))
        }
        Some(Value::List(logins)) => logins.iter().take(count).map(login).collect(),
        Some(_) => Err("the context's `logins` is not a list; write one, or leave it out".into()),
    }
}

fn login(value: &Value) -> Result<Login, Box<str>> {
    let number = |key: &str| match value.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => Ok(Some(*number)),
        Some(_) => Err(format!("a `{key}` in the context's `logins` is not a number")),
    };
    let Some(seconds) = number("time")? else {
        return Err("an entry of the context's `logins` has no `time`; write it in seconds since 1970".into());
    };
    let place = match (number("latitude")?, number("longitude")?) {
        (Some(latitude), Some(longitude)) => Some(on_earth((latitude, longitude))?),
        (None, None) => None,
        _ => {
            return Err("an entry of the context's `logins` has only half a place; write both or none".into());
        }
    };
    Ok(Login { time: Timestamp::new(seconds.floor() as i64, 0), place })
}

impl Earth {
    fn new() -> Self {
        Self(Geodesic::wgs84())
    }

    /// The length of the shortest way over the ellipsoid.
    fn kilometres(&self, here: Place, there: Place) -> Result<f64, Box<str>> {
        let metres: f64 = self.0.inverse(here.0, here.1, there.0, there.1);
        match metres.is_finite() {
            true => Ok(metres / 1_000.0),
            // No comparison would hold for it, so it would pass for near.
            false => Err("a distance cannot be computed; correct the coordinates".into()),
        }
    }
}

#[cfg(test)]
mod tests;
