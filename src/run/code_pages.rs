//! Pages of code that only the start or a client needs, given back.
//!
//! A fault for one page of a file maps up to 16 around it (Linux: mm/memory.c
//! `do_fault_around`), so a start leaves nearly all of the program and of its libraries
//! resident. The daemon then uses a part of it for days. What it needs again comes from the
//! page cache.

use std::fs;
use std::io;

use rustix::mm::{Advice, madvise};

/// Gives the pages of code back; those that are used come again.
///
/// # Errors
/// If the kernel does not tell what is mapped, or refuses.
#[expect(unsafe_code, reason = "the kernel is asked to forget pages")]
pub(super) fn give_back() -> io::Result<()> {
    for (start, length) in code(&fs::read_to_string("/proc/self/maps")?) {
        let start = std::ptr::with_exposed_provenance_mut(start);
        // SAFETY: the pages are of a file and were never writable, so they are as the file
        // is, from which the next access reads them (madvise(2), `MADV_DONTNEED`).
        unsafe { madvise(start, length, Advice::LinuxDontNeed)? };
    }
    Ok(())
}

/// Start and length of each private mapping of a file's code: proc_pid_maps(5).
fn code(maps: &str) -> impl Iterator<Item = (usize, usize)> {
    maps.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let (range, permissions) = (words.next()?, words.next()?);
        let file = words.nth(3)?;
        if permissions != "r-xp" || !file.starts_with('/') {
            return None;
        }
        let (start, end) = range.split_once('-')?;
        let start = usize::from_str_radix(start, 16).ok()?;
        let end = usize::from_str_radix(end, 16).ok()?;
        Some((start, end.checked_sub(start)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_what_a_file_has_and_nobody_can_write() {
        let maps = "\
            1000-3000 r--p 00000000 fd:00 7 /usr/libexec/tcnd\n\
            3000-9000 r-xp 00002000 fd:00 7 /usr/libexec/tcnd\n\
            9000-a000 rwxp 00008000 fd:00 7 /usr/libexec/tcnd\n\
            a000-b000 r-xs 00008000 fd:00 7 /usr/libexec/tcnd\n\
            c000-d000 r-xp 00000000 00:00 0\n\
            ff00000000-ff00002000 r-xp 00000000 00:00 0 [vdso]\n\
            ff10000000-ff10001000 r-xp 00001000 fd:00 8 /usr/lib/a file.so (deleted)\n\
            wrong\n";
        let found: Vec<_> = code(maps).collect();
        assert_eq!(found, [(0x3000, 0x6000), (0xff_1000_0000, 0x1000)]);
    }

    #[test]
    fn fewer_pages_of_files_are_resident_afterwards() {
        let resident = || {
            let status = fs::read_to_string("/proc/self/status").unwrap();
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("RssFile:"));
            let kib: u64 = line
                .unwrap()
                .trim()
                .trim_end_matches(" kB")
                .parse()
                .unwrap();
            kib
        };
        let before = resident();
        give_back().unwrap();
        let after = resident();
        assert!(after < before, "{before} KiB before, {after} KiB after");
    }
}
