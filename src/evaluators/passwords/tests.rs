//! Hashes that others published, in Django's forms, and those that are not compared.

use super::*;
use crate::policy::Secret;
use std::time::{Duration, Instant};

// RFC 6070, and the same with SHA-256: password "password", salt "salt".
const SHA1: &str = "pbkdf2_sha1$4096$salt$SwB5AbdlSJq+rUnZJvch0GWkKcE=";
const SHA256: &str = "pbkdf2_sha256$4096$salt$xeR41ZKIyEGqUw22hFxMjZYok6ABzk4RpJY4c6qYE0o=";
// Written by Django 5.2, of the password "päss"; Argon2 with less memory than it takes by itself.
const ARGON2: &str = "argon2$argon2id$v=19$m=256,t=2,p=8$UzBkaXVtQ2hsb3JpZGVTMGRpdW1DaA$\
                      kM3VDWM9y7ZSsmMpW8tVndut/1szijiWfw8XxiKsovY";
const DJANGO_SHA256: &str =
    "pbkdf2_sha256$1000$S0diumChlorideS0diumCh$OH0B96/5lonlD6Gts2Acmqu/9daThs/WMF8LOhsENf8=";
const DJANGO_SHA1: &str = "pbkdf2_sha1$1000$S0diumChlorideS0diumCh$uGUBGpeVgOibpcwAxBzC6g8Lp2U=";

fn reuse(password: &str, hashes: &[&str]) -> Reuse {
    Reuse { password: Secret::new(password), hashes: hashes.iter().map(|hash| Box::from(*hash)).collect() }
}

#[test]
fn published_hashes_match_their_password_only() {
    for (password, hash) in [
        ("password", SHA1),
        ("password", SHA256),
        ("päss", DJANGO_SHA1),
        ("päss", DJANGO_SHA256),
        ("päss", ARGON2),
    ] {
        assert_eq!(matches(password, hash), Ok(true), "{hash}");
        assert_eq!(matches("Password", hash), Ok(false), "{hash}");
        assert_eq!(matches("", hash), Ok(false), "{hash}");
    }
    assert_eq!(matches("anything", "!unusable"), Ok(false));
}

#[test]
fn what_cannot_be_compared_names_the_algorithm_and_shows_nothing_else() {
    for (hash, text) in [
        ("bcrypt_sha256$$2b$12$abcdefgh", "algorithm `bcrypt_sha256`"),
        ("scrypt$16384$salt$8$5$abcdefgh", "algorithm `scrypt`"),
        ("$abcdefgh", "algorithm ``"),
        ("abcdefgh", "does not begin with"),
        ("pbkdf2_sha256$abcdefgh", "damaged"),
        ("pbkdf2_sha256$x$salt$abcdefgh", "damaged"),
        ("pbkdf2_sha256$1$salt$abcdefgh$more", "damaged"),
        ("pbkdf2_sha256$1$salt$abc*efgh", "damaged"),
        ("pbkdf2_sha256$1$salt$", "damaged"),
        ("pbkdf2_sha256$0$salt$abcdefgh", "has 0 iterations"),
        ("pbkdf2_sha256$5000001$salt$abcdefgh", "has 5000001 iterations"),
        ("argon2$argon2id$abcdefgh", "damaged"),
        (&ARGON2.replace("m=256", "m=262145"), "needs 262145 KiB"),
        (&ARGON2.replace("t=2", "t=17"), "17 passes"),
        (&*format!("pbkdf2_sha256$1$salt${}", "a".repeat(2_000)), "more than 1024"),
    ] {
        let error = any_matches(&reuse("password", &[hash]), &AtomicBool::new(false)).unwrap_err();
        assert!(error.starts_with("entry 1 of the password history ") && error.contains(text), "{error}");
        assert!(!error.contains("abcdefgh"), "{error}");
    }
}

#[tokio::test]
async fn one_that_matches_decides_over_one_that_cannot_be_compared() {
    let passwords = Passwords::default();
    let unknown = "md5$salt$abcdefgh";
    assert_eq!(passwords.compare(reuse("password", &[unknown, SHA256])).await, Reuse::verdict(true));
    let error = passwords.compare(reuse("other", &[SHA256, unknown, "x$"])).await.result.unwrap_err();
    assert!(error.contains("entry 2") && error.contains("`md5`"), "{error}");
    assert_eq!(passwords.compare(reuse("other", &[SHA256, SHA1, ARGON2])).await, Reuse::verdict(false));
}

#[tokio::test]
async fn work_that_nobody_waits_for_stops_and_gives_its_place_back() {
    let passwords = Passwords::default();
    let slow = format!("pbkdf2_sha256$20000$salt${}", "A".repeat(43) + "=");
    let many = vec![&*slow; 1_000];
    let start = Instant::now();
    let given_up =
        tokio::time::timeout(Duration::from_millis(20), passwords.compare(reuse("a", &many))).await;
    assert!(given_up.is_err());
    let places = Arc::clone(&passwords.at_a_time);
    let all = u32::try_from(MAX_AT_A_TIME).unwrap();
    let _places = tokio::time::timeout(Duration::from_secs(60), places.acquire_many(all)).await.unwrap();
    let one = start.elapsed();
    assert!(one < Duration::from_secs(30), "it went on for {one:?}");
}
