//! How the C library keeps memory that was freed. Without this it gives a freed buffer back to the system at once, and
//! takes it anew, page by page, for the next: a fifth of the time of a copy goes into that (`docs/performance.md`).
//!
//! Programs call [`keep`] first thing; a library never does, since this is for a whole process to decide.

/// Keeps up to 8 MiB of freed memory for the next buffer, and has one pool of it for every two cores (at most four) where
/// the C library would have eight a core, each with freed memory of its own. What is more is given back as before.
///
/// Call it before there is a second thread: pools that were made stay.
#[cfg(target_env = "gnu")]
pub fn keep() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let pools = i32::try_from(cores / 2).unwrap_or(i32::MAX).clamp(1, 4);
    for (what, value) in [
        (libc::M_MMAP_THRESHOLD, KEPT),
        (libc::M_TRIM_THRESHOLD, KEPT),
        (libc::M_ARENA_MAX, pools),
    ] {
        set(what, value);
    }
}

/// Other C libraries have their own way, and nothing to set.
#[cfg(not(target_env = "gnu"))]
pub fn keep() {}

/// Where the C library does not take it, it goes on as before.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "there is no safe form of mallopt")]
fn set(what: libc::c_int, value: libc::c_int) {
    // SAFETY: mallopt(3) takes two numbers, reads and writes no memory of ours, and refuses what it does not know. It is
    // safe beside other threads (it takes the allocator's own lock), and all of these may be set at any time.
    let _ = unsafe { libc::mallopt(what, value) };
}

/// Bytes: of freed memory that is kept, and of a block from which on it is taken from the system by itself.
#[cfg(target_env = "gnu")]
const KEPT: libc::c_int = 8 << 20;

#[cfg(test)]
#[cfg(target_env = "gnu")]
mod tests {
    /// Pages that this process had to be given so far.
    fn faults() -> u64 {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        fields.split_whitespace().nth(7).unwrap().parse().unwrap()
    }

    #[test]
    fn a_buffer_that_was_freed_is_used_again() {
        super::keep();
        let fill = || std::hint::black_box(vec![1_u8; 1 << 20]);
        drop((fill(), fill()));
        let before = faults();
        (0..64).for_each(|_| drop(fill()));
        assert!(
            faults() - before < 4 * 256,
            "64 MiB in pages anew would be 16,384"
        );
    }
}
