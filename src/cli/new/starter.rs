//! The text of a pipeline to begin with.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::config::Config;

/// The variable that holds the connection string.
pub(super) const CONNECTION_STRING_VARIABLE: &str = "AZURE_EVENTHUB_CONNECTION_STRING";

/// How many folders above the file may hold `schemas/`.
const FOLDERS_UP: usize = 3;

/// The YAML of a pipeline of that name that will be in that file.
pub(super) fn pipeline(name: &str, path: &Path, config: &Config) -> String {
    let batcher = |key: &str, default: u64| config.batcher.get(key).copied().unwrap_or(default);
    let mut yaml = schema_line(path);
    let _ = write!(
        yaml,
        "\
# `engine run {file}` runs this pipeline, `engine run {file} --sample 20` shows some events of it.
version: 1
name: {name}
description: Retail events, marked by a rule, in batches

",
        file = path.display(),
        name = scalar(name),
    );
    if config.is_read {
        event_factory(&mut yaml, config);
    } else {
        world(&mut yaml);
    }
    let _ = write!(
        yaml,
        "
enrichers:
  high_value:                   # marks the receipts that are worth a look
    type: rhai
    inputs: [stores]
    when: event.event_type == \"receipt_created\"   # other events pass by untouched
    with:
      script: |
        fn enrich(event) {{
            event.payload.high_value = event.payload.total > 100.0;
        }}

batchers:
  batches:
    type: count_or_time
    inputs: [high_value]
    with:
      max_batch_size: {size}
      batch_timeout_ms: {timeout}

",
        size = batcher("max_batch_size", 256),
        timeout = batcher("batch_timeout_ms", 1000),
    );
    sink(&mut yaml, config);
    if !config.delivery.is_empty() {
        yaml.push_str("    delivery:\n");
    }
    for (block, settings) in &config.delivery {
        let settings: Vec<String> =
            settings.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let _ = writeln!(yaml, "      {block}: {{ {} }}", settings.join(", "));
    }
    if config.dead_letters_off {
        yaml.push_str(
            "\ndead_letter: off                # events that a stage fails on are counted only\n",
        );
    }
    yaml
}

/// Where the events go. A connection string is a secret, so only its variable is named.
fn sink(yaml: &mut String, config: &Config) {
    if config.connection_string.is_none() {
        yaml.push_str(
            "\
sinks:
  out:
    type: console               # pretty on a terminal, one JSON object a line into a pipe
    inputs: [batches]
",
        );
        return;
    }
    let _ = write!(
        yaml,
        "\
sinks:
  hub:
    type: event_hubs            # `engine describe event_hubs` explains it
    inputs: [batches]
    with:
      connection_string: ${{{CONNECTION_STRING_VARIABLE}}}
",
    );
    if let Some(hub) = &config.hub {
        let _ = writeln!(yaml, "      hub: {}", scalar(hub));
    }
}

/// The source of those who begin: a small chain, on a day that is worth a look.
fn world(yaml: &mut String) {
    yaml.push_str(
        "\
clock:
  start: 2024-11-29T15:00:00Z   # simulated time begins here, so every run is the same
  speed: 60                     # simulated seconds in a real one, or max

sources:
  stores:
    type: retail                # `engine describe retail` explains it
    with:
      seed: 42                  # another seed, another chain
      stores: 20
      dcs: 2                    # distribution centres: they send trucks to their stores
      customers: 5000
      products: 800
      emit: [transactions, inventory]   # leave this out for shoppers, trucks and ads, too
",
    );
}

/// The source that a configuration describes. Such a generator draws its events one by one, in a
/// mix, and so does `retail_mix`.
fn event_factory(yaml: &mut String, config: &Config) {
    let source = |key: &str, default: u64| config.source.get(key).copied().unwrap_or(default);
    let _ = write!(
        yaml,
        "\
clock:
  start: 2024-11-29T10:00:00Z   # simulated time begins here, so every run is the same
  speed: 1                      # simulated seconds in a real one, or max

sources:
  stores:
    type: retail_mix            # `engine describe retail_mix` explains it; see `retail`, too
    with:
      seed: {seed}                  # another seed, another morning
      emit_interval_ms: {interval}
      burst: {burst}                 # events in each interval
",
        seed = source("seed", 42),
        interval = source("emit_interval_ms", 500),
        burst = source("burst", 100),
    );
    for key in ["stores", "dcs", "customers", "products"] {
        if let Some(number) = config.source.get(key) {
            let _ = writeln!(yaml, "      {key}: {number}");
        }
    }
}

/// Tells editors which schema the file keeps to, or how to have one.
fn schema_line(path: &Path) -> String {
    match schema_beside(path) {
        Some(schema) => format!("# yaml-language-server: $schema={}\n#\n", schema.display()),
        None => "\
# For completion in an editor: `engine schema pipeline > pipeline.schema.json`, and as the first
# line `# yaml-language-server: $schema=pipeline.schema.json`.
#
"
        .to_owned(),
    }
}

/// The schema in a `schemas` folder beside the file or above it, relative to the file.
fn schema_beside(path: &Path) -> Option<PathBuf> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut up = PathBuf::new();
    for _ in 0..=FOLDERS_UP {
        let schema = up.join("schemas/pipeline.schema.json");
        if folder.join(&schema).is_file() {
            return Some(schema);
        }
        up.push("..");
    }
    None
}

/// A text as a YAML scalar.
fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_word = !matches!(text.to_lowercase().as_str(), "true" | "false" | "null");
    if begins && is_word && text.chars().all(plain) {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_where_yaml_would_read_something_else() {
        assert_eq!(
            ["shop-1", "true", "1e3", "a: b", "é"].map(scalar),
            ["shop-1", "\"true\"", "\"1e3\"", "\"a: b\"", "\"é\"",]
        );
    }
}
