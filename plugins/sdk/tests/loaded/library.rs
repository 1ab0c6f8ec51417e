//! A library in this process.
#![allow(unsafe_code)]

use std::mem::ManuallyDrop;
use std::path::Path;
use std::sync::Arc;

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
        Self::new(libraries::faulty())
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
