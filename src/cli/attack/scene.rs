//! The scene of an attack: who is there, what is protected, and with which keys tokens are signed.
//!
//! Must not know: what is tried.

use crate::identity::Algorithm;
use crate::identity::forge::{Forgery, Known, Signer, forgeries};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// The host that is attacked.
pub(super) const HOST: &str = "app.attack.test";
const ISSUER: &str = "https://idp.attack.test/";
const AUDIENCE: &str = "attack";
const KID: &str = "scene";
/// How long tokens are good, in seconds.
const LIFETIME: u64 = 3_600;

const BUNDLE: &str = include_str!("scene/bundle.yaml");
const SETTINGS: &str = include_str!("scene/bindery.toml");
const README: &str = include_str!("scene/SCENE.md");

/// Somebody in the scene.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum User {
    /// Not signed in.
    Nobody,
    /// Signed in, and in no group.
    #[default]
    Mallory,
    /// In the group `admins`.
    Alice,
    /// As alice, but switched off.
    Carol,
}

impl User {
    const fn name(self) -> Option<&'static str> {
        match self {
            Self::Nobody => None,
            Self::Mallory => Some("mallory"),
            Self::Alice => Some("alice"),
            Self::Carol => Some("carol"),
        }
    }
}

/// A scene.
pub(super) struct Scene {
    signer: Signer,
    now: u64,
}

impl Scene {
    /// Makes a directory with a new scene.
    pub(super) fn write(directory: &Path) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("write-scene: `{}`: {error}", directory.display());
        fs::create_dir(directory).map_err(failed)?;
        let (signer, key) = Signer::generate_with_key(KID, Algorithm::ES256)?;
        let public = json!({"keys": [signer.jwk()]});
        // Paths in the settings are as the server sees them, wherever it is started.
        let full = directory.canonicalize().map_err(failed)?;
        let settings = SETTINGS.replace("{scene}", &full.display().to_string());
        for (name, text) in [
            ("bundle.yaml", BUNDLE.to_owned()),
            ("bindery.toml", settings),
            ("SCENE.md", README.to_owned()),
            ("jwks.json", format!("{public:#}\n")),
            ("signing-key.pkcs8", BASE64.encode(key) + "\n"),
        ] {
            fs::write(directory.join(name), text).map_err(failed)?;
        }
        Ok(())
    }

    /// Reads a scene.
    pub(super) fn read(directory: &Path) -> Result<Self, String> {
        let path = directory.join("signing-key.pkcs8");
        let wrong = |what: String| {
            format!("scene: `{}`: {what}; make a scene with --write-scene", path.display())
        };
        let text = fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
        let key = BASE64.decode(text.trim()).map_err(|error| wrong(error.to_string()))?;
        let signer = Signer::ec(KID, Algorithm::ES256, &key).map_err(wrong)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Ok(Self { signer, now })
    }

    fn claims(&self, name: &str) -> Map<String, Json> {
        let claims = json!({
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": self.now,
            "exp": self.now + LIFETIME,
            "sub": name,
            "preferred_username": name,
        });
        match claims {
            Json::Object(claims) => claims,
            _ => Map::new(),
        }
    }

    /// A right token of somebody.
    pub(super) fn token(&self, user: User) -> Option<String> {
        let header = json!({"alg": "ES256", "typ": "JWT", "kid": KID}).to_string();
        Some(self.signer.token(&header, &Json::Object(self.claims(user.name()?)).to_string()))
    }

    /// The text with tokens in the place of names in braces.
    pub(super) fn fill(&self, text: &str) -> String {
        let mut filled = text.to_owned();
        for user in [User::Mallory, User::Alice, User::Carol] {
            let Some(name) = user.name() else { continue };
            let place = format!("{{{name}}}");
            if filled.contains(&place) {
                filled = filled.replace(&place, &self.token(user).unwrap_or_default());
            }
        }
        filled
    }

    /// Tokens that must identify nobody.
    pub(super) fn forgeries(&self) -> Result<Vec<Forgery>, String> {
        let now = i64::try_from(self.now).unwrap_or(i64::MAX);
        forgeries(&Known::all(&self.signer, self.claims("alice"), "preferred_username", now))
    }
}
