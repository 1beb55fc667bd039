//! What was measured, for people and machines.
//!
//! Must not know: how it was measured.

use super::generator::Plan;
use super::questions::Mode;
use super::rounds::{Measured, Round, Target};
use super::tally::Tally;
use crate::cli::diff::Format;
use crate::cli::output::{Align, Screen, columns, count, one_line};
use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// The percentiles that are shown, as shares and as they are called.
const QUANTILES: [(f64, &str); 4] = [(0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9")];
/// Beyond this a thread of the generator has no time left to be on time.
const BUSY: f64 = 0.9;

/// Shows everything.
pub(super) fn show(
    plan: &Plan,
    targets: &[Target],
    measured: &Measured,
    format: Format,
    screen: &mut Screen<'_>,
) {
    let servers: Vec<Server<'_>> = targets
        .iter()
        .zip(&measured.rounds)
        .filter_map(|(target, rounds)| Server::new(target, rounds, measured.rounds.first()?))
        .collect();
    if format == Format::Json {
        let all: Vec<_> = servers.iter().map(|server| server.json()).collect();
        let mut json = head_json(plan);
        json.insert("interrupted".to_owned(), measured.interrupted.into());
        json.insert("servers".to_owned(), all.into());
        screen.line(format_args!("{:#}", Value::Object(json)));
    } else {
        screen.line(head(plan));
        screen.line("");
        if let [server] = servers.as_slice() {
            server.show(plan, screen);
        } else {
            compare(&servers, screen);
        }
    }
    if measured.interrupted {
        screen.note("it was ended early; what was measured until then counts");
    }
    for server in &servers {
        for warning in server.warnings(plan) {
            screen.note(format_args!("{}: {warning}", one_line(&server.target.name)));
        }
    }
}

fn head(plan: &Plan) -> String {
    let questions = match plan.prepared.each {
        1 => count(plan.prepared.questions, "question"),
        each => format!("{} in batches of {each}", count(plan.prepared.questions, "question")),
    };
    let way = match plan.rate {
        None => "closed loop".to_owned(),
        Some(rate) if plan.random => format!("open loop, {rate} calls/s at random"),
        Some(rate) => format!("open loop, {rate} calls/s"),
    };
    format!(
        "{}, {questions}; {way}, at most {} under way on {}; {:?} after {:?} of warm-up",
        plan.prepared.mode.name(),
        plan.in_flight,
        count(plan.connections, "connection"),
        plan.duration,
        plan.warm_up,
    )
}

fn head_json(plan: &Plan) -> Map<String, Value> {
    let json = json!({
        "mode": plan.prepared.mode.name(),
        "questions": plan.prepared.questions,
        "questions_per_call": plan.prepared.each,
        "loop": if plan.rate.is_some() { "open" } else { "closed" },
        "rate": plan.rate,
        "arrivals": plan.rate.map(|_| if plan.random { "poisson" } else { "even" }),
        "max_wait_seconds": plan.rate.map(|_| plan.max_wait.as_secs_f64()),
        "connections": plan.connections,
        "in_flight": plan.in_flight,
        "threads": plan.threads,
        "deadline_ms": plan.deadline.map(|deadline| deadline.as_secs_f64() * 1e3),
        "warm_up_seconds": plan.warm_up.as_secs_f64(),
        "duration_seconds": plan.duration.as_secs_f64(),
    });
    match json {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// The middle of values, with the least and the greatest.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let upper = *values.get(middle)?;
        let lower = *values.get((values.len() - 1) / 2)?;
        Some(Self { median: f64::midpoint(lower, upper), min, max })
    }

    fn json(self) -> Value {
        json!({"median": self.median, "min": self.min, "max": self.max})
    }
}

/// What was measured of one server, over all rounds.
struct Server<'a> {
    target: &'a Target,
    rounds: &'a [Round],
    total: Tally,
    rate: Spread,
    /// Beside the first server, round by round. Absent: it is the first.
    ratio: Option<Spread>,
}

impl<'a> Server<'a> {
    /// None, if nothing was measured of it.
    fn new(target: &'a Target, rounds: &'a [Round], first: &[Round]) -> Option<Self> {
        let (start, more) = rounds.split_first()?;
        let mut total = start.tally.clone();
        for round in more {
            total.after(&round.tally);
        }
        let rate = Spread::of(rounds.iter().map(Round::rate).collect())?;
        // Compared within each round, so that what disturbed one disturbed the other.
        let is_first = std::ptr::eq(rounds, first);
        let pairs = rounds.iter().zip(first).filter(|_| !is_first);
        let ratio = Spread::of(pairs.map(|(own, first)| own.rate() / first.rate()).collect());
        Some(Self { target, rounds, total, rate, ratio })
    }

    /// CPU time in milliseconds for 1,000 questions that ended while it was measured.
    fn cpu(&self) -> Option<f64> {
        let cpu: Duration = self.rounds.iter().map(|round| Some(round.used?.cpu)).sum::<Option<_>>()?;
        let ended = ended(&self.total);
        (ended > 0).then(|| cpu.as_secs_f64() * 1e6 / ended as f64)
    }

    /// Bytes in memory at the end, and at most.
    fn memory(&self) -> Option<(u64, u64)> {
        let last = self.rounds.last()?.used?.resident;
        let most = self.rounds.iter().filter_map(|round| Some(round.used?.most_resident)).max()?;
        (most > 0).then_some((last, most))
    }

    fn busy(&self) -> f64 {
        self.rounds.iter().map(|round| round.busy).fold(0.0, f64::max)
    }

    fn show(&self, plan: &Plan, screen: &mut Screen<'_>) {
        let total = &self.total;
        let row = |name: &str, count: u64| vec![name.to_owned(), count.to_string()];
        let mut rows =
            vec![[row("answered", total.answered()), vec![format!("{:.0}/s", self.rate.median)]].concat()];
        if plan.prepared.mode != Mode::Raw {
            rows.extend([row("  allowed", total.allowed), row("  denied", total.denied)]);
        }
        rows.push(row("shed", total.shed));
        rows.extend(total.errors.iter().map(|(name, count)| row(name, *count)));
        for (name, count) in [("unanswered", total.unanswered()), ("not sent", total.not_sent)] {
            if count > 0 {
                rows.push(row(name, count));
            }
        }
        lines(&[Align::Left, Align::Right, Align::Right], &rows, screen);
        screen.line("");
        let names = QUANTILES.iter().map(|(_, name)| *name);
        let mut rows: Vec<Vec<String>> =
            vec![["latency"].into_iter().chain(names).chain(["max"]).map(str::to_owned).collect()];
        for (name, histogram, wanted) in [
            ("answered", &total.latency, true),
            ("  from sending", &total.from_sending, plan.rate.is_some()),
            ("shed", &total.shed_latency, !total.shed_latency.is_empty()),
            ("errors", &total.error_latency, !total.error_latency.is_empty()),
            ("wait before sending", &total.waited, plan.rate.is_some()),
        ] {
            if wanted {
                let values = QUANTILES.map(|(share, _)| histogram.value_at_quantile(share));
                let times = values.into_iter().chain([histogram.max()]).map(|value| time(histogram, value));
                rows.push(std::iter::once(name.to_owned()).chain(times).collect());
            }
        }
        lines(
            &[Align::Left, Align::Right, Align::Right, Align::Right, Align::Right, Align::Right],
            &rows,
            screen,
        );
        screen.line("");
        if self.rounds.len() > 1 {
            let Spread { median, min, max } = self.rate;
            let rounds = self.rounds.len();
            screen.line(format_args!("{rounds} rounds: {median:.0}/s, from {min:.0}/s to {max:.0}/s"));
        }
        if let Some(cpu) = self.cpu() {
            screen.line(format_args!("server: {cpu:.1} ms of CPU for 1,000 questions{}", self.memory_text()));
        }
        screen.line(format_args!("generator: busiest thread {:.0} % busy", self.busy() * 100.0));
    }

    fn memory_text(&self) -> String {
        self.memory().map_or_else(String::new, |(last, most)| {
            format!(", {} MiB in memory, {} MiB at most", mebibytes(last), mebibytes(most))
        })
    }

    /// What makes these figures mean something else than they seem to.
    fn warnings(&self, plan: &Plan) -> Vec<String> {
        let mut all = Vec::new();
        let busy = self.busy();
        if busy > BUSY {
            all.push(format!(
                "the generator was {:.0} % busy, so that figures may be its own rather than the server's; give it \
                 more --threads, and cores of its own",
                busy * 100.0
            ));
        }
        if self.total.not_sent > 0 {
            let wait = plan.max_wait;
            all.push(format!(
                "{} found no place for {wait:?} or until the end, and never went out; no latency tells of them",
                count(usize::try_from(self.total.not_sent).unwrap_or(usize::MAX), "question")
            ));
        }
        if self.total.unanswered() > 0 {
            all.push(format!(
                "{} had no answer when the measurement was over; no latency tells of them",
                count(usize::try_from(self.total.unanswered()).unwrap_or(usize::MAX), "question")
            ));
        }
        all
    }

    fn json(&self) -> Value {
        json!({
            "address": self.target.name,
            "answered_per_second": self.rate.json(),
            "ratio_to_first": self.ratio.map(Spread::json),
            "cpu_ms_per_1000": self.cpu(),
            "total": tally_json(&self.total),
            "rounds": self.rounds.iter().map(round_json).collect::<Vec<_>>(),
        })
    }
}

/// Questions that ended while it was measured, one way or another.
fn ended(tally: &Tally) -> u64 {
    tally.seconds.iter().map(|second| second.answered + second.shed + second.errors).sum()
}

fn round_json(round: &Round) -> Value {
    let series: Vec<Value> = round
        .tally
        .seconds
        .iter()
        .map(|second| {
            json!({
                "answered": second.answered,
                "shed": second.shed,
                "errors": second.errors,
                "max_us": micros(second.longest),
            })
        })
        .collect();
    let mut json = tally_json(&round.tally);
    if let Value::Object(map) = &mut json {
        map.insert("measured_seconds".to_owned(), round.measured.as_secs_f64().into());
        map.insert("answered_per_second".to_owned(), round.rate().into());
        let server = round.used.map(|used| {
            json!({
                "cpu_seconds": used.cpu.as_secs_f64(),
                "resident_bytes": used.resident,
                "most_resident_bytes": used.most_resident,
            })
        });
        map.insert("server".to_owned(), server.into());
        map.insert("generator_busy".to_owned(), round.busy.into());
        map.insert("seconds".to_owned(), series.into());
    }
    json
}

fn tally_json(tally: &Tally) -> Value {
    json!({
        "calls": tally.calls,
        "sent": tally.sent,
        "answered": tally.answered(),
        "allowed": tally.allowed,
        "denied": tally.denied,
        "unread": tally.unread,
        "shed": tally.shed,
        "errors": tally.errors,
        "failed": tally.failed(),
        "unanswered": tally.unanswered(),
        "not_sent": tally.not_sent,
        "latency": latency_json(&tally.latency),
        "latency_from_sending": latency_json(&tally.from_sending),
        "latency_shed": latency_json(&tally.shed_latency),
        "latency_errors": latency_json(&tally.error_latency),
        "wait_before_sending": latency_json(&tally.waited),
    })
}

fn latency_json(histogram: &Histogram<u64>) -> Value {
    if histogram.is_empty() {
        return Value::Null;
    }
    let mut json = json!({"calls": histogram.len(), "mean_us": histogram.mean() / 1e3, "max_us": micros(histogram.max())});
    if let Value::Object(map) = &mut json {
        for (share, name) in QUANTILES {
            map.insert(
                format!("{}_us", name.replace('.', "_")),
                micros(histogram.value_at_quantile(share)).into(),
            );
        }
    }
    json
}

fn compare(servers: &[Server<'_>], screen: &mut Screen<'_>) {
    let names = [
        "server",
        "answers/s",
        "to first",
        "spread",
        "p50",
        "p99",
        "p99.9",
        "max",
        "shed",
        "errors",
        "CPU",
        "memory",
    ];
    let mut rows = vec![names.map(str::to_owned).to_vec()];
    for server in servers {
        let latency = &server.total.latency;
        let at = |share| time(latency, latency.value_at_quantile(share));
        let (ratio, spread) = server.ratio.map_or_else(Default::default, |ratio| {
            let percent = |value: f64| value * 100.0;
            (
                format!("{:.1} %", percent(ratio.median)),
                format!("{:.1}-{:.1} %", percent(ratio.min), percent(ratio.max)),
            )
        });
        rows.push(vec![
            one_line(&server.target.name),
            format!("{:.0}", server.rate.median),
            ratio,
            spread,
            at(0.5),
            at(0.99),
            at(0.999),
            time(latency, latency.max()),
            server.total.shed.to_string(),
            (server.total.failed() + server.total.unanswered()).to_string(),
            server.total.not_sent.to_string(),
            server.cpu().map(|cpu| format!("{cpu:.1} ms")).unwrap_or_default(),
            server.memory().map(|(_, most)| format!("{} MiB", mebibytes(most))).unwrap_or_default(),
        ]);
    }
    let mut align = [Align::Right; 13];
    if let Some(first) = align.first_mut() {
        *first = Align::Left;
    }
    lines(&align, &rows, screen);
    screen.line("");
    screen.line("answers/s: median of the rounds; CPU: for 1,000 questions; memory: at most");
}

fn lines(align: &[Align], rows: &[Vec<String>], screen: &mut Screen<'_>) {
    for line in columns(align, rows) {
        screen.line(line);
    }
}

/// A time of a histogram, which an empty one has none of.
fn time(histogram: &Histogram<u64>, nanoseconds: u64) -> String {
    if histogram.is_empty() {
        return "-".to_owned();
    }
    let micros = micros(nanoseconds);
    match micros {
        ..1_000.0 => format!("{micros:.0} us"),
        ..1_000_000.0 => format!("{:.2} ms", micros / 1e3),
        _ => format!("{:.2} s", micros / 1e6),
    }
}

fn micros(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e3
}

const fn mebibytes(bytes: u64) -> u64 {
    bytes >> 20
}

#[cfg(test)]
mod tests {
    use super::super::questions::{First, Prepared};
    use super::super::rounds::Used;
    use super::super::tally::{Outcome, Times};
    use super::*;

    fn plan(rate: Option<f64>) -> Plan {
        Plan {
            prepared: Prepared {
                mode: Mode::Unary,
                path: http::uri::PathAndQuery::from_static("/"),
                bodies: Vec::new(),
                each: 1,
                questions: 1,
                first: First::Check(Box::default()),
            },
            connections: 1,
            in_flight: 2,
            threads: 1,
            rate,
            random: false,
            max_wait: Duration::from_secs(1),
            deadline: None,
            credentials: crate::tls::client::Credentials::default(),
            warm_up: Duration::from_secs(1),
            duration: Duration::from_secs(2),
        }
    }

    /// A round of two seconds in which so many questions were answered, each after 3 ms, of which it waited for one.
    fn round(answered: u64, used: Option<Used>) -> Round {
        let mut tally = Tally::new().unwrap();
        for _ in 0..answered {
            tally.send(1);
            let ms = Duration::from_millis;
            let times = Times { due: Some(ms(0)), waited: ms(1), took: ms(2), ended: Some(ms(3)) };
            tally.record(&Outcome { allowed: 1, ..Outcome::default() }, times);
        }
        Round { tally, measured: Duration::from_secs(2), used, busy: 0.5 }
    }

    fn target(name: &str) -> Target {
        Target { name: name.to_owned(), url: String::new(), whose: None }
    }

    fn shown(plan: &Plan, rounds: Vec<Vec<Round>>, format: Format) -> (String, String) {
        let targets: Vec<Target> =
            ["a", "b", "c"].iter().take(rounds.len()).map(|name| target(name)).collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut screen = Screen::new(&mut out, &mut err);
        show(plan, &targets, &Measured { rounds, interrupted: false }, format, &mut screen);
        assert!(screen.finish());
        (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn one_server_has_a_table_of_counts_and_one_of_latencies() {
        let used = Used { cpu: Duration::from_millis(10), resident: 5 << 20, most_resident: 6 << 20 };
        let mut one = round(1_000, Some(used));
        one.tally.not_sent = 7;
        let (out, err) = shown(&plan(Some(500.0)), vec![vec![one]], Format::Text);
        let wanted = "\
unary, 1 question; open loop, 500 calls/s, at most 2 under way on 1 connection; 2s after 1s of warm-up

answered   1000  500/s
  allowed  1000
  denied      0
shed          0
not sent      7

latency                  p50      p90      p99    p99.9      max
answered             3.00 ms  3.00 ms  3.00 ms  3.00 ms  3.00 ms
  from sending       2.00 ms  2.00 ms  2.00 ms  2.00 ms  2.00 ms
wait before sending  1.00 ms  1.00 ms  1.00 ms  1.00 ms  1.00 ms

server: 10.0 ms of CPU for 1,000 questions, 5 MiB in memory, 6 MiB at most
generator: busiest thread 50 % busy
";
        assert_eq!(out, wanted);
        assert!(err.starts_with("a: 7 questions found no place for 1s"), "{err}");
    }

    #[test]
    fn servers_are_compared_within_each_round() {
        let rounds = |counts: [u64; 3]| counts.map(|count| round(count, None)).to_vec();
        let all = vec![rounds([100, 200, 400]), rounds([50, 220, 400]), rounds([100, 200, 400])];
        let (out, _) = shown(&plan(None), all.clone(), Format::Text);
        let row = out.lines().find(|line| line.starts_with("b ")).unwrap();
        assert_eq!(
            row.split_whitespace().take(5).collect::<Vec<_>>(),
            ["b", "110", "100.0", "%", "50.0-110.0"]
        );
        let (json, _) = shown(&plan(None), all, Format::Json);
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["servers"][0]["ratio_to_first"], Value::Null);
        assert_eq!(json["servers"][1]["ratio_to_first"], json!({"median": 1.0, "min": 0.5, "max": 1.1}));
        assert_eq!(json["servers"][1]["total"]["answered"], 670);
        assert_eq!(json["servers"][1]["rounds"][1]["seconds"][0]["answered"], 220);
    }

    #[test]
    fn a_busy_generator_is_said() {
        let mut one = round(1, None);
        one.busy = 0.95;
        let (_, err) = shown(&plan(None), vec![vec![one]], Format::Text);
        assert!(err.contains("a: the generator was 95 % busy"), "{err}");
    }

    #[test]
    fn a_round_without_answers_has_no_latency() {
        let (out, _) = shown(&plan(None), vec![vec![round(0, None)]], Format::Text);
        assert!(out.contains("answered    -    -    -      -    -"), "{out}");
        let (json, _) = shown(&plan(None), vec![vec![round(0, None)], vec![round(0, None)]], Format::Json);
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["servers"][0]["total"]["latency"], Value::Null);
    }
}
