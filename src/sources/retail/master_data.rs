//! The user's own master data: files that the world of the `retail` source is read from.

use std::fs::File;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::problem::{Problem, Problems};
use crate::retail::{MasterFile, MasterFiles, MasterKind, Volume, World};
use crate::spec::Document;

/// CSV files; their paths are relative to the spec. What no file gives is generated to fit.
/// `docs/master_data.md` has their columns, and `engine export master` writes all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MasterDataSettings {
    /// Stores.
    pub stores: Option<String>,
    /// Distribution centres.
    pub dcs: Option<String>,
    /// Products.
    pub products: Option<String>,
    /// Customers.
    pub customers: Option<String>,
    /// Trucks.
    pub trucks: Option<String>,
}

impl MasterDataSettings {
    fn path(&self, kind: MasterKind) -> Option<&str> {
        let path = match kind {
            MasterKind::Stores => &self.stores,
            MasterKind::Dcs => &self.dcs,
            MasterKind::Products => &self.products,
            MasterKind::Customers => &self.customers,
            MasterKind::Trucks => &self.trucks,
        };
        path.as_deref()
    }

    /// The world of these files; `pointer` is where they stand in the spec.
    pub(super) fn world(
        &self,
        seed: u64,
        volume: Volume,
        document: &Document,
        pointer: &str,
    ) -> Result<World, Problems> {
        let files = self.open(document, pointer)?;
        World::build(seed, volume, files)
            .map_err(|problems| Problems(problems.into_iter().map(Problem::from).collect()))
    }

    fn open(&self, document: &Document, pointer: &str) -> Result<MasterFiles<'static>, Problems> {
        let mut files = MasterFiles::default();
        let mut problems = Problems::default();
        for kind in MasterKind::ALL.iter().copied() {
            let Some(path) = self.path(kind) else { continue };
            let setting = format!("{pointer}/{kind}");
            let path = document.file_beside(&setting, path);
            match File::open(&path) {
                Ok(file) => {
                    *files.file(kind) = Some(MasterFile::new(path.display().to_string(), file));
                }
                Err(error) => problems.push(
                    Problem::error(format!("cannot read `{}`: {error}", path.display()))
                        .at(document.place(&setting))
                        .help("the path is relative to the file that names it"),
                ),
            }
        }
        if problems.is_empty() { Ok(files) } else { Err(problems) }
    }
}
