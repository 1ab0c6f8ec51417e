//! The start: who gets in, and what is said where nobody does.

use std::net::TcpListener;

use engine_plugin::Outcome;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};

use crate::server::{Server, is_there};
use crate::trial::Trial;
use crate::{receipts, settings};

/// Why it does not start.
fn error(settings: &Value) -> String {
    Trial::new(settings).map(drop).unwrap_err()
}

#[test]
fn a_stream_that_is_missing_is_said_with_the_remedy_and_one_that_is_there_is_used() {
    if !is_there() {
        return;
    }
    let server = Server::start();
    let mut settings = settings(&server.url());
    settings["stream"]["create"] = json!(false);
    let address = format!("`127.0.0.1:{}`", server.port);
    let remedy = "`create: true` under `stream` makes it";
    let wanted = format!("there is no stream `RETAIL` on {address}; {remedy}");
    assert_eq!(error(&settings), wanted);
    settings["stream"]["create"] = json!(true);
    settings["stream"]["duplicate_window_s"] = json!(7);
    for _ in 0..2 {
        Trial::new(&settings).unwrap();
    }
    let look = server.client();
    let mut stream = look.runtime.block_on(look.jetstream.get_stream("RETAIL")).unwrap();
    let config = &look.runtime.block_on(stream.info()).unwrap().config;
    assert_eq!(config.subjects, ["retail.*"]);
    assert_eq!(config.duplicate_window.as_secs(), 7);
    // Another one that takes the same subjects cannot be made.
    settings["stream"]["name"] = json!("SECOND");
    let reason = error(&settings);
    assert!(reason.starts_with(&format!("cannot make stream `SECOND` on {address}: ")), "{reason}");
    assert!(reason.contains("overlap"), "{reason}");
}

#[test]
fn a_server_without_streams_is_said() {
    if !is_there() {
        return;
    }
    let server = Server::plain(tempfile::tempdir().unwrap(), "");
    let mut settings = settings(&server.url());
    assert_eq!(error(&settings), format!("`127.0.0.1:{}` has no JetStream", server.port));
    settings["stream"]["create"] = json!(false);
    assert_eq!(error(&settings), format!("`127.0.0.1:{}` has no JetStream", server.port));
}

/// A key pair that NATS shows in its documentation.
const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
const PUBLIC: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";

#[test]
fn whoever_has_credentials_gets_in_and_nobody_else() {
    if !is_there() {
        return;
    }
    let token = ("authorization { token: s3cret }".to_owned(), json!({ "token": "s3cret" }));
    let user = (
        "authorization { users: [ { user: till, password: s3cret } ] }".to_owned(),
        json!({ "user": "till", "password": "s3cret" }),
    );
    let nkey =
        (format!("authorization {{ users: [ {{ nkey: {PUBLIC} }} ] }}"), json!({ "nkey": SEED }));
    for (config, credentials) in [token, user, nkey] {
        let server = Server::with(&config);
        let mut settings = settings(&server.url());
        settings["credentials"] = credentials;
        let mut trial = Trial::new(&settings).unwrap();
        assert_eq!(trial.write(&receipts(0..3)), Outcome::delivered());
        let wrong = json!({ "user": "till", "password": "wr0ng" });
        for credentials in [json!({ "token": "wr0ng" }), wrong, Value::Null] {
            settings["credentials"] = credentials;
            let reason = error(&settings);
            let address = format!("cannot connect to `127.0.0.1:{}`: ", server.port);
            assert!(reason.starts_with(&address), "{reason}");
            assert!(reason.contains("authorization violation"), "{reason}");
            assert!(!reason.contains("wr0ng"), "{reason}");
        }
    }
}

#[test]
fn settings_that_cannot_work_are_refused_before_the_run() {
    let with = |pointer: &str, value: Value| {
        let mut settings = settings("nats://127.0.0.1:4222");
        settings[pointer] = value;
        Trial::new(&settings).map(drop).unwrap_err()
    };
    let error = with("servers", json!(["ws://x"]));
    assert_eq!(error, "`ws://x` is no address of a NATS server: `ws` is neither `nats` nor `tls`");
    let error = with("servers", json!(["nats://till:s3cret@x"]));
    let wanted = "`x` is no address of a NATS server: \
                  a user and a password belong under `credentials`";
    assert_eq!(error, wanted);
    assert!(!with("servers", json!(["nats://till:s3cret@x y"])).contains("s3cret"));
    let error = with("subject", json!("retail..x"));
    assert_eq!(error, "`retail..x` is no subject: there is nothing between two dots");
    assert!(with("subject", json!("")).starts_with("`` is no subject"));
    let error = with("subject", json!("retail.>"));
    assert_eq!(error, "`retail.>` is no subject: '>' is not allowed in one");
    assert_eq!(with("subject", json!("a.{b")), "a `{` in `a.{b` has no `}`");
    assert!(with("subject", json!("a.{nowhere}")).starts_with("there is no field `nowhere`"));
    assert_eq!(with("stream", json!({ "name": "a.b" })), "`a.b` is no name of a stream");
    let ways = "`credentials` are one of `token`, `user` with `password`, `nkey` or `file`";
    assert_eq!(with("credentials", json!({ "user": "till" })), ways);
    assert_eq!(with("credentials", json!({ "token": "x", "nkey": "y" })), ways);
    assert_eq!(with("credentials", json!({})), ways);
    let error = with("tls", json!({ "cert_file": "x.pem" }));
    assert_eq!(error, "`cert_file` and `key_file` of `tls` go together");
}

#[test]
fn a_file_of_credentials_that_is_missing_is_said() {
    let mut settings = settings("nats://127.0.0.1:4222");
    settings["credentials"] = json!({ "file": "/nowhere/x.creds" });
    let reason = error(&settings);
    assert!(reason.contains("cannot use `/nowhere/x.creds`: "), "{reason}");
}

#[test]
fn a_server_that_is_not_there_is_waited_for_as_long_as_is_said() {
    let mut settings = settings("nats://127.0.0.1:1");
    settings["connect_timeout_ms"] = json!(300);
    let reason = error(&settings);
    assert!(reason.starts_with("cannot connect to `127.0.0.1:1`: "), "{reason}");
    assert!(
        reason.contains("Connection refused") && reason.ends_with(", after 300 ms"),
        "{reason}"
    );

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    settings["servers"] = json!([format!("nats://{address}"), "nats://127.0.0.1:1"]);
    let reason = error(&settings);
    assert!(reason.starts_with(&format!("cannot connect to `{address}`, `127.0.0.1:1`: ")));
    assert!(reason.ends_with(", after 300 ms"), "{reason}");
}

#[test]
fn certificates_are_looked_at() {
    if !is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let cert_file = write("cert.pem", &certificate.pem());
    let key_file = write("key.pem", &key.serialize_pem());
    let ca_file = write("ca.pem", &authority.pem());
    let config = format!("tls {{ cert_file: {cert_file:?}, key_file: {key_file:?} }}");
    let server = Server::with(&config);
    let mut settings = settings(&format!("tls://127.0.0.1:{}", server.port));
    settings["tls"] = json!({ "ca_file": ca_file });
    let mut trial = Trial::new(&settings).unwrap();
    assert_eq!(trial.write(&receipts(0..3)), Outcome::delivered());
    settings["tls"] = json!({});
    settings["connect_timeout_ms"] = json!(1000);
    let reason = error(&settings);
    assert!(reason.contains("invalid peer certificate"), "{reason}");
}
