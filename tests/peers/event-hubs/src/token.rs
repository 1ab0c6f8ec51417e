//! Tokens as clients put them: shared access signatures and JWTs, checked.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::address;
use crate::claim::{Claim, Grant, Policy, is_below};
use crate::clock;

/// What a JWT has to be for.
const AUDIENCE: &str = "https://eventhubs.azure.net";

/// Checks a token that was put for an audience, which is the address of what it is wanted for.
pub(crate) fn check(
    kind: &str,
    token: &str,
    audience: &str,
    policies: &[Policy],
) -> Result<Grant, String> {
    let path = address::path(audience).to_lowercase();
    let (claims, expires) = match kind {
        "servicebus.windows.net:sastoken" => check_signature(token, &path, policies)?,
        "jwt" => check_jwt(token)?,
        other => return Err(format!("InvalidToken: tokens of type `{other}` are not supported")),
    };
    if expires <= clock::now() {
        return Err("ExpiredToken: the token is expired".into());
    }
    Ok(Grant { path, claims, expires })
}

/// `SharedAccessSignature sr=<resource>&sig=<signature>&se=<expiry>&skn=<policy>`, each value
/// percent-encoded. What is signed are `sr` as it is written and `se`.
fn check_signature(
    token: &str,
    path: &str,
    policies: &[Policy],
) -> Result<(Vec<Claim>, SystemTime), String> {
    let fields = token
        .strip_prefix("SharedAccessSignature ")
        .ok_or("MalformedToken: not a shared access signature")?;
    let fields: HashMap<&str, &str> =
        fields.split('&').filter_map(|field| field.split_once('=')).collect();
    let field = |name: &str| {
        fields.get(name).copied().ok_or_else(|| format!("MalformedToken: `{name}` is missing"))
    };
    let (resource, signature, expiry) = (field("sr")?, field("sig")?, field("se")?);
    let name = decoded(field("skn")?);
    let granted = address::path(&decoded(resource));
    let policy = policies
        .iter()
        .find(|policy| policy.name == name && policy.covers(path))
        .ok_or_else(|| format!("InvalidSignature: there is no policy `{name}`"))?;
    if signature_of(resource, expiry, &policy.key) != decoded(signature) {
        return Err("InvalidSignature: the token has an invalid signature".into());
    }
    if !is_below(path, &granted) {
        return Err(format!("InvalidAudience: the token is for `{granted}`, not for `{path}`"));
    }
    let seconds = expiry.parse().map_err(|_| format!("MalformedToken: `{expiry}` is no time"))?;
    Ok((policy.claims.clone(), at(seconds)?))
}

impl Policy {
    fn covers(&self, path: &str) -> bool {
        self.hub.as_ref().is_none_or(|hub| is_below(path, hub))
    }
}

/// The signature of a resource and an expiry, both as the token has them.
fn signature_of(resource: &str, expiry: &str, key: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    STANDARD.encode(hmac::sign(&key, format!("{resource}\n{expiry}").as_bytes()))
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn at(seconds: u64) -> Result<SystemTime, String> {
    UNIX_EPOCH
        .checked_add(Duration::from_secs(seconds))
        .ok_or_else(|| format!("MalformedToken: `{seconds}` is no time"))
}

/// Audience and expiry of a JWT. Its signature is not looked at: any issuer will do.
fn check_jwt(token: &str) -> Result<(Vec<Claim>, SystemTime), String> {
    let malformed = || "MalformedToken: not a JWT".to_owned();
    let [_, claims, _] = token.split('.').collect::<Vec<_>>()[..] else { return Err(malformed()) };
    let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| malformed())?;
    let claims: Value = serde_json::from_slice(&claims).map_err(|_| malformed())?;
    let audience = claims["aud"].as_str().unwrap_or_default();
    if audience.trim_end_matches('/') != AUDIENCE {
        return Err(format!("InvalidAudience: the token is for `{audience}`"));
    }
    let expires = claims["exp"].as_u64().ok_or_else(malformed)?;
    Ok((vec![Claim::Manage], at(expires)?))
}

/// A JWT as Entra gives it, for Event Hubs and without a signature, that is valid for so long.
pub fn test_jwt(valid_for: Duration) -> String {
    let expires = clock::now() + valid_for;
    let seconds = expires.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = part(json!({ "aud": AUDIENCE, "exp": seconds, "iss": "event-hubs-peer" }));
    format!("{}.{claims}.", part(json!({ "alg": "none", "typ": "JWT" })))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

    use super::{check, signature_of, test_jwt};
    use crate::claim::{Claim, Grant, Policy};
    use crate::clock;

    const SAS: &str = "servicebus.windows.net:sastoken";

    fn policies() -> Vec<Policy> {
        let policy = |name: &str, claim, hub: Option<&str>| Policy {
            name: name.into(),
            key: "secret".into(),
            claims: vec![claim],
            hub: hub.map(String::from),
        };
        vec![policy("send", Claim::Send, None), policy("other", Claim::Manage, Some("other"))]
    }

    fn token(resource: &str, policy: &str, key: &str, seconds_left: i64) -> String {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let now = clock::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        let (resource, expiry) = (encoded(resource), (now + seconds_left).to_string());
        let signature = encoded(&signature_of(&resource, &expiry, key));
        format!("SharedAccessSignature sr={resource}&sig={signature}&se={expiry}&skn={policy}")
    }

    fn put(token: &str, audience: &str) -> Result<Grant, String> {
        check(SAS, token, audience, &policies())
    }

    #[test]
    fn signature_is_the_one_that_openssl_makes() {
        // printf 'sb%%3a%%2f%%2fh%%2fhub\n1700000000' | openssl dgst -sha256 -hmac secret -binary | base64
        let signature = signature_of("sb%3a%2f%2fh%2fhub", "1700000000", "secret");
        assert_eq!(signature, "y79EVHcjYVb5hBRHlpmxcK4c786h41NplaT/aP9oLxw=");
    }

    #[test]
    fn signature_of_a_policy_grants_its_claims_at_the_audience() {
        let token = token("sb://host/Hub", "send", "secret", 60);
        let grant = put(&token, "amqps://host:5671/hub/Partitions/0").unwrap();
        assert_eq!(
            (grant.path.as_str(), &grant.claims[..]),
            ("hub/partitions/0", &[Claim::Send][..])
        );
        assert!(grant.allows("HUB/Partitions/0", Some(Claim::Send)));
        assert!(!grant.allows("hub/Partitions/0", Some(Claim::Listen)));
        assert!(!grant.allows("hub/Partitions/01", Some(Claim::Send)));
        assert!(!grant.allows("hub", Some(Claim::Send)));
    }

    #[test]
    fn token_that_is_wrong_in_any_way_is_refused() {
        let refused = |token: &str, audience: &str, why: &str| {
            let reason = put(token, audience).unwrap_err();
            assert!(reason.starts_with(why), "{reason}");
        };
        let resource = "sb://host/hub";
        refused(&token(resource, "send", "guessed", 60), resource, "InvalidSignature");
        refused(&token(resource, "nobody", "secret", 60), resource, "InvalidSignature");
        refused(&token(resource, "other", "secret", 60), resource, "InvalidSignature");
        refused(&token(resource, "send", "secret", -1), resource, "ExpiredToken");
        refused(&token(resource, "send", "secret", 60), "sb://host/hub2", "InvalidAudience");
        let tampered = token(resource, "send", "secret", 60).replace("se=1", "se=2");
        refused(&tampered, resource, "InvalidSignature");
        refused("SharedAccessSignature sr=a&sig=b", resource, "MalformedToken");
        refused("Bearer x", resource, "MalformedToken");
    }

    #[test]
    fn jwt_has_to_be_for_event_hubs_and_still_valid() {
        let put = |token: &str| check("jwt", token, "sb://host/hub", &[]);
        let grant = put(&test_jwt(Duration::from_mins(1))).unwrap();
        assert!(grant.allows("hub/Partitions/1", Some(Claim::Listen)));
        assert!(put(&test_jwt(Duration::ZERO)).unwrap_err().starts_with("ExpiredToken"));
        // {"aud":"https://storage.azure.com","exp":4102444800}
        let elsewhere =
            "e30.eyJhdWQiOiJodHRwczovL3N0b3JhZ2UuYXp1cmUuY29tIiwiZXhwIjo0MTAyNDQ0ODAwfQ.";
        assert!(put(elsewhere).unwrap_err().starts_with("InvalidAudience"));
        assert!(put("e30.e30.").unwrap_err().starts_with("InvalidAudience"));
        assert!(put("no").unwrap_err().starts_with("MalformedToken"));
    }
}
