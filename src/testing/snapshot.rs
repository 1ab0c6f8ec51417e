//! Events that are kept in a file beside the spec, and compared with what comes out.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Snapshots;
use super::compare::misfits;
use crate::event::{Event, JsonWriter, Timestamp};
use crate::problem::{Place, Problem};

/// Compares events with a file, or writes it where it differs; says what was written, or how they
/// differ.
pub(super) fn hold(
    path: &Path,
    events: &[Event],
    place: Option<Place>,
    snapshots: Snapshots,
) -> Result<Option<PathBuf>, Problem> {
    let mut writer = JsonWriter::new();
    for event in events {
        writer.line(event);
    }
    let text = writer.into_bytes();
    let kept = match std::fs::read(path) {
        Ok(kept) => Some(kept),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => {
            let message = format!("cannot read the snapshot `{}`: {error}", path.display());
            return Err(Problem::error(message).at(place));
        }
    };
    if kept.as_ref() == Some(&text) {
        return Ok(None);
    }
    if snapshots == Snapshots::Update {
        return match write(path, &text) {
            Ok(()) => Ok(Some(path.to_owned())),
            Err(error) => {
                let message = format!("cannot write the snapshot `{}`: {error}", path.display());
                Err(Problem::error(message).at(place))
            }
        };
    }
    let Some(kept) = kept else {
        let message = format!("there is no snapshot `{}`", path.display());
        return Err(Problem::error(message).at(place).help("write it with `--update`"));
    };
    let difference = difference(&String::from_utf8_lossy(&kept), &String::from_utf8_lossy(&text));
    let message = format!("what comes out is not the snapshot `{}`", path.display());
    Err(Problem::error(message)
        .at(place)
        .note(difference)
        .help("if that is meant, write it anew with `--update`"))
}

/// Writes beside the file first, so that it is there as a whole.
fn write(path: &Path, text: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let draft = path.with_extension(format!("{}.tmp", std::process::id()));
    std::fs::write(&draft, text).and_then(|()| std::fs::rename(&draft, path)).inspect_err(|_| {
        // What went wrong is told; a draft that is left tells no more.
        let _ = std::fs::remove_file(&draft);
    })
}

/// The first line that differs, and how.
fn difference(kept: &str, found: &str) -> String {
    let (kept, found): (Vec<&str>, Vec<&str>) = (kept.lines().collect(), found.lines().collect());
    let same = kept.iter().zip(&found).take_while(|(kept, found)| kept == found).count();
    let line = same + 1;
    match (kept.get(same), found.get(same)) {
        (Some(kept), Some(found)) => {
            let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
            let found = parsed(found);
            let misfits = misfits(&parsed(kept), &found, Timestamp::default(), true);
            let names: Vec<String> = misfits.iter().map(ToString::to_string).collect();
            format!("line {line} differs: {}", names.join(", "))
        }
        (Some(_), None) => format!("it has {} events, and {} come out", kept.len(), found.len()),
        (None, Some(further)) => {
            format!("it has {} events, and {} come out: {further}", kept.len(), found.len())
        }
        (None, None) => "its lines end in another way".to_owned(),
    }
}
