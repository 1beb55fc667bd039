//! Compares a password with hashes of former ones, in Django's forms. That is slow on purpose, so it runs on threads of
//! its own, a few at a time, and no hash may ask for more work than a bound: a thread cannot be stopped from outside.
//!
//! Must not know: whose passwords they are.

use crate::policy::{Reuse, Verdict};
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, Params, PasswordVerifier as _};
use base64::Engine as _;
use pbkdf2::pbkdf2_hmac;
use sha1::Sha1;
use sha2::Sha256;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Semaphore;

/// How many passwords are compared at a time. Each takes a thread, and up to [`MAX_MEMORY`].
const MAX_AT_A_TIME: usize = 4;
/// The most iterations of PBKDF2. Django 5.2 does 1,000,000, and each version some more.
const MAX_ITERATIONS: u32 = 5_000_000;
/// The most memory of Argon2, in KiB. Django's default is 100 MiB.
const MAX_MEMORY: u32 = 256 << 10;
/// The most passes of Argon2. Django's default is 2.
const MAX_PASSES: u32 = 16;
/// The longest hash, in characters.
const MAX_HASH: usize = 1_024;
/// The longest name of an algorithm that is shown.
const MAX_ALGORITHM: usize = 32;

#[derive(Debug)]
pub(super) struct Passwords {
    at_a_time: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { at_a_time: Arc::new(Semaphore::new(MAX_AT_A_TIME)) }
    }
}

/// Tells the thread that nobody waits any more.
struct Abandoned(Arc<AtomicBool>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Passwords {
    pub(super) async fn compare(&self, reuse: Reuse) -> Verdict {
        let Ok(permit) = Arc::clone(&self.at_a_time).acquire_owned().await else {
            return Verdict::error("former passwords cannot be compared, the server is ending");
        };
        let abandoned = Abandoned(Arc::new(AtomicBool::new(false)));
        let stop = Arc::clone(&abandoned.0);
        let work = tokio::task::spawn_blocking(move || {
            // Kept to the end of the work, also when nobody waits for it: it takes its share all the same.
            let _permit = permit;
            any_matches(&reuse, &stop)
        });
        match work.await {
            Ok(Ok(is_former)) => Reuse::verdict(is_former),
            Ok(Err(text)) => Verdict::error(text),
            Err(error) => Verdict::error(format!("former passwords cannot be compared: {error}")),
        }
    }
}

/// Whether the password is one of the former ones. One that matches decides; without, one that cannot be compared is an
/// error, since it might have.
fn any_matches(reuse: &Reuse, stop: &AtomicBool) -> Result<bool, String> {
    let mut problem = None;
    for (index, hash) in reuse.hashes.iter().enumerate() {
        if stop.load(Ordering::Relaxed) {
            return Err("former passwords were not compared in time".to_owned());
        }
        match matches(reuse.password.reveal(), hash) {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(text) => {
                problem = problem.or(Some(format!("entry {} of the password history {text}", index + 1)))
            }
        }
    }
    problem.map_or(Ok(false), Err)
}

fn matches(password: &str, hash: &str) -> Result<bool, String> {
    // Django's mark of a password that nobody has.
    if hash.starts_with('!') {
        return Ok(false);
    }
    if hash.len() > MAX_HASH {
        return Err(format!("has more than {MAX_HASH} characters; correct or remove it"));
    }
    // Without a dollar sign it is of no form of Django's, and nothing of it may be shown.
    let Some((algorithm, rest)) = hash.split_once('$') else {
        return Err("does not begin with `<algorithm>$`; sync it as authentik stores it".to_owned());
    };
    match algorithm {
        "pbkdf2_sha256" => {
            pbkdf2(rest, |salt, rounds, out| pbkdf2_hmac::<Sha256>(password.as_bytes(), salt, rounds, out))
        }
        "pbkdf2_sha1" => {
            pbkdf2(rest, |salt, rounds, out| pbkdf2_hmac::<Sha1>(password.as_bytes(), salt, rounds, out))
        }
        "argon2" => argon2(password, rest),
        other => {
            let shown: String = other.chars().filter(|c| !c.is_control()).take(MAX_ALGORITHM).collect();
            Err(format!(
                "is of algorithm `{shown}`, which cannot be compared; known are pbkdf2_sha256, pbkdf2_sha1 and argon2"
            ))
        }
    }
}

/// `<iterations>$<salt>$<hash in base64>`.
fn pbkdf2(text: &str, derive: impl FnOnce(&[u8], u32, &mut [u8])) -> Result<bool, String> {
    let damaged = || "is damaged; sync it as authentik stores it".to_owned();
    let mut parts = text.split('$');
    let (Some(iterations), Some(salt), Some(hash), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(damaged());
    };
    let iterations: u32 = iterations.parse().map_err(|_| damaged())?;
    if iterations == 0 || iterations > MAX_ITERATIONS {
        return Err(format!("has {iterations} iterations; 1 to {MAX_ITERATIONS} are allowed"));
    }
    let wanted = base64::engine::general_purpose::STANDARD.decode(hash).map_err(|_| damaged())?;
    // More than the hash function gives would be more rounds of it.
    if wanted.is_empty() || wanted.len() > 64 {
        return Err(damaged());
    }
    let mut found = vec![0; wanted.len()];
    derive(salt.as_bytes(), iterations, &mut found);
    Ok(subtle::ConstantTimeEq::ct_eq(&*found, &*wanted).into())
}

/// `argon2id$v=19$m=...,t=...,p=...$<salt>$<hash>`, which is what others write with a dollar sign before it.
fn argon2(password: &str, text: &str) -> Result<bool, String> {
    let damaged = |_| "is damaged; sync it as authentik stores it".to_owned();
    let hash = PasswordHash::new(&format!("${text}")).map_err(damaged)?;
    let params =
        Params::try_from(&hash).map_err(|_| "is damaged; sync it as authentik stores it".to_owned())?;
    if params.m_cost() > MAX_MEMORY || params.t_cost() > MAX_PASSES {
        return Err(format!(
            "needs {} KiB and {} passes; at most {MAX_MEMORY} and {MAX_PASSES} are allowed",
            params.m_cost(),
            params.t_cost()
        ));
    }
    match Argon2::default().verify_password(password.as_bytes(), &hash) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
        Err(_) => Err("is damaged; sync it as authentik stores it".to_owned()),
    }
}

#[cfg(test)]
mod tests;
