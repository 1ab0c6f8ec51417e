//! A library in this process.
#![allow(unsafe_code)]

use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use engine_plugin::host::{Descriptor, Failed, Instance, Module, Refused, read};
use libloading::{Library, Symbol};

use crate::host::Host;
use crate::libraries;

/// A library that was loaded. It stays so for the life of the process, as in the engine.
pub(crate) struct Loaded {
    library: ManuallyDrop<Library>,
    module: Module,
}

impl Loaded {
    /// Loads a library of ours.
    pub(crate) fn new(path: &Path) -> Self {
        Self::try_new(path).unwrap()
    }

    /// The same, if it can be read.
    pub(crate) fn try_new(path: &Path) -> Result<Self, Refused> {
        // SAFETY: nothing runs when one of our libraries is loaded.
        let library = ManuallyDrop::new(unsafe { Library::new(path) }.unwrap());
        let name = engine_plugin::abi::ENTRY_SYMBOL;
        // SAFETY: it is never called as what it is declared here.
        let entry: Symbol<'_, *const std::ffi::c_void> = unsafe { library.get(name) }.unwrap();
        // SAFETY: our libraries have this function as the header says, and stay loaded.
        let module = unsafe { read(*entry) }?;
        Ok(Self { library, module })
    }

    /// What it offers.
    pub(crate) fn into_module(self) -> Module {
        self.module
    }

    /// `faults.c`, compiled for this test alone: it counts what it finds.
    pub(crate) fn faults() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("faults.so");
        libraries::c_library(&path, "faults", &[]);
        Self::new(&path)
    }

    /// The crate `faulty-plugin`.
    pub(crate) fn faulty() -> Self {
        Self::new(faulty())
    }

    /// One of its plugins.
    #[track_caller]
    pub(crate) fn plugin(&self, name: &str) -> &Descriptor {
        self.module.plugins.iter().find(|plugin| plugin.name == name).unwrap()
    }

    /// An instance with these settings.
    #[track_caller]
    pub(crate) fn create(
        &self,
        name: &str,
        host: &Arc<Host>,
        settings: &str,
    ) -> Result<Instance, Failed> {
        let settings: serde_json::Value = serde_json::from_str(settings).unwrap();
        host.configure(&settings);
        self.plugin(name).create(Arc::clone(host) as _, &settings.to_string())
    }

    /// How often `faults.c` was not answered as it should be; said on standard error. All its
    /// instances are destroyed.
    pub(crate) fn found(&self) -> i32 {
        // SAFETY: the function is declared so in `faults.c`.
        let found: Symbol<'_, unsafe extern "C" fn() -> i32> =
            unsafe { self.library.get(b"faults_found\0") }.unwrap();
        // SAFETY: as above; it waits for its threads, and calls the host.
        unsafe { found() }
    }
}

/// The library of the crate `faulty-plugin`, built once for each test program.
fn faulty() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let output = Command::new(env!("CARGO"))
            .args(["build", "--package", "faulty-plugin", "--message-format", "json"])
            .current_dir(libraries::root())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let artifacts = String::from_utf8(output.stdout).unwrap();
        let library = artifacts.lines().filter(|line| line.contains("\"faulty_plugin\""));
        let file = library.flat_map(|line| line.split('"')).find(|text| is_library(text));
        PathBuf::from(file.expect("cargo tells where the library is"))
    })
}

fn is_library(text: &str) -> bool {
    let extensions = ["so", "dylib", "dll"];
    Path::new(text).extension().is_some_and(|name| extensions.iter().any(|one| name == *one))
}
