//! What a file is, found out before the system's loader sees it: that one maps whatever the headers
//! say, and a file that is shorter ends the process with a signal.

use object::Endianness;
use object::elf::{self, FileHeader64};
use object::read::ReadRef;
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _};

use super::Refusal;

/// How much of a file is looked at to tell what it is, if it is no library.
const SNIFFED_BYTES: u64 = 512;

/// Whether a file can be given to the loader. Only ELF is looked into; on other systems the check is
/// the loader's.
pub(super) fn check<'d>(file: impl ReadRef<'d>) -> Result<(), Refusal> {
    let length = file.len().unwrap_or_default();
    if length == 0 {
        return Err(Refusal::new("it is empty").help(ANEW_HELP));
    }
    if cfg!(any(target_vendor = "apple", windows)) {
        return Ok(());
    }
    let begins = file.read_bytes_at(0, length.min(SNIFFED_BYTES)).unwrap_or_default();
    if !begins.starts_with(&elf::ELFMAG) {
        return Err(other_format(begins));
    }
    // Class and byte order come before all that depends on them.
    let (Some(class), Some(order)) = (begins.get(4), begins.get(5)) else {
        return Err(truncated("its header is not complete"));
    };
    check_kind(elf::FileClass(*class), elf::DataEncoding(*order))?;
    let header = FileHeader64::<Endianness>::parse(file)
        .map_err(|_| truncated("its header is not complete"))?;
    let endian = header.endian().map_err(|_| broken("its byte order is none"))?;
    if header.e_machine(endian) != MACHINE {
        let theirs = machine(header.e_machine(endian).0);
        let reason = format!("it is built for {theirs}, and this engine runs on {HERE}");
        return Err(Refusal::new(reason).help(format!("build it for {HERE}")));
    }
    match header.e_type(endian) {
        elf::ET_DYN => check_segments(header, endian, file, length),
        elf::ET_EXEC => Err(program()),
        elf::ET_REL => Err(Refusal::new("it is an object file").help(LINK_HELP)),
        elf::ET_CORE => Err(Refusal::new("it is a core dump")),
        _ => Err(broken("its header says nothing that makes sense")),
    }
}

fn check_kind(class: elf::FileClass, order: elf::DataEncoding) -> Result<(), Refusal> {
    if class == elf::ELFCLASS32 && cfg!(target_pointer_width = "64") {
        let reason = "it is a 32-bit library, and this engine is a 64-bit program";
        return Err(Refusal::new(reason).help(format!("build it for {HERE}")));
    }
    if class != elf::ELFCLASS64 {
        return Err(broken("its header says nothing that makes sense"));
    }
    let own = if cfg!(target_endian = "big") { elf::ELFDATA2MSB } else { elf::ELFDATA2LSB };
    if order == own {
        return Ok(());
    }
    let (theirs, own) =
        if cfg!(target_endian = "big") { ("little", "big") } else { ("big", "little") };
    let reason = format!("it is built for a {theirs}-endian machine, and this one is {own}-endian");
    Err(Refusal::new(reason).help(format!("build it for {HERE}")))
}

/// Everything that the loader maps or follows first is in the file.
fn check_segments<'d>(
    header: &FileHeader64<Endianness>,
    endian: Endianness,
    file: impl ReadRef<'d>,
    length: u64,
) -> Result<(), Refusal> {
    let beyond = |what: &str, end: Option<u64>| match end {
        Some(end) if end <= length => Ok(()),
        Some(end) => {
            Err(truncated(&format!("{what} ends at byte {end}, and the file at {length}")))
        }
        None => Err(broken(&format!("{what} ends nowhere"))),
    };
    let end = |offset: u64, size: u64| offset.checked_add(size);
    let table = u64::from(header.e_phnum(endian)) * u64::from(header.e_phentsize(endian));
    beyond("the table of segments", end(header.e_phoff(endian), table))?;
    if header.e_shoff(endian) > 0 {
        let table = u64::from(header.e_shnum(endian)) * u64::from(header.e_shentsize(endian));
        beyond("the table of sections", end(header.e_shoff(endian), table))?;
    }
    let segments = header
        .program_headers(endian, file)
        .map_err(|error| broken(&format!("its table of segments: {error}")))?;
    if segments.is_empty() {
        return Err(broken("it has no segments"));
    }
    for (index, segment) in segments.iter().enumerate() {
        let (offset, size) = segment.file_range(endian);
        beyond(&format!("segment {index}"), end(offset, size))?;
    }
    let loaded = segments.iter().filter(|segment| segment.p_type(endian) == elf::PT_LOAD);
    for dynamic in segments.iter().filter(|segment| segment.p_type(endian) == elf::PT_DYNAMIC) {
        let (start, size) = (dynamic.p_vaddr(endian), dynamic.p_memsz(endian));
        let is_within = |loaded: &elf::ProgramHeader64<Endianness>| {
            let first = loaded.p_vaddr(endian);
            let last = first.saturating_add(loaded.p_memsz(endian));
            first <= start && start.checked_add(size).is_some_and(|end| end <= last)
        };
        if !loaded.clone().any(is_within) {
            return Err(broken("its dynamic section is in none of the segments that are loaded"));
        }
        let entries = dynamic.dynamic(endian, file).ok().flatten().unwrap_or_default();
        let is_program = |entry: &elf::Dyn64<Endianness>| {
            entry.tag(endian) == elf::DT_FLAGS_1 && entry.val(endian) & elf::DF_1_PIE.0 != 0
        };
        if entries.iter().any(is_program) {
            return Err(program());
        }
    }
    Ok(())
}

const LINK_HELP: &str = "link it as a shared library: `crate-type = [\"cdylib\"]`, or `cc -shared`";

const ANEW_HELP: &str = "copy it again, or build it anew";

const BUILT_HELP: &str =
    "name the library that is built of a plugin, such as one in its `target/release`";

fn truncated(what: &str) -> Refusal {
    Refusal::new(format!("it is truncated: {what}")).help(ANEW_HELP)
}

fn broken(what: &str) -> Refusal {
    Refusal::new(format!("it is broken: {what}")).help(ANEW_HELP)
}

fn program() -> Refusal {
    Refusal::new("it is a program, and no library").help(LINK_HELP)
}

/// What a file is that is no ELF file.
fn other_format(begins: &[u8]) -> Refusal {
    const MACH_O: [[u8; 4]; 5] = [
        [0xcf, 0xfa, 0xed, 0xfe],
        [0xce, 0xfa, 0xed, 0xfe],
        [0xfe, 0xed, 0xfa, 0xcf],
        [0xfe, 0xed, 0xfa, 0xce],
        [0xca, 0xfe, 0xba, 0xbe],
    ];
    if elf::ELFMAG.starts_with(begins) {
        return truncated("its header is not complete");
    }
    if begins.starts_with(b"!<arch>\n") {
        return Refusal::new("it is a static library").help(LINK_HELP);
    }
    if begins.starts_with(b"version https://git-lfs") {
        return Refusal::new("it is a pointer of Git LFS, and not the file itself")
            .help("get the file with `git lfs pull`");
    }
    if MACH_O.iter().any(|magic| begins.starts_with(magic)) {
        let reason = format!("it is built for macOS, and this engine runs on {HERE}");
        return Refusal::new(reason).help(format!("build it for {HERE}"));
    }
    if begins.starts_with(b"MZ") {
        let reason = format!("it is built for Windows, and this engine runs on {HERE}");
        return Refusal::new(reason).help(format!("build it for {HERE}"));
    }
    let is_text = |byte: &u8| !byte.is_ascii_control() || byte.is_ascii_whitespace();
    if begins.iter().all(is_text) {
        return Refusal::new("it is a text file, and no library").help(BUILT_HELP);
    }
    Refusal::new("it is no library").help(BUILT_HELP)
}

macro_rules! here {
    ($($arch:literal => $machine:ident, $name:literal;)*) => {
        /// The machine that this engine was built for.
        #[cfg(not(any($(target_arch = $arch),*)))]
        compile_error!("say in `image.rs` which machine of ELF this is");
        $(
            #[cfg(target_arch = $arch)]
            const MACHINE: elf::Machine = elf::$machine;
            #[cfg(target_arch = $arch)]
            const HERE: &str = $name;
        )*

        /// What a machine is called.
        fn machine(number: u16) -> String {
            match elf::Machine(number) {
                $(elf::$machine => $name.to_owned(),)*
                elf::EM_386 => "32-bit x86".to_owned(),
                elf::EM_ARM => "32-bit ARM".to_owned(),
                elf::EM_MIPS => "MIPS".to_owned(),
                elf::EM_PPC => "32-bit PowerPC".to_owned(),
                elf::EM_SPARCV9 => "SPARC V9".to_owned(),
                elf::EM_IA_64 => "Itanium".to_owned(),
                _ => format!("another machine (number {number} of ELF)"),
            }
        }
    };
}

here! {
    "x86_64" => EM_X86_64, "x86-64";
    "aarch64" => EM_AARCH64, "64-bit ARM";
    "riscv64" => EM_RISCV, "RISC-V";
    "loongarch64" => EM_LOONGARCH, "LoongArch";
    "powerpc64" => EM_PPC64, "64-bit PowerPC";
    "s390x" => EM_S390, "IBM Z";
}

#[cfg(test)]
mod tests;
