//! A library on disk becomes components: checked, loaded once in the life of the process, read, and
//! never unloaded, since threads and pointers of it may be anywhere.
#![expect(unsafe_code, reason = "loading a library runs code of others")]

use std::collections::HashMap;
use std::ffi::c_void;
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use engine_plugin::abi::ENTRY_SYMBOL;
use engine_plugin::host;
use object::ReadCache;
use sha2::{Digest, Sha256};

use super::{Refusal, descriptor, image};
use crate::component::Component;

/// What came of loading a library.
#[derive(Clone)]
pub(super) struct Loaded {
    pub(super) components: Vec<Component>,
    /// Whether the file is another one by now.
    pub(super) has_changed: bool,
}

/// What shows that a file is another one: when it was written last, and its length.
type Stamp = (Option<SystemTime>, u64);

/// A library that is in the process.
struct InProcess {
    stamp: Stamp,
    outcome: Result<Vec<Component>, Refusal>,
}

/// The libraries that are in the process, by their canonical paths. There is one loader in a
/// process, so there is one table; it is as long as the list of files that someone named.
static IN_PROCESS: Mutex<Option<HashMap<PathBuf, InProcess>>> = Mutex::new(None);

/// The components of a library. With a digest it is checked before anything else is done.
pub(super) fn load(file: &Path, sha256: Option<&str>) -> Result<Loaded, Refusal> {
    let path = file.canonicalize().map_err(|error| unreadable(&error))?;
    let metadata = path.metadata().map_err(|error| unreadable(&error))?;
    if metadata.is_dir() {
        return Err(Refusal::new("it is a folder"));
    }
    // A pipe would be waited for.
    if !metadata.is_file() {
        return Err(Refusal::new("it is not a regular file"));
    }
    if let Some(expected) = sha256 {
        check_digest(&path, expected)?;
    }
    let stamp = stamp(&metadata);
    // Nothing is half done in the table when a panic passes.
    let mut known = IN_PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    if let Some(library) = known.get(&path) {
        let has_changed = library.stamp != stamp;
        return match &library.outcome {
            Ok(_) if has_changed && sha256.is_some() => {
                let reason = "it has changed since it was loaded, and a library is loaded once";
                Err(Refusal::new(reason).help("start the engine anew"))
            }
            Ok(components) => Ok(Loaded { components: components.clone(), has_changed }),
            Err(refusal) if has_changed => {
                let reason = format!("before it was changed, {}", refusal.reason);
                Err(Refusal::new(reason).help("start the engine anew: a library is loaded once"))
            }
            Err(refusal) => Err(refusal.clone()),
        };
    }
    let opened = File::open(&path).map_err(|error| unreadable(&error))?;
    image::check(&ReadCache::new(opened))?;
    let entry = open(&path)?;
    let outcome = match entry {
        Some(entry) => read(file, entry),
        None => Err(Refusal::new("it is no plugin: it has no function `engine_plugin_entry`")),
    };
    known.insert(path, InProcess { stamp, outcome: outcome.clone() });
    Ok(Loaded { components: outcome?, has_changed: false })
}

fn stamp(metadata: &Metadata) -> Stamp {
    (metadata.modified().ok(), metadata.len())
}

fn unreadable(error: &io::Error) -> Refusal {
    Refusal::new(match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => format!("cannot read it: {error}"),
    })
}

fn check_digest(path: &Path, expected: &str) -> Result<(), Refusal> {
    let mut hash = Sha256::new();
    File::open(path)
        .and_then(|mut file| io::copy(&mut file, &mut hash))
        .map_err(|error| unreadable(&error))?;
    let found = format!("{:x}", hash.finalize());
    if found.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    let reason = format!("it is another file: its SHA-256 is `{found}`");
    Err(Refusal::new(reason).help("get the file that is meant, or take its `sha256` if this is it"))
}

/// Loads a library for good. Returns the address of its entry; none if it has none.
fn open(path: &Path) -> Result<Option<*const c_void>, Refusal> {
    let refused = |error: &libloading::Error| {
        let text = error_text(error);
        let text = text.strip_prefix(&*path.to_string_lossy()).unwrap_or(&text);
        let text = text.trim_start_matches([':', ' ']).to_owned();
        Refusal::new(format!("the system does not load it: {text}"))
    };
    // SAFETY: whoever named the file wants its code to run; that it is a complete library for this
    // machine was checked. What its constructors do is its own affair, as with any program.
    #[cfg(unix)]
    let library = unsafe {
        use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
        // All symbols are found now or never: one that is missing is an error here, not a crash
        // later. And they stay the library's own.
        Library::open(Some(path), RTLD_NOW | RTLD_LOCAL).map(libloading::Library::from)
    };
    // SAFETY: as above.
    #[cfg(not(unix))]
    let library = unsafe { libloading::Library::new(path) };
    let library = library.map_err(|error| refused(&error))?;
    // It is never unloaded, so what is read of it is valid for the life of the process.
    let library = Box::leak(Box::new(library));
    // SAFETY: the address is taken as a pointer, which may be any, and is not followed here.
    let entry = unsafe { library.get::<*const c_void>(ENTRY_SYMBOL) };
    Ok(entry.ok().map(|entry| *entry).filter(|entry| !entry.is_null()))
}

/// What the loader says; the error itself says only which step failed.
fn error_text(error: &libloading::Error) -> String {
    use std::error::Error;
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

fn read(file: &Path, entry: *const c_void) -> Result<Vec<Component>, Refusal> {
    // SAFETY: the symbol is the entry of a plugin by its name, from a library that stays loaded. All
    // that the entry returns is checked by `read` as far as it can be.
    let module =
        unsafe { host::read(entry) }.map_err(|refused| Refusal::new(refused.to_string()))?;
    descriptor::components(file, &module)
}
