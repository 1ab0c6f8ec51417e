//! Master data from the user's CSV files. What they give is read, with all that is wrong in them;
//! what they do not give is generated to fit.

mod problem;
mod records;
mod table;
mod values;
mod write;

use std::io::Read;

pub use problem::MasterProblem;

use super::generate;
use super::geographies::Geographies;
use super::{Customer, Dc, MasterKind, Product, Store, Truck, Volume, World};
use records::Known;

/// A CSV file of master data.
pub struct MasterFile<'a> {
    /// What problems call it.
    name: String,
    text: Box<dyn Read + 'a>,
}

impl<'a> MasterFile<'a> {
    /// A file by what problems are to call it, and its text, which is read once from the start to
    /// the end.
    pub fn new(name: impl Into<String>, text: impl Read + 'a) -> Self {
        Self { name: name.into(), text: Box::new(text) }
    }
}

/// The files that the user has; any of them may be missing.
#[derive(Default)]
pub struct MasterFiles<'a> {
    /// Stores.
    pub stores: Option<MasterFile<'a>>,
    /// Distribution centres.
    pub dcs: Option<MasterFile<'a>>,
    /// Products.
    pub products: Option<MasterFile<'a>>,
    /// Customers.
    pub customers: Option<MasterFile<'a>>,
    /// Trucks.
    pub trucks: Option<MasterFile<'a>>,
}

impl<'a> MasterFiles<'a> {
    /// The file of a kind.
    pub fn file(&mut self, kind: MasterKind) -> &mut Option<MasterFile<'a>> {
        match kind {
            MasterKind::Stores => &mut self.stores,
            MasterKind::Dcs => &mut self.dcs,
            MasterKind::Products => &mut self.products,
            MasterKind::Customers => &mut self.customers,
            MasterKind::Trucks => &mut self.trucks,
        }
    }
}

/// What a file came to.
enum Part<T> {
    /// There is none.
    Missing,
    /// Its records by their ids. They refer to others by id still, not by place.
    Sound(Vec<T>),
    /// It has problems.
    Faulty,
}

impl<T> Part<T> {
    fn sound(self) -> Option<Vec<T>> {
        match self {
            Self::Sound(records) => Some(records),
            Self::Missing | Self::Faulty => None,
        }
    }
}

/// What all files came to.
struct Parts {
    dcs: Part<Dc>,
    stores: Part<Store>,
    trucks: Part<Truck>,
    products: Part<Product>,
    customers: Part<Customer>,
}

impl World {
    /// The world of a seed and of the user's files. Kinds without a file are generated: as many as
    /// `volume` says, but the distribution centres are those that the stores name where there is a
    /// file of stores. Columns that are left out are filled from the seed by the record's id.
    ///
    /// Returns all problems of all files, at most twenty of each.
    pub fn build(
        seed: u64,
        volume: Volume,
        files: MasterFiles<'_>,
    ) -> Result<Self, Vec<MasterProblem>> {
        let mut geographies = Geographies::default();
        let mut problems = Vec::new();
        let parts = read(seed, volume, files, &mut geographies, &mut problems);
        if problems.is_empty() {
            Ok(assemble(seed, volume, parts, geographies))
        } else {
            Err(problems)
        }
    }
}

/// Reads all files, and looks whether what they refer to is there.
fn read(
    seed: u64,
    volume: Volume,
    files: MasterFiles<'_>,
    geographies: &mut Geographies,
    problems: &mut Vec<MasterProblem>,
) -> Parts {
    let name = |file: &Option<MasterFile<'_>>| file.as_ref().map(|file| file.name.clone());
    let (dc_file, store_file) = (name(&files.dcs), name(&files.stores));

    let dcs = part(files.dcs, problems, |file| records::dcs(file, seed, geographies));
    let named = match &dcs {
        Part::Sound(dcs) => Known::of(dcs.iter().map(|dc| dc.id), dc_file),
        // Stores without a file of centres say themselves which there are.
        Part::Missing | Part::Faulty => Known::Anything,
    };
    let stores =
        part(files.stores, problems, |file| records::stores(file, seed, geographies, &named));
    let served = match (&dcs, &stores) {
        (Part::Missing, Part::Missing) => Known::UpTo(volume.dcs.max(1)),
        (Part::Missing, Part::Sound(stores)) => {
            Known::of(stores.iter().map(|store| store.dc as u32), store_file.clone())
        }
        _ => named,
    };
    let trucks = part(files.trucks, problems, |file| records::trucks(file, &served));
    let products = part(files.products, problems, |file| records::products(file, seed));
    let homes = match &stores {
        Part::Sound(stores) => Known::of(stores.iter().map(|store| store.id), store_file),
        Part::Missing => Known::UpTo(volume.stores.max(1)),
        Part::Faulty => Known::Anything,
    };
    let customers = part(files.customers, problems, |file| records::customers(file, seed, &homes));
    Parts { dcs, stores, trucks, products, customers }
}

/// Reads a file if there is one, and puts its problems aside.
fn part<'a, T>(
    file: Option<MasterFile<'a>>,
    problems: &mut Vec<MasterProblem>,
    read: impl FnOnce(MasterFile<'a>) -> Result<Vec<T>, Vec<MasterProblem>>,
) -> Part<T> {
    match file.map(read) {
        None => Part::Missing,
        Some(Ok(records)) => Part::Sound(records),
        Some(Err(found)) => {
            problems.extend(found);
            Part::Faulty
        }
    }
}

/// Makes a world of sound parts: generates what is missing, and puts places where ids stand.
fn assemble(seed: u64, volume: Volume, parts: Parts, mut geographies: Geographies) -> World {
    let given_stores = parts.stores.sound();
    let mut dcs = match (parts.dcs.sound(), &given_stores) {
        (Some(dcs), _) => dcs,
        (None, Some(stores)) => dcs_of(stores),
        (None, None) => generate::dcs(seed, volume.dcs, &mut geographies),
    };
    let place_of_dc = |id: usize| place(&dcs, id as u32, |dc| dc.id);
    let mut stores = match given_stores {
        Some(mut stores) => {
            for store in &mut stores {
                store.dc = place_of_dc(store.dc);
            }
            stores
        }
        None => generate::stores(seed, volume.stores, &dcs, &mut geographies),
    };
    let trucks = match parts.trucks.sound() {
        Some(mut trucks) => {
            for truck in &mut trucks {
                truck.dc = place_of_dc(truck.dc);
            }
            trucks
        }
        None => generate::trucks(&dcs, &stores),
    };
    let customers = match parts.customers.sound() {
        Some(mut customers) => {
            for customer in &mut customers {
                customer.home = place(&stores, customer.home, |store| store.id) as u32;
            }
            customers
        }
        None => generate::customers(seed, volume.customers, &stores),
    };
    let products = parts.products.sound();
    World {
        geographies: geographies.in_order_of_use(&mut dcs, &mut stores),
        trucks,
        products: products.unwrap_or_else(|| generate::products(seed, volume.products)),
        customers,
        campaigns: generate::campaigns(seed),
        dcs,
        stores,
    }
}

/// The centres that stores name by id, each where the first of its stores is.
fn dcs_of(stores: &[Store]) -> Vec<Dc> {
    let mut dcs: Vec<Dc> =
        stores.iter().map(|store| Dc { id: store.dc as u32, geography: store.geography }).collect();
    // Stable, so that the first store of each comes first.
    dcs.sort_by_key(|dc| dc.id);
    dcs.dedup_by_key(|dc| dc.id);
    dcs
}

/// The place of the record with an id that was found to be there; records are in the order of ids.
fn place<T>(records: &[T], id: u32, id_of: impl Fn(&T) -> u32) -> usize {
    records.binary_search_by_key(&id, id_of).unwrap_or_default()
}

#[cfg(test)]
mod tests;
