use std::process::Command;

use proptest::prelude::*;

use super::*;

/// A small library of the system's C compiler; none if there is no compiler and
/// `ENGINE_TEST_REQUIRE` does not ask for one.
fn library() -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let (source, built) = (folder.path().join("a.c"), folder.path().join("a.so"));
    std::fs::write(&source, "int answer(void) { return 42; }\n").unwrap();
    let compiled =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&built, &source]).status();
    let is_built = compiled.is_ok_and(|status| status.success());
    let required = std::env::var("ENGINE_TEST_REQUIRE").unwrap_or_default();
    let is_required = required.split(',').any(|name| name.trim() == "cc");
    assert!(is_built || !is_required, "`cc` does not work, which is required");
    if !is_built {
        println!("skipped: there is no C compiler `cc`");
        return None;
    }
    Some(std::fs::read(built).unwrap())
}

fn refused(bytes: &[u8]) -> String {
    check(bytes).unwrap_err().reason
}

/// The bytes with others at a place.
fn patched(library: &[u8], place: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = library.to_vec();
    bytes[place..place + with.len()].copy_from_slice(with);
    bytes
}

/// Where the header of the first segment of a type begins.
fn segment(library: &[u8], of_type: elf::ProgramType) -> usize {
    let header = FileHeader64::<Endianness>::parse(library).unwrap();
    let endian = header.endian().unwrap();
    let segments = header.program_headers(endian, library).unwrap();
    let index = segments.iter().position(|segment| segment.p_type(endian) == of_type).unwrap();
    header.e_phoff(endian) as usize + index * usize::from(header.e_phentsize(endian))
}

const E_TYPE: usize = 16;
const E_MACHINE: usize = 18;
const E_PHOFF: usize = 32;
const E_SHOFF: usize = 40;
const E_PHNUM: usize = 56;
const P_OFFSET: usize = 8;
const P_VADDR: usize = 16;
const P_FILESZ: usize = 32;

#[test]
fn a_library_is_let_through_whole_and_at_no_other_length() {
    let Some(library) = library() else { return };
    check(library.as_slice()).unwrap();
    for length in 0..library.len() {
        let said = refused(&library[..length]);
        let expected = if length == 0 { "empty" } else { "truncated" };
        assert!(said.contains(expected), "{length} of {}: {said}", library.len());
    }
}

#[test]
fn a_library_for_another_machine_is_told_with_both_machines() {
    let Some(library) = library() else { return };
    for (machine, name) in
        [(elf::EM_AARCH64, "64-bit ARM"), (elf::EM_X86_64, "x86-64"), (elf::EM_RISCV, "RISC-V")]
    {
        let other = patched(&library, E_MACHINE, &machine.0.to_ne_bytes());
        if machine == MACHINE {
            check(other.as_slice()).unwrap();
            continue;
        }
        let said = refused(&other);
        assert_eq!(said, format!("it is built for {name}, and this engine runs on {HERE}"));
    }
    let said = refused(&patched(&library, E_MACHINE, &0xfff0_u16.to_ne_bytes()));
    assert!(said.contains("number 65520"), "{said}");
}

#[test]
fn other_kinds_of_elf_files_are_told_apart() {
    let Some(library) = library() else { return };
    let of_type = |number: u16| refused(&patched(&library, E_TYPE, &number.to_ne_bytes()));
    assert_eq!(of_type(2), "it is a program, and no library");
    assert_eq!(of_type(1), "it is an object file");
    assert_eq!(of_type(4), "it is a core dump");
    assert!(of_type(77).contains("makes sense"));
    assert!(refused(&patched(&library, 4, &[1])).contains("32-bit"));
    assert!(refused(&patched(&library, 4, &[9])).contains("makes sense"));
    let other_order = if cfg!(target_endian = "big") { 1 } else { 2 };
    assert!(refused(&patched(&library, 5, &[other_order])).contains("-endian machine"));
}

#[test]
#[cfg(target_os = "linux")]
fn a_program_that_can_stand_anywhere_is_no_library() {
    let this = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    assert_eq!(refused(&this), "it is a program, and no library");
}

#[test]
fn headers_that_lead_out_of_the_file_are_refused() {
    let Some(library) = library() else { return };
    let (load, dynamic) = (segment(&library, elf::PT_LOAD), segment(&library, elf::PT_DYNAMIC));
    let beyond = (library.len() as u64 + 1).to_ne_bytes();
    let most = u64::MAX.to_ne_bytes();
    for place in [E_PHOFF, E_SHOFF, load + P_OFFSET, load + P_FILESZ, dynamic + P_OFFSET] {
        assert!(refused(&patched(&library, place, &beyond)).contains("truncated"), "{place}");
        assert!(check(patched(&library, place, &most).as_slice()).is_err(), "{place}");
    }
    assert!(refused(&patched(&library, dynamic + P_VADDR, &most)).contains("dynamic section"));
    assert!(refused(&patched(&library, E_PHNUM, &[0, 0])).contains("no segments"));
    assert!(refused(&patched(&library, E_PHNUM, &[0xff, 0xff])).contains("segments"));
}

#[test]
fn what_is_no_elf_file_is_called_by_its_name() {
    for (bytes, said) in [
        (&b""[..], "empty"),
        (b"\x7fE", "truncated"),
        (b"#!/bin/sh\necho hello\n", "a text file"),
        ("d\u{e9}j\u{e0} vu\n".as_bytes(), "a text file"),
        (b"INPUT(libreal.so.1)\n", "a text file"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS"),
        (b"!<arch>\nx", "a static library"),
        (b"MZ\x90\0", "for Windows"),
        (&[0xcf, 0xfa, 0xed, 0xfe, 7, 0], "for macOS"),
        (b"\0\0\0\0", "it is no library"),
    ] {
        let refusal = check(bytes).unwrap_err();
        assert!(refusal.reason.contains(said), "{said}: {}", refusal.reason);
        assert!(refusal.help.is_some(), "{said}: it says what to do");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_are_too_much_for_the_check(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        kind in 0_u8..4,
        order in 0_u8..4,
    ) {
        // Most would be refused at the first byte.
        let start = [&elf::ELFMAG[..], &[kind, order, 1]].concat();
        let _ = check([start, bytes].concat().as_slice());
    }
}
