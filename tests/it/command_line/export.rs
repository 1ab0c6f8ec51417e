//! `engine export`

use crate::harness::Test;

const SHOP: &str = "\
name: shop
seed: 7
sources:
  shop:
    type: retail
    with: { stores: 4, dcs: 2, customers: 30, products: 20 }
sinks: { out: { type: blackhole, inputs: [shop] } }
";

fn master(arguments: &[&str]) -> Test {
    Test::new(&[&["export", "master", "shop.yaml"], arguments].concat()).file("shop.yaml", SHOP)
}

/// The lines of a file and what stands at the head of it.
fn head(text: &str) -> (usize, &str) {
    (text.lines().count(), text.lines().next().unwrap_or_default())
}

#[test]
fn master_data_is_written_as_a_file_for_each_kind() {
    let ended = master(&[]).run().exits(0).says("wrote 30 customers to master/customers.csv");
    let stores = ended.read("master/stores.csv");
    let columns = "store_id,dc_id,city,region,climate,time_zone,tax_rate,tier,format,volume";
    assert_eq!(head(&stores), (5, columns));
    let customers = ended.read("master/customers.csv");
    let columns = "customer_id,home_store_id,segment,has_beacon,ble_id,ad_id";
    assert_eq!(head(&customers), (31, columns));
    for (kind, lines) in [("dcs", 3), ("products", 21), ("trucks", 7)] {
        assert_eq!(head(&ended.read(&format!("master/{kind}.csv"))).0, lines, "{kind}");
    }
}

#[test]
fn what_was_written_is_given_back_and_written_again_the_same() {
    let first = master(&[]).run().exits(0);
    let kinds = ["stores", "dcs", "products", "customers", "trucks"];
    let files = kinds.map(|kind| format!("{kind}: master/{kind}.csv")).join(", ");
    let spec = format!(
        "sources:\n  shop: {{ type: retail, with: {{ master_data: {{ {files} }} }} }}\nsinks: {{ out: {{ type: blackhole, inputs: [shop] }} }}\n"
    );
    let mut again = Test::new(&["export", "master", "own.yaml", "--to", "out/again"]);
    again = again.file("own.yaml", &spec);
    for kind in kinds {
        let path = format!("master/{kind}.csv");
        again = again.file(&path, &first.read(&path));
    }
    let again = again.run().exits(0);
    for kind in kinds {
        let [one, other] = [
            first.read(&format!("master/{kind}.csv")),
            again.read(&format!("out/again/{kind}.csv")),
        ];
        assert_eq!(one, other, "{kind}");
    }
}

#[test]
fn files_that_are_there_are_not_replaced_without_force() {
    let test = |arguments: &[&str]| master(arguments).file("master/dcs.csv", "mine");
    let ended = test(&[]).run().exits(2).says("`master/dcs.csv` is there already").says("--force");
    assert_eq!(ended.read("master/dcs.csv"), "mine");
    let ended = test(&["--force"]).run().exits(0);
    assert_eq!(head(&ended.read("master/dcs.csv")).0, 3);
}

#[test]
fn one_source_of_several_is_chosen_by_name() {
    let spec = "sources:\n  east: { type: retail, with: { customers: 5 } }\n  \
        west: { type: retail, with: { customers: 6 } }\n  mix: { type: retail_mix }\n\
        sinks: { out: { type: blackhole, inputs: [east, west, mix] } }\n";
    let test = |arguments: &[&str]| {
        Test::new(&[&["export", "master", "mall.yaml"], arguments].concat()).file("mall.yaml", spec)
    };
    test(&[]).run().exits(2).says("several").says("`east`, `west`");
    test(&["--source", "west"]).run().exits(0).says("wrote 6 customers");
    test(&["--source", "wets"]).run().exits(2).says("did you mean `west`?");
    test(&["--source", "mix"]).run().exits(2).says("no `retail` source is called `mix`");
    let none = "sources:\n  mix: { type: retail_mix }\n";
    Test::new(&["export", "master", "none.yaml"])
        .file("none.yaml", none)
        .run()
        .exits(2)
        .says("no `retail` source");
}

#[test]
fn what_is_wrong_in_the_files_is_said_with_its_place() {
    let spec = "sources:\n  shop:\n    type: retail\n    with:\n      \
        master_data: { stores: own/stores.csv, trucks: own/trucks.csv }\n";
    let test = || Test::new(&["export", "master", "shop.yaml"]).file("shop.yaml", spec);
    test().run().exits(2).says("cannot read `own/stores.csv`").says("shop.yaml:5:");
    test()
        .file("own/stores.csv", "store_id,dc_id,region\n")
        .file("own/trucks.csv", "truck_id,dc_id\nTRUCK_0001,0\n")
        .run()
        .exits(2)
        .says("own/stores.csv:1: the column `tier` is missing")
        .says("own/trucks.csv:2:12: `dc_id` cannot be `0`")
        .says("help: use a whole number");
}
