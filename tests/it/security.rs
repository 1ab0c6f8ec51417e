//! What whoever guards the engine sees, under a target of its own; secrets are in none of it.

use serde_json::Value;

use crate::harness::{Ended, Test};
use crate::peer::{Fault, Peer};

/// The entries of the log about security.
fn entries(ended: &Ended) -> Vec<Value> {
    let entries = ended.stderr.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    entries.filter(|entry| entry["target"] == "engine::security").collect()
}

#[test]
fn a_receiver_that_does_not_let_us_in_is_told_once_for_all_events() {
    for status in [401, 403] {
        let peer = Peer::start();
        peer.set(Fault::status(status));
        let spec = format!(
            "clock: {{ start: 2024-11-29T10:00:00Z, speed: max, events: 1000 }}\n\
             sources: {{ stores: {{ type: retail_mix }} }}\n\
             sinks: {{ hook: {{ type: http, inputs: [stores], with: {{ url: '{}', \
             auth: {{ bearer: '${{TOKEN}}' }} }} }} }}\n",
            peer.url()
        );
        let test = Test::new(&["run", "-", "--log-format", "json"]).stdin(&spec);
        let ended = test.env("TOKEN", "s3cret-t0ken").run().exits(1).never_says("s3cret-t0ken");
        let entries = entries(&ended);
        assert_eq!(entries.len(), 1, "{entries:?}");
        assert_eq!(entries[0]["event"], "auth_failed");
        assert_eq!((&entries[0]["stage"], &entries[0]["level"]), (&"hook".into(), &"WARN".into()));
        assert!(entries[0]["message"].as_str().unwrap().contains(&format!("HTTP {status}")));
    }
}

#[test]
fn a_library_that_is_another_one_than_is_meant_is_refused_and_told() {
    let digest = "00".repeat(32);
    let spec = format!(
        "plugins: [{{ path: libmark.so, sha256: {digest} }}]\n\
         sources: {{ stores: {{ type: retail_mix }} }}\n\
         sinks: {{ out: {{ type: blackhole, inputs: [stores] }} }}\n"
    );
    let test = Test::new(&["validate", "shop.yaml", "--log-format", "json"]);
    let ended = test.file("shop.yaml", &spec).file("libmark.so", "not mine").run().exits(2);
    let entries = entries(&ended);
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(entries[0]["event"], "plugin_refused");
    assert_eq!(entries[0]["file"], "libmark.so");
    assert!(entries[0]["message"].as_str().unwrap().contains("its SHA-256 is"), "{}", entries[0]);
}
