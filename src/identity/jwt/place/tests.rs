//! Tests of where tokens are found.

use super::*;

fn place(header: &str, prefix: Option<&str>, cookies: &[&str]) -> Place {
    Place::new(&JwtSettings {
        header: header.to_owned(),
        prefix: prefix.map(str::to_owned),
        cookies: cookies.iter().map(|name| (*name).to_owned()).collect(),
        ..JwtSettings::default()
    })
    .unwrap()
}

fn find(place: &Place, headers: &[(&str, &str)]) -> Result<Option<String>, Reason> {
    let headers: Headers<'_> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    match place.find(&headers) {
        Ok(token) => Ok(token.map(str::to_owned)),
        Err(Trouble::Refused(reason, _)) => Err(reason),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_bearer_token_stands_in_authorization() {
    let bearer = place("authorization", None, &[]);
    let found = |value: &str| find(&bearer, &[("Authorization", value)]);
    for value in ["Bearer t", "bearer t", "BEARER t", " \tBearer t"] {
        assert_eq!(found(value), Ok(Some("t".into())), "{value}");
    }
    // What is about something else.
    for value in ["", "Basic dTpw", "Bearert", "t", "Basic x, Bearer t", "Bearer=t", "DPoP t"] {
        assert_eq!(found(value), Ok(None), "{value}");
    }
    // There is one, and what it says is looked at by others: nothing is trimmed or taken apart.
    for (value, token) in [
        ("Bearer", ""),
        ("Bearer ", ""),
        ("Bearer  t", " t"),
        ("Bearer\tt", "\tt"),
        ("Bearer t ", "t "),
        ("Bearer t u", "t u"),
        ("Bearer t,Bearer u", "t,Bearer u"),
    ] {
        assert_eq!(found(value), Ok(Some(token.into())), "{value}");
    }
    assert_eq!(find(&bearer, &[("x-authorization", "Bearer t"), ("cookie", "authorization=t")]), Ok(None));
    let headers: Headers<'_> = [("authorization", &b"Bearer \xff"[..])].into_iter().collect();
    assert!(matches!(bearer.find(&headers), Err(Trouble::Refused(Reason::TokenMalformed, _))));
}

#[test]
fn two_tokens_are_none() {
    let both = place("authorization", None, &["session", "other"]);
    let bearer = ("authorization", "Bearer t");
    for (headers, reason) in [
        (vec![bearer, bearer], Reason::SeveralTokens),
        (vec![bearer, ("Authorization", "bearer u")], Reason::SeveralTokens),
        (vec![bearer, ("authorization", "Basic x")], Reason::HeaderAmbiguous),
        (vec![("authorization", ""), bearer], Reason::HeaderAmbiguous),
        (vec![bearer, ("cookie", "session=t")], Reason::SeveralTokens),
        (vec![("cookie", "session=t; other=t")], Reason::SeveralTokens),
        (vec![("cookie", "session=t; session=u")], Reason::SeveralTokens),
        (vec![("cookie", "session=t"), ("cookie", "session=t")], Reason::SeveralTokens),
        (vec![("cookie", "session=; session=t")], Reason::SeveralTokens),
        (vec![("cookie", "session =u; session=t")], Reason::SeveralTokens),
    ] {
        assert_eq!(find(&both, &headers), Err(reason), "{headers:?}");
    }
    let basic = [("authorization", "Basic x"), ("authorization", "Basic y")];
    assert_eq!(find(&both, &basic), Ok(None));
    assert_eq!(find(&both, &[bearer, ("cookie", "session=; a=b")]), Ok(Some("t".into())));
}

#[test]
fn cookies_are_taken_apart_at_semicolons_and_nowhere_else() {
    let cookies = place("", None, &["authentik_session"]);
    for (cookie, token) in [
        ("authentik_session=t", Some("t")),
        ("a=b; authentik_session=t; c=d", Some("t")),
        ("a=b;authentik_session=t", Some("t")),
        (" authentik_session = t ;", Some("t")),
        ("authentik_session=t=u", Some("t=u")),
        // Quotes are part of no token, and hide no semicolon.
        ("authentik_session=\"t\"", Some("\"t\"")),
        ("a=\"x; authentik_session=t\"", Some("t\"")),
        ("a=\"x; authentik_session=t; y\"", Some("t")),
        ("authentik_session=t, b=c", Some("t, b=c")),
        ("authentik_session=%74", Some("%74")),
        ("authentik_session", None),
        ("authentik_session=", None),
        ("authentik_session= ", None),
        ("Authentik_Session=t", None),
        ("xauthentik_session=t", None),
        ("authentik_session[0]=t", None),
        ("__Host-authentik_session=t", None),
        ("\"authentik_session\"=t", None),
        ("=authentik_session=t", None),
        (";;=;", None),
        ("", None),
    ] {
        assert_eq!(find(&cookies, &[("cookie", cookie)]), Ok(token.map(str::to_owned)), "{cookie}");
    }
    let split = [("cookie", "a=b"), ("cookie", "authentik_session=t")];
    assert_eq!(find(&cookies, &split), Ok(Some("t".into())));
    assert_eq!(find(&cookies, &[("authorization", "Bearer t")]), Ok(None));
}

#[test]
fn another_header_has_the_token_alone_or_after_its_own_word() {
    let alone = place("X-authentik-jwt", None, &[]);
    assert_eq!(find(&alone, &[("x-authentik-jwt", "t")]), Ok(Some("t".into())));
    assert_eq!(find(&alone, &[("x-authentik-jwt", "Bearer t")]), Ok(Some("Bearer t".into())));
    assert_eq!(find(&alone, &[("x-authentik-jwt", "")]), Ok(None));
    assert_eq!(find(&alone, &[("x_authentik_jwt", "t")]), Ok(None));
    let worded = place("x-token", Some("JWT"), &[]);
    assert_eq!(find(&worded, &[("x-token", "jwt t")]), Ok(Some("t".into())));
    assert_eq!(find(&worded, &[("x-token", "t")]), Ok(None));
    let bare = place("authorization", Some(""), &[]);
    assert_eq!(find(&bare, &[("authorization", "t")]), Ok(Some("t".into())));
}
