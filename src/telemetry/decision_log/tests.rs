//! Every record is accounted for, whatever happens to what they are written to.

use super::*;
use crate::model::{Context, Explain, HttpRequest, Scope, Subject, TargetKind, Timestamp, Value};
use crate::telemetry::metrics::{Family, Value as Stands};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::io;
use std::sync::mpsc;

/// What is written to does as it is told, one word for each write: fine, or how much is taken before an error.
#[derive(Debug)]
struct Script {
    words: VecDeque<Option<usize>>,
    written: Arc<Mutex<Vec<u8>>>,
    /// Where there is one, each write waits for a word from the test.
    gate: Option<mpsc::Receiver<()>>,
}

impl Out for Script {
    fn write(&mut self, lines: &[u8], done: &mut usize) -> io::Result<()> {
        if let Some(gate) = &self.gate {
            // A test that has ended lets everything through.
            let _either = gate.recv();
        }
        let word = self.words.pop_front().flatten();
        let left = &lines[*done..];
        let count = word.map_or(left.len(), |most| most.min(left.len()));
        self.written.lock().unwrap().extend_from_slice(&left[..count]);
        *done += count;
        if word.is_some() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

fn record(outcome: Outcome) -> Record {
    let kind = TargetKind::Application;
    Record {
        time: SystemTime::UNIX_EPOCH + Duration::from_nanos(1_800_000_000_000_000_007),
        decision_id: String::new(),
        trace_id: None,
        door: Door::Check,
        revision: 4,
        epoch: 255,
        stale: false,
        target: Some(TargetRef::Named(kind, "wiki".into())),
        subject_id: Some("7".into()),
        known: true,
        anonymous: false,
        username: Some("ada".into()),
        outcome,
        reason: None,
        deciding_binding: Some(Id::new("b")),
        messages: Vec::new(),
        took: Duration::from_micros(12),
        question: None,
    }
}

const ALLOW: Outcome = Outcome::Answered(Answer::Allow);
const DENY: Outcome = Outcome::Answered(Answer::Deny);

fn lines(written: &Mutex<Vec<u8>>) -> Vec<serde_json::Value> {
    let written = written.lock().unwrap();
    assert!(written.is_empty() || written.ends_with(b"\n"), "the end is torn");
    let text = std::str::from_utf8(&written).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// Goes through a log from its start: how many records are there, how many are lost, how many were left out. Panics when
/// one is missing or in the wrong place.
fn account(lines: &[serde_json::Value]) -> (u64, u64, u64) {
    let (mut next, mut there, mut lost, mut left_out) = (1, 0, 0, 0);
    assert!(lines[0]["start"]["version"].is_string(), "{}", lines[0]);
    for line in &lines[1..] {
        assert_eq!(line["log"], lines[0]["log"]);
        left_out += line["left_out"].as_u64().unwrap_or(0) + line["lost"]["left_out"].as_u64().unwrap_or(0);
        if let Some(sequence) = line["sequence"].as_u64() {
            assert_eq!(sequence, next, "{line}");
            (next, there) = (next + 1, there + 1);
        } else {
            let number = |name: &str| line["lost"][name].as_u64().unwrap();
            assert_eq!(number("from"), next, "{line}");
            assert_eq!(number("count"), number("to") - number("from") + 1, "{line}");
            next = number("to") + 1;
            lost += number("count");
        }
    }
    (there, lost, left_out)
}

fn count(metrics: &Metrics, name: &str) -> u64 {
    let of = |family: &Family| {
        let stands = family.samples.iter().map(|sample| match sample.value {
            Stands::Count(count) => count,
            _ => 0,
        });
        stands.sum()
    };
    metrics.collect().iter().find(|family| family.about.name == name).map_or(0, of)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn lines_and_gaps_account_for_every_record(
        rule in 0..3_usize,
        most in 1..6_usize,
        pushes in 0..200_u64,
        words in proptest::collection::vec(proptest::option::weighted(0.3, 0..400_usize), 0..8),
        part in prop_oneof![Just(1.0), Just(0.5), Just(0.0)],
    ) {
        let when_full = [WhenFull::DropOldest, WhenFull::DropNewest, WhenFull::Block(Duration::from_millis(1))];
        let options = Options { queue: most, when_full: when_full[rule], sample_allows: part, ..Options::default() };
        let (metrics, written) = (Arc::new(Metrics::new()), Arc::<Mutex<Vec<u8>>>::default());
        let out = Script { words: words.into(), written: Arc::clone(&written), gate: None };
        let log = DecisionLog::start(options, Box::new(out), Arc::clone(&metrics)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut left_out = 0;
        for number in 0..pushes {
            let outcome = if number % 3 == 0 { DENY } else { ALLOW };
            if !log.wants(outcome) {
                left_out += 1;
                continue;
            }
            if let Some(blocked) = log.push(record(outcome)) {
                runtime.block_on(blocked.wait());
            }
        }
        // What was left out last is told by the next record.
        runtime.block_on(async {
            if let Some(blocked) = log.push(record(DENY)) {
                blocked.wait().await;
            }
        });
        log.close(Duration::from_secs(60));
        let (there, lost, told) = account(&lines(&written));
        prop_assert_eq!(there + lost, pushes + 1 - left_out);
        prop_assert_eq!(told, left_out);
        prop_assert_eq!(count(&metrics, "bindery_decision_log_records_total"), there);
        prop_assert_eq!(count(&metrics, "bindery_decision_log_lost_total"), lost);
    }
}

type Gated = (Arc<DecisionLog>, mpsc::Sender<()>, Arc<Mutex<Vec<u8>>>, Arc<Metrics>);

/// A log whose writer waits for the test, once for each write, the first line included.
fn gated(options: Options) -> Gated {
    let (open, gate) = mpsc::channel();
    let (metrics, written) = (Arc::new(Metrics::new()), Arc::<Mutex<Vec<u8>>>::default());
    let out = Script { words: VecDeque::new(), written: Arc::clone(&written), gate: Some(gate) };
    let log = DecisionLog::start(options, Box::new(out), Arc::clone(&metrics)).unwrap();
    (log, open, written, metrics)
}

#[test]
fn a_full_queue_loses_its_oldest_or_what_comes() {
    for (when_full, expected) in [(WhenFull::DropOldest, [4, 5]), (WhenFull::DropNewest, [1, 2])] {
        let (log, open, written, _) = gated(Options { queue: 2, when_full, ..Options::default() });
        // The writer waits with its first line, and takes none of these.
        for _ in 0..5 {
            assert!(log.push(record(DENY)).is_none());
        }
        drop(open);
        log.close(Duration::from_secs(60));
        let lines = lines(&written);
        let kept: Vec<u64> = lines.iter().filter_map(|line| line["sequence"].as_u64()).collect();
        assert_eq!(kept, expected, "{when_full:?}: {lines:?}");
        assert_eq!(account(&lines), (2, 3, 0));
    }
}

#[tokio::test]
async fn a_question_waits_for_room_and_not_for_ever() {
    let patience = Duration::from_millis(20);
    let when_full = WhenFull::Block(patience);
    let (log, open, written, metrics) = gated(Options { queue: 1, when_full, ..Options::default() });
    assert!(log.push(record(DENY)).is_none());
    log.push(record(DENY)).expect("there is no room").wait().await;
    assert_eq!(count(&metrics, "bindery_decision_log_lost_total"), 1);
    let mut waiting = log.push(record(DENY)).expect("there is no room still");
    waiting.patience = Duration::from_secs(60);
    drop(open);
    waiting.wait().await;
    log.close(Duration::from_secs(60));
    assert_eq!(account(&lines(&written)), (2, 1, 0));
}

#[test]
fn a_writer_that_hangs_does_not_hold_up_the_end() {
    let (log, open, _written, metrics) = gated(Options::default());
    for _ in 0..3 {
        assert!(log.push(record(DENY)).is_none());
    }
    log.close(Duration::from_millis(10));
    assert_eq!(count(&metrics, "bindery_decision_log_lost_total"), 3);
    drop(open);
}

#[test]
fn a_disk_that_stays_full_ends_in_time_and_is_counted() {
    let (metrics, written) = (Arc::new(Metrics::new()), Arc::<Mutex<Vec<u8>>>::default());
    let words = std::iter::repeat_n(Some(0), 10_000).collect();
    let out = Script { words, written: Arc::clone(&written), gate: None };
    let log = DecisionLog::start(Options::default(), Box::new(out), Arc::clone(&metrics)).unwrap();
    assert!(log.push(record(DENY)).is_none());
    log.close(Duration::from_millis(30));
    assert_eq!(count(&metrics, "bindery_decision_log_lost_total"), 1);
    assert!(count(&metrics, "bindery_decision_log_write_errors_total") >= 1);
    assert!(written.lock().unwrap().is_empty());
}

#[test]
fn a_line_says_who_asked_for_what_and_no_more_unless_it_is_to() {
    let http = HttpRequest {
        method: "GET".into(),
        host: "wiki".into(),
        path: "/a".into(),
        headers: [("cookie".into(), "s".into()), ("accept".into(), "*/*".into())].into(),
        ..HttpRequest::default()
    };
    let values = [("secret".into(), Value::Map([("a".into(), Value::Number(1.0))].into()))];
    let context = Context {
        client_ip: "192.0.2.1".parse().ok(),
        http: Some(http),
        values: Value::Map(values.into()),
        ..Context::at(Timestamp::new(0, 0))
    };
    let question = Question {
        target: TargetRef::Named(TargetKind::Application, "wiki".into()),
        subject: Subject::default(),
        context,
        scope: Scope::default(),
        explain: Explain::None,
        full_evaluation: false,
    };
    let line = |include, masks: &[&str]| {
        let masks = Masks::new(&masks.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>()).unwrap();
        let (metrics, written) = (Arc::new(Metrics::new()), Arc::<Mutex<Vec<u8>>>::default());
        let out = Script { words: VecDeque::new(), written: Arc::clone(&written), gate: None };
        let options = Options { include, masks, ..Options::default() };
        let log = DecisionLog::start(options, Box::new(out), metrics).unwrap();
        let record = Record { question: Some(Box::new(question.clone())), ..record(DENY) };
        assert!(log.push(record).is_none());
        log.close(Duration::from_secs(60));
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        text.lines().nth(1).unwrap().to_owned()
    };
    let bare = line(Include::default(), &[]);
    let log = bare.split('"').nth(3).unwrap().to_owned();
    let expected = format!(
        r#"{{"log":"{log}","sequence":1,"time":"2027-01-15T08:00:00.000000007Z","decision_id":"{log}0000000000000001","door":"check","revision":4,"epoch":"00000000000000ff","stale":false,"target":{{"kind":"application","name":"wiki"}},"subject":{{"id":"7","known":true}},"outcome":"deny","deciding_binding":"b","duration_us":12}}"#
    );
    assert_eq!(bare, expected);
    let all = Include { username: true, client_ip: true, http: true, context: true };
    let masks = ["http.headers.cookie", "context.secret.*", "subject.username", "nothing.here"];
    let full: serde_json::Value = serde_json::from_str(&line(all, &masks)).unwrap();
    assert_eq!(full["client_ip"], "192.0.2.1");
    assert_eq!(full["subject"]["username"], "***");
    assert_eq!(full["http"]["headers"], serde_json::json!({"cookie": "***", "accept": "*/*"}));
    assert_eq!(full["context"], serde_json::json!({"secret": {"a": "***"}}));
    assert!(Masks::new(&["a..b".to_owned()]).unwrap_err().contains("is no path"));
}
