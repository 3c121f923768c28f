//! How far a transfer is, as a bar on standard error.
//! What is transferred is not known here.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use remo_client::escape::escape;
use remo_client::upload::Progress;

/// Shows a bar, or a counter where the size is unknown, until what is given back is dropped.
pub(crate) fn start(name: &str, size: Option<u64>) -> Progress {
    let bar = Shown(new_bar(size));
    bar.0.set_message(escape(name));
    bar.0.enable_steady_tick(Duration::from_millis(200));
    Box::new(move |done| bar.0.set_position(done))
}

fn new_bar(size: Option<u64>) -> ProgressBar {
    let bar = size.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    let form = if size.is_some() {
        WITH_SIZE
    } else {
        WITHOUT_SIZE
    };
    // The forms are right, as a test shows.
    bar.with_style(
        ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar()),
    )
}

/// A bar that vanishes when the transfer ends, however it ends.
struct Shown(ProgressBar);

impl Drop for Shown {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

const WITH_SIZE: &str = "{wide_msg} {bytes:>11}/{total_bytes} {bar:20} {percent:>3}% {binary_bytes_per_sec:>13} {eta:>4}";
const WITHOUT_SIZE: &str = "{wide_msg} {bytes:>11} {binary_bytes_per_sec:>13} {elapsed:>4}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_the_bar_are_right() {
        assert!(ProgressStyle::with_template(WITH_SIZE).is_ok());
        assert!(ProgressStyle::with_template(WITHOUT_SIZE).is_ok());
    }
}
