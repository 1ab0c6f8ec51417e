//! The environment file beside a new pipeline, which holds what must not stand in it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// What became of a variable.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// It is there now.
    Written,
    /// There was one of that name, and it was left as it is.
    Kept,
}

/// Adds a variable to a file, which is made for its owner alone if there is none.
pub(super) fn add(path: &Path, name: &str, value: &str) -> io::Result<Added> {
    let before = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    if before.lines().any(|line| name_of(line) == Some(name)) {
        return Ok(Added::Kept);
    }
    let break_before = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
    let line = format!("{break_before}{name}={}\n", quoted(value));
    // One write, so that nobody sees half of it.
    open(path)?.write_all(line.as_bytes())?;
    Ok(Added::Written)
}

/// Whether others than its owner may read a file.
#[cfg(unix)]
pub(super) fn is_open_to_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o077 != 0)
}

/// Whether others than its owner may read a file: nobody can say here.
#[cfg(not(unix))]
pub(super) fn is_open_to_others(_: &Path) -> bool {
    false
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn name_of(line: &str) -> Option<&str> {
    let line = line.trim();
    let line = line.strip_prefix("export ").unwrap_or(line);
    line.split_once('=').map(|(name, _)| name.trim())
}

/// A value so that `--env-file` reads it as it is.
fn quoted(value: &str) -> String {
    if !value.contains(['\'', '\n', '\r']) {
        return format!("'{value}'");
    }
    let mut quoted = String::from("\"");
    for character in value.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::spec::Environment;

    #[test]
    fn what_is_written_is_read_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        for (place, value) in
            ["plain", "a=b;c # d", "it's \"so\" \\n \\$x", "two\nlines\r\n", "", " x "]
                .iter()
                .enumerate()
        {
            let path = folder.path().join(place.to_string());
            assert_eq!(add(&path, "NAME", value).unwrap(), Added::Written);
            let mut environment = Environment::default();
            environment.read_file(&path).unwrap();
            assert_eq!(environment.get("NAME"), Some(*value));
        }
    }

    #[test]
    fn what_is_there_is_kept_and_added_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        std::fs::write(&path, "# mine\nOTHER_NAME=1\nexport HERE=2").unwrap();
        assert_eq!(add(&path, "HERE", "3").unwrap(), Added::Kept);
        assert_eq!(add(&path, "NAME", "4").unwrap(), Added::Written);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "# mine\nOTHER_NAME=1\nexport HERE=2\nNAME='4'\n");
    }

    #[cfg(unix)]
    #[test]
    fn a_new_file_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        add(&path, "NAME", "4").unwrap();
        assert!(!is_open_to_others(&path));
        let other = folder.path().join("other");
        std::fs::write(&other, "").unwrap();
        let wide = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        std::fs::set_permissions(&other, wide).unwrap();
        assert!(is_open_to_others(&other));
    }
}
