//! Libraries on disk become components: what is looked at, taken, and refused, and how it is told.

use std::io::BufRead;
use std::path::Path;
use std::process::Command;

use crate::golden;
use crate::harness::{Test, project};
use crate::libraries;

/// Compiles `loading/mark.c`; false if there is no C compiler and `ENGINE_TEST_REQUIRE` does not ask
/// for one.
fn compile(to: &Path, defines: &[(&str, &str)]) -> bool {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    // A text in Rust's way of writing it is one in C's, too.
    let defines = defines.iter().map(|(name, value)| match *value {
        "" => format!("-D{name}"),
        value => format!("-D{name}={value:?}"),
    });
    let defines: Vec<_> = defines.collect();
    let source = project("tests/it/loading/mark.c");
    libraries::compile(to, &source, defines.iter().map(String::as_str))
}

/// The program in a folder in which `plugins/libmark.so` is; none if there is no compiler.
fn with_mark(arguments: &[&str], defines: &[(&str, &str)]) -> Option<Test> {
    let test = Test::new(arguments);
    compile(&test.path("plugins/libmark.so"), defines).then_some(test)
}

fn sha256(path: &Path) -> String {
    use sha2::Digest;
    format!("{:x}", sha2::Sha256::digest(std::fs::read(path).unwrap()))
}

/// A pipeline with the plugin. `plugins` is what stands under that key.
fn spec(plugins: &str, settings: &str) -> String {
    format!(
        "\
plugins: {plugins}
clock: {{ start: 2024-11-29T10:00:00Z, speed: max, events: 20 }}
sources: {{ stores: {{ type: retail_mix }} }}
enrichers: {{ marked: {{ type: mark, inputs: stores, with: {settings} }} }}
sinks: {{ out: {{ type: console, inputs: marked, with: {{ format: ndjson }} }} }}
"
    )
}

#[test]
fn a_stage_of_a_library_runs_with_the_defaults_of_its_schema() {
    let Some(test) = with_mark(&["run", "a.yaml"], &[]) else { return };
    let ended = test.file("a.yaml", &spec("[plugins]", "{}")).run().exits(0);
    let marks = ended.stdout.lines().map(|line| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        event["payload"]["mark"].clone()
    });
    assert_eq!(marks.collect::<Vec<_>>(), vec![serde_json::json!(3); 20]);
}

#[test]
fn plugins_are_listed_with_what_they_are_and_where_they_are_from() {
    let Some(test) = with_mark(&["plugins", "list", "plugins"], &[]) else { return };
    test.run().exits(0).prints("mark").prints("1.2.3").prints("plugins/libmark.so");
    let json = with_mark(&["plugins", "list", "--json", "plugins/libmark.so"], &[]).unwrap();
    let list = golden::drift(&project("tests/it/loading/list.json"), &json.run().exits(0).stdout);
    assert!(list.is_none(), "{}", list.unwrap_or_default());
    let named = with_mark(&["plugins", "list", "--plugins", "plugins"], &[]).unwrap();
    named.run().exits(0).prints("mark");
    let by_variable = with_mark(&["plugins", "list"], &[]).unwrap();
    by_variable
        .env("ENGINE_PLUGIN_PATH", "none:plugins")
        .run()
        .exits(0)
        .prints("mark")
        .says("ENGINE_PLUGIN_PATH:1:1");
    Test::new(&["plugins", "list"]).run().exits(2).says("nothing says where plugins are");
    let empty = Test::new(&["plugins", "list", "empty"]).file("empty/readme.txt", "");
    empty.run().exits(0).says("no library in `empty`");
    let test = Test::new(&["plugins", "list", "--json", "none", "text.so"]).file("text.so", "text");
    let ended = test.run().exits(1);
    let found = ["text.so", "none"].map(|file| {
        let all = ended.json();
        let entry = all.as_array().unwrap().iter().find(|entry| entry["file"] == file).cloned();
        entry.unwrap_or_else(|| panic!("{file} in {all}"))
    });
    assert_eq!(found[0]["error"], "it is a text file, and no library");
    assert_eq!(found[1]["error"], "there is no such library or folder");
    assert!(found.iter().all(|entry| entry["help"].is_string()), "{found:?}");
}

#[test]
fn what_a_plugin_says_is_shown_on_one_line_without_what_a_terminal_obeys() {
    let garbled = [("GARBLED", "")];
    let Some(test) = with_mark(&["plugins", "list", "plugins"], &garbled) else { return };
    let shown = "a \\u{1b}[2J";
    let list = test.run().exits(0);
    list.prints(&format!("{shown}a C compiler")).prints(&format!("{shown}Marks events."));
    let page = with_mark(&["describe", "mark", "--plugins", "plugins"], &garbled).unwrap();
    let page = page.run().exits(0).prints(&format!("{shown}a C compiler"));
    page.prints(&format!("{shown}Marks events."));
    let test = with_mark(&["validate", "a.yaml"], &garbled).unwrap();
    test.file("a.yaml", &spec("[plugins]", "{}")).run().exits(0).says(&format!("{shown}is made"));
}

#[test]
fn an_example_that_is_no_mapping_refuses_its_plugin() {
    for (example, said) in [
        ("just words\n", "it is no mapping"),
        ("- level\n", "it is no mapping"),
        ("level: 1\nlevel: 2\n", "in line 2"),
        ("level: [1\n", "in line"),
    ] {
        let list = ["plugins", "list", "plugins"];
        let Some(test) = with_mark(&list, &[("EXAMPLE", example)]) else { return };
        let whose = "the example of its enricher `mark` is no YAML of settings: ";
        test.run().exits(1).says(whose).says(said);
    }
    for example in [" ", "# nothing to set\n", "{}"] {
        let list = ["plugins", "list", "plugins"];
        let Some(test) = with_mark(&list, &[("EXAMPLE", example)]) else { return };
        test.run().exits(0);
    }
}

#[test]
fn the_header_is_printed_as_it_is() {
    let printed = Test::new(&["plugins", "header"]).run().exits(0).stdout;
    let header = std::fs::read_to_string(project("plugins/sdk/include/engine_plugin.h")).unwrap();
    assert_eq!(printed, header);
}

#[test]
fn commands_that_show_components_show_those_of_libraries() {
    let with = |arguments: &[&str]| {
        let arguments = [arguments, &["--plugins", "plugins"]].concat();
        with_mark(&arguments, &[]).map(|test| test.run().exits(0))
    };
    let Some(list) = with(&["list", "enrichers"]) else { return };
    list.prints("plugins/libmark.so").prints("built in").prints("Marks events.");
    let json = with(&["list", "enrichers", "--format", "json"]).unwrap().json();
    let row = json.as_array().unwrap().iter().find(|row| row["name"] == "mark").unwrap();
    assert_eq!(row["plugin"]["version"], "1.2.3");
    let page = with(&["describe", "mark"]).unwrap();
    page.prints("Version 1.2.3").prints("What opens the door.").prints("level: 5");
    let json = with(&["describe", "mark", "--format", "json"]).unwrap().json();
    assert_eq!(json[0]["plugin"]["file"], "plugins/libmark.so");
    with(&["describe", "mark", "--format", "markdown"]).unwrap().prints("plugins/libmark.so");
    let schema = with(&["schema", "pipeline"]).unwrap().json();
    assert_eq!(schema["$defs"]["enricher_mark"]["properties"]["level"]["default"], 3);
    let unknown = with_mark(&["describe", "marc", "--plugins", "plugins"], &[]).unwrap();
    unknown.run().exits(2).says("did you mean `mark`?");
    // Without a word of them there is nothing of them.
    with_mark(&["list"], &[]).unwrap().run().exits(0).never_says("mark").never_says("FROM");
}

#[test]
fn settings_are_checked_and_secrets_masked_as_for_what_is_built_in() {
    let Some(test) = with_mark(&["render", "a.yaml"], &[]) else { return };
    let settings = "{ token: hunter22, level: 4 }";
    let rendered = test.file("a.yaml", &spec("[plugins]", settings)).run().exits(0);
    rendered.prints("token: \"***\"").never_says("hunter22");
    let test = with_mark(&["validate", "a.yaml"], &[]).unwrap();
    let wrong = test.file("a.yaml", &spec("[plugins]", "{ token: hunter22, levl: 4 }"));
    wrong
        .run()
        .exits(2)
        .says("a.yaml:4:77")
        .says("unknown setting `levl`")
        .says("did you mean `level`?")
        .never_says("hunter22");
}

#[test]
fn a_digest_is_checked_before_anything_of_the_library_runs() {
    let of = |digest: &str, test: Test| {
        let plugins = format!("[{{ path: plugins/libmark.so, sha256: {digest} }}, plugins]");
        test.file("a.yaml", &spec(&plugins, "{}")).run()
    };
    let Some(test) = with_mark(&["validate", "a.yaml"], &[("TELLS", "")]) else { return };
    let right = sha256(&test.path("plugins/libmark.so"));
    of(&right.to_uppercase(), test).exits(0).says("constructed");
    let test = with_mark(&["validate", "a.yaml"], &[("TELLS", "")]).unwrap();
    of(&"0".repeat(64), test)
        .exits(2)
        .says("it is another file: its SHA-256 is `")
        .says("a.yaml:1:47")
        .says("unknown enricher type `mark`")
        .never_says("constructed");
    let test = with_mark(&["validate", "a.yaml"], &[("TELLS", "")]).unwrap();
    of("abc", test)
        .exits(2)
        .says("`abc` is not a SHA-256 in 64 hexadecimal digits")
        .never_says("constructed");
    let test = with_mark(&["validate", "a.yaml"], &[]).unwrap();
    let folder = format!("[{{ path: plugins, sha256: {right} }}]");
    let ended = test.file("a.yaml", &spec(&folder, "{}")).run().exits(2);
    ended.says("`plugins` was not loaded: it is a folder, which has no SHA-256");
}

#[test]
fn places_that_are_not_there_are_told_where_they_are_named() {
    let test = Test::new(&["validate", "a.yaml"]).file("a.yaml", &spec("[none, a/b.so]", "{}"));
    test.run()
        .exits(2)
        .says("a.yaml:1:11")
        .says("error: `none` was not loaded: there is no such library or folder")
        .says("error: `a/b.so` was not loaded: there is no such library or folder")
        .says("help: build the plugin (`cargo build --release` in its folder), or correct the path")
        .says("`none` (there is no such library or folder)");
    for command in [&["list"][..], &["schema"], &["describe", "rhai"]] {
        let arguments = [command, &["--plugins", "none"]].concat();
        Test::new(&arguments).run().exits(2).says("--plugins:1:1").says("no such library");
        let test = Test::new(command).env("ENGINE_PLUGIN_PATH", "none");
        test.run().exits(0).says("warning: `none` was not loaded: there is no such library");
    }
    let wrong = spec("{ path: x }", "{}");
    Test::new(&["validate", "a.yaml"]).file("a.yaml", &wrong).run().exits(2).says("a.yaml:1:10");
}

#[test]
fn an_included_file_brings_its_libraries() {
    let test = Test::new(&["validate", "a.yaml"]);
    if !compile(&test.path("shared/libs/libmark.so"), &[]) {
        return;
    }
    let main = spec("", "{}").replacen("plugins:", "include: [shared/marks.yaml]\nplugins:", 1);
    let test = test.file("a.yaml", &main).file("shared/marks.yaml", "plugins: [libs]\n");
    test.run().exits(0).says("ok");
}

#[test]
fn a_name_that_is_taken_is_an_error_that_names_both() {
    let Some(test) = with_mark(&["validate", "a.yaml"], &[("NAME", "rhai")]) else { return };
    let test = test.file("a.yaml", &spec("[plugins]", "{}"));
    test.run()
        .exits(2)
        .says("`plugins/libmark.so` was not loaded: the enricher `rhai` is built in already")
        .says("a.yaml:1:11");
    let test = with_mark(&["plugins", "list", "plugins"], &[]).unwrap();
    assert!(compile(&test.path("plugins/libother.so"), &[]));
    test.run()
        .exits(1)
        .prints("plugins/libmark.so")
        .says("`plugins/libother.so` was not loaded")
        .says("`mark` is in `plugins/libmark.so` already");
}

#[test]
fn a_file_of_a_folder_that_is_no_plugin_is_a_warning() {
    let Some(test) = with_mark(&["validate", "a.yaml"], &[]) else { return };
    let test = test.file("a.yaml", &spec("[plugins]", "{}")).file("plugins/b.so", "text");
    test.run().exits(0).says("warning: `plugins/b.so` was not loaded: it is a text file");
    let test = with_mark(&["validate", "a.yaml"], &[]).unwrap();
    let test = test.file("a.yaml", &spec("[plugins, plugins/b.so]", "{}"));
    // Named in its own right it is an error, wherever else it is found.
    test.file("plugins/b.so", "text").run().exits(2).says("error: `plugins/b.so`");
}

#[test]
fn an_unknown_type_is_told_with_the_libraries_that_it_may_be_in() {
    let test = Test::new(&["validate", "a.yaml"]).file("a.yaml", &spec("[plugins, empty]", "{}"));
    test.file("plugins/libmark.so", "")
        .file("empty/readme.txt", "")
        .run()
        .exits(2)
        .says("unknown enricher type `mark`")
        .says("; or it is in what was not loaded: `plugins/libmark.so` (it is empty), or `empty` (")
        .says("no file in it ends in `.so`");
}

#[test]
fn a_schema_that_is_none_is_told_with_its_plugin() {
    for (schema, said) in [
        ("{", "their schema is no JSON"),
        ("{}", "does not say `\"type\": \"object\"`"),
        ("{\"type\":\"object\",\"$ref\":\"#\"}", "refers to itself without end"),
    ] {
        let list = ["plugins", "list", "plugins"];
        let Some(test) = with_mark(&list, &[("SCHEMA", schema)]) else { return };
        test.run()
            .exits(1)
            .says("`plugins/libmark.so` was not loaded: the settings of its enricher `mark`")
            .says(said);
    }
}

#[test]
fn defaults_that_multiply_or_do_not_fit_are_told_as_a_defect_of_their_plugin() {
    let inner: Vec<String> =
        (0..8).map(|number| format!(r##""p{number}":{{"$ref":"#","default":{{}}}}"##)).collect();
    let schema = format!(r#"{{"type":"object","properties":{{{}}}}}"#, inner.join(","));
    let list = ["plugins", "list", "plugins"];
    let Some(test) = with_mark(&list, &[("SCHEMA", &schema)]) else { return };
    test.run()
        .exits(1)
        .says("`plugins/libmark.so` was not loaded: the settings of its enricher `mark`")
        .says("the defaults of its schema come to more than 10000 values");
    let schema = r#"{"type":"object","properties":{"level":{"type":"integer","default":"x"}}}"#;
    let test = with_mark(&["validate", "a.yaml"], &[("SCHEMA", schema)]).unwrap();
    test.file("a.yaml", &spec("[plugins]", "{}"))
        .run()
        .exits(2)
        .says(r#"mark: the defaults of its schema do not fit it: "x" is not of type "integer""#)
        .says("this is a defect of the plugin `mark` in `plugins/libmark.so`");
    let test = with_mark(&["validate", "a.yaml"], &[("SCHEMA", schema)]).unwrap();
    test.file("a.yaml", &spec("[plugins]", "{ level: 1 }")).run().exits(0);
}

/// All at once, so that one program meets them all.
#[test]
#[cfg(target_os = "linux")]
fn files_that_are_no_plugins_are_refused_one_by_one_and_the_rest_is_listed() {
    let Some(test) = with_mark(&["plugins", "list", "plugins"], &[]) else { return };
    let folder = test.path("plugins");
    let whole = std::fs::read(folder.join("libmark.so")).unwrap();
    let lengths: Vec<usize> = (0..whole.len()).step_by(whole.len() / 24).collect();
    for length in &lengths {
        std::fs::write(folder.join(format!("cut_at_{length}.so")), &whole[..*length]).unwrap();
    }
    let mut other = whole.clone();
    other[18..20].copy_from_slice(&[0xf7, 0]);
    std::fs::write(folder.join("other_machine.so"), other).unwrap();
    std::fs::create_dir(folder.join("folder.so")).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_engine"), folder.join("program.so")).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.join("dangling.so")).unwrap();
    let pipe = Command::new("mkfifo").arg(folder.join("pipe.so")).status().unwrap();
    assert!(pipe.success());
    let cc = |name: &str, code: &str| {
        let source = folder.join("a.c");
        std::fs::write(&source, code).unwrap();
        assert!(libraries::compile(&folder.join(name), &source, []));
    };
    cc("no_entry.so", "int answer(void) { return 42; }\n");
    cc("missing_symbol.so", "int elsewhere(void); int (*answer)(void) = elsewhere;\n");
    cc("declines.so", "void *engine_plugin_entry(void) { return 0; }\n");
    let ended = test.file("plugins/text.so", "text").run().exits(1).prints("libmark.so");
    let mut ended = lengths.iter().filter(|length| **length > 0).fold(ended, |ended, length| {
        ended.says(&format!("`plugins/cut_at_{length}.so` was not loaded: it is truncated"))
    });
    for (name, said) in [
        ("cut_at_0", "it is empty"),
        ("other_machine", "it is built for another machine (number 247 of ELF)"),
        ("folder", "it is a folder"),
        ("program", "it is a program, and no library"),
        ("dangling", "there is no such file"),
        ("pipe", "it is not a regular file"),
        ("no_entry", "it is no plugin: it has no function `engine_plugin_entry`"),
        ("missing_symbol", "the system does not load it: undefined symbol: elsewhere"),
        ("declines", "it declines an engine that speaks plugin ABI 1.0"),
        ("text", "it is a text file, and no library"),
    ] {
        ended = ended.says(&format!("`plugins/{name}.so` was not loaded: {said}"));
    }
}

#[test]
fn a_watched_pipeline_takes_new_libraries_and_keeps_those_that_it_has() {
    let Some(test) = with_mark(&["run", "a.yaml", "--watch"], &[]) else { return };
    assert!(compile(&test.path("more/libextra.so"), &[("NAME", "extra")]));
    let spec = spec("[plugins]", "{}").replace("speed: max, events: 20", "speed: 1");
    let (running, mut stdout) = test.file("a.yaml", &spec).start();
    // It has read the file when it prints something, and someone has to read on.
    stdout.read_line(&mut String::new()).unwrap();
    let reader = std::thread::spawn(move || std::io::read_to_string(stdout).unwrap());
    let more = spec.replace("[plugins]", "[plugins, more]").replace("type: mark", "type: extra");
    running.write("a.yaml", &more);
    running.wait_for("reloaded");
    running.replace("plugins/libmark.so", "more/libextra.so");
    running.wait_for("`plugins/libmark.so` has changed since it was loaded");
    running.signal("INT");
    let ended = running.end(reader.join().unwrap());
    ended.exits(0).says("a library is loaded once: start the engine anew");
}
