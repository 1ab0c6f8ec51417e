//! The reference of all components as one Markdown page.

use std::fmt::Write;

use engine::component::{Component, Kind};

use super::example;
use crate::cli::components::{SettingRow, description, origin_sentence, settings};

/// The page of all components, by kind.
pub(super) fn reference(components: &[&Component]) -> String {
    let mut page = "# Components\n\n\
        What each component of a pipeline does, and its settings: what stands under `with:`. This \
        page is generated with `engine describe --all --format markdown`.\n"
        .to_owned();
    for kind in Kind::ALL {
        let of_kind = || components.iter().filter(|component| component.kind == kind);
        if of_kind().next().is_none() {
            continue;
        }
        let _ = write!(page, "\n## {}\n", capitalised(kind.section()));
        for component in of_kind() {
            let _ = write!(page, "\n{}", section(component));
        }
    }
    page.push_str(PLUGINS);
    page
}

const PLUGINS: &str = "
## Plugins

Libraries add components of all kinds but batchers. A pipeline names them under `plugins:`, files or folders
whose libraries are all taken; paths are relative to the file that names them, and included files may have
`plugins:`, too:

```yaml
plugins:
  - plugins
  - path: vendor/libloyalty.so
    sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
```

A file is checked before it is loaded, its `sha256` before anything else. That keeps the wrong file out, and
not someone who can replace it at that very moment. `--plugins PATH` and the variable `ENGINE_PLUGIN_PATH` name
further files and folders. A library is loaded once in the life of a process: to have another version, put it
there under the old name (move it there, since writing into a file that is in use may end the process) and
start the engine anew.

`engine plugins list PATH` shows what libraries hold, `engine describe NAME --plugins PATH` the settings, and
`engine schema --plugins PATH` has them for an editor.
";

/// The section of one component.
pub(super) fn section(component: &Component) -> String {
    let (name, kind) = (component.name, component.kind.singular());
    let mut section = format!("### `{name}` ({kind})\n\n{}\n", description(component));
    if let Some(origin) = origin_sentence(component) {
        let _ = write!(section, "\n{origin}\n");
    }
    let rows = settings(component);
    if !rows.is_empty() {
        section.push_str("\n| setting | type | default | |\n|---|---|---|---|\n");
        for row in &rows {
            section.push_str(&line(row));
        }
    }
    let _ = write!(section, "\n```yaml\n{}```\n", example::stage(component));
    section
}

fn line(row: &SettingRow) -> String {
    let default = match (&row.default, row.required) {
        (Some(default), _) => format!("`{}`", cell(default)),
        (None, true) => "required".to_owned(),
        (None, false) => String::new(),
    };
    let indent = "&emsp;".repeat(row.depth);
    let (name, takes) = (&row.name, cell(&row.takes));
    format!("| {indent}`{name}` | {takes} | {default} | {} |\n", cell(&row.about))
}

/// A text that stays within its cell.
fn cell(text: &str) -> String {
    text.replace("\n\n", " ").replace('\n', " ").replace('|', "\\|")
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}
