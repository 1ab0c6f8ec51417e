//! What a library offers: its module and descriptors, checked and copied.

use std::ffi::c_void;
use std::fmt;

use super::said::{one_line, text};
use crate::abi;
use crate::outcome::Kind;

/// A library's plugins.
#[derive(Clone, Debug)]
pub struct Module {
    /// The ABI that it was built for: major and minor.
    pub abi: (u32, u32),
    /// The compiler or SDK, for people.
    pub built_with: String,
    /// What it offers, at least one.
    pub plugins: Vec<Descriptor>,
}

/// One plugin of a library.
#[derive(Clone)]
pub struct Descriptor {
    /// What kind of stage it is.
    pub kind: Kind,
    /// The `type:` in a pipeline.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// One sentence.
    pub summary: String,
    /// The JSON Schema of its settings, which nobody has read yet.
    pub config_schema: String,
    /// The settings of a working stage, as YAML.
    pub example: String,
    /// How many writes may be pending at a time, at least 1.
    pub max_in_flight: u32,
    /// Whether its calls may wait.
    pub is_blocking: bool,
    /// Whether a sink wants a batcher before it.
    pub is_network: bool,
    /// Whether a correlator keeps its input to itself.
    pub is_derived_only: bool,
    pub(super) functions: abi::Plugin,
}

impl fmt::Debug for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} `{}` {}", self.kind, self.name, self.version)
    }
}

/// Why a library's plugins cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It was built for another major version of the ABI.
    Abi {
        /// Which: major and minor.
        built_for: (u32, u32),
    },
    /// It does not want this host.
    Declines,
    /// It is not as the contract says.
    Malformed(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = super::ABI;
        match self {
            Self::Abi { built_for } => write!(
                f,
                "built for plugin ABI {}.{}, and this engine speaks {major}.{minor}",
                built_for.0, built_for.1
            ),
            Self::Declines => {
                write!(f, "it declines an engine that speaks plugin ABI {major}.{minor}")
            }
            Self::Malformed(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Refused {}

/// More than any library has.
const PLUGINS_MAX: usize = 256;

/// Structs that a later version has made larger, but no more than this.
const STRUCT_BYTES_MAX: usize = 64 * 1024;

/// Calls the entry point of a library, and takes the module apart that it returns.
///
/// # Safety
///
/// `entry` is the address of a function of the type `ep_entry_fn`, whose library stays loaded for
/// the life of the process, and what it returns is as the header says: pointers lead to what they
/// should, for as long as they should.
pub unsafe fn read(entry: *const c_void) -> Result<Module, Refused> {
    if entry.is_null() {
        return Err(malformed("the entry point is NULL"));
    }
    // SAFETY: the caller says that it is a function of this type.
    let entry: abi::Entry = unsafe { std::mem::transmute(entry) };
    // SAFETY: the function's own contract asks for nothing.
    let module = unsafe { entry(abi::MAJOR, abi::MINOR) };
    if module.is_null() {
        return Err(Refused::Declines);
    }
    // SAFETY: the first 16 bytes are the same in every version.
    let [magic, major, minor, size] = unsafe { module.cast::<[u32; 4]>().read_unaligned() };
    if magic != abi::MAGIC {
        return Err(malformed(format!("its module begins with {magic:#010x}, not with `EPP1`")));
    }
    if major != abi::MAJOR {
        return Err(Refused::Abi { built_for: (major, minor) });
    }
    if (size as usize) < size_of::<abi::Module>() || size as usize > STRUCT_BYTES_MAX {
        return Err(malformed(format!("its module has a size of {size} bytes")));
    }
    // SAFETY: it has at least that many bytes, as it says itself.
    let module = unsafe { module.read_unaligned() };
    // SAFETY: its texts live as long as the process.
    let built_with = unsafe { required(module.built_with, "built_with", 200, "the module") }?;
    if module.count == 0 || module.count > PLUGINS_MAX {
        return Err(malformed(format!("it offers {} plugins", module.count)));
    }
    if module.plugins.is_null() {
        return Err(malformed("its list of plugins is NULL"));
    }
    let mut plugins = Vec::with_capacity(module.count);
    for place in 0..module.count {
        // SAFETY: the list has `count` entries.
        let plugin = unsafe { module.plugins.add(place).read_unaligned() };
        // SAFETY: each is NULL or points to a descriptor, which begins with its size.
        plugins.push(unsafe { descriptor(plugin, place) }?);
    }
    for (place, plugin) in plugins.iter().enumerate() {
        let same = |other: &Descriptor| (other.kind, &other.name) == (plugin.kind, &plugin.name);
        if plugins[..place].iter().any(same) {
            return Err(malformed(format!("it offers `{}` twice", plugin.name)));
        }
    }
    Ok(Module { abi: (major, minor), built_with: one_line(&built_with), plugins })
}

/// # Safety
///
/// `plugin` is NULL or points to a descriptor as the header says, for the life of the process.
unsafe fn descriptor(plugin: *const abi::Plugin, place: usize) -> Result<Descriptor, Refused> {
    let nth = format!("its plugin number {}", place + 1);
    if plugin.is_null() {
        return Err(malformed(format!("{nth} is NULL")));
    }
    // SAFETY: the size comes first, and as many bytes are there as it says.
    let size = unsafe { plugin.cast::<u32>().read_unaligned() } as usize;
    // SAFETY: as above.
    let functions = unsafe { copy_sized::<abi::Plugin>(plugin.cast()) };
    let functions = functions.filter(|_| size >= abi::PLUGIN_SIZE_MIN);
    let functions =
        functions.ok_or_else(|| malformed(format!("{nth} has a size of {size} bytes")))?;
    // SAFETY: its texts live as long as the process.
    let take = |text, field, most| unsafe { required(text, field, most, &nth) };
    let name = take(functions.name, "name", 64)?;
    if !is_name(&name) {
        let message =
            format!("{nth} is named `{}`; a name is like `loyalty_tier`", name.escape_debug());
        return Err(malformed(message));
    }
    let nth = format!("`{name}`");
    // SAFETY: its texts live as long as the process.
    let take = |text, field, most| unsafe { required(text, field, most, &nth) };
    let kind = match functions.kind {
        abi::SOURCE => Kind::Source,
        abi::ENRICHER => Kind::Enricher,
        abi::CORRELATOR => Kind::Correlator,
        abi::SINK => Kind::Sink,
        other => {
            return Err(malformed(format!("{nth} is of the kind {other}, which there is not")));
        }
    };
    let missing = [
        ("create", functions.create.is_none()),
        ("destroy", functions.destroy.is_none()),
        ("poll", kind == Kind::Source && functions.poll.is_none()),
        ("process", kind == Kind::Enricher && functions.process.is_none()),
        ("correlate", kind == Kind::Correlator && functions.correlate.is_none()),
        ("write", kind == Kind::Sink && functions.write.is_none()),
    ];
    if let Some((function, _)) = missing.iter().find(|(_, is_missing)| *is_missing) {
        return Err(malformed(format!("{nth} lacks the function `{function}`")));
    }
    Ok(Descriptor {
        kind,
        version: one_line(&take(functions.version, "version", 64)?),
        summary: one_line(&take(functions.summary, "summary", 2000)?),
        config_schema: take(functions.config_schema, "config_schema", 1 << 20)?,
        example: take(functions.example, "example", 64 * 1024)?,
        max_in_flight: functions.max_in_flight.clamp(1, 4096),
        is_blocking: functions.flags & abi::F_BLOCKING != 0,
        is_network: functions.flags & abi::F_NETWORK != 0,
        is_derived_only: functions.flags & abi::F_DERIVED_ONLY != 0,
        name,
        functions,
    })
}

/// A struct of which the other side may know fewer fields, or more: what it lacks is zero. None if
/// the size cannot be one.
///
/// # Safety
///
/// `from` points to a struct that begins with its size, and has as many bytes as that says. All
/// bits zero are a value of `T`.
pub(super) unsafe fn copy_sized<T: Copy>(from: *const c_void) -> Option<T> {
    // SAFETY: the size comes first.
    let size = unsafe { from.cast::<u32>().read_unaligned() } as usize;
    if !(size_of::<u32>()..=STRUCT_BYTES_MAX).contains(&size) {
        return None;
    }
    let mut copy = std::mem::MaybeUninit::<T>::zeroed();
    // SAFETY: no more than the struct has, and no more than the copy has room for; zero is a value
    // of every field that is not copied. A field is copied whole or its half is never looked at,
    // since functions appear whole in every version.
    unsafe {
        let bytes = size.min(size_of::<T>()) / align_of::<T>() * align_of::<T>();
        std::ptr::copy_nonoverlapping(from.cast::<u8>(), copy.as_mut_ptr().cast(), bytes);
        Some(copy.assume_init())
    }
}

/// # Safety
///
/// As for [`text`].
unsafe fn required(
    said: abi::Str,
    field: &str,
    most: usize,
    whose: &str,
) -> Result<String, Refused> {
    if said.len > most {
        return Err(malformed(format!(
            "`{field}` of {whose} has {} bytes, more than {most}",
            said.len
        )));
    }
    // SAFETY: the caller vouches for the bytes.
    match unsafe { text(said) } {
        Some(text) => Ok(text.to_owned()),
        None => Err(malformed(format!("`{field}` of {whose} is not UTF-8"))),
    }
}

/// Whether a text can be a `type:`.
fn is_name(name: &str) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_';
    name.as_bytes().first().is_some_and(u8::is_ascii_lowercase)
        && name.as_bytes().iter().all(is_word)
}

fn malformed(what: impl Into<String>) -> Refused {
    Refused::Malformed(what.into())
}

/// A plugin of this very program, as if it came from a library: for tests.
pub fn exported(plugin: crate::boundary::Exported) -> Result<Descriptor, Refused> {
    let plugin: &'static abi::Plugin = Box::leak(Box::new(plugin.0));
    // SAFETY: the boundary made it, as the header says.
    unsafe { descriptor(plugin, 0) }
}
