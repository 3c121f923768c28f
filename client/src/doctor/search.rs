//! The search for the largest size that passes: upwards by doubling, then between what passed and what did not.
//! Not here: what is sent to try a size.

use std::future::Future;
use std::time::{Duration, Instant};

use super::patient::TRIES;

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    /// The largest that passed, in bytes.
    pub(super) passes: usize,
    /// The smallest that did not.
    pub(super) fails: Option<usize>,
    /// The status with which it did not.
    pub(super) status: Option<u16>,
}

/// What may be spent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// The largest size that is tried.
    pub(super) largest: usize,
    /// Bytes in all.
    pub(super) traffic: usize,
    pub(super) time: Duration,
}

/// What a size came to: how many bytes passed, or the status, if there was one.
pub(super) type Tried = Result<usize, Option<u16>>;

/// Searches from `first` on. `pass` tries a size, and is told how long a silence may be: a slow path is no limit. A size that does
/// not pass is tried again, unless its status says why.
pub(super) async fn largest<F>(
    first: usize,
    budget: Budget,
    mut pass: impl FnMut(usize, Duration) -> F,
) -> Sizes
where
    F: Future<Output = Tried>,
{
    let mut sizes = Sizes::default();
    let (begun, mut spent, mut expected) = (Instant::now(), 0, Duration::ZERO);
    let mut next = Some(first.min(budget.largest));
    while let Some(size) = next {
        let left = budget.time.saturating_sub(begun.elapsed());
        if spent + size > budget.traffic || left.is_zero() || left < expected {
            break;
        }
        let patience = (expected * 4).max(SILENCE);
        let at = Instant::now();
        let mut tried = pass(size, patience.min(left)).await;
        for _ in 1..TRIES {
            let left = budget.time.saturating_sub(begun.elapsed());
            if !is_doubtful(tried) || left.is_zero() {
                break;
            }
            tried = pass(size, patience.min(left)).await;
        }
        spent += size;
        match tried {
            Ok(passed) => {
                sizes.passes = sizes.passes.max(passed);
                // The next one may be somewhat more than twice as large.
                expected = at.elapsed() * 9 / 4;
            }
            // Whether it would have passed, had there been time, is not known.
            Err(None) if begun.elapsed() >= budget.time => break,
            Err(status) => (sizes.fails, sizes.status) = (Some(size), status),
        }
        next = after(&sizes, budget.largest);
    }
    sizes
}

/// Whether it may have been of the moment.
fn is_doubtful(tried: Tried) -> bool {
    tried.is_err_and(|status| !matches!(status, Some(411 | 413)))
}

/// The next size to try, if one would tell more.
fn after(sizes: &Sizes, largest: usize) -> Option<usize> {
    Some(match (sizes.passes, sizes.fails) {
        (passes, None) if passes + passes / 10 >= largest => return None,
        (passes, None) => (passes * 2 + passes / 16).min(largest),
        (0, Some(fails)) if fails <= SMALLEST => return None,
        (0, Some(fails)) => (fails / 4).max(SMALLEST),
        (passes, Some(fails)) if fails <= passes + passes / 8 => return None,
        (passes, Some(fails)) => passes + (fails - passes) / 2,
    })
}

/// How long a silence may be where nothing shows that the path is slow.
const SILENCE: Duration = Duration::from_secs(4);

/// Nothing smaller is tried.
const SMALLEST: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    async fn search(limit: usize, budget: Budget) -> Sizes {
        largest(64 << 10, budget, |size, _| async move {
            if size <= limit {
                Ok(size)
            } else {
                Err(Some(413))
            }
        })
        .await
    }

    const BUDGET: Budget = Budget {
        largest: 4 << 20,
        traffic: 64 << 20,
        time: Duration::from_secs(60),
    };

    #[tokio::test]
    async fn a_limit_is_found_to_an_eighth() {
        for limit in [2_000, 5_000, 70_000, 300_000, 1 << 20, 3_000_000] {
            let sizes = search(limit, BUDGET).await;
            assert!(
                sizes.passes <= limit && sizes.passes * 9 / 8 + 1 >= limit,
                "{limit}: {sizes:?}"
            );
            assert!(sizes.fails.unwrap() > limit, "{limit}: {sizes:?}");
            assert_eq!(sizes.status, Some(413));
        }
    }

    #[tokio::test]
    async fn without_a_limit_the_largest_is_tried_and_no_more() {
        let sizes = search(usize::MAX, BUDGET).await;
        assert!(
            sizes.passes > BUDGET.largest * 9 / 10 && sizes.passes <= BUDGET.largest,
            "{sizes:?}"
        );
        assert_eq!(sizes.fails, None);
    }

    #[tokio::test]
    async fn no_more_bytes_are_spent_than_the_budget_has() {
        let mut spent = 0;
        let budget = Budget {
            traffic: 2 << 20,
            ..BUDGET
        };
        let sizes = largest(64 << 10, budget, |size, _| {
            spent += size;
            async move { Ok(size) }
        })
        .await;
        assert!(spent <= 2 << 20);
        assert!(sizes.passes >= 512 << 10);
    }

    #[tokio::test]
    async fn a_path_that_is_slow_is_not_taken_for_a_limit() {
        let budget = Budget {
            time: Duration::from_millis(600),
            ..BUDGET
        };
        // A KiB in a millisecond, and silence where there is no patience for more.
        let sizes = largest(64 << 10, budget, |size, patience| async move {
            let takes = Duration::from_millis(size as u64 >> 10);
            tokio::time::sleep(takes.min(patience)).await;
            if takes <= patience {
                Ok(size)
            } else {
                Err(None)
            }
        })
        .await;
        assert_eq!(sizes.fails, None, "{sizes:?}");
        assert!(sizes.passes >= 64 << 10, "{sizes:?}");
    }

    #[tokio::test]
    async fn what_was_lost_once_is_tried_again() {
        let mut count = 0;
        let sizes = largest(
            4096,
            Budget {
                largest: 4096,
                ..BUDGET
            },
            |size, _| {
                count += 1;
                let lost = count == 1;
                async move { if lost { Err(None) } else { Ok(size) } }
            },
        )
        .await;
        assert_eq!((sizes.passes, sizes.fails, count), (4096, None, 2));
    }

    #[tokio::test]
    async fn nothing_below_a_kibibyte_is_tried() {
        let sizes = search(100, BUDGET).await;
        assert_eq!(sizes.passes, 0);
        assert!(sizes.fails.is_some_and(|fails| fails >= SMALLEST));
    }
}
