//! Libraries that are not as the contract says: one value of a module or a descriptor after the
//! other is made wrong, and the message names it.

use engine_plugin::Kind;
use engine_plugin::host::{Fault, Module, Refused};

use crate::libraries;
use crate::library::Loaded;

/// A library of one enricher, with these macros set.
fn read(macros: &[&str]) -> Result<Module, Refused> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("descriptor.so");
    libraries::c_library(&path, "descriptor", macros);
    Loaded::try_new(&path).map(Loaded::into_module)
}

/// A text of bytes that are no UTF-8.
const GARBLED: &str = r#"{"a\xff",2}"#;

#[test]
fn each_value_that_is_wrong_is_named() {
    let garbled = |of: &str| format!("{of}={GARBLED}");
    let table: Vec<(Vec<String>, &str)> = [
        ("MAJOR=2", "built for plugin ABI 2.0, and this engine speaks 1.0"),
        ("MAJOR=0", "built for plugin ABI 0.0, and this engine speaks 1.0"),
        ("MAJOR=7 MINOR=3", "built for plugin ABI 7.3, and this engine speaks 1.0"),
        // Of another major nothing else is looked at.
        ("MAJOR=2 MODULE_SIZE=0 COUNT=0", "built for plugin ABI 2.0, and this engine speaks 1.0"),
        ("RETURNED=NULL", "it declines an engine that speaks plugin ABI 1.0"),
        ("MAGIC=0x7f454c46", "its module begins with 0x7f454c46, not with `EPP1`"),
        ("MODULE_SIZE=16", "its module has a size of 16 bytes"),
        ("MODULE_SIZE=0xffffffff", "its module has a size of 4294967295 bytes"),
        ("COUNT=0", "it offers 0 plugins"),
        ("COUNT=SIZE_MAX", "it offers 18446744073709551615 plugins"),
        ("LIST=NULL", "its list of plugins is NULL"),
        ("PLUGINS=NULL", "its plugin number 1 is NULL"),
        ("PLUGINS=&PLUGIN.now,NULL", "its plugin number 2 is NULL"),
        ("PLUGINS=&PLUGIN.now,&PLUGIN.now", "it offers `probe` twice"),
        ("SIZE=0", "its plugin number 1 has a size of 0 bytes"),
        ("SIZE=8", "its plugin number 1 has a size of 8 bytes"),
        ("SIZE=offsetof(ep_plugin,destroy)", "its plugin number 1 has a size of 128 bytes"),
        ("SIZE=0xffffffff", "its plugin number 1 has a size of 4294967295 bytes"),
        ("SIZE=offsetof(ep_plugin,process)", "`probe` lacks the function `process`"),
        ("KIND=0", "`probe` is of the kind 0, which there is not"),
        ("KIND=5", "`probe` is of the kind 5, which there is not"),
        ("KIND=EP_SOURCE", "`probe` lacks the function `poll`"),
        ("KIND=EP_CORRELATOR", "`probe` lacks the function `correlate`"),
        ("KIND=EP_SINK", "`probe` lacks the function `write`"),
        ("PROCESS=NULL", "`probe` lacks the function `process`"),
        ("CREATE=NULL", "`probe` lacks the function `create`"),
        ("DESTROY=NULL", "`probe` lacks the function `destroy`"),
        ("NAME={NULL,0}", "its plugin number 1 is named ``; a name is like `loyalty_tier`"),
        ("NAME={NULL,5}", "`name` of its plugin number 1 is not UTF-8"),
        (
            "NAME=EP_STR(\"Probe\")",
            "its plugin number 1 is named `Probe`; a name is like `loyalty_tier`",
        ),
        (
            "NAME=EP_STR(\"1probe\")",
            "its plugin number 1 is named `1probe`; a name is like `loyalty_tier`",
        ),
        (
            "NAME=EP_STR(\"a-b\")",
            "its plugin number 1 is named `a-b`; a name is like `loyalty_tier`",
        ),
        (
            "NAME=EP_STR(\"a\\n\\33[1mb\")",
            "its plugin number 1 is named `a\\n\\u{1b}[1mb`; a name is like `loyalty_tier`",
        ),
        ("NAME={\"a\",65}", "`name` of its plugin number 1 has 65 bytes, more than 64"),
        (
            "NAME={\"a\",SIZE_MAX}",
            "`name` of its plugin number 1 has 18446744073709551615 bytes, more than 64",
        ),
        ("VERSION={\"1\",65}", "`version` of `probe` has 65 bytes, more than 64"),
        ("SUMMARY={\"1\",2001}", "`summary` of `probe` has 2001 bytes, more than 2000"),
        (
            "SCHEMA={\"1\",2000000}",
            "`config_schema` of `probe` has 2000000 bytes, more than 1048576",
        ),
        ("EXAMPLE={\"1\",70000}", "`example` of `probe` has 70000 bytes, more than 65536"),
        ("BUILT_WITH={\"1\",201}", "`built_with` of the module has 201 bytes, more than 200"),
    ]
    .into_iter()
    .map(|(macros, wanted)| (macros.split(' ').map(str::to_owned).collect(), wanted))
    .chain([
        (vec![garbled("NAME")], "`name` of its plugin number 1 is not UTF-8"),
        (vec![garbled("VERSION")], "`version` of `probe` is not UTF-8"),
        (vec![garbled("SUMMARY")], "`summary` of `probe` is not UTF-8"),
        (vec![garbled("SCHEMA")], "`config_schema` of `probe` is not UTF-8"),
        (vec![garbled("EXAMPLE")], "`example` of `probe` is not UTF-8"),
        (vec![garbled("BUILT_WITH")], "`built_with` of the module is not UTF-8"),
    ])
    .collect();
    for (macros, wanted) in table {
        let macros: Vec<&str> = macros.iter().map(String::as_str).collect();
        let refused = read(&macros).expect_err(&macros.join(" "));
        assert_eq!(refused.to_string(), wanted, "{macros:?}");
    }
}

#[test]
fn a_library_of_a_later_minor_version_is_read_as_far_as_it_is_known() {
    let longer = ["MINOR=7", "SIZE=sizeof(PLUGIN)", "MODULE_SIZE=sizeof(MODULE)"];
    let module = read(&longer).unwrap();
    assert_eq!((module.abi, module.plugins.len()), ((1, 7), 1));
    assert_eq!(module.plugins[0].kind, Kind::Enricher);
}

#[test]
fn a_descriptor_that_ends_before_functions_of_other_kinds_is_complete() {
    let module = read(&["SIZE=offsetof(ep_plugin,correlate)"]).unwrap();
    assert_eq!((module.plugins[0].name.as_str(), module.built_with.as_str()), ("probe", "cc"));
}

#[test]
fn texts_for_people_are_of_one_line_without_what_a_terminal_obeys() {
    let said = "EP_STR(\"a\\n\\tb\\33[2J\\302\\233c\\n\")";
    let macros = ["VERSION", "SUMMARY", "BUILT_WITH"].map(|of| format!("{of}={said}"));
    let module = read(&macros.each_ref().map(String::as_str)).unwrap();
    let plugin = &module.plugins[0];
    for text in [&plugin.version, &plugin.summary, &module.built_with] {
        assert_eq!(text, "a  b\\u{1b}[2J\\u{9b}c");
    }
}

#[test]
fn a_create_that_makes_nothing_without_an_error_has_failed() {
    for (create, wanted) in [
        ("CREATE=create_nothing", "`create` made no instance, and no error"),
        ("CREATE=create_pending", "`create` returned 1, which means nothing there"),
    ] {
        let module = read(&[create]).unwrap();
        let host = std::sync::Arc::new(crate::host::Host::default());
        let failed = module.plugins[0].create(host, "{}").err().unwrap();
        assert_eq!((failed.fault, failed.reason.as_str()), (Fault::Panic, wanted));
    }
}
