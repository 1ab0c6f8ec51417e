//! Whatever a spec's file holds, reading, planning and telling what is wrong do not panic.

use engine::plan::Plan;
use engine::problem::{Problem, Problems};
use engine::spec::{Document, Environment};
use proptest::prelude::*;

/// Pieces of YAML in any order: nearer to the reader's edges than random bytes.
fn scraps() -> impl Strategy<Value = String> {
    let scrap = prop::sample::select(vec![
        "a",
        ":",
        ": ",
        " ",
        "\n",
        "\n  ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "&a ",
        "*a",
        "<<: ",
        "|\n ",
        ">-\n ",
        "'",
        "\"",
        "\\",
        "#",
        "!",
        "!!str ",
        "%",
        "---",
        "...",
        "\t",
        "é",
        "\u{feff}",
        "${A}",
        "${file:x}",
        "$",
        "`",
        "~",
        "1",
        "\r\n",
        "? ",
        "sources: ",
        "include: [x]",
        "\u{85}",
        "😀",
        "version: 2",
        "clock: ",
        "inputs: ",
        "type: ",
    ]);
    prop::collection::vec(scrap, 0..40).prop_map(|scraps| scraps.concat())
}

fn read(bytes: impl Into<Vec<u8>>) -> Result<Document, Problems> {
    Document::parse("a.yaml", bytes, "/nowhere", &Environment::default())
}

fn survives(bytes: Vec<u8>) {
    let problems = match read(bytes) {
        Err(problems) => problems,
        Ok(mut document) => {
            document.set("a.b=1").ok();
            document.mark_secret("/a");
            document.render_effective();
            Plan::new(document, &[]).map_or_else(|problems| problems, |(_, warnings)| warnings)
        }
    };
    problems.render(true);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        survives(bytes);
    }

    #[test]
    fn no_scraps_of_yaml_make_the_reader_panic(text in scraps()) {
        survives(text.into_bytes());
    }

    #[test]
    fn excerpts_stay_within_their_text(text in scraps(), script in scraps()) {
        let block = format!("{text}\nscript: |\n  {}\n", script.replace('\n', "\n  "));
        for yaml in [block, format!("script: {script}")] {
            let Ok(document) = read(yaml) else { continue };
            if let Some(text) = document.value("/script").as_str() {
                let excerpt = document.excerpt("/script", text);
                for line in 0..excerpt.line_starts.len() + 2 {
                    let place = excerpt.place(line, 1, 3);
                    Problems::from(Problem::error("x").at(place)).render(false);
                }
            }
        }
    }
}
