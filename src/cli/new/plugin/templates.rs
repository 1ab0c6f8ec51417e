//! The files of a plugin's folder, with its name in them.

use engine::problem::Problem;

use super::sdk;
use super::{Language, Plan, PluginKind};
use crate::cli::CommandError;

/// A path below the folder, and the text of the file.
pub(super) type NewFile = (String, String);

/// The files of a plugin.
pub(super) fn files(plan: &Plan<'_>) -> Result<Vec<NewFile>, CommandError> {
    match plan.language {
        Language::Rust => Ok(rust(plan)),
        Language::C => c(plan),
    }
}

fn rust(plan: &Plan<'_>) -> Vec<NewFile> {
    let code = match plan.kind {
        PluginKind::Source => include_str!("rust/source.rs"),
        PluginKind::Enricher => include_str!("rust/enricher.rs"),
        PluginKind::Correlator => include_str!("rust/correlator.rs"),
        PluginKind::Sink => include_str!("rust/sink.rs"),
    };
    let mut files = vec![
        ("Cargo.toml".to_owned(), fill(include_str!("rust/Cargo.toml.txt"), plan)),
        ("src/lib.rs".to_owned(), fill(code, plan)),
        ("pipeline.yaml".to_owned(), pipeline(plan, "cargo build --release", "target/release")),
        ("README.md".to_owned(), fill(include_str!("rust/README.md"), plan)),
        (".gitignore".to_owned(), "/target\n".to_owned()),
    ];
    files.extend(sdk::files().map(|(path, text)| (format!("engine-plugin/{path}"), text)));
    files
}

fn c(plan: &Plan<'_>) -> Result<Vec<NewFile>, CommandError> {
    let code = match plan.kind {
        PluginKind::Source => include_str!("../../../../plugins/metronome/metronome.c")
            .replace("EP_STR(\"metronome\")", &format!("EP_STR(\"{}\")", plan.name))
            .replacen("metronome.c", &format!("{}.c", plan.name), 1),
        PluginKind::Enricher => fill(include_str!("c/enricher.c"), plan),
        PluginKind::Correlator | PluginKind::Sink => {
            let kind = plan.kind.singular();
            let problem = Problem::error(format!("there is no {kind} in C to begin with"));
            let help = "begin with `--kind enricher` and read `engine_plugin.h`, which has what the \
                        other kinds need, or leave `--language` out";
            return Err(problem.help(help).into());
        }
    };
    Ok(vec![
        (format!("{}.c", plan.name), code),
        ("engine_plugin.h".to_owned(), sdk::HEADER.to_owned()),
        ("Makefile".to_owned(), fill(include_str!("c/Makefile.txt"), plan)),
        ("pipeline.yaml".to_owned(), pipeline(plan, "make", ".")),
        ("README.md".to_owned(), fill(include_str!("c/README.md"), plan)),
        (".gitignore".to_owned(), "*.so\n".to_owned()),
    ])
}

/// A pipeline with the plugin; what it needs besides is built in.
fn pipeline(plan: &Plan<'_>, build: &str, libraries: &str) -> String {
    let stages = match (plan.kind, plan.language) {
        (PluginKind::Source, Language::Rust) => include_str!("source.yaml"),
        (PluginKind::Source, Language::C) => include_str!("c/source.yaml"),
        (PluginKind::Enricher, _) => include_str!("enricher.yaml"),
        (PluginKind::Correlator, _) => include_str!("correlator.yaml"),
        (PluginKind::Sink, _) => include_str!("sink.yaml"),
    };
    let retail = match plan.kind {
        PluginKind::Source => "",
        _ => include_str!("retail.yaml"),
    };
    let name = &plan.name;
    let head = format!(
        "\
# A pipeline with the plugin of this folder. Build that first:
#   {build}
#   engine run pipeline.yaml
version: 1
name: {name}
plugins: [{libraries}]{padding} # folders to look for libraries in, from where this file is

clock: {{ start: 2024-11-29T15:00:00Z, speed: max, duration: 1h }}

",
        padding = " ".repeat(20_usize.saturating_sub(libraries.len())),
    );
    head + retail + fill(stages, plan).as_str()
}

fn fill(template: &str, plan: &Plan<'_>) -> String {
    let article = if plan.kind == PluginKind::Enricher { "An" } else { "A" };
    let has_tests = matches!(plan.kind, PluginKind::Enricher | PluginKind::Correlator);
    let tests = if has_tests { ", `engine test pipeline.yaml` runs its tests" } else { "" };
    template
        .replace("{{name}}", &plan.name)
        .replace("{{crate}}", &format!("engine-plugin-{}", plan.name.replace('_', "-")))
        .replace("{{kind}}", plan.kind.singular())
        .replace("{{article}}", article)
        .replace("{{tests}}", tests)
}
