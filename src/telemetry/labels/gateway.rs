//! Why gateways got their answers: the words of doors and of identity.
//!
//! Must not know: what is counted.

use super::Label;

/// Why a gateway got its answer. The words of doors and of identity: a test there holds that none is missing.
pub const GATEWAY_REASONS: [&str; 29] = [
    "allowed",
    "denied",
    "not_signed_in",
    "inactive_user",
    "no_route",
    "ambiguous_path",
    "malformed_request",
    "other_host",
    "cut_body",
    "untrusted_gateway",
    "undecided",
    "token_malformed",
    "token_type",
    "token_algorithm",
    "token_key_unknown",
    "token_signature",
    "token_expired",
    "token_not_yet_valid",
    "token_issuer",
    "token_audience",
    "token_claims",
    "token_bound",
    "several_tokens",
    "header_ambiguous",
    "header_malformed",
    "principal_malformed",
    "principal_not_allowed",
    "sources_disagree",
    "other",
];

/// One of [`GATEWAY_REASONS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayReason(usize);

impl GatewayReason {
    /// The reason with this word; one that is not known counts as `other`. The common ones come first, so that this is
    /// quicker than a table.
    pub fn named(word: &str) -> Self {
        let last = GATEWAY_REASONS.len() - 1;
        Self(GATEWAY_REASONS.iter().position(|known| *known == word).unwrap_or(last))
    }
}

impl Label for GatewayReason {
    const NAME: &'static str = "reason";
    #[expect(clippy::indexing_slicing, reason = "worked out while compiling")]
    const ALL: &'static [Self] = &{
        let mut all = [Self(0); GATEWAY_REASONS.len()];
        let mut at = 0;
        while at < all.len() {
            all[at] = Self(at);
            at += 1;
        }
        all
    };

    fn word(self) -> &'static str {
        GATEWAY_REASONS.get(self.0).copied().unwrap_or("other")
    }

    fn index(self) -> usize {
        self.0
    }
}
