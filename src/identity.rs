//! Who is asking, as far as the gateway may vouch for it: claims that the gateway has verified, a JSON web token, a
//! client certificate, headers of a gateway that is trusted.
//!
//! Nothing is trusted unless the settings say so. Every source that is set up and has evidence is looked at, in the
//! order of trust. The first one says who it is; evidence that is bad is a refusal and never replaced by weaker
//! evidence. Two sources that name different people are a refusal as well: one of them is old, stolen or not about
//! the user at all, and nobody can tell here which.
//!
//! Must not know: which gateway asks and over which protocol, the directory, what the identity is used for.

mod certificate;
mod claims;
mod evidence;
pub mod forge;
mod json;
mod jwt;
mod metadata;
mod reason;
mod settings;
mod text;
mod vouched;

pub use evidence::{Evidence, Headers, Peer};
pub use reason::Reason;
pub use settings::{
    Algorithm, CertificateSettings, ClaimSettings, HeaderSettings, JwtSettings, MetadataSettings, Settings,
    SubjectField,
};

use crate::model::{Subject, Timestamp};
use certificate::Certificate;
use jwt::Jwt;
use metadata::Metadata;
use std::fmt;
use vouched::Vouched;

/// Where an identity comes from, from the strongest to the weakest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Claims that the gateway has verified.
    Metadata,
    /// A JSON web token that was verified here.
    Jwt,
    /// A client certificate that the gateway has verified.
    Certificate,
    /// Headers that a trusted gateway has set.
    Headers,
}

impl Source {
    /// Its name, as in the settings and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::Jwt => "jwt",
            Self::Certificate => "certificate",
            Self::Headers => "headers",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Somebody who was told by evidence.
#[derive(Clone, PartialEq)]
pub struct Identity {
    /// Who it is, with what is known of them. Has a username or an id, or both.
    pub subject: Subject,
    /// What told.
    pub source: Source,
    /// The first moment at which the evidence no longer counts; nothing when it tells of no end.
    pub expires: Option<Timestamp>,
}

/// Shows what is known, and nothing of what it says.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = &self.subject;
        f.debug_struct("Identity")
            .field("source", &self.source)
            .field("expires", &self.expires)
            .field("user_id", &subject.user_id.is_some())
            .field("username", &subject.username.is_some())
            .field("groups", &(subject.group_ids.len() + subject.group_names.len()))
            .finish_non_exhaustive()
    }
}

/// What came of looking at the evidence. None of it shows a token, a cookie or what claims say.
#[derive(Clone, Debug, PartialEq)]
pub enum Identified {
    /// There is no evidence that counts: nobody is signed in.
    Nobody,
    /// It is somebody.
    Somebody(Box<Identity>),
    /// There is evidence, and it is bad. For the client that is as if nobody was signed in.
    Refused {
        /// Where the evidence is.
        source: Source,
        /// What is wrong with it.
        reason: Reason,
        /// The same in words, for the operator.
        detail: String,
    },
    /// There is evidence that cannot be judged, since keys are not to be had: nothing can be decided. Says why.
    Unavailable(String),
}

/// Why a source names nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Trouble {
    /// Its evidence is bad.
    Refused(Reason, String),
    /// Its evidence cannot be judged.
    Unavailable(String),
}

/// Bad evidence, in words.
fn refused(reason: Reason, detail: impl Into<String>) -> Trouble {
    Trouble::Refused(reason, detail.into())
}

/// Tells from evidence who is asking. Made once, used by everybody who asks at the same time.
#[derive(Debug)]
pub struct Identifier {
    metadata: Option<Metadata>,
    jwt: Option<Jwt>,
    certificate: Option<Certificate>,
    vouched: Option<Vouched>,
}

impl Identifier {
    /// By these settings. Files of keys are read; keys at a URL are fetched when they are first needed, or by
    /// [`Identifier::prepare`].
    ///
    /// # Errors
    /// Names the setting that is wrong and what to do.
    pub fn new(settings: &Settings) -> Result<Self, String> {
        let claims = claims::Mapping::new(&settings.claims)?;
        let metadata = settings.metadata.as_ref().map(|it| Metadata::new(it, claims.clone())).transpose()?;
        let jwt = settings.jwt.as_ref().map(|it| Jwt::new(it, claims)).transpose()?;
        let certificate = settings.certificate.as_ref().map(Certificate::new).transpose()?;
        let vouched = settings.headers.as_ref().map(Vouched::new).transpose()?;
        Ok(Self { metadata, jwt, certificate, vouched })
    }

    /// Whether no source is set up, so that everybody is nobody.
    pub fn trusts_nothing(&self) -> bool {
        self.metadata.is_none() && self.jwt.is_none() && self.certificate.is_none() && self.vouched.is_none()
    }

    /// Fetches keys ahead of the first question, if there is a URL for them.
    ///
    /// # Errors
    /// Says why there are no keys yet. They are tried again when they are needed, so this is no reason not to start.
    pub async fn prepare(&self, now: Timestamp) -> Result<(), String> {
        match &self.jwt {
            Some(jwt) => jwt.prepare(now).await,
            None => Ok(()),
        }
    }

    /// Reads the files of keys ([`Settings::key_files`]) anew. What came of each: what is in use now in words, or why
    /// the former keys stay.
    pub fn reload(&self) -> Vec<Result<String, String>> {
        self.jwt.iter().filter_map(Jwt::reload).collect()
    }

    /// Who is asking, by this evidence, at this moment. Waits only for keys that have to be fetched, and no longer
    /// than the settings say.
    pub async fn identify(&self, evidence: &Evidence<'_>, now: Timestamp) -> Identified {
        let mut found = Found::default();
        if let Some(metadata) = &self.metadata {
            found.add(Source::Metadata, metadata.identify(evidence.claims, now));
        }
        if let Some(jwt) = &self.jwt
            && found.goes_on()
        {
            found.add(Source::Jwt, jwt.identify(evidence.headers, now).await);
        }
        if let Some(certificate) = &self.certificate
            && found.goes_on()
        {
            found.add(Source::Certificate, certificate.identify(evidence.principal));
        }
        if let Some(vouched) = &self.vouched
            && found.goes_on()
        {
            found.add(Source::Headers, vouched.identify(evidence.headers, evidence.peer));
        }
        found.end()
    }
}

/// What the sources say, one after the other.
#[derive(Default)]
struct Found {
    identity: Option<Box<Identity>>,
    trouble: Option<Identified>,
}

impl Found {
    /// Whether weaker sources still matter.
    fn goes_on(&self) -> bool {
        self.trouble.is_none()
    }

    fn add(&mut self, source: Source, said: Result<Option<Identity>, Trouble>) {
        match said {
            Ok(None) => {}
            Ok(Some(next)) => match &mut self.identity {
                None => self.identity = Some(Box::new(next)),
                Some(first) if same_person(&first.subject, &next.subject) => {
                    first.expires = earlier(first.expires, next.expires);
                }
                Some(first) => {
                    let detail = format!(
                        "`{source}` does not name the same person as `{}`; have the gateway remove the one, or leave \
                         out that source",
                        first.source
                    );
                    self.trouble =
                        Some(Identified::Refused { source, reason: Reason::SourcesDisagree, detail });
                }
            },
            Err(Trouble::Refused(reason, detail)) => {
                self.trouble = Some(Identified::Refused { source, reason, detail });
            }
            Err(Trouble::Unavailable(why)) => self.trouble = Some(Identified::Unavailable(why)),
        }
    }

    fn end(self) -> Identified {
        self.trouble.unwrap_or_else(|| self.identity.map_or(Identified::Nobody, Identified::Somebody))
    }
}

/// Whether two sources certainly name the same person: they agree in an id or a username, and differ in none.
fn same_person(a: &Subject, b: &Subject) -> bool {
    let agree = |a: &Option<String>, b: &Option<String>| Some(a.as_ref()? == b.as_ref()?);
    match (agree(&a.user_id, &b.user_id), agree(&a.username, &b.username)) {
        (Some(false), _) | (_, Some(false)) | (None, None) => false,
        (Some(true), _) | (_, Some(true)) => true,
    }
}

fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests;
