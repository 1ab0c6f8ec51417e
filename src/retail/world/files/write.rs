//! Master data as CSV: the same columns that are read, all of them, so that a world that was written
//! is read again as it was.

use std::io::{self, Write};

use super::super::{Geography, MasterKind, World};
use crate::retail::identity::{ad_id, ble_id};

impl World {
    /// How many records of a kind there are.
    pub fn count(&self, kind: MasterKind) -> usize {
        match kind {
            MasterKind::Stores => self.stores.len(),
            MasterKind::Dcs => self.dcs.len(),
            MasterKind::Products => self.products.len(),
            MasterKind::Customers => self.customers.len(),
            MasterKind::Trucks => self.trucks.len(),
        }
    }

    /// Writes the records of a kind as CSV with a header.
    pub fn write_csv(&self, kind: MasterKind, to: impl Write) -> io::Result<()> {
        let mut rows = csv::Writer::from_writer(to);
        rows.write_record(kind.layout().columns.iter().map(|column| column.name))?;
        match kind {
            MasterKind::Stores => self.write_stores(&mut rows)?,
            MasterKind::Dcs => self.write_dcs(&mut rows)?,
            MasterKind::Products => self.write_products(&mut rows)?,
            MasterKind::Customers => self.write_customers(&mut rows)?,
            MasterKind::Trucks => self.write_trucks(&mut rows)?,
        }
        rows.flush()
    }

    fn write_stores<W: Write>(&self, rows: &mut csv::Writer<W>) -> csv::Result<()> {
        for store in &self.stores {
            let [city, region, climate, zone, tax] = cells(&self.geographies[store.geography]);
            rows.write_record([
                store.id.to_string(),
                self.dcs[store.dc].id.to_string(),
                city,
                region,
                climate,
                zone,
                tax,
                store.tier.to_string(),
                store.format.to_string(),
                store.volume.to_string(),
            ])?;
        }
        Ok(())
    }

    fn write_dcs<W: Write>(&self, rows: &mut csv::Writer<W>) -> csv::Result<()> {
        for dc in &self.dcs {
            let [city, region, climate, zone, tax] = cells(&self.geographies[dc.geography]);
            rows.write_record([dc.id.to_string(), city, region, climate, zone, tax])?;
        }
        Ok(())
    }

    fn write_products<W: Write>(&self, rows: &mut csv::Writer<W>) -> csv::Result<()> {
        for product in &self.products {
            rows.write_record([
                product.id.to_string(),
                product.department.to_string(),
                hundredths(product.price_cents),
                product.popularity.to_string(),
                product.shelf_life_days.to_string(),
            ])?;
        }
        Ok(())
    }

    fn write_customers<W: Write>(&self, rows: &mut csv::Writer<W>) -> csv::Result<()> {
        for customer in &self.customers {
            rows.write_record([
                customer.id.to_string(),
                self.stores[customer.home as usize].id.to_string(),
                customer.segment.to_string(),
                customer.has_beacon.to_string(),
                ble_id(customer.id).to_string(),
                ad_id(customer.id).to_string(),
            ])?;
        }
        Ok(())
    }

    fn write_trucks<W: Write>(&self, rows: &mut csv::Writer<W>) -> csv::Result<()> {
        for truck in &self.trucks {
            let dc = self.dcs[truck.dc].id.to_string();
            rows.write_record([format!("TRUCK_{:04}", truck.number), dc])?;
        }
        Ok(())
    }
}

/// The columns of a geography: city, region, climate, time zone, tax rate in percent.
fn cells(geography: &Geography) -> [String; 5] {
    let zone = geography.time_zone.iana_name().unwrap_or("UTC");
    [
        geography.name.clone(),
        geography.region.to_string(),
        geography.climate.to_string(),
        zone.to_owned(),
        hundredths(geography.tax_rate),
    ]
}

/// Cents as money, or hundredths of a percent as a percentage.
fn hundredths(number: u32) -> String {
    format!("{}.{:02}", number / 100, number % 100)
}
