//! Settings; what the sink does with a receiver is shown in `tests/it/http_sink.rs`.

use super::*;

fn settings(json: &str) -> HttpSink {
    serde_json::from_str(json).unwrap()
}

fn fault(json: &str) -> Fault {
    settings(json).receiver(Vec::new()).err().unwrap()
}

#[test]
fn a_password_in_the_url_is_refused_and_not_shown() {
    let fault = fault(r#"{"url": "https://me:s3cret@example.com/x"}"#);
    assert_eq!(fault.setting, "/url");
    assert!(fault.help.unwrap().contains("auth: { basic"));
    assert!(!format!("{fault:?}").contains("s3cret"));
}

#[test]
fn what_is_no_http_url_is_refused() {
    assert_eq!(fault(r#"{"url": "nowhere"}"#).message, "it is no URL: relative URL without a base");
    let ftp = fault(r#"{"url": "ftp://example.com"}"#).message;
    assert_eq!(ftp, "`ftp` is neither `http` nor `https`");
}

#[test]
fn header_fields_that_cannot_be_are_refused_without_their_values() {
    for (headers, setting) in [
        (r#"{"a b": "s3cret"}"#, "/headers/a b"),
        (r#"{"x/y": "s3cret\n"}"#, "/headers/x~1y"),
        (r#"{"x": "s3cret\n"}"#, "/headers/x"),
        (r#"{"Content-Length": "s3cret"}"#, "/headers/Content-Length"),
        (r#"{"Authorization": "s3cret"}"#, "/headers/Authorization"),
    ] {
        let fault = fault(&format!(
            r#"{{"url": "http://h/", "auth": {{"bearer": "t"}}, "headers": {headers}}}"#
        ));
        assert_eq!(fault.setting, setting);
        assert!(!format!("{fault:?}").contains("s3cret"));
    }
}

#[test]
fn debug_output_shows_no_secret() {
    let sink = settings(
        r#"{"url": "http://h/", "headers": {"x": "s3cret"},
            "auth": {"basic": {"user": "me", "password": "s3cret"}}}"#,
    );
    assert!(!format!("{sink:?}").contains("s3cret"));
}
