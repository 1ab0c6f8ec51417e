//! The kinds of files: their columns, and how a row becomes a record.

use super::table::{Column, Layout, Reported, Row, read};
use super::{MasterFile, MasterProblem, values};
use crate::event::Text;
use crate::retail::identity::{ad_id, ble_id};
use crate::retail::world::geographies::Geographies;
use crate::retail::world::{
    Customer, Dc, Geography, MasterKind, Product, Region, Store, Truck, generate,
};

type Records<T> = Result<Vec<T>, Vec<MasterProblem>>;

const fn required(name: &'static str) -> Column {
    Column { name, required: true }
}

const fn optional(name: &'static str) -> Column {
    Column { name, required: false }
}

impl MasterKind {
    /// What a file of the kind looks like.
    pub(super) const fn layout(self) -> Layout {
        let (rows, rows_max, columns): (_, _, &[Column]) = match self {
            Self::Stores => (
                "stores",
                100_000,
                const {
                    &[
                        required("store_id"),
                        required("dc_id"),
                        optional("city"),
                        required("region"),
                        required("climate"),
                        required("time_zone"),
                        required("tax_rate"),
                        required("tier"),
                        required("format"),
                        optional("volume"),
                    ]
                },
            ),
            Self::Dcs => (
                "distribution centres",
                9_999,
                const {
                    &[
                        required("dc_id"),
                        optional("city"),
                        required("region"),
                        required("climate"),
                        required("time_zone"),
                        optional("tax_rate"),
                    ]
                },
            ),
            Self::Products => (
                "products",
                1_000_000,
                const {
                    &[
                        required("product_id"),
                        required("department"),
                        required("price"),
                        optional("popularity"),
                        optional("shelf_life_days"),
                    ]
                },
            ),
            Self::Customers => (
                "customers",
                50_000_000,
                const {
                    &[
                        required("customer_id"),
                        required("home_store_id"),
                        optional("segment"),
                        optional("has_beacon"),
                        optional("ble_id"),
                        optional("ad_id"),
                    ]
                },
            ),
            Self::Trucks => ("trucks", 9_999, const { &[required("truck_id"), required("dc_id")] }),
        };
        Layout { rows, columns, rows_max }
    }
}

/// The ids that a column may refer to.
pub(super) enum Known {
    /// Those of a file, ascending.
    Listed(Vec<u32>, String),
    /// Those that are going to be generated, from 1.
    UpTo(u32),
    /// Not known: the file that would say it has problems, or there is none.
    Anything,
}

impl Known {
    /// The ids of a file.
    pub(super) fn of(ids: impl Iterator<Item = u32>, file: Option<String>) -> Self {
        let mut ids: Vec<u32> = ids.collect();
        ids.sort_unstable();
        ids.dedup();
        Self::Listed(ids, file.unwrap_or_default())
    }

    fn id(&self, text: &str) -> Result<u32, String> {
        let id = values::id(text)?;
        match self {
            Self::Listed(ids, file) if ids.binary_search(&id).is_err() => {
                Err(format!("`{file}` has no such id"))
            }
            Self::UpTo(last) if id > *last => {
                Err(format!("the ids that are generated go from 1 to {last}"))
            }
            _ => Ok(id),
        }
    }

    /// One of the ids that none of `used` is.
    fn without(&self, mut used: Vec<u32>) -> Option<u32> {
        used.sort_unstable();
        let unused = |id: &u32| used.binary_search(id).is_err();
        match self {
            Self::Listed(ids, _) => ids.iter().copied().find(unused),
            Self::UpTo(last) => (1..=*last).find(unused),
            Self::Anything => None,
        }
    }
}

/// Distribution centres.
pub(super) fn dcs(file: MasterFile<'_>, seed: u64, geographies: &mut Geographies) -> Records<Dc> {
    read(
        file,
        MasterKind::Dcs.layout(),
        |dc: &Dc| dc.id,
        |row| {
            let id = row.required("dc_id", values::id);
            let rate = row.optional("tax_rate", values::tax_rate);
            let geography = geography(row, |region| {
                let (id, rate) = (id?, rate?);
                Ok(rate.unwrap_or_else(|| generate::tax_rate_of(seed, id, region)))
            });
            Ok(Dc { id: id?, geography: geographies.place_of(geography?) })
        },
    )
}

/// Stores; `dc` is the id of the centre.
pub(super) fn stores(
    file: MasterFile<'_>,
    seed: u64,
    geographies: &mut Geographies,
    dcs: &Known,
) -> Records<Store> {
    read(
        file,
        MasterKind::Stores.layout(),
        |store: &Store| store.id,
        |row| {
            let id = row.required("store_id", values::id);
            let dc = row.required("dc_id", |text| dcs.id(text));
            let rate = row.required("tax_rate", values::tax_rate);
            let geography = geography(row, |_| rate);
            let tier = row.required("tier", values::kind);
            let format = row.required("format", values::kind);
            let volume = row.optional("volume", |text| values::number(text, 0.01..=100.0));
            let (id, tier) = (id?, tier?);
            Ok(Store {
                id,
                geography: geographies.place_of(geography?),
                dc: dc? as usize,
                tier,
                format: format?,
                volume: volume?.unwrap_or_else(|| generate::volume_of(seed, id, tier)),
            })
        },
    )
}

/// Where a row says that its place is.
fn geography(
    row: &mut Row<'_, '_>,
    tax_rate: impl FnOnce(Region) -> Result<u32, Reported>,
) -> Result<Geography, Reported> {
    let name = row.optional("city", values::name);
    let region: Result<Region, Reported> = row.required("region", values::kind);
    let climate = row.required("climate", values::kind);
    let time_zone = row.required("time_zone", values::time_zone);
    let region = region?;
    Ok(Geography {
        name: name?.unwrap_or_else(|| region.name().to_owned()),
        region,
        climate: climate?,
        time_zone: time_zone?,
        tax_rate: tax_rate(region)?,
    })
}

/// Trucks; `dc` is the id of the centre. Each centre has one.
pub(super) fn trucks(file: MasterFile<'_>, dcs: &Known) -> Records<Truck> {
    let name = file.name.clone();
    let trucks = read(
        file,
        MasterKind::Trucks.layout(),
        |truck: &Truck| truck.number,
        |row| {
            let number = row.required("truck_id", values::truck);
            let dc = row.required("dc_id", |text| dcs.id(text));
            Ok(Truck { number: number?, dc: dc? as usize })
        },
    )?;
    match dcs.without(trucks.iter().map(|truck| truck.dc as u32).collect()) {
        None => Ok(trucks),
        Some(dc) => Err(vec![MasterProblem {
            file: name,
            line: None,
            column: None,
            message: format!("the distribution centre {dc} has no truck"),
            help: Some("give every centre a truck, or leave trucks to be generated".to_owned()),
        }]),
    }
}

/// Products, in the order of a world.
pub(super) fn products(file: MasterFile<'_>, seed: u64) -> Records<Product> {
    let mut ranked = true;
    let mut products = read(
        file,
        MasterKind::Products.layout(),
        |product: &Product| product.id,
        |row| {
            let id = row.required("product_id", values::id);
            let department = row.required("department", values::kind);
            let price_cents = row.required("price", values::price);
            ranked = row.has("popularity");
            // Numbers of some and not of others would be of two scales.
            let popularity = if ranked {
                row.required("popularity", |text| values::number(text, 1e-12..=1e12))
            } else {
                Ok(0.0)
            };
            let shelf_life = row.optional("shelf_life_days", |text| values::whole(text, 0..=3_650));
            let (id, department) = (id?, department?);
            let drawn = || u32::from(generate::shelf_life_of(seed, id, department));
            Ok(Product {
                id,
                department,
                price_cents: price_cents?,
                popularity: popularity?,
                shelf_life_days: shelf_life?.unwrap_or_else(drawn) as u16,
            })
        },
    )?;
    if !ranked {
        generate::fill_popularity(seed, &mut products);
    }
    generate::in_order_of_popularity(&mut products);
    Ok(products)
}

/// Customers; `home` is the id of the store.
pub(super) fn customers(file: MasterFile<'_>, seed: u64, stores: &Known) -> Records<Customer> {
    read(
        file,
        MasterKind::Customers.layout(),
        |customer: &Customer| customer.id,
        |row| {
            let id = row.required("customer_id", values::id);
            let home = row.required("home_store_id", |text| stores.id(text));
            let segment = row.optional("segment", values::kind);
            let has_beacon = row.optional("has_beacon", values::truth);
            let id = id?;
            let device = |own: Text| {
                move |text: &str| {
                    let help = || format!("customer {id} has `{own}`; the column may be left out");
                    if own == text { Ok(()) } else { Err(help()) }
                }
            };
            let heard = row.optional("ble_id", device(ble_id(id)));
            let shown = row.optional("ad_id", device(ad_id(id)));
            heard.and(shown)?;
            Ok(Customer {
                id,
                home: home?,
                segment: segment?.unwrap_or_else(|| generate::segment_of(seed, id)),
                has_beacon: has_beacon?.unwrap_or_else(|| generate::has_beacon(seed, id)),
            })
        },
    )
}
