//! Every command of README.md is run, and the rule it teaches works.

use std::path::Path;
use std::process::Command;

const README: &str = include_str!("../../README.md");

/// The fenced blocks of a language in the README.
fn blocks(language: &str) -> Vec<&'static str> {
    blocks_of(README, language)
}

pub(crate) fn blocks_of<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let opening = format!("```{language}\n");
    page.match_indices(&opening)
        .map(|(place, _)| page[place + opening.len()..].split("```").next().unwrap())
        .collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The rule of the README, put into the pipeline that `engine new` wrote.
fn add_the_rule(pipeline: &Path) {
    let rule = blocks("yaml")[0];
    let text = std::fs::read_to_string(pipeline).unwrap();
    let (head, batchers) = text.split_once("batchers:\n").unwrap();
    let batchers = batchers.replace("inputs: [high_value]", "inputs: [rush]");
    std::fs::write(pipeline, format!("{head}{rule}\nbatchers:\n{batchers}")).unwrap();
}

#[test]
fn every_command_of_the_readme_does_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    copy(&root.join("pipelines"), &folder.path().join("pipelines"));
    let commands: Vec<&str> = blocks("console").into_iter().flat_map(str::lines).collect();
    assert!(commands.contains(&"cargo test"), "the README says how to test");
    let mut ran = 0;
    // A build without Event Hubs predicts nothing for it.
    let is_there = |command: &&str| cfg!(feature = "event_hubs") || !command.contains("--capacity");
    let of_engine = commands.iter().filter_map(|line| line.strip_prefix("engine "));
    for command in of_engine.filter(is_there) {
        if command == "validate morning.yaml" {
            add_the_rule(&folder.path().join("morning.yaml"));
        }
        let run = Command::new(env!("CARGO_BIN_EXE_engine"))
            .args(command.split(' '))
            .current_dir(folder.path())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success(), "engine {command}: {errors}");
        if command == "run morning.yaml --speed max --duration 1h" {
            let output = String::from_utf8_lossy(&run.stdout);
            assert!(output.contains("\"basket_rush\""), "the first rule says nothing");
        }
        ran += 1;
    }
    assert!(ran >= 9, "{ran} commands");
    assert!(folder.path().join("report.json").exists());
}

#[test]
fn the_picture_in_the_readme_is_what_the_engine_draws() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let graph = Command::new(env!("CARGO_BIN_EXE_engine"))
        .args(["graph", "pipelines/quickstart.yaml"])
        .current_dir(root)
        .output()
        .unwrap();
    assert_eq!(blocks("mermaid"), [String::from_utf8(graph.stdout).unwrap()]);
}

#[test]
fn the_output_in_the_readme_is_what_the_quickstart_reports() {
    let (events, report) = blocks("text")[0].rsplit_once("...\n").unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let run = Command::new(env!("CARGO_BIN_EXE_engine"))
        .args(["run", "pipelines/quickstart.yaml", "--duration", "10m", "--speed", "max"])
        .args(["--set", "sinks.out.with.format=pretty"])
        .current_dir(root)
        .output()
        .unwrap();
    let said = String::from_utf8(run.stderr).unwrap();
    for part in report.trim().split("\n\n") {
        assert!(said.contains(part), "README says {part:?}, the engine says {said}");
    }
    let printed = String::from_utf8(run.stdout).unwrap();
    for line in events.lines().filter(|line| *line != "...") {
        assert!(printed.contains(line), "the quickstart does not print {line:?}");
    }
}

/// Runs what a page shows: its pipelines, each in a file of its own name, and its commands.
fn run_page(page: &str) {
    let folder = tempfile::tempdir().unwrap();
    let engine = |arguments: &[&str]| {
        let run = Command::new(env!("CARGO_BIN_EXE_engine"))
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success(), "engine {arguments:?}: {errors}");
        assert!(!errors.contains("warning: "), "engine {arguments:?}: {errors}");
        run.stdout
    };
    for pipeline in blocks_of(page, "yaml") {
        let name = pipeline.lines().find_map(|line| line.strip_prefix("name: ")).unwrap();
        let file = format!("{name}.yaml");
        std::fs::write(folder.path().join(&file), pipeline).unwrap();
        let printed = engine(&["run", &file, "--speed", "max", "--events", "2000"]);
        assert!(!printed.is_empty(), "{name} says nothing");
    }
    let commands = blocks_of(page, "console").into_iter().flat_map(str::lines);
    for command in commands {
        engine(&command.strip_prefix("engine ").unwrap().split(' ').collect::<Vec<_>>());
    }
}

#[test]
fn the_page_on_the_retail_chain_runs() {
    run_page(include_str!("../../docs/retail.md"));
}

/// Runs a script of the scripting page, which is `rule.rhai` in a spec.
async fn run_script(place: usize, spec: &str) -> engine::monitor::Statistics {
    let page = include_str!("../../docs/scripting.md");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rule.rhai"), blocks_of(page, "rhai")[place]).unwrap();
    let environment = engine::spec::Environment::default();
    let document =
        engine::spec::Document::parse("page.yaml", spec, folder.path(), &environment).unwrap();
    let engine = engine::engine::Engine::new(document, &engine::registry::built_in())
        .unwrap_or_else(|problems| panic!("{}", problems.render(false)));
    let report = engine.run(engine::control::Control::new()).await.unwrap();
    assert!(report.is_success(), "{:?}", report.errors);
    report.statistics
}

#[tokio::test]
async fn the_weights_in_the_scripting_page_run() {
    let spec = "
clock: { start: 2024-11-29T06:59:00Z, speed: max, duration: 2m }
sources: { tills: { type: retail_mix, with: { weights: rule.rhai } } }
sinks: { out: { type: blackhole, inputs: [tills] } }
";
    let statistics = run_script(1, spec).await;
    assert_eq!(statistics.events_generated, 12_000, "nothing before seven");
}

#[tokio::test]
async fn the_script_in_the_scripting_page_runs() {
    let spec = "
clock: { start: 2024-11-29T10:00:00Z, speed: max, duration: 1m }
sources: { tills: { type: retail_mix, with: { stores: 2, event_weights: { receipt_created: 1 } } } }
correlators:
  days: { type: rhai, inputs: [tills], with: { key: payload.store_id, script: rule.rhai } }
sinks: { out: { type: blackhole, inputs: [days] } }
";
    let statistics = run_script(0, spec).await;
    assert_eq!(statistics.events_failed, 0);
    assert!(statistics.error_counts.is_empty(), "{:?}", statistics.error_counts);
    assert!(statistics.events_derived > 100);
}

#[test]
fn the_defaults_on_the_page_on_delivery_are_the_defaults() {
    let page = include_str!("../../docs/delivery.md");
    let environment = engine::spec::Environment::default();
    let spec = blocks_of(page, "yaml")[0];
    let document = engine::spec::Document::parse("page.yaml", spec, "", &environment).unwrap();
    let delivery: engine::spec::DeliverySettings =
        serde_json::from_value(document.value("/sinks/hook/delivery")).unwrap();
    assert_eq!(delivery, engine::spec::DeliverySettings::default());
}

#[test]
fn every_command_of_the_page_on_dead_letters_does_what_it_says() {
    let page = include_str!("../../docs/delivery.md");
    let folder = tempfile::tempdir().unwrap();
    let [_, _, pipeline, chaos] = blocks_of(page, "yaml")[..] else { panic!("four specs") };
    std::fs::write(folder.path().join("tills.yaml"), pipeline).unwrap();
    let sources = "sources: { stores: { type: retail_mix } }\n";
    std::fs::write(folder.path().join("chaos.yaml"), format!("{sources}{chaos}")).unwrap();
    let shown = blocks_of(page, "console").into_iter().flat_map(str::lines);
    let mut printed = Vec::new();
    for command in shown.chain(["engine validate chaos.yaml", "engine dlq list tills.yaml"]) {
        let run = Command::new(env!("CARGO_BIN_EXE_engine"))
            .args(command.strip_prefix("engine ").unwrap().split(' '))
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(run.status.success(), "{command}: {}", String::from_utf8_lossy(&run.stderr));
        printed.push(String::from_utf8(run.stdout).unwrap());
    }
    assert!(printed[1].contains("shaky") && printed[2].contains("stage     shaky"));
    assert_eq!(printed.last().unwrap(), "", "all were sent again");
    let events = std::fs::read_to_string(folder.path().join("events.ndjson")).unwrap();
    assert_eq!(events.lines().count(), 2000);
}
