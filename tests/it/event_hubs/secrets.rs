//! A key is in nothing that a run writes, whatever goes wrong.

use event_hubs_peer::{Condition, Peer, SendFault, Times};

use super::{HUB, Trial};
use crate::harness::{Ended, Test};

/// A key, and what a log could make of it.
const KEY: &str = "c2VjcmV0LXRoYXQtbXVzdC1ub3QtbGVhaw==";

fn forms() -> Vec<String> {
    let plain = "secret-that-must-not-leak".to_owned();
    let hex = "7365637265742d746861742d6d7573742d6e6f742d6c65616b".to_owned();
    let encoded = KEY.replace('=', "%3D").replace('+', "%2B").replace('/', "%2F");
    vec![KEY.to_owned(), KEY.trim_end_matches('=').to_owned(), encoded, plain, hex]
}

/// What goes wrong.
type Set = fn(&Peer);

/// Looks through everything that the program printed, and every file that it wrote.
fn holds_no_secret(ended: &Ended, doing: &str) {
    let mut texts = vec![(doing.to_owned(), ended.printed())];
    let mut paths = vec![ended.path("")];
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            let place = format!("{doing}: {}", path.display());
            texts.push((place, String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    for (place, text) in texts {
        for form in forms() {
            assert!(!text.contains(&form), "{place} holds the key");
        }
        assert!(!text.contains("SharedAccessSignature sr="), "{place} holds a token");
        assert!(!text.contains("&sig="), "{place} holds a signature");
    }
}

#[test]
fn no_output_and_no_file_of_a_run_holds_the_key() {
    let sink = "    with: { connection_string: \"${WHO}\", send_timeout: 500ms }\n    delivery: { retry: { initial_backoff_ms: 2, max_backoff_ms: 5 }, buffer: { type: disk } }\n";
    let faults: [(&str, Set); 6] = [
        ("well", |_| {}),
        ("busy", |peer| peer.on_send(SendFault::Reject(Condition::INTERNAL_ERROR), Times::N(2))),
        ("refused", |peer| peer.on_send(SendFault::Reject(Condition::UNAUTHORIZED), Times::N(1))),
        ("cut", |peer| peer.on_send(SendFault::Cut { stored: false }, Times::N(2))),
        ("stalled", |peer| peer.on_send(SendFault::Stall { stored: false }, Times::N(1))),
        ("detached", |peer| {
            let condition = Condition::UNAUTHORIZED;
            peer.on_send(SendFault::Detach { condition, stored: false }, Times::N(1));
        }),
    ];
    for (doing, set) in faults {
        let peer =
            Peer::builder().hub(HUB, 2).policy("send", KEY, [event_hubs_peer::Claim::Send]).start();
        set(&peer);
        let mut trial =
            Trial::new(&peer, 300, sink).env("WHO", &peer.connection_string_with(HUB, "send", KEY));
        // Everything that any library logs.
        trial.test = trial.test.env("RUST_LOG", "trace");
        let (running, _stdout) = trial.test.start();
        let ended = running.end(String::new());
        assert!(
            ended.printed().contains("authorize_path"),
            "{doing}: the libraries' log is not there"
        );
        holds_no_secret(&ended, doing);
    }
}

#[test]
fn neither_a_wrong_key_nor_a_broken_string_is_repeated() {
    let peer = Peer::builder().hub(HUB, 2).start();
    let sink = "    with: { connection_string: \"${WHO}\" }\n";
    let string = peer.connection_string_with(HUB, "send", KEY);
    for (doing, text) in [
        ("a policy that is not there", string.clone()),
        ("a key alone", KEY.to_owned()),
        ("a misspelt part", string.replace("SharedAccessKey=", "SharedAcessKey=")),
        ("an endpoint that is none", string.replace("sb://", "https://")),
        ("two keys", format!("{string};SharedAccessKey={KEY}")),
    ] {
        let trial = Trial::new(&peer, 100, sink).env("WHO", &text);
        let (running, _stdout) = trial.test.env("RUST_LOG", "trace").start();
        let ended = running.end(String::new());
        assert!(!ended.printed().is_empty());
        holds_no_secret(&ended, doing);
    }
}

#[test]
fn what_shows_a_spec_masks_the_key() {
    let spec = "sources: { shop: { type: retail_mix } }\nsinks:\n  hub:\n    type: event_hubs\n    inputs: shop\n    with:\n      connection_string: \"${WHO}\"\n      failover: { connection_string: \"${WHO}\" }\n";
    let string = format!(
        "Endpoint=sb://contoso.servicebus.windows.net/;SharedAccessKeyName=a;SharedAccessKey={KEY}"
    );
    for arguments in
        [&["render", "trial.yaml"][..], &["validate", "trial.yaml"], &["graph", "trial.yaml"]]
    {
        let ended =
            Test::new(arguments).file("trial.yaml", spec).env("WHO", &string).run().exits(0);
        holds_no_secret(&ended, arguments[0]);
    }
}
