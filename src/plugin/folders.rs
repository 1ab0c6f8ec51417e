//! Where libraries are looked for, and what is found there.

use std::collections::HashSet;
use std::env::consts::DLL_SUFFIX;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Refusal, library};
use crate::component::Component;
use crate::problem::{Place, Problem, Problems, SourceText};
use crate::security::SECURITY;

/// The environment variable with files and folders, separated as in `PATH`.
pub(crate) const VARIABLE: &str = "ENGINE_PLUGIN_PATH";

/// More libraries in a folder are no plugins.
const FILES_MAX: usize = 1000;

/// A file, or a folder that is searched.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    pub(crate) path: PathBuf,
    /// What the SHA-256 of the file has to be, and where that stands.
    pub(crate) sha256: Option<(String, Option<Place>)>,
    /// Where it is named.
    pub(crate) place: Option<Place>,
    /// Whether it need not be there, as in a variable that is set for many programs.
    pub(crate) is_optional: bool,
}

/// Where to look for libraries beside what a spec names.
#[derive(Clone, Debug, Default)]
pub struct Search(pub(crate) Vec<Lookup>);

impl Search {
    /// What the environment of this process names: `ENGINE_PLUGIN_PATH`.
    pub fn of_process() -> Self {
        std::env::var_os(VARIABLE).map_or_else(Self::default, |paths| Self::of_variable(&paths))
    }

    fn of_variable(paths: &OsStr) -> Self {
        let text = paths.to_string_lossy().into_owned();
        let source = Arc::new(SourceText { name: VARIABLE.to_owned(), text });
        let mut from = 0;
        let lookup = |path: PathBuf| {
            let shown = path.to_string_lossy();
            let start = source.text[from..].find(&*shown).map_or(from, |found| from + found);
            from = start + shown.len();
            let place = Some(Place { source: source.clone(), span: start..from });
            Lookup { path, sha256: None, place, is_optional: true }
        };
        let paths = std::env::split_paths(paths).filter(|path| !path.as_os_str().is_empty());
        Self(paths.map(lookup).collect())
    }

    /// Looks there, too; `origin` is what problems point at, such as `--plugins`.
    #[must_use]
    pub fn and(mut self, origin: &str, path: &Path) -> Self {
        let text = path.to_string_lossy().into_owned();
        let span = 0..text.len();
        let source = Arc::new(SourceText { name: origin.to_owned(), text });
        let place = Some(Place { source, span });
        self.0.push(Lookup { path: path.to_owned(), sha256: None, place, is_optional: false });
        self
    }

    /// The files and folders, in the order in which they are looked at.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|lookup| &*lookup.path)
    }
}

/// A library that was found.
#[derive(Clone)]
pub struct Library {
    /// The file, as it was named or below the folder that was.
    pub file: PathBuf,
    /// Its components, or why it has none.
    pub outcome: Result<Vec<Component>, Refusal>,
    /// Where it, or its folder, is named.
    pub(crate) place: Option<Place>,
    /// Whether it was named itself, and not found in a folder.
    pub(crate) is_named: bool,
}

impl Library {
    /// That a file which was named is not what was meant may be somebody's doing.
    fn tell_of_refusal(&self) {
        if let (Err(refusal), true) = (&self.outcome, self.is_named) {
            tracing::warn!(
                target: SECURITY, event = "plugin_refused", file = %self.file.display(),
                "a library was not loaded: {}", refusal.reason
            );
        }
    }

    /// Why it is not used. That is an error where it was named itself, or clashes with another one; of
    /// what merely is in the same folder it is a warning.
    pub fn problem(&self) -> Option<Problem> {
        let refusal = self.outcome.as_ref().err()?;
        let message = format!("`{}` was not loaded: {}", self.file.display(), refusal.reason);
        let is_severe = self.is_named || refusal.is_clash;
        let problem = if is_severe { Problem::error } else { Problem::warning };
        let mut problem = problem(message).at(self.place.clone());
        problem.help.clone_from(&refusal.help);
        Some(problem)
    }
}

/// What was found.
#[derive(Default)]
pub struct Found {
    /// The libraries, each once.
    pub libraries: Vec<Library>,
    /// What is wrong with the places themselves.
    pub problems: Problems,
    /// Folders in which there is no library.
    pub(crate) empty: Vec<PathBuf>,
    /// Places that cannot be looked at, and why.
    pub unread: Vec<(PathBuf, Refusal)>,
}

/// Looks at all these places, and loads what is there. Each place and file is told to `note`: what is
/// found may be something else once it changes.
pub fn find(search: &Search, note: &mut dyn FnMut(&Path)) -> Found {
    let mut found = Found::default();
    let mut seen = HashSet::new();
    // A file may be in a folder, too. Its digest is checked before it is loaded from there, and where
    // it is named itself is where problems with it belong.
    let mut lookups: Vec<_> = search.0.iter().collect();
    lookups.sort_by_key(|lookup| (lookup.sha256.is_none(), lookup.path.is_dir()));
    for lookup in lookups {
        note(&lookup.path);
        match files(lookup) {
            Ok(files) => {
                if files.is_empty() {
                    found.empty.push(lookup.path.clone());
                }
                for file in files {
                    note(&file);
                    let canonical = file.canonicalize().unwrap_or_else(|_| file.clone());
                    let is_new = seen.insert(canonical);
                    if is_new || lookup.sha256.is_some() {
                        found.load(lookup, file, is_new);
                    }
                }
            }
            Err(refusal) => {
                let problem = lookup.problem(&refusal);
                found.problems.push(problem);
                found.unread.push((lookup.path.clone(), refusal));
            }
        }
    }
    found
}

impl Found {
    fn load(&mut self, lookup: &Lookup, file: PathBuf, is_new: bool) {
        let is_named = file == lookup.path;
        let digest = lookup.sha256.as_ref();
        let loaded = library::load(&file, digest.map(|(digest, _)| digest.as_str()));
        if loaded.as_ref().is_ok_and(|loaded| loaded.has_changed) {
            let shown = file.display();
            let message =
                format!("`{shown}` has changed since it was loaded, and goes on as it was then");
            let problem = Problem::warning(message).at(lookup.place.clone());
            self.problems.push(problem.help("a library is loaded once: start the engine anew"));
        }
        let outcome = loaded.map(|loaded| loaded.components);
        if outcome.is_ok() && !is_new {
            return;
        }
        // What is wrong with a file that has a digest is hardly ever its path.
        let place = digest.and_then(|(_, place)| place.clone()).or(lookup.place.clone());
        let library = Library { file, outcome, place, is_named };
        library.tell_of_refusal();
        self.libraries.push(library);
    }
}

impl Lookup {
    /// Why nothing is looked at there.
    fn problem(&self, refusal: &Refusal) -> Problem {
        let message = format!("`{}` was not loaded: {}", self.path.display(), refusal.reason);
        let problem = if self.is_optional { Problem::warning } else { Problem::error };
        // Of a folder it is the digest that is wrong.
        let digest = self.sha256.as_ref().filter(|_| self.path.is_dir());
        let digest = digest.and_then(|(_, place)| place.clone());
        let mut problem = problem(message).at(digest.or_else(|| self.place.clone()));
        problem.help.clone_from(&refusal.help);
        problem
    }
}

/// The file itself, or the libraries in a folder by name.
fn files(lookup: &Lookup) -> Result<Vec<PathBuf>, Refusal> {
    let unreadable = |error: &io::Error| match error.kind() {
        io::ErrorKind::NotFound => {
            let help =
                "build the plugin (`cargo build --release` in its folder), or correct the path";
            Refusal::new("there is no such library or folder").help(help)
        }
        io::ErrorKind::PermissionDenied => Refusal::new("permission denied"),
        _ => Refusal::new(error.to_string()),
    };
    let metadata = lookup.path.metadata().map_err(|error| unreadable(&error))?;
    if !metadata.is_dir() {
        return Ok(vec![lookup.path.clone()]);
    }
    if lookup.sha256.is_some() {
        let refusal = Refusal::new("it is a folder, which has no SHA-256");
        return Err(refusal.help("name each of its libraries with its own"));
    }
    let mut files = Vec::new();
    for entry in lookup.path.read_dir().map_err(|error| unreadable(&error))? {
        let path = entry.map_err(|error| unreadable(&error))?.path();
        if is_library(&path) {
            files.push(path);
        }
    }
    if files.len() > FILES_MAX {
        let count = files.len();
        return Err(Refusal::new(format!("it has {count} libraries; {FILES_MAX} is the limit")));
    }
    files.sort();
    Ok(files)
}

/// Whether a file of a folder goes by the name of a library. Hidden ones are still being written.
fn is_library(path: &Path) -> bool {
    let name = path.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
    name.ends_with(DLL_SUFFIX) && !name.starts_with('.')
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    #[test]
    fn a_variable_names_several_places_and_problems_point_into_it() {
        let paths = std::env::join_paths(["/none/a", "", "/none"]).unwrap();
        let search = Search::of_variable(&paths);
        assert_eq!(search.paths().collect::<Vec<_>>(), [Path::new("/none/a"), Path::new("/none")]);
        let columns: Vec<_> =
            search.0.iter().map(|at| at.place.as_ref().unwrap().start().column).collect();
        assert_eq!(columns, [1, 10]);
        let found = find(&search, &mut |_| {});
        assert!(!found.problems.has_errors() && found.problems.0.len() == 2, "{}", found.problems);
    }

    #[test]
    fn libraries_of_a_folder_come_by_name_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b", "a", ".hidden"] {
            std::fs::write(folder.path().join(format!("{name}{DLL_SUFFIX}")), "").unwrap();
        }
        std::fs::write(folder.path().join("readme.txt"), "").unwrap();
        std::fs::create_dir(folder.path().join("deeper")).unwrap();
        std::fs::write(folder.path().join(format!("deeper/c{DLL_SUFFIX}")), "").unwrap();
        let found = find(&Search::default().and("--plugins", folder.path()), &mut |_| {});
        let names: Vec<_> =
            found.libraries.iter().map(|library| library.file.file_name().unwrap()).collect();
        assert_eq!(names, [format!("a{DLL_SUFFIX}"), format!("b{DLL_SUFFIX}")].map(OsString::from));
        assert!(found.problems.is_empty(), "{}", found.problems);
    }

    #[test]
    fn a_place_that_is_not_there_is_an_error_unless_a_variable_names_it() {
        let found = find(&Search::default().and("--plugins", Path::new("/none/x")), &mut |_| {});
        let said = found.problems.to_string();
        assert!(found.problems.has_errors() && said.contains("--plugins:1:1"), "{said}");
    }
}
