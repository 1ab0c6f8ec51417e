//! Reading the small text files that a spec is made of; what goes wrong is said in a few words.

use std::io::{ErrorKind, Read};
use std::path::Path;

/// How long a file that is read whole may be: a spec of this size is none.
const BYTES_MAX: u64 = 8 << 20;

/// The bytes of a file of sensible size.
pub(super) fn read_bytes(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| {
            if file.metadata()?.is_dir() {
                return Err(ErrorKind::IsADirectory.into());
            }
            file.take(BYTES_MAX + 1).read_to_end(&mut bytes)
        })
        .map_err(|error| reason(&error))?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(format!("it is longer than {} MiB", BYTES_MAX >> 20));
    }
    Ok(bytes)
}

/// The text of a file of sensible size.
pub(crate) fn read_text(path: &Path) -> Result<String, String> {
    String::from_utf8(read_bytes(path)?).map_err(|_| "it is not UTF-8".to_owned())
}

fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        ErrorKind::IsADirectory => "it is a directory".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}
