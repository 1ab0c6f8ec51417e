//! `engine new`

use crate::harness::{Ended, Test};

const CONFIG: &str = r#"{
  "seed": 7,
  "volume": { "stores": 50, "dcs": 3, "total_customers": 900 },
  "realtime": {
    "emit_interval_ms": 250,
    "burst": 20,
    "max_batch_size": 128,
    "batch_timeout_ms": 700,
    "retry_attempts": 0,
    "backoff_multiplier": 1.5,
    "circuit_breaker_enabled": false,
    "monitoring_interval": 30,
    "max_buffer_size": 5000,
    "enable_dead_letter_queue": false,
    "emit_intervall": 3
  },
  "stream": { "hub": "retail-events" }
}"#;

/// The file that was written, run for a few events.
fn rerun(ended: &Ended) -> Ended {
    let yaml = ended.read("shop.yaml");
    let arguments = ["run", "shop.yaml", "--speed", "max", "--events", "50"];
    Test::new(&arguments).file("shop.yaml", &yaml).run()
}

#[test]
fn a_new_pipeline_runs() {
    let ended = Test::new(&["new", "shop"]).run().exits(0).says("wrote shop.yaml");
    rerun(&ended).exits(0).prints_lines(50).prints("high_value");
}

#[test]
fn a_file_that_is_there_is_not_replaced_without_force() {
    let test = |arguments: &[&str]| Test::new(arguments).file("shop.yaml", "mine");
    let ended = test(&["new", "shop"]).run().exits(2).says("--force");
    assert_eq!(ended.read("shop.yaml"), "mine");
    let ended = test(&["new", "shop.yaml", "--force"]).run().exits(0);
    assert!(ended.read("shop.yaml").contains("name: shop"));
    Test::new(&["new", "no/such/shop"]).run().exits(1).says("cannot write");
}

#[test]
fn the_schema_line_names_a_schema_that_is_there() {
    let ended = Test::new(&["new", "pipelines/shop"])
        .file("schemas/pipeline.schema.json", "{}")
        .file("pipelines/other.yaml", "")
        .run()
        .exits(0);
    let line = "# yaml-language-server: $schema=../schemas/pipeline.schema.json\n";
    assert!(ended.read("pipelines/shop.yaml").starts_with(line));
    let ended = Test::new(&["new", "shop"]).run().exits(0);
    assert!(ended.read("shop.yaml").contains("engine schema pipeline >"));
}

#[test]
fn a_configuration_becomes_a_pipeline_and_what_has_no_place_is_told() {
    let arguments = ["new", "shop", "--from", "config.json"];
    let ended = Test::new(&arguments).file("config.json", CONFIG).run().exits(0);
    let yaml = ended.read("shop.yaml");
    for line in [
        "seed: 7 ",
        "stores: 50\n",
        "dcs: 3\n",
        "customers: 900\n",
        "emit_interval_ms: 250\n",
        "burst: 20 ",
        "max_batch_size: 128\n",
        "batch_timeout_ms: 700\n",
        "buffer: { max_events: 5000 }\n",
        "circuit_breaker: { enabled: false }\n",
        "retry: { attempts: 1, backoff_multiplier: 1.5 }\n",
        "dead_letter: off ",
    ] {
        assert!(yaml.contains(line), "no {line:?} in\n{yaml}");
    }
    assert!(!yaml.contains("hunter2") && !yaml.contains("Endpoint"));
    rerun(&ended).exits(0).prints_lines(50);
    let ended = ended.says("unknown key `emit_intervall`").says("did you mean `emit_interval_ms`?");
    let no_place = "has no place in the pipeline yet";
    ended
        .says("`retry_attempts` 0 became `attempts: 1`")
        .says(&format!("`monitoring_interval` {no_place}"))
        .says("`hub` has no place in the pipeline")
        .says("without a connection string events go to the console");
}

/// A configuration with a connection string, whose key is `aHVudGVyMg==`.
#[cfg(feature = "event_hubs")]
fn with_connection_string() -> String {
    let string = "Endpoint=sb://contoso.servicebus.windows.net/;SharedAccessKeyName=send;\
                  SharedAccessKey=aHVudGVyMg==";
    CONFIG.replace("\"burst\"", &format!("\"azure_connection_string\": \"{string}\", \"burst\""))
}

#[cfg(feature = "event_hubs")]
#[test]
fn a_connection_string_goes_to_an_environment_file_and_events_to_the_hub() {
    let arguments = ["new", "shop", "--from", "config.json"];
    let config = with_connection_string().replace("retail-events", "tills");
    let ended = Test::new(&arguments).file("config.json", &config).run().exits(0);
    let (yaml, env) = (ended.read("shop.yaml"), ended.read(".env"));
    assert!(yaml.contains("type: event_hubs "), "{yaml}");
    let with = "      connection_string: ${AZURE_EVENTHUB_CONNECTION_STRING}\n      hub: tills\n";
    assert!(yaml.contains(with) && yaml.contains("retry: { attempts: 1,"), "{yaml}");
    assert!(!yaml.contains("aHVudGVy") && !yaml.contains("Endpoint"));
    assert!(env.starts_with("AZURE_EVENTHUB_CONNECTION_STRING='Endpoint=sb://contoso"), "{env}");
    ended.says("--env-file .env").never_says("aHVudGVy").never_says("`hub` has no place");
    let validate = ["validate", "shop.yaml", "--env-file", ".env"];
    let validated = Test::new(&validate).file("shop.yaml", &yaml).file(".env", &env).run();
    validated.exits(0).says("shop.yaml: ok");
    let sample = ["run", "shop.yaml", "--env-file", ".env", "--sample", "20", "--speed", "max"];
    Test::new(&sample).file("shop.yaml", &yaml).file(".env", &env).run().exits(0);
}

#[cfg(feature = "event_hubs")]
#[test]
fn an_environment_file_is_added_to_and_a_line_of_the_same_name_is_kept() {
    let arguments = ["new", "shop", "--from", "config.json"];
    let from = |env: &str| {
        let config = with_connection_string();
        Test::new(&arguments).file("config.json", &config).file(".env", env).run().exits(0)
    };
    let ended = from("MINE=1");
    assert!(ended.read(".env").starts_with("MINE=1\nAZURE_EVENTHUB_CONNECTION_STRING='"));
    let ended = from("AZURE_EVENTHUB_CONNECTION_STRING=old\n").says("was kept");
    assert_eq!(ended.read(".env"), "AZURE_EVENTHUB_CONNECTION_STRING=old\n");
}

#[cfg(feature = "event_hubs")]
#[test]
fn a_connection_string_that_is_none_is_kept_and_told_of() {
    let arguments = ["new", "shop", "--from", "config.json"];
    let config = with_connection_string().replace("SharedAccessKeyName=send;", "");
    let ended = Test::new(&arguments).file("config.json", &config).run().exits(0);
    assert!(ended.read(".env").contains("SharedAccessKey=aHVudGVyMg=="));
    ended.says("warning").says("SharedAccessKeyName").never_says("aHVudGVy");
    let empty = CONFIG.replace("\"burst\"", "\"azure_connection_string\": \"\", \"burst\"");
    let ended = Test::new(&arguments).file("config.json", &empty).run().exits(0);
    assert!(!ended.files().contains(&".env".to_owned()));
    ended.says("`azure_connection_string` is empty");
}

#[test]
fn a_configuration_of_wrong_values_is_refused() {
    let from = |config: &str| {
        Test::new(&["new", "shop", "--from", "config.json"]).file("config.json", config).run()
    };
    let ended = from(r#"{ "realtime": { "burst": "many" } }"#).exits(2);
    let ended = ended.says("`burst` is not a whole number").says("config.json:1:");
    assert_eq!(ended.files(), ["config.json"]);
    from(r#"{ "realtime": { "burst": 0 } }"#).exits(2).says("burst");
    from("{").exits(2).says("config.json:1:");
}
