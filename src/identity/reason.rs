//! Why evidence is refused: a closed set, for metadata, metrics and tests.
//!
//! Must not know: how it is found out.

use std::fmt;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// Why evidence is refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Reason {
            /// All there are.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Its name, as clients, logs and metrics see it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

reasons! {
    /// A token is none: its form, its encoding, its size, or a header that asks for what is not done.
    TokenMalformed = "token_malformed",
    /// A token is of another type than is taken.
    TokenType = "token_type",
    /// A token is signed in a way that is not allowed, or not at all.
    TokenAlgorithm = "token_algorithm",
    /// No key is known that could have signed a token.
    TokenKeyUnknown = "token_key_unknown",
    /// A token's signature is not the key's.
    TokenSignature = "token_signature",
    /// A token is too old.
    TokenExpired = "token_expired",
    /// A token is not valid yet.
    TokenNotYetValid = "token_not_yet_valid",
    /// A token is of an issuer that is not expected.
    TokenIssuer = "token_issuer",
    /// A token is for somebody else.
    TokenAudience = "token_audience",
    /// A token says too little, too much, or something in a form that is not understood.
    TokenClaims = "token_claims",
    /// A token belongs to the holder of a key or certificate, which is not checked here.
    TokenBound = "token_bound",
    /// There are several tokens.
    SeveralTokens = "several_tokens",
    /// A header is there more than once, or in another spelling.
    HeaderAmbiguous = "header_ambiguous",
    /// A header's value is none that it may have.
    HeaderMalformed = "header_malformed",
    /// A certificate's name is neither a SPIFFE id nor a DNS name.
    PrincipalMalformed = "principal_malformed",
    /// A certificate's name is none that is let in.
    PrincipalNotAllowed = "principal_not_allowed",
    /// Two sources name different people.
    SourcesDisagree = "sources_disagree",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
