//! What a receiver answered, and what that means for the events of the request.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{DATE, HeaderMap, LOCATION, RETRY_AFTER};
use serde::Deserialize;

use crate::stage::Refusal;

/// How long a receiver may put us off.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// How much of an answer's text is shown, in characters.
const EXCERPT_CHARS: usize = 200;

/// What a receiver answered.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    /// All events were taken.
    Taken,
    /// All were taken but these, by their place in the request.
    Except(Vec<(usize, Refusal)>),
    /// The body was too large.
    TooLarge(Refusal),
    /// Nothing was taken.
    Refused(Refusal),
}

/// The answer of a receiver that took some events.
#[derive(Deserialize)]
struct Partial {
    rejected: Vec<Rejected>,
}

#[derive(Deserialize)]
struct Rejected {
    index: usize,
    #[serde(default = "bad_request")]
    status: u16,
    #[serde(default)]
    reason: String,
}

fn bad_request() -> u16 {
    400
}

impl Answer {
    /// Reads an answer. Of the body there may be only a first part; `secrets` are blotted out of
    /// what is shown of it.
    pub(super) fn new(
        status: u16,
        headers: &HeaderMap,
        body: &[u8],
        is_whole: bool,
        secrets: &[String],
    ) -> Self {
        let wait = retry_after(headers);
        let says = |text: &str| excerpt(text, secrets);
        if (200..300).contains(&status) {
            return taken(status, body, is_whole, wait, says);
        }
        let mut said = says(&String::from_utf8_lossy(body));
        if (300..400).contains(&status) && headers.contains_key(LOCATION) {
            "it redirects, which is not followed".clone_into(&mut said);
        }
        let refusal = refusal(status, &said, wait);
        if status == 413 { Self::TooLarge(refusal) } else { Self::Refused(refusal) }
    }
}

/// An answer of 2xx: there may be events that were not taken.
fn taken(
    status: u16,
    body: &[u8],
    is_whole: bool,
    wait: Option<Duration>,
    says: impl Fn(&str) -> String,
) -> Answer {
    let is_object = body.trim_ascii_start().starts_with(b"{");
    let not_understood = || {
        let reason = format!("HTTP {status}, but what it says of the events is not understood");
        Answer::Refused(Refusal::permanent("rejected", reason))
    };
    let partial: Option<Partial> = serde_json::from_slice(body).ok().filter(|_| is_object);
    let Some(partial) = partial else {
        let is_unclear = status == 207 || (is_object && (!is_whole || says_rejected(body)));
        return if is_unclear { not_understood() } else { Answer::Taken };
    };
    let mut rejected: Vec<_> = partial
        .rejected
        .into_iter()
        .filter(|item| !(200..300).contains(&item.status))
        .map(|item| (item.index, refusal(item.status, &says(&item.reason), wait)))
        .collect();
    rejected.sort_by_key(|(index, _)| *index);
    rejected.dedup_by_key(|(index, _)| *index);
    if rejected.is_empty() { Answer::Taken } else { Answer::Except(rejected) }
}

/// Whether an answer speaks of events that were rejected, however that reads. Many say how many
/// there were: none is no reason to doubt.
fn says_rejected(body: &[u8]) -> bool {
    match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(answer) => answer.get("rejected").is_some_and(|rejected| {
            !rejected.is_null() && rejected != 0 && rejected.as_bool() != Some(false)
        }),
        Err(_) => memchr::memmem::find(body, b"\"rejected\"").is_some(),
    }
}

/// What a status other than 2xx means.
pub(super) fn refusal(status: u16, said: &str, wait: Option<Duration>) -> Refusal {
    let reason =
        if said.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}: {said}") };
    let later = |category| {
        let refusal = Refusal::transient(category, reason.clone());
        wait.map_or(refusal.clone(), |wait| refusal.after(wait))
    };
    match status {
        408 => later("timeout"),
        429 => later("throttled"),
        425 | 500..=599 => later("unavailable"),
        401 | 403 => Refusal::permanent("unauthorized", reason),
        404 | 405 | 410 => Refusal::permanent("not_found", reason),
        413 => Refusal::permanent("too_large", reason),
        _ => Refusal::permanent("rejected", reason),
    }
}

/// How long to wait: seconds, or an instant by the receiver's own clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if let Ok(seconds) = text.parse() {
        Duration::from_secs(seconds)
    } else {
        let until = instant(text)?;
        let now = instant(headers.get(DATE)?.to_str().ok()?)?;
        Duration::try_from(until.duration_since(now)).unwrap_or_default()
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

/// An HTTP date (RFC 9110, section 5.6.7), such as `Sun, 06 Nov 1994 08:49:37 GMT`.
fn instant(text: &str) -> Option<jiff::Timestamp> {
    DateTimeParser::new().parse_timestamp(text.trim()).ok()
}

/// The beginning of a text on one line, without secrets.
fn excerpt(text: &str, secrets: &[String]) -> String {
    let mut text = text.to_owned();
    for secret in secrets {
        text = text.replace(secret, "***");
    }
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if !word.is_empty() {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
    }
    match line.char_indices().nth(EXCERPT_CHARS) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::Retry;
    use reqwest::header::HeaderValue;

    fn answer(status: u16, body: &str) -> Answer {
        Answer::new(status, &HeaderMap::new(), body.as_bytes(), true, &["s3cret".to_owned()])
    }

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn each_status_has_its_class() {
        for status in [408, 425, 429, 500, 502, 503, 504, 599] {
            let Answer::Refused(refusal) = answer(status, "") else { panic!("{status}") };
            assert_eq!(refusal.retry, Retry::Later, "{status}");
        }
        for (status, category) in [
            (400, "rejected"),
            (401, "unauthorized"),
            (403, "unauthorized"),
            (404, "not_found"),
            (405, "not_found"),
            (410, "not_found"),
            (409, "rejected"),
            (422, "rejected"),
            (301, "rejected"),
        ] {
            let Answer::Refused(refusal) = answer(status, "") else { panic!("{status}") };
            assert_eq!((refusal.retry, refusal.failure.category), (Retry::Never, category));
        }
        assert!(matches!(answer(413, ""), Answer::TooLarge(_)));
        for body in ["", "thanks", "{\"accepted\":3,\"rejected\":0}", "[]", "{\"rejected\":[]}"] {
            assert_eq!(answer(200, body), Answer::Taken, "{body}");
        }
    }

    #[test]
    fn what_a_receiver_says_is_shown_short_and_without_secrets() {
        let said = format!("no\r\n\tsuch s3cret {}", "x".repeat(1000));
        let Answer::Refused(refusal) = answer(400, &said) else { panic!() };
        let reason = refusal.failure.reason;
        assert!(reason.starts_with("HTTP 400: no such *** xxx"), "{reason}");
        assert!(reason.ends_with("...") && reason.len() < 250);
    }

    #[test]
    fn some_events_may_be_rejected_each_for_its_own_reason() {
        let body = r#"{"rejected": [{"index": 7, "status": 429}, {"index": 2, "reason": "bad"},
            {"index": 3, "status": 201}, {"index": 2, "status": 500}]}"#;
        let Answer::Except(rejected) = answer(207, body) else { panic!() };
        let wanted = [
            (2, Refusal::permanent("rejected", "HTTP 400: bad")),
            (7, Refusal::transient("throttled", "HTTP 429")),
        ];
        assert_eq!(rejected, wanted);
    }

    #[test]
    fn an_answer_about_some_events_that_is_not_understood_is_no_success() {
        for body in ["", "thanks", "{\"multi\": 1}"] {
            assert!(matches!(answer(207, body), Answer::Refused(_)), "{body}");
        }
        for rejected in ["\"x\"", "3", "[{\"index\": -1}]", "[{\"status\": 429}]", "[{\"index\": 0"]
        {
            let body = format!("{{\"rejected\": {rejected}}}");
            assert!(matches!(answer(200, &body), Answer::Refused(_)), "{body}");
        }
        let cut = Answer::new(200, &HeaderMap::new(), b"{\"rejected\": [", false, &[]);
        assert!(matches!(cut, Answer::Refused(_)));
    }

    #[test]
    fn a_receiver_may_say_when_to_come_again() {
        let wait = |fields: &[_]| retry_after(&headers(fields));
        assert_eq!(wait(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(wait(&[("retry-after", "86400")]), Some(RETRY_AFTER_MAX));
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        let later = ("retry-after", "Sun, 06 Nov 1994 08:51:07 GMT");
        let earlier = ("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT");
        assert_eq!(wait(&[date, later]), Some(Duration::from_secs(90)));
        assert_eq!(wait(&[date, earlier]), Some(Duration::ZERO));
        for wrong in [&[later][..], &[("retry-after", "soon")], &[("retry-after", "-1")], &[]] {
            assert_eq!(wait(wrong), None, "{wrong:?}");
        }
        let busy = Answer::new(503, &headers(&[("retry-after", "2")]), b"", true, &[]);
        let Answer::Refused(refusal) = busy else { panic!() };
        assert_eq!(refusal.retry, Retry::After(Duration::from_secs(2)));
    }
}
