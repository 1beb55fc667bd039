//! Why a gateway got its answer: a closed set of words, for metadata, headers and metrics.
//!
//! Must not know: how an answer is written.

/// Why a request was let in, kept out, or not decided. Reasons of [`crate::identity`] come on top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The target's bindings let the subject in.
    Allowed,
    /// The target's bindings keep the subject out.
    Denied,
    /// Nobody is signed in.
    NotSignedIn,
    /// Who is asking cannot be believed; identity's own reason.
    NotBelieved(&'static str),
    /// The user was switched off.
    InactiveUser,
    /// No route of the configuration covers the request, and the gateway names no target.
    NoRoute,
    /// The path can be read in two ways.
    AmbiguousPath,
    /// Host, method or headers are not as HTTP has them, or too large.
    MalformedRequest,
    /// TLS was set up for another host.
    OtherHost,
    /// A body of which only a part was sent along.
    CutBody,
    /// The gateway is none whose word on a request counts.
    UntrustedGateway,
    /// It could not be decided.
    Undecided,
}

impl Why {
    /// The word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::NotSignedIn => "not_signed_in",
            Self::NotBelieved(reason) => reason,
            Self::InactiveUser => "inactive_user",
            Self::NoRoute => "no_route",
            Self::AmbiguousPath => "ambiguous_path",
            Self::MalformedRequest => "malformed_request",
            Self::OtherHost => "other_host",
            Self::CutBody => "cut_body",
            Self::UntrustedGateway => "untrusted_gateway",
            Self::Undecided => "undecided",
        }
    }

    /// The HTTP status of the answer; a sign-in is 401 or, where there is a page to go to, 302.
    pub const fn status(self) -> u16 {
        match self {
            Self::Allowed => 200,
            Self::Denied | Self::InactiveUser | Self::NoRoute | Self::UntrustedGateway => 403,
            Self::NotSignedIn | Self::NotBelieved(_) => 401,
            Self::AmbiguousPath | Self::MalformedRequest => 400,
            Self::OtherHost => 421,
            Self::CutBody => 413,
            Self::Undecided => 503,
        }
    }

    /// A sentence for whoever sees the page.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Allowed => "You have access.",
            Self::Denied => "You do not have access to this.",
            Self::NotSignedIn => "Please sign in first.",
            Self::NotBelieved(_) => "Please sign in again.",
            Self::InactiveUser => "Your account is not active.",
            Self::NoRoute => "There is nothing here that access is given to.",
            Self::AmbiguousPath => "The address can be read in more than one way, so it is not served.",
            Self::MalformedRequest => "The request is not valid.",
            Self::OtherHost => "The request is for another host than the connection.",
            Self::CutBody => "The request is larger than what can be checked.",
            Self::UntrustedGateway => "The request came in a way that is not trusted.",
            Self::Undecided => {
                "It cannot be decided at the moment whether you have access. Please try again."
            }
        }
    }
}
