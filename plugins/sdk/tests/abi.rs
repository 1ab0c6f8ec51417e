//! The contract stays what it was: the header, its mirror in Rust and the layouts that were released
//! say the same, and what was released is only ever added to.

#[path = "abi/header.rs"]
mod header;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::mem::{align_of, offset_of, size_of};
use std::path::{Path, PathBuf};
use std::process::Command;

use engine_plugin::{Kind, Level, MetricKind, abi};
use header::Header;

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Compiles a program as strictly as compilers can; what the program prints.
fn printed(compiler: &str, standard: &str, name: &str, program: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let (source, binary) = (folder.path().join(name), folder.path().join("program"));
    std::fs::write(&source, program).unwrap();
    let output = Command::new(compiler)
        .args([&format!("-std={standard}"), "-Wall", "-Wextra", "-Wconversion", "-pedantic"])
        .arg("-Werror")
        .arg("-I")
        .arg(project("include"))
        .arg(&source)
        .arg("-o")
        .arg(&binary)
        .output()
        .unwrap_or_else(|error| panic!("`{compiler}` is needed: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = Command::new(binary).output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Uses each macro of the header once.
const USES_ALL: &str = r"
#include <engine_plugin.h>
#include <engine_plugin.h> /* twice */

static ep_status create(const ep_host *host, ep_ctx *ctx, ep_str config, void **self) {
  (void)ctx;
  (void)config;
  *self = NULL;
  return EP_HAS(ep_host, host, next_tick) ? EP_OK : EP_E_UNSUPPORTED;
}

static const ep_str NAME = EP_STR(EP_ENTRY_SYMBOL);

EP_EXPORT const ep_module *engine_plugin_entry(uint32_t major, uint32_t minor) {
  (void)minor;
  return major == EP_ABI_MAJOR ? NULL : (const ep_module *)0;
}

int main(void) {
  const ep_host host = {};
  void *self;
  ep_entry_fn entry = engine_plugin_entry;
  if (create(&host, (ep_ctx *)0, NAME, &self) != EP_E_UNSUPPORTED) return 1;
  return NAME.len == 19 && entry(EP_ABI_MAJOR, EP_ABI_MINOR) == NULL ? 0 : 2;
}
";

#[test]
fn the_header_compiles_without_a_warning_as_c11() {
    // C11 has no empty initializer.
    printed("cc", "c11", "uses.c", &USES_ALL.replace("= {}", "= {0}"));
}

#[test]
fn the_header_compiles_without_a_warning_as_cpp17() {
    let is_there = Command::new("g++").arg("--version").output().is_ok();
    let required = std::env::var("ENGINE_TEST_REQUIRE").unwrap_or_default();
    let is_required = required.split(',').any(|name| name.trim() == "g++");
    assert!(is_there || !is_required, "`g++` is required, and not there");
    if is_there {
        printed("g++", "c++17", "uses.cpp", USES_ALL);
    } else {
        println!("skipped: g++ is not installed");
    }
}

/// What the header's compiler makes of it: constants, sizes, offsets, types.
fn layout() -> String {
    printed("cc", "c11", "layout.c", &Header::parse(abi::HEADER).program())
}

/// The part of a layout without types: what Rust can be asked for.
fn figures(layout: &str) -> Vec<String> {
    let figures = layout.lines().filter(|line| !line.is_empty());
    figures
        .map(|line| {
            line.split_once(": ")
                .map_or(
                    line,
                    |(figures, size)| {
                        if size.ends_with(" bytes") { line } else { figures }
                    },
                )
                .to_owned()
        })
        .collect()
}

/// A struct of the mirror: its size, and each field with offset and size.
macro_rules! mirrored {
    ($to:ident, $name:literal, $type:ty { $($field:ident),* }) => {
        $to.push(format!("{}: {} bytes", $name, size_of::<$type>()));
        $(
            let size = |field: fn(&$type) -> usize| {
                // All of them may be zero, and nothing is looked at but the type.
                let zero = std::mem::MaybeUninit::<$type>::zeroed();
                // SAFETY: numbers, and pointers and functions that may be missing.
                #[allow(unsafe_code)]
                field(unsafe { zero.assume_init_ref() })
            };
            $to.push(format!(
                "{:4} {:3}  {}",
                offset_of!($type, $field),
                size(|all| size_of_val(&all.$field)),
                stringify!($field)
            ));
        )*
    };
}

macro_rules! constants {
    ($to:ident, $($name:ident)*) => {
        $($to.push(format!("EP_{} {}", stringify!($name), abi::$name));)*
    };
}

/// The same as [`figures`], of the mirror.
fn mirror() -> Vec<String> {
    let mut all = Vec::new();
    constants!(all, MAGIC);
    all.push(format!("EP_ABI_MAJOR {}", abi::MAJOR));
    all.push(format!("EP_ABI_MINOR {}", abi::MINOR));
    let symbol = std::ffi::CStr::from_bytes_with_nul(abi::ENTRY_SYMBOL).unwrap();
    all.push(format!("EP_ENTRY_SYMBOL {symbol:?}"));
    constants!(all, NO_KEY NO_ROW NO_TICK);
    all.push(format!("EP_STATE_1 {:?}", abi::STATE_1));
    constants!(all, OK PENDING AGAIN END E_CONFIG E_RETRY E_FATAL E_PANIC E_ARG E_UNSUPPORTED);
    constants!(all, E_STOPPED E_REJECTED SOURCE ENRICHER CORRELATOR SINK);
    constants!(all, ABSENT NULL BOOL I64 F64 STRING JSON TIME);
    for level in [Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace] {
        all.push(format!("EP_{} {}", format!("{level:?}").to_uppercase(), level as u32));
    }
    constants!(all, COUNTER GAUGE HISTOGRAM F_BLOCKING F_NETWORK F_DERIVED_ONLY);
    mirrored!(all, "ep_str", abi::Str { ptr, len });
    mirrored!(all, "ep_value", abi::Value { tag, reserved, u });
    mirrored!(all, "ep_refusal", abi::Refusal { row, status, retry_after_ms, reason });
    mirrored!(
        all,
        "ep_outcome",
        abi::Outcome { size, status, retry_after_ms, reserved, error, refusals_len, refusals }
    );
    mirrored!(
        all,
        "ep_host",
        abi::Host {
            size,
            abi_major,
            abi_minor,
            reserved,
            name,
            version,
            log,
            log_enabled,
            set_error,
            metric,
            record,
            setting,
            key,
            stopping,
            extension,
            batch_len,
            get,
            set,
            gather,
            scatter,
            drop_row,
            fail_row,
            push_row,
            push_json,
            write_json,
            watermark,
            retain,
            release,
            complete,
            wake,
            next_tick,
            now
        }
    );
    mirrored!(
        all,
        "ep_plugin",
        abi::Plugin {
            size,
            kind,
            flags,
            max_in_flight,
            name,
            version,
            summary,
            config_schema,
            example,
            create,
            start,
            request_stop,
            flush,
            destroy,
            extension,
            poll,
            ack,
            process,
            correlate,
            tick,
            drain,
            write
        }
    );
    mirrored!(all, "ep_state_1", abi::State1 { size, reserved, save, restore });
    mirrored!(
        all,
        "ep_module",
        abi::Module { magic, abi_major, abi_minor, size, built_with, count, plugins }
    );
    all
}

#[test]
fn the_mirror_in_rust_has_every_constant_and_every_field_where_c_has_them() {
    assert_eq!(mirror().join("\n"), figures(&layout()).join("\n"));
    assert_eq!(
        [MetricKind::Counter, MetricKind::Gauge, MetricKind::Histogram].map(|kind| kind as u32),
        [1, 2, 3]
    );
    let kinds = [Kind::Source, Kind::Enricher, Kind::Correlator, Kind::Sink];
    assert_eq!(kinds.map(|kind| kind as u32), [1, 2, 3, 4]);
    // The union is not named in C.
    assert_eq!((size_of::<abi::Payload>(), align_of::<abi::Payload>()), (16, 8));
}

/// A type of C as the mirror writes it.
fn in_rust(kind: &str) -> String {
    let (is_const, bare) = kind.strip_prefix("const ").map_or((false, kind), |bare| (true, bare));
    let stars = bare.matches('*').count();
    let bare = match bare.trim_end_matches(['*', ' ']) {
        "uint32_t" | "ep_level" | "ep_kind" | "ep_tag" | "ep_metric_type" => "u32",
        "uint64_t" => "u64",
        "int64_t" => "i64",
        "size_t" => "usize",
        "double" => "f64",
        "void" => "c_void",
        "char" => "c_char",
        "ep_write_fn" => "Option<WriteFn>",
        "ep_ctx" => "Ctx",
        "ep_state_1" => "State1",
        "ep_str" => "Str",
        "ep_key" => "Key",
        "ep_value" => "Value",
        "ep_status" => "Status",
        "ep_batch" => "Batch",
        "ep_host" => "Host",
        "ep_outcome" => "Outcome",
        other => panic!("`{other}` has no name in Rust"),
    };
    (0..stars).fold(bare.to_owned(), |inner, depth| {
        format!("*{} {inner}", if is_const && depth == 0 { "const" } else { "mut" })
    })
}

/// `void (ep_ctx *, size_t row)` as the mirror writes it: names of parameters are no part of it.
fn function_in_rust(kind: &str) -> String {
    let (returned, parameters) = kind.split_once(" (").unwrap();
    let parameters = parameters.trim_end_matches(')').split(", ").map(|parameter| {
        let end = parameter.rfind(['*', ' ']).map_or(parameter.len(), |place| place + 1);
        let is_name = !parameter[end..].is_empty()
            && !parameter[..end].trim().is_empty()
            && parameter[..end].trim() != "const";
        in_rust(if is_name { parameter[..end].trim() } else { parameter })
    });
    let parameters = parameters.collect::<Vec<_>>().join(", ");
    let returned = match returned {
        "void" => String::new(),
        other => format!(" -> {}", in_rust(other)),
    };
    format!("Option<unsafe extern \"C\" fn({parameters}){returned}>")
}

#[test]
fn functions_have_the_same_parameters_in_c_and_in_rust() {
    let mirror = std::fs::read_to_string(project("src/abi.rs")).unwrap();
    let mirror = mirror.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut seen = 0;
    for of in Header::parse(abi::HEADER).structs {
        for field in of.fields.iter().filter(|field| field.kind.contains(" (")) {
            let wanted = format!(" {}: {},", field.name, function_in_rust(&field.kind));
            assert!(mirror.contains(&wanted), "{}, {}: no `{}`", of.name, field.kind, wanted);
            seen += 1;
        }
    }
    assert_eq!(seen, 26 + 13 + 2, "functions of the host, of a plugin, of its state");
}

/// The layout that a version was released with.
fn released(major: u32, minor: u32) -> PathBuf {
    project(&format!("abi-{major}.{minor}.txt"))
}

#[test]
fn the_layout_is_the_one_that_is_written_down_for_this_version() {
    let path = released(abi::MAJOR, abi::MINOR);
    // `ENGINE_UPDATE=1` writes the layout of a version that has none yet, and never another one's.
    if std::env::var_os("ENGINE_UPDATE").is_some() && !path.exists() {
        std::fs::write(&path, layout()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        layout(),
        written,
        "a released layout never changes: what is new takes another `EP_ABI_MINOR`, and a file \
         beside {}",
        path.display()
    );
}

/// What a layout promises to those who were built for it: constants with their values, structs with
/// their fields.
#[derive(Default)]
struct Promise<'a> {
    constants: BTreeMap<&'a str, &'a str>,
    structs: BTreeMap<&'a str, (&'a str, Vec<&'a str>)>,
}

impl<'a> Promise<'a> {
    fn of(layout: &'a str) -> Self {
        let mut promise = Self::default();
        let mut current = None;
        for line in layout.lines().filter(|line| !line.is_empty()) {
            if let Some((name, size)) = line.split_once(": ").filter(|_| line.ends_with(" bytes")) {
                promise.structs.insert(name, (size, Vec::new()));
                current = Some(name);
            } else if let Some((_, fields)) = current.and_then(|of| promise.structs.get_mut(of)) {
                fields.push(line);
            } else if let Some((name, value)) = line.split_once(' ') {
                promise.constants.insert(name, value);
            }
        }
        promise
    }

    /// What of this promise another layout breaks.
    fn broken_by(&self, today: &Self) -> Vec<String> {
        let mut broken = Vec::new();
        for (name, value) in self.constants.iter().filter(|(name, _)| **name != "EP_ABI_MINOR") {
            if today.constants.get(name) != Some(value) {
                broken.push(format!("`{name}` was {value}"));
            }
        }
        for (name, (size, fields)) in &self.structs {
            let (size_today, fields_today) = today.structs.get(name).cloned().unwrap_or_default();
            let can_grow = fields.first().is_some_and(|first| first.ends_with(" size: uint32_t"));
            let changed = fields
                .iter()
                .enumerate()
                .find(|(place, field)| fields_today.get(*place) != Some(*field));
            if let Some((_, field)) = changed {
                broken.push(format!("`{name}` had `{field}`"));
            } else if !can_grow && size_today != *size {
                broken.push(format!("`{name}` has no size, and had {size}"));
            }
        }
        broken
    }
}

#[test]
fn what_was_released_is_only_added_to() {
    let today = layout();
    for minor in 0..=abi::MINOR {
        let before = std::fs::read_to_string(released(abi::MAJOR, minor)).unwrap();
        let broken = Promise::of(&before).broken_by(&Promise::of(&today));
        assert!(broken.is_empty(), "ABI {}.{minor}: {broken:?}", abi::MAJOR);
    }
}

#[test]
fn a_promise_is_broken_by_whatever_is_not_an_addition() {
    let before = std::fs::read_to_string(released(1, 0)).unwrap();
    let broken = |today: &str| Promise::of(&before).broken_by(&Promise::of(today)).len();
    let mut longer = String::new();
    for line in before.lines() {
        writeln!(longer, "{line}").unwrap();
        if line.ends_with(" now: int64_t (ep_ctx *)") {
            writeln!(longer, " 256   8  later: int64_t (ep_ctx *)").unwrap();
        }
    }
    assert_ne!(before, longer);
    let longer = longer.replace("ep_host: 256", "ep_host: 264").replace("MINOR 0", "MINOR 1");
    assert_eq!(broken(&longer), 0);
    for (from, to) in [
        ("EP_END 3", "EP_END 4"),
        ("EP_TIME 7\n", ""),
        ("ep_value: 24 bytes", "ep_value: 32 bytes"),
        ("  release: void", "  let_go: void"),
        ("  wake: void (ep_ctx *)", "  wake: void (ep_ctx *, uint64_t)"),
        ("  16  16  name: ep_str", "  24  16  name: ep_str"),
    ] {
        let changed = before.replace(from, to);
        assert_ne!(changed, before, "{from}");
        assert!(broken(&changed) > 0, "{from}");
    }
}
