//! What `deploy/` holds is taken by the programs that it is for, agrees with itself, and every figure
//! and alert in it is in the page for operations.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::harness::{Test, project, project_text};
use crate::metrics::prometheus;

fn read(path: &str) -> String {
    std::fs::read_to_string(project(path)).unwrap()
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The queries of the dashboard, with the titles of their panels.
pub(crate) fn queries() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/engine.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    panels
        .flat_map(|panel| {
            let targets = panel["targets"].as_array().into_iter().flatten();
            targets.map(move |target| (text(&panel["title"]), text(&target["expr"])))
        })
        .collect()
}

/// The alerts: each as its name, its expression and its annotations.
fn alerts() -> Vec<(String, String, Value)> {
    let rules = yaml("deploy/prometheus/rules.yml");
    let groups = rules["groups"].as_array().unwrap().iter();
    let rules = groups.flat_map(|group| group["rules"].as_array().unwrap().clone());
    rules
        .map(|rule| {
            let severity = rule["labels"]["severity"].as_str();
            assert!(matches!(severity, Some("critical" | "warning")), "{rule}");
            let text = |name: &str| rule[name].as_str().unwrap().to_owned();
            (text("alert"), text("expr"), rule["annotations"].clone())
        })
        .collect()
}

/// Whatever in a text has the form of one of our metrics.
pub(crate) fn metrics_in(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_part(c));
    let ours = |word: &&str| word.starts_with("engine_") || word.starts_with("process_");
    words.filter(ours).map(ToOwned::to_owned).collect()
}

/// The metrics that the page for operations explains: those that rows of its tables begin with.
pub(crate) fn documented() -> BTreeSet<String> {
    let page = read("docs/operations.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    rows.flat_map(metrics_in).collect()
}

#[test]
fn the_dashboard_asks_the_source_that_is_chosen_and_its_panels_are_apart() {
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/engine.json")).unwrap();
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    let names: Vec<&str> = variables.map(|variable| variable["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["datasource", "pipeline", "instance", "stage"]);
    let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = &panel["title"];
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its id is another's, too");
        let place = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        let (x, y) = (place("x"), place("y"));
        assert!(x + place("w") <= 24, "{title} is too wide");
        for cell in (x..x + place("w")).flat_map(|x| (y..y + place("h")).map(move |y| (x, y))) {
            assert!(cells.insert(cell), "{title} covers another");
        }
        if panel["type"] == "row" {
            continue;
        }
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        assert!(panel["description"].as_str().is_some_and(|text| text.ends_with('.')), "{title}");
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
            let query = target["expr"].as_str().unwrap();
            assert!(query.contains("instance=~\"$instance\""), "{title}: of every engine: {query}");
        }
    }
    assert!(queries().len() > 40);
}

#[test]
fn dashboard_and_alerts_ask_for_metrics_that_there_are() {
    let known = documented();
    let of_histogram = |name: &str| {
        let ends = ["_bucket", "_sum", "_count"];
        ends.iter().any(|end| name.strip_suffix(end).is_some_and(|name| known.contains(name)))
    };
    let alerts = alerts().into_iter().map(|(name, query, _)| (name, query));
    for (title, query) in queries().into_iter().chain(alerts) {
        for name in metrics_in(&query) {
            assert!(known.contains(&name) || of_histogram(&name), "{title}: there is no {name}");
        }
    }
}

#[test]
fn every_alert_has_its_entry_among_the_runbooks_and_every_entry_its_alert() {
    let page = read("docs/operations.md");
    let entries: BTreeSet<&str> =
        page.lines().filter_map(|line| line.strip_prefix("#### ")).collect();
    let mut names = BTreeSet::new();
    for (name, _, annotations) in alerts() {
        let text = |key: &str| annotations[key].as_str().unwrap_or_default().to_owned();
        assert!(!text("summary").is_empty() && text("description").ends_with('.'), "{name}");
        let link = format!("docs/operations.md#{}", name.to_lowercase());
        assert_eq!(text("runbook_url"), link);
        names.insert(name);
    }
    assert_eq!(names, entries.iter().map(ToString::to_string).collect());
}

#[test]
fn prometheus_takes_its_configuration_and_alerts_fire_when_they_should() {
    if !prometheus::is_there() {
        return;
    }
    for (what, file) in [
        ("check rules", "rules.yml"),
        ("check config", "prometheus.yml"),
        ("test rules", "rules_test.yml"),
    ] {
        let file = project_text(&format!("deploy/prometheus/{file}"));
        let run = Command::new("promtool").args(what.split(' ')).arg(file).output().unwrap();
        let said = [run.stdout, run.stderr].concat();
        assert!(run.status.success(), "{what}: {}", String::from_utf8_lossy(&said));
    }
    let tests = read("deploy/prometheus/rules_test.yml");
    for (name, ..) in alerts() {
        assert!(tests.contains(&format!("alertname: {name}")), "{name} is not tested");
    }
}

/// The manifests in the folder, by file.
fn manifests() -> Vec<(String, Value)> {
    let entries = std::fs::read_dir(project("deploy/kubernetes")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names = names.filter(|name| name != "shop.yaml");
    names.map(|name| (name.clone(), yaml(&format!("deploy/kubernetes/{name}")))).collect()
}

/// What a command line says behind an option.
fn option<'a>(container: &'a Value, name: &str) -> &'a str {
    let arguments = container["args"].as_array().unwrap();
    let place = arguments.iter().position(|argument| argument == name).unwrap();
    arguments[place + 1].as_str().unwrap()
}

#[test]
fn what_kustomize_puts_together_is_there_and_named() {
    let kustomization = yaml("deploy/kubernetes/kustomization.yaml");
    let resources = kustomization["resources"].as_array().unwrap();
    let files = kustomization["configMapGenerator"][0]["files"].as_array().unwrap();
    for file in resources.iter().chain(files) {
        let path = format!("deploy/kubernetes/{}", file.as_str().unwrap());
        assert!(project(&path).exists(), "{path}");
    }
    for (file, manifest) in manifests() {
        assert!(manifest["apiVersion"].is_string() && manifest["kind"].is_string(), "{file}");
        let is_named = manifest["metadata"]["name"].is_string() || file == "kustomization.yaml";
        assert!(is_named, "{file}");
    }
}

#[test]
fn pods_are_probed_where_the_engine_answers_and_have_the_time_to_drain() {
    let pods = manifests().into_iter().filter_map(|(file, manifest)| {
        let template = &manifest["spec"]["template"]["spec"];
        template.is_object().then(|| (file, manifest["spec"].clone()))
    });
    let pods: Vec<_> = pods.collect();
    assert_eq!(pods.len(), 2);
    for (file, spec) in pods {
        let pod = &spec["template"]["spec"];
        let container = &pod["containers"][0];
        let path = |probe: &str| container[probe]["httpGet"]["path"].as_str().unwrap();
        let paths = ["startupProbe", "livenessProbe", "readinessProbe"].map(path);
        assert_eq!(paths, ["/live", "/live", "/ready"], "{file}");
        // The drain timeout, and what a run takes after it: see `runtime`.
        assert!(pod["terminationGracePeriodSeconds"].as_u64().unwrap() > 30 + 5 + 3, "{file}");
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{file}");
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true, "{file}");
        let shards = spec["replicas"].as_u64().or_else(|| spec["completions"].as_u64()).unwrap();
        let (_, of) = option(container, "--shard").split_once('/').unwrap();
        assert_eq!(of, shards.to_string(), "{file}");
    }
}

#[test]
#[cfg(feature = "event_hubs")]
fn the_pipeline_of_the_pods_is_right_also_in_their_shards() {
    let hub = "Endpoint=sb://localhost:5672;SharedAccessKeyName=a;SharedAccessKey=YQ==";
    let spec = project_text("deploy/kubernetes/shop.yaml");
    for shard in ["0/3", "3/4"] {
        Test::new(&["validate", "--deny-warnings", &spec, "--shard", shard])
            .env("AZURE_EVENTHUB_CONNECTION_STRING", hub)
            .env("ENGINE_TOKEN", "0123456789abcdef")
            .run()
            .exits(0);
    }
}

#[test]
fn systemd_takes_the_unit() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        println!("skipped: systemd-analyze not found");
        return;
    }
    let unit = read("deploy/systemd/engine@.service");
    // The program is not installed here.
    let here = unit.replace("/usr/local/bin/engine", env!("CARGO_BIN_EXE_engine"));
    assert_ne!(unit, here);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("engine@shop.service");
    std::fs::write(&path, here).unwrap();
    let run = Command::new("systemd-analyze").arg("verify").arg(&path).output().unwrap();
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    let about_it: Vec<&str> = said.lines().filter(|line| line.contains("engine@shop")).collect();
    assert!(run.status.success() && about_it.is_empty(), "{said}");
}

#[test]
fn the_unit_gives_a_run_the_time_to_drain() {
    let unit = read("deploy/systemd/engine@.service");
    for line in ["--drain-timeout 30s", "TimeoutStopSec=60s", "RestartPreventExitStatus=2"] {
        assert!(unit.contains(line), "{line}");
    }
}
