//! What `remo` will do over this path, in a few sentences.

use serde_json::Value;

use super::finding::{Report, Verdict};

impl Report {
    /// What `remo` will do.
    #[must_use]
    pub fn summary(&self) -> String {
        let bad: Vec<_> = self
            .findings
            .iter()
            .filter(|finding| finding.verdict == Verdict::Bad)
            .collect();
        if !bad.is_empty() {
            let names: Vec<_> = bad.iter().map(|finding| finding.name).collect();
            return format!(
                "remo does not work over this path: see {}",
                names.join(", ")
            );
        }
        if self
            .find("log_in")
            .is_none_or(|finding| finding.verdict == Verdict::Skipped)
        {
            return "as far as it was tested without a log-in, remo works over this path".into();
        }
        let mut words = vec![if self.says("answer_buffering", "buffers") == Some(false) {
            "output is shown as it comes"
        } else {
            "output comes in answers that are parked until there is some"
        }];
        match self.says("side_by_side", "at_once") {
            Some(true) => words.push("several requests at once"),
            Some(false) => words.push("one request at a time"),
            None => {}
        }
        if self
            .find("losses")
            .is_some_and(|finding| finding.verdict != Verdict::Good)
        {
            words.push("what gets lost is asked for again");
        }
        format!("remo works over this path: {}", words.join(", "))
    }

    fn says(&self, name: &str, member: &str) -> Option<bool> {
        self.fact(name, member).and_then(Value::as_bool)
    }
}
