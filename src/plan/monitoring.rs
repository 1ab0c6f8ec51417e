//! Settings under `monitoring:` that a schema cannot check.

use crate::problem::Problem;
use crate::spec::Document;

/// What is wrong with the export to a collector.
pub(super) fn check(document: &Document) -> Vec<Problem> {
    let mut problems = Vec::new();
    let pointer = "/monitoring/otlp";
    if !document.contains(pointer) {
        return problems;
    }
    if cfg!(not(feature = "otlp")) {
        let problem = Problem::error("this engine was built without OTLP");
        let help = "build it with `--features otlp`, or leave `otlp` out";
        return vec![problem.at(document.key_place(pointer)).help(help)];
    }
    let endpoint = document.value(&format!("{pointer}/endpoint"));
    if let Some(Err(reason)) = endpoint.as_str().map(check_endpoint) {
        let at = document.place(&format!("{pointer}/endpoint"));
        let help = "write it as `http://HOST:4318`, where a collector listens for OTLP over HTTP";
        problems.push(Problem::error(reason).at(at).help(help));
    }
    let headers = document.value(&format!("{pointer}/headers"));
    for (name, value) in headers.as_object().into_iter().flatten() {
        let escaped = name.replace('~', "~0").replace('/', "~1");
        let at = format!("{pointer}/headers/{escaped}");
        if name.parse::<reqwest::header::HeaderName>().is_err() {
            let message = format!("`{name}` is not the name of a header field");
            problems.push(Problem::error(message).at(document.key_place(&at)));
        } else if value.as_str().is_some_and(|value| !is_header_value(value)) {
            let message = format!("the value of `{name}` has characters that none may");
            problems.push(Problem::error(message).at(document.place(&at)));
        }
    }
    problems
}

fn check_endpoint(endpoint: &str) -> Result<(), String> {
    let url = reqwest::Url::parse(endpoint).map_err(|error| format!("it is no URL: {error}"))?;
    if !["http", "https"].contains(&url.scheme()) {
        return Err(format!("`{}` is neither `http` nor `https`", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a name or a password in a URL shows up in many places".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("`/v1/traces` is added to it, so it has no query".to_owned());
    }
    Ok(())
}

fn is_header_value(value: &str) -> bool {
    reqwest::header::HeaderValue::from_str(value).is_ok()
}
