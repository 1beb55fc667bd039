//! The words that metrics tell apart: closed sets, so that nobody who asks can make more of them.
//!
//! Must not know: what is counted.

mod gateway;

pub use gateway::{GATEWAY_REASONS, GatewayReason};

use crate::model::TargetKind;

/// A label with a closed set of words.
pub trait Label: Copy + 'static {
    /// The label's name.
    const NAME: &'static str;
    /// Every word, in the order of [`Label::index`].
    const ALL: &'static [Self];

    /// The word.
    fn word(self) -> &'static str;

    /// Its place among all.
    fn index(self) -> usize;
}

/// The labels of a family of metrics together.
pub trait Labels: Copy + 'static {
    /// How many combinations there are.
    const COUNT: usize;

    /// The place of a combination among all.
    fn place(self) -> usize;

    /// Every combination, by name and word, in that order.
    fn every() -> Vec<Vec<(&'static str, &'static str)>>;
}

fn words<A: Label>() -> impl Iterator<Item = (&'static str, &'static str)> {
    A::ALL.iter().map(|label| (A::NAME, label.word()))
}

impl Labels for () {
    const COUNT: usize = 1;

    fn place(self) -> usize {
        0
    }

    fn every() -> Vec<Vec<(&'static str, &'static str)>> {
        vec![Vec::new()]
    }
}

impl<A: Label> Labels for (A,) {
    const COUNT: usize = A::ALL.len();

    fn place(self) -> usize {
        self.0.index()
    }

    fn every() -> Vec<Vec<(&'static str, &'static str)>> {
        words::<A>().map(|a| vec![a]).collect()
    }
}

impl<A: Label, B: Label> Labels for (A, B) {
    const COUNT: usize = A::ALL.len() * B::ALL.len();

    fn place(self) -> usize {
        self.0.index() * B::ALL.len() + self.1.index()
    }

    fn every() -> Vec<Vec<(&'static str, &'static str)>> {
        words::<A>().flat_map(|a| words::<B>().map(move |b| vec![a, b])).collect()
    }
}

impl<A: Label, B: Label, C: Label> Labels for (A, B, C) {
    const COUNT: usize = A::ALL.len() * B::ALL.len() * C::ALL.len();

    fn place(self) -> usize {
        (self.0.index() * B::ALL.len() + self.1.index()) * C::ALL.len() + self.2.index()
    }

    fn every() -> Vec<Vec<(&'static str, &'static str)>> {
        let two = words::<A>().flat_map(|a| words::<B>().map(move |b| (a, b)));
        two.flat_map(|(a, b)| words::<C>().map(move |c| vec![a, b, c])).collect()
    }
}

macro_rules! labels {
    ($($(#[doc = $about:literal])+ $name:ident = $label:literal {
        $($(#[doc = $doc:literal])+ $word:ident = $text:literal,)+
    })+) => { $(
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[doc = $doc])+ $word,)+
        }

        impl Label for $name {
            const NAME: &'static str = $label;
            const ALL: &'static [Self] = &[$(Self::$word),+];

            fn word(self) -> &'static str {
                match self {
                    $(Self::$word => $text,)+
                }
            }

            fn index(self) -> usize {
                self as usize
            }
        }
    )+ };
}

labels! {
    /// Where a question came in.
    Door = "door" {
        /// DecisionService, one question.
        Check = "check",
        /// DecisionService, one of a batch.
        Batch = "batch",
        /// DecisionService, one of a stream.
        Stream = "stream",
        /// FlowService.
        Flow = "flow",
        /// Envoy's external authorization.
        ExtAuthz = "ext_authz",
        /// Forward authentication.
        ForwardAuth = "forward_auth",
        /// AuthZEN.
        Authzen = "authzen",
    }

    /// The doors that gateways ask at.
    GatewayDoor = "door" {
        /// Envoy's external authorization.
        ExtAuthz = "ext_authz",
        /// Forward authentication.
        ForwardAuth = "forward_auth",
    }

    /// What came of a question.
    Answer = "outcome" {
        /// The subject may.
        Allow = "allow",
        /// The subject may not.
        Deny = "deny",
    }

    /// Why a question has no answer.
    ErrorReason = "reason" {
        /// The caller asks wrongly.
        InvalidQuestion = "invalid_question",
        /// The token of a plan is refused.
        PlanRefused = "plan_refused",
        /// The target is not in the configuration.
        UnknownTarget = "unknown_target",
        /// Somebody is asked about who is neither a user nor anonymous.
        UnknownSubjectType = "unknown_subject_type",
        /// There is no configuration yet, or who is asking cannot be told.
        NoConfiguration = "no_configuration",
        /// The configuration is older than it may be.
        ConfigurationTooOld = "configuration_too_old",
        /// What the question is about is not held here.
        NotHeld = "not_held",
        /// The revision asked for is not in force.
        RevisionNotReached = "revision_not_reached",
        /// Another revision came into force.
        RevisionChanged = "revision_changed",
        /// Too much at once.
        TooMuch = "too_much",
        /// This server cannot do that.
        NotOffered = "not_offered",
        /// A mistake of bindery.
        Failed = "failed",
    }

    /// Policies that leave the process, or wait.
    Outside = "kind" {
        /// An expression in Python, in a worker.
        Python = "python",
        /// Another process over gRPC.
        Remote = "remote",
        /// A comparison with former passwords.
        Passwords = "passwords",
        /// A look-up of breached passwords.
        Breaches = "breaches",
        /// A dummy policy that waits.
        Waits = "waits",
    }

    /// What came of a policy.
    PolicyResult = "result" {
        /// It passes.
        Pass = "pass",
        /// It fails.
        Fail = "fail",
        /// It errors.
        Error = "error",
        /// It took longer than its binding's timeout.
        Timeout = "timeout",
    }

    /// The kinds of policy.
    PolicyLabel = "kind" {
        /// A fixed result.
        Dummy = "dummy",
        /// An expression, in Python or CEL.
        Expression = "expression",
        /// A match of an event.
        EventMatcher = "event_matcher",
        /// The age of a password.
        PasswordExpiry = "password_expiry",
        /// The client's place.
        Geoip = "geoip",
        /// The strength of a password.
        Password = "password",
        /// Reputation.
        Reputation = "reputation",
        /// Former passwords.
        UniquePassword = "unique_password",
        /// A program of comparisons.
        Conditional = "conditional",
        /// Another process.
        Remote = "remote",
        /// A kind that is not known.
        Unsupported = "unsupported",
        /// A policy that is not there.
        Missing = "missing",
    }

    /// What a Python worker does.
    WorkerState = "state" {
        /// Nothing.
        Idle = "idle",
        /// It runs a program.
        Busy = "busy",
    }

    /// What a configuration holds.
    Entry = "kind" {
        /// Targets of all kinds.
        Targets = "targets",
        /// Policy bindings.
        Bindings = "bindings",
        /// Policies.
        Policies = "policies",
        /// Users.
        Users = "users",
        /// Groups.
        Groups = "groups",
        /// Routes.
        Routes = "routes",
    }

    /// Where a configuration comes from.
    UpdateSource = "source" {
        /// Files.
        Files = "files",
        /// A publisher.
        Push = "push",
        /// A hub.
        Hub = "hub",
    }

    /// What came of a change of the configuration.
    UpdateResult = "result" {
        /// It is in force.
        Applied = "applied",
        /// Nothing of it counts.
        Refused = "refused",
    }

    /// Why a change from a stream was refused.
    NackReason = "reason" {
        /// Something in it is wrong.
        Invalid = "invalid",
        /// It is older than what was in force.
        Old = "old",
        /// It does not sum up to what it says.
        Corrupt = "corrupt",
        /// It is more than is taken.
        TooLarge = "too_large",
        /// It could not be written to disk.
        Storage = "storage",
    }

    /// What came of an attempt to reach a hub.
    ConnectResult = "result" {
        /// It is followed.
        Connected = "connected",
        /// It could not be reached, or did not answer as it should.
        Failed = "failed",
    }

    /// What came of a write.
    WriteResult = "result" {
        /// It is on disk.
        Written = "written",
        /// It is not.
        Failed = "failed",
    }

    /// The services that may be asked too much.
    Service = "service" {
        /// DecisionService and FlowService.
        Decisions = "decisions",
        /// Envoy's external authorization.
        ExtAuthz = "ext_authz",
        /// Forward authentication.
        ForwardAuth = "forward_auth",
        /// AuthZEN.
        Authzen = "authzen",
    }

    /// Why a request was not taken.
    ShedReason = "reason" {
        /// As many as are allowed are under way.
        InFlight = "in_flight",
        /// It waited too long for its turn.
        Queue = "queue",
        /// Its caller would not have waited for the answer.
        Deadline = "deadline",
    }

    /// The listeners.
    Listener = "listener" {
        /// Questions over gRPC.
        Grpc = "grpc",
        /// Questions over HTTP.
        Http = "http",
        /// Publishers and followers.
        Sync = "sync",
        /// Health, metrics, and what operators need.
        Admin = "admin",
    }

    /// Why a connection was not taken.
    ConnectionRefusal = "reason" {
        /// As many as are allowed are open.
        Limit = "limit",
        /// TLS did not come about.
        Handshake = "handshake",
        /// The caller's certificate is not accepted.
        Certificate = "certificate",
    }

    /// The services that callers may be kept from.
    Access = "service" {
        /// DecisionService and FlowService.
        Decisions = "decisions",
        /// Envoy's external authorization.
        ExtAuthz = "ext_authz",
        /// Forward authentication.
        ForwardAuth = "forward_auth",
        /// AuthZEN.
        Authzen = "authzen",
        /// Publishing.
        Publish = "publish",
        /// Following.
        Follow = "follow",
        /// What operators need.
        Admin = "admin",
    }

    /// Why a caller was refused.
    CallerRefusal = "reason" {
        /// It showed nothing.
        NoCredential = "no_credential",
        /// What it showed is not on the list.
        UnknownCredential = "unknown_credential",
    }

    /// Files that are read anew.
    Reloaded = "what" {
        /// Certificates, keys and authorities.
        Tls = "tls",
        /// Bearer tokens of callers.
        Tokens = "tokens",
        /// Keys that sign users' tokens.
        Keys = "keys",
        /// GeoIP databases.
        Places = "places",
    }

    /// What came of reading a file anew.
    ReloadResult = "result" {
        /// It is in use.
        Loaded = "loaded",
        /// The old one stays.
        Failed = "failed",
    }

    /// Why records of the decision log are lost.
    LostReason = "reason" {
        /// The queue was full.
        QueueFull = "queue_full",
        /// The queue was full, and there was no room within the time that a question may wait for it.
        Blocked = "blocked",
        /// The process ended before they were written.
        Shutdown = "shutdown",
    }

    /// What goes out over OTLP.
    Signal = "signal" {
        /// Spans.
        Traces = "traces",
        /// These metrics.
        Metrics = "metrics",
        /// The decision log.
        Logs = "logs",
    }

    /// What came of sending.
    SendResult = "result" {
        /// The collector has it.
        Sent = "sent",
        /// It has not.
        Failed = "failed",
    }
}

impl Label for Option<TargetKind> {
    const NAME: &'static str = "kind";
    #[expect(clippy::indexing_slicing, reason = "worked out while compiling")]
    const ALL: &'static [Self] = &{
        let mut all = [None; TargetKind::ALL.len() + 1];
        let mut at = 0;
        while at < TargetKind::ALL.len() {
            all[at] = Some(TargetKind::ALL[at]);
            at += 1;
        }
        all
    };

    fn word(self) -> &'static str {
        self.map_or("none", TargetKind::name)
    }

    fn index(self) -> usize {
        self.map_or(TargetKind::ALL.len(), |kind| kind as usize)
    }
}

impl ReloadResult {
    /// What came of reading a file.
    pub const fn of<T, E>(result: &Result<T, E>) -> Self {
        if result.is_ok() { Self::Loaded } else { Self::Failed }
    }
}

impl PolicyLabel {
    /// The kind of this name; what is not known is unsupported.
    pub fn named(name: &str) -> Self {
        Self::ALL.iter().copied().find(|label| label.word() == name).unwrap_or(Self::Unsupported)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn whole<L: Label + PartialEq + std::fmt::Debug>() {
        let words: HashSet<_> = L::ALL.iter().map(|label| label.word()).collect();
        assert_eq!(words.len(), L::ALL.len(), "{}", L::NAME);
        for (at, label) in L::ALL.iter().enumerate() {
            assert_eq!(label.index(), at, "{label:?}");
            assert!(label.word().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{label:?}");
        }
    }

    #[test]
    fn every_word_has_its_place() {
        whole::<Door>();
        whole::<Option<TargetKind>>();
        whole::<ErrorReason>();
        whole::<GatewayReason>();
        whole::<PolicyLabel>();
        whole::<Outside>();
        let every = <(Door, Option<TargetKind>, Answer)>::every();
        assert_eq!(every.len(), <(Door, Option<TargetKind>, Answer)>::COUNT);
        let place = (Door::Flow, Some(TargetKind::Device), Answer::Deny).place();
        assert_eq!(every[place], [("door", "flow"), ("kind", "device"), ("outcome", "deny")]);
    }
}
