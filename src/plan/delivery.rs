//! What in a sink's `delivery:` does not go together, or not with that of another sink.

use std::path::{Component, Path, PathBuf};

use super::draft::Draft;
use super::{default_buffer_path, file_name};
use crate::kind::Kind;
use crate::problem::{Problem, Problems};
use crate::spec::{Document, RetrySettings, SpecDuration};

/// Checks all sinks.
pub(super) fn check(document: &Document, drafts: &[Draft<'_>], problems: &mut Problems) {
    let sinks: Vec<_> = drafts.iter().filter(|draft| draft.kind == Kind::Sink).collect();
    problems.extend(no_time(document, "/state/interval"));
    for sink in &sinks {
        problems.extend(no_time(document, &format!("{}/delivery/timeout", sink.pointer)));
        problems.extend(backoff_shrinks(document, sink));
        problems.extend(disk_only(document, sink, "path"));
        problems.extend(disk_only(document, sink, "sync_interval_ms"));
    }
    let folders: Vec<_> = sinks.iter().filter_map(|sink| buffer_folder(document, sink)).collect();
    problems.extend(shared(document, &folders, "buffer", "give each sink its own folder"));
    let files = sinks.iter().filter_map(|sink| letter_file(document, sink));
    let files: Vec<_> = pipeline_letters(document).into_iter().chain(files).collect();
    let help = "leave `dead_letter` out of a sink that shares the pipeline's";
    problems.extend(shared(document, &files, "file of dead letters", help));
    problems.extend(sinks.iter().filter_map(|sink| folder_under_state(document, sink)));
}

/// A span in which nothing can be done.
fn no_time(document: &Document, pointer: &str) -> Option<Problem> {
    let value = document.value(pointer);
    let span = value.as_str()?.parse::<SpecDuration>().ok()?;
    span.0.is_zero().then(|| {
        Problem::error("the span has to be a millisecond or more").at(document.place(pointer))
    })
}

fn backoff_shrinks(document: &Document, sink: &Draft<'_>) -> Option<Problem> {
    let retry = format!("{}/delivery/retry", sink.pointer);
    let default = RetrySettings::default();
    let millis = |key: &str, default| {
        let pointer = format!("{retry}/{key}");
        if document.contains(&pointer) { document.value(&pointer).as_u64() } else { Some(default) }
    };
    let initial = millis("initial_backoff_ms", default.initial_backoff_ms)?;
    let max = millis("max_backoff_ms", default.max_backoff_ms)?;
    let has_max = document.contains(&format!("{retry}/max_backoff_ms"));
    let key = if has_max { "max_backoff_ms" } else { "initial_backoff_ms" };
    (max < initial).then(|| {
        let message =
            format!("the longest wait, {max} ms, is shorter than the first, {initial} ms");
        Problem::error(message)
            .at(document.place(&format!("{retry}/{key}")))
            .help("raise `max_backoff_ms`, or lower `initial_backoff_ms`")
    })
}

fn disk_only(document: &Document, sink: &Draft<'_>, key: &str) -> Option<Problem> {
    let buffer = format!("{}/delivery/buffer", sink.pointer);
    let pointer = format!("{buffer}/{key}");
    (!is_on_disk(document, sink) && document.contains(&pointer)).then(|| {
        Problem::error(format!("`{key}` is for a buffer on disk, and this one is in memory"))
            .at(document.key_place(&pointer))
            .help("set `type: disk` beside it, or leave it out")
    })
}

fn is_on_disk(document: &Document, sink: &Draft<'_>) -> bool {
    document.value(&format!("{}/delivery/buffer/type", sink.pointer)) == "disk"
}

/// A path with the pointer of what names it.
type Named = (PathBuf, String);

fn buffer_folder(document: &Document, sink: &Draft<'_>) -> Option<Named> {
    let buffer = format!("{}/delivery/buffer", sink.pointer);
    let pointer = format!("{buffer}/path");
    if !is_on_disk(document, sink) {
        return None;
    }
    match document.value(&pointer).as_str() {
        Some(path) => Some((plain(path), pointer)),
        None => Some((default_buffer_path(document, &sink.name), buffer)),
    }
}

/// Without what leads nowhere else.
fn plain(path: &str) -> PathBuf {
    Path::new(path).components().filter(|part| *part != Component::CurDir).collect()
}

fn pipeline_letters(document: &Document) -> Option<Named> {
    let pointer = "/dead_letter/path".to_owned();
    match document.value(&pointer).as_str() {
        Some(path) => Some((plain(path), pointer)),
        None if document.value("/dead_letter") == "off" => None,
        None => {
            let file = format!("{}.ndjson", file_name(document));
            Some((Path::new("dead_letters").join(file), pointer))
        }
    }
}

fn letter_file(document: &Document, sink: &Draft<'_>) -> Option<Named> {
    let pointer = format!("{}/delivery/dead_letter/path", sink.pointer);
    Some((plain(document.value(&pointer).as_str()?), pointer))
}

/// The second and every further one of those that are the same.
fn shared(document: &Document, paths: &[Named], what: &str, help: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (place, (path, pointer)) in paths.iter().enumerate() {
        if paths[..place].iter().any(|(other, _)| other == path) {
            let message = format!("`{}` is the {what} of something else, too", path.display());
            problems.push(Problem::error(message).at(document.place(pointer)).help(help));
        }
    }
    problems
}

/// The snapshot is a file, so no folder can be in its place.
fn folder_under_state(document: &Document, sink: &Draft<'_>) -> Option<Problem> {
    let state = document.value("/state/path");
    let (folder, pointer) = buffer_folder(document, sink)?;
    folder.starts_with(plain(state.as_str()?)).then(|| {
        let (folder, state) = (folder.display(), state.as_str().unwrap_or_default());
        Problem::error(format!(
            "the buffer's folder `{folder}` is under the state's file `{state}`"
        ))
        .at(document.place(&pointer))
        .help("give the buffer a `path` of its own, or the state another one")
    })
}
