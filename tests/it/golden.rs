//! Texts that are kept beside what they are made from.

use std::path::Path;

/// Compares a text with the file that keeps it, and says how they differ. With `ENGINE_UPDATE=1`
/// in the environment the file is written instead.
pub(crate) fn drift(path: &Path, text: &str) -> Option<String> {
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    if kept == text {
        return None;
    }
    if std::env::var_os("ENGINE_UPDATE").is_some() {
        std::fs::write(path, text).unwrap();
        return None;
    }
    let line = kept.lines().zip(text.lines()).take_while(|(kept, new)| kept == new).count();
    let shown = |text: &str| text.lines().nth(line).unwrap_or("(end)").to_owned();
    Some(format!(
        "{} is not what it should be from line {} on; if that is meant, run `ENGINE_UPDATE=1 cargo test`\n\
         kept: {}\n now: {}\n",
        path.display(),
        line + 1,
        shown(&kept),
        shown(text),
    ))
}
