use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::retail::world::{Department, Format, Segment, Tier};

const DCS: &str = "\
dc_id,region,climate,time_zone
10,west,oceanic,America/Los_Angeles
20,midwest,continental,America/Chicago
";
const STORES: &str = "\
store_id,dc_id,city,region,climate,time_zone,tax_rate,tier,format
7,20,Chicago,midwest,continental,America/Chicago,8.25,medium,supermarket
3,10,\"Portland, Oregon\",west,oceanic,America/Los_Angeles,0,kiosk,express
";
const SMALL: Volume = Volume { stores: 4, dcs: 2, customers: 30, products: 20 };

fn file(name: &str, text: &'static str) -> MasterFile<'static> {
    MasterFile::new(name, text.as_bytes())
}

fn build(files: MasterFiles<'_>) -> Result<World, Vec<MasterProblem>> {
    World::build(1, SMALL, files)
}

/// What is wrong, a line each.
fn problems(files: MasterFiles<'_>) -> String {
    let lines = build(files).expect_err("something is wrong").into_iter().map(|problem| {
        let help = problem.help.as_ref().map(|help| format!(" (help: {help})"));
        format!("{problem}{}\n", help.unwrap_or_default())
    });
    lines.collect()
}

/// A world read from what another was written to.
fn reread(world: &World, seed: u64, kinds: &[MasterKind]) -> World {
    let volume = Volume {
        stores: world.stores.len() as u32,
        dcs: world.dcs.len() as u32,
        customers: world.customers.len() as u32,
        products: world.products.len() as u32,
    };
    let written: Vec<(MasterKind, Vec<u8>)> = kinds
        .iter()
        .map(|kind| {
            let mut text = Vec::new();
            world.write_csv(*kind, &mut text).unwrap();
            (*kind, text)
        })
        .collect();
    let mut files = MasterFiles::default();
    for (kind, text) in &written {
        *files.file(*kind) = Some(MasterFile::new(kind.name(), text.as_slice()));
    }
    World::build(seed, volume, files).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_world_that_was_written_is_read_as_it_was(
        seed: u64, stores in 1_u32..40, dcs in 1_u32..9, customers in 1_u32..60,
        products in 1_u32..60, given in prop::sample::subsequence(MasterKind::ALL, 1..=5),
    ) {
        let world = World::generate(seed, Volume { stores, dcs, customers, products });
        // Stores alone name only the centres that have some.
        let all_served = dcs <= stores;
        if all_served || given.contains(&MasterKind::Dcs) || !given.contains(&MasterKind::Stores) {
            let again = reread(&world, seed, &given);
            prop_assert_eq!(&again.stores.len(), &world.stores.len());
            prop_assert_eq!(&again.products, &world.products);
            prop_assert_eq!(&again.customers, &world.customers);
            prop_assert_eq!(&again.trucks, &world.trucks);
        }
        prop_assert_eq!(reread(&world, seed, MasterKind::ALL), world);
    }

    #[test]
    fn no_file_makes_a_panic(text in "[a-z_,\"\n\r0-9é;.]{0,200}", kind in 0_usize..5) {
        let header = ["store_id,dc_id\n", "dc_id,city,region,climate,time_zone\n",
            "product_id,department,price\n", "customer_id,home_store_id\n", "truck_id,dc_id\n"];
        let text = format!("{}{text}", header[kind]);
        let mut files = MasterFiles::default();
        *files.file(MasterKind::ALL[kind]) = Some(MasterFile::new("f", text.as_bytes()));
        let _ = build(files);
    }
}

#[test]
fn without_files_a_world_is_the_generated_one() {
    assert_eq!(build(MasterFiles::default()).unwrap(), World::generate(1, SMALL));
}

#[test]
fn own_stores_get_the_centres_that_they_name_and_customers_to_fit() {
    let files = MasterFiles { stores: Some(file("stores.csv", STORES)), ..Default::default() };
    let world = build(files).unwrap();
    assert_eq!(world.dcs.iter().map(|dc| dc.id).collect::<Vec<_>>(), [10, 20]);
    assert_eq!(
        world.stores.iter().map(|store| (store.id, store.dc)).collect::<Vec<_>>(),
        [(3, 0), (7, 1)]
    );
    assert_eq!(world.geographies[world.stores[0].geography].name, "Portland, Oregon");
    assert_eq!(world.geographies[world.stores[1].geography].tax_rate, 825);
    assert!((0.8..=1.2).contains(&world.stores[1].volume), "filled in by tier");
    assert_eq!(world.customers.len(), 30);
    assert!(world.customers.iter().all(|customer| customer.home < 2));
    assert_eq!(world.trucks.len(), 6);
}

#[test]
fn columns_come_in_any_order_and_optional_ones_are_filled_by_id() {
    let products = "\
price,department,product_id\r\n3.49,fresh,4\r\n 12 , grocery ,9\r\n\r\n1.99,fresh,2";
    let customers = "home_store_id,customer_id,segment\n2,40,premium\n1,5,\n";
    let files = || MasterFiles {
        products: Some(file("products.csv", products)),
        customers: Some(file("customers.csv", customers)),
        ..Default::default()
    };
    let world = build(files()).unwrap();
    assert_eq!(world, build(files()).unwrap());
    let seen: Vec<_> = world.products.iter().map(|one| (one.department, one.price_cents)).collect();
    assert_eq!(seen[0], (Department::Grocery, 1_200));
    assert_eq!(
        seen[1..].iter().copied().collect::<BTreeSet<_>>(),
        BTreeSet::from([(Department::Fresh, 349), (Department::Fresh, 199)])
    );
    assert!(world.products[1].popularity > world.products[2].popularity);
    assert!(world.products[1..].iter().all(|one| (2..=14).contains(&one.shelf_life_days)));
    assert_eq!((world.customers[0].id, world.customers[0].home), (5, 0));
    assert_eq!((world.customers[1].id, world.customers[1].segment), (40, Segment::Premium));
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_header() {
    let trucks = "\u{feff}truck_id,dc_id\nTRUCK_0004,1\n2,2\n";
    let world =
        build(MasterFiles { trucks: Some(file("t.csv", trucks)), ..Default::default() }).unwrap();
    assert_eq!(world.trucks, [Truck { number: 2, dc: 1 }, Truck { number: 4, dc: 0 }]);
}

#[test]
fn all_that_is_wrong_is_said_at_once_with_places_and_remedies() {
    let stores = "\
store_id,dc_id,region,climate,time_zone,tax_rate,tier,format,volume

7,20,midwest,continental,America/Chicgo,8.25,mediun,supermarket,0
7,99,west,oceanic,America/Los_Angeles,x,kiosk,express,
0,20,\"west\",wet,America/Los_Angeles,51,kiosk,express,1
8,20,west
9,,west,oceanic,America/Los_Angeles,1,kiosk,express,1
";
    let dcs = "dc_id,region,climate,time_zone\n20,west,oceanic,America/Denver\n\
        20,west,oceanic,America/Denver\n";
    let customers = "customer_id,home_store_id,ble_id\n1,5,BLE000000\n";
    insta::assert_snapshot!(problems(MasterFiles {
        stores: Some(file("stores.csv", stores)),
        ..Default::default()
    }), @r"
    stores.csv:3: `time_zone` cannot be `America/Chicgo` (help: use an IANA time zone such as `America/Chicago`)
    stores.csv:3: `tier` cannot be `mediun` (help: did you mean `medium`?)
    stores.csv:3: `volume` cannot be `0` (help: use a number from 0.01 to 100)
    stores.csv:4:39: `tax_rate` cannot be `x` (help: use a percentage from 0 to 50 such as `8.25`)
    stores.csv:5: `store_id` cannot be `0` (help: use a whole number from 1 to 4294967295)
    stores.csv:5: `tax_rate` cannot be `51` (help: use a percentage from 0 to 50 such as `8.25`)
    stores.csv:5: `climate` cannot be `wet` (help: use one of continental, subtropical, desert, oceanic, mediterranean, alpine)
    stores.csv:6: the line has 3 values, and the header 9 columns (help: a value that has a comma in it stands in double quotes)
    stores.csv:7:3: `dc_id` has no value
    ");
    insta::assert_snapshot!(problems(MasterFiles {
        dcs: Some(file("dcs.csv", dcs)),
        stores: Some(file("stores.csv", STORES)),
        customers: Some(file("customers.csv", customers)),
        trucks: Some(file("trucks.csv", "truck_id,dc_id\n1,5\n")),
        ..Default::default()
    }), @r"
    dcs.csv:3: `dc_id` 20 comes twice (help: the other is in line 2)
    customers.csv:2:3: `home_store_id` cannot be `5` (help: `stores.csv` has no such id)
    customers.csv:2:5: `ble_id` cannot be `BLE000000` (help: customer 1 has `BLEWQ5RN7`; the column may be left out)
    ");
}

#[test]
fn references_are_held_against_what_is_given_or_is_going_to_be_generated() {
    insta::assert_snapshot!(problems(MasterFiles {
        dcs: Some(file("dcs.csv", DCS)),
        stores: Some(file("stores.csv", "store_id,dc_id,region,climate,time_zone,tax_rate,tier,format\n\
            1,30,west,oceanic,UTC,1,low,express\n")),
        ..Default::default()
    }), @"stores.csv:2:3: `dc_id` cannot be `30` (help: `dcs.csv` has no such id)");
    insta::assert_snapshot!(problems(MasterFiles {
        dcs: Some(file("dcs.csv", DCS)),
        trucks: Some(file("trucks.csv", "truck_id,dc_id\n1,10\n")),
        ..Default::default()
    }), @"trucks.csv: the distribution centre 20 has no truck (help: give every centre a truck, or leave trucks to be generated)");
    insta::assert_snapshot!(problems(MasterFiles {
        trucks: Some(file("trucks.csv", "truck_id,dc_id\n1,1\n2,2\n3,3\n")),
        customers: Some(file("customers.csv", "customer_id,home_store_id\n1,4\n2,5\n")),
        ..Default::default()
    }), @r"
    trucks.csv:4:3: `dc_id` cannot be `3` (help: the ids that are generated go from 1 to 2)
    customers.csv:3:3: `home_store_id` cannot be `5` (help: the ids that are generated go from 1 to 4)
    ");
}

#[test]
fn a_header_that_does_not_fit_is_said() {
    let header =
        |text| problems(MasterFiles { trucks: Some(file("t.csv", text)), ..Default::default() });
    insta::assert_snapshot!(header(""), @"t.csv: the file is empty (help: the first line names the columns: truck_id,dc_id)");
    insta::assert_snapshot!(header("truck_id,dc_id\n"), @"t.csv: the file has no trucks");
    insta::assert_snapshot!(header("truck_id,dcid,dcid,weight\n1,1,1,1\n"), @r"
    t.csv:1: the column `dc_id` is missing
    t.csv:1:10: unknown column `dcid` (help: did you mean `dc_id`?)
    t.csv:1:15: the column `dcid` comes twice
    t.csv:1:20: unknown column `weight` (help: the columns are truck_id, dc_id)
    ");
    insta::assert_snapshot!(header("truck_id;dc_id\n1;1\n"), @r"
    t.csv:1: the column `truck_id` is missing
    t.csv:1: the column `dc_id` is missing
    t.csv:1:1: unknown column `truck_id;dc_id` (help: values are separated by commas)
    ");
}

#[test]
fn what_is_no_text_is_said() {
    let bytes = b"truck_id,dc_id\n1,1\n2,\xff\n".as_slice();
    let files = MasterFiles { trucks: Some(MasterFile::new("t.csv", bytes)), ..Default::default() };
    insta::assert_snapshot!(problems(files), @"t.csv:3:3: `dc_id` is not UTF-8 (help: save the file as UTF-8)");
}

#[test]
fn of_many_problems_the_first_are_told_and_the_rest_counted() {
    let text = format!("truck_id,dc_id\n{}", "x,1\n".repeat(1_000));
    let trucks = Some(MasterFile::new("t.csv", text.as_bytes()));
    let problems = build(MasterFiles { trucks, ..Default::default() }).unwrap_err();
    assert_eq!(problems.len(), 21);
    assert_eq!(problems[19].line, Some(21));
    assert_eq!(problems[20].to_string(), "t.csv: and 980 more");
}

#[test]
fn a_quote_that_is_left_open_does_not_swallow_a_large_file() {
    let text = format!("truck_id,dc_id\n1,\"1\n{}", "2,2\n".repeat(1_000_000));
    let mut unread = text.as_bytes();
    let trucks = Some(MasterFile::new("t.csv", &mut unread));
    let problems = build(MasterFiles { trucks, ..Default::default() }).unwrap_err();
    assert!(problems[0].message.contains("is a quote left open?"), "{}", problems[0]);
    assert!(unread.len() > 3_000_000, "{} bytes are left", unread.len());
}

#[test]
fn popularity_is_given_for_all_products_or_none() {
    let products = "product_id,department,price,popularity\n1,fresh,1,5\n2,fresh,1,\n";
    let files = MasterFiles { products: Some(file("p.csv", products)), ..Default::default() };
    insta::assert_snapshot!(problems(files), @"p.csv:3:11: `popularity` has no value");
}

#[test]
fn what_a_file_says_is_kept() {
    let files = MasterFiles {
        stores: Some(file(
            "s.csv",
            "store_id,dc_id,region,climate,time_zone,tax_rate,tier,format,volume\n\
            1,1,west,alpine,america/denver,8.81,flagship,department,5.5\n",
        )),
        ..Default::default()
    };
    let world = build(files).unwrap();
    let store = &world.stores[0];
    assert_eq!((store.tier, store.format), (Tier::Flagship, Format::Department));
    assert!((store.volume - 5.5).abs() < 1e-12);
    let geography = &world.geographies[store.geography];
    assert_eq!(geography.time_zone.iana_name(), Some("America/Denver"));
    assert_eq!((geography.tax_rate, geography.name.as_str()), (881, "west"));
}
