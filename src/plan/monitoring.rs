//! Settings under `monitoring:` that a schema cannot check.

use std::net::SocketAddr;
use std::time::Duration;

use crate::problem::Problem;
use crate::spec::{Document, MonitoringSettings, OtlpSettings, SpecDuration};

/// Fewer characters are guessed by trying.
const TOKEN_LENGTH_MIN: usize = 8;

/// All that is wrong with them.
pub(super) fn check(document: &Document) -> Vec<Problem> {
    let interval = "/monitoring/interval";
    let found = [
        check_http(document),
        check_token(document),
        check_audit_path(document),
        check_interval(document, interval, MonitoringSettings::INTERVAL_MIN),
    ];
    found.into_iter().flatten().chain(check_otlp(document)).collect()
}

fn check_http(document: &Document) -> Option<Problem> {
    let pointer = "/monitoring/http";
    let message = check_address(document.value(pointer).as_str()?).err()?;
    let help =
        "write a host and a port, as in `127.0.0.1:8080` or `[::1]:8080`; port 0 is a free one";
    Some(Problem::error(message).at(document.place(pointer)).help(help))
}

/// Whether one could listen there by the form of it; names are not looked up before the run.
fn check_address(address: &str) -> Result<(), String> {
    if address.parse::<SocketAddr>().is_ok() {
        return Ok(());
    }
    let no_port = || format!("`{address}` has no port");
    let (host, port) = address.rsplit_once(':').ok_or_else(no_port)?;
    if !port.bytes().all(|byte| byte.is_ascii_digit()) || port.parse::<u16>().is_err() {
        return Err(format!("`{port}` is not a port: one is a number from 0 to 65535"));
    }
    let is_name = |name: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        // Of digits alone it is meant as an address, and none that there is.
        name.bytes().all(fits) && name.bytes().any(|byte| byte.is_ascii_alphabetic())
    };
    if is_name(host) { Ok(()) } else { Err(format!("`{host}` is not a host")) }
}

fn check_token(document: &Document) -> Option<Problem> {
    let pointer = "/monitoring/token";
    let token = document.value(pointer);
    let token = token.as_str()?;
    let is_sendable =
        token.trim() == token && token.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let message = if token.is_empty() {
        "the token is empty, and anyone would know it".to_owned()
    } else if !is_sendable {
        "the token cannot be sent: it is of ASCII characters, and begins and ends with no space"
            .to_owned()
    } else if token.len() < TOKEN_LENGTH_MIN {
        format!("the token is too short: expected at least {TOKEN_LENGTH_MIN} characters")
    } else {
        return None;
    };
    let help =
        "make one with `openssl rand -hex 16`, and keep it in a variable such as `${ENGINE_TOKEN}`";
    Some(Problem::error(message).at(document.place(pointer)).help(help))
}

fn check_audit_path(document: &Document) -> Option<Problem> {
    let pointer = "/monitoring/audit/path";
    let is_empty = document.value(pointer).as_str()?.trim().is_empty();
    is_empty.then(|| {
        Problem::error("the path is empty")
            .at(document.place(pointer))
            .help("name a file such as `state/audit.ndjson`")
    })
}

fn check_interval(document: &Document, pointer: &str, least: Duration) -> Option<Problem> {
    let value = document.value(pointer);
    // What is no duration is told by the schema.
    let interval: SpecDuration = value.as_str()?.parse().ok()?;
    (interval.0 < least).then(|| {
        let least = SpecDuration(least);
        Problem::error(format!("`{interval}` is too short: expected at least `{least}`"))
            .at(document.place(pointer))
            .help("write it as in `30s`")
    })
}

fn check_otlp(document: &Document) -> Vec<Problem> {
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
    let interval = format!("{pointer}/interval");
    problems.extend(check_interval(document, &interval, OtlpSettings::INTERVAL_MIN));
    let headers = document.value(&format!("{pointer}/headers"));
    for (name, value) in headers.as_object().into_iter().flatten() {
        let escaped = name.replace('~', "~0").replace('/', "~1");
        let at = format!("{pointer}/headers/{escaped}");
        if name.parse::<reqwest::header::HeaderName>().is_err() {
            let message = format!("`{name}` is not the name of a header field");
            let help = "a name is of letters, digits and `-`, as in `x-api-key`";
            problems.push(Problem::error(message).at(document.key_place(&at)).help(help));
        } else if value.as_str().is_some_and(|value| !is_header_value(value)) {
            let message = format!("the value of `{name}` has characters that none may");
            let help = "a value is one line of ASCII characters";
            problems.push(Problem::error(message).at(document.place(&at)).help(help));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port_and_a_name_is_not_looked_up() {
        for address in [
            "127.0.0.1:8080",
            "0.0.0.0:0",
            "[::1]:65535",
            "localhost:8080",
            "no-such-host.invalid:80",
            "shop_1.internal:9000",
        ] {
            assert_eq!(check_address(address), Ok(()), "{address}");
        }
        for (address, message) in [
            ("", "`` has no port"),
            ("8080", "`8080` has no port"),
            ("localhost", "`localhost` has no port"),
            ("localhost:", "`` is not a port: one is a number from 0 to 65535"),
            ("localhost:http", "`http` is not a port: one is a number from 0 to 65535"),
            ("127.0.0.1:65536", "`65536` is not a port: one is a number from 0 to 65535"),
            ("127.0.0.1:+80", "`+80` is not a port: one is a number from 0 to 65535"),
            (":8080", "`` is not a host"),
            ("http://127.0.0.1:8080", "`http://127.0.0.1` is not a host"),
            ("127.0.0.300:80", "`127.0.0.300` is not a host"),
            ("::1:80x", "`80x` is not a port: one is a number from 0 to 65535"),
            ("::1:80", "`::1` is not a host"),
            ("[::1:80", "`[::1` is not a host"),
            (" localhost:80", "` localhost` is not a host"),
        ] {
            assert_eq!(check_address(address), Err(message.to_owned()), "{address}");
        }
    }
}
