//! What one test found: a name, a verdict, plain words, and members for programs.
//! Not here: how it was found out.

use remo_protocol::keys::PublicKey;
use serde_json::{Map, Value, json};

use crate::escape::escape;

/// How a finding is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// `remo` has to adapt, or somebody should know.
    Notice,
    /// `remo` does not work so.
    Bad,
    /// It was not found out; the words say why.
    Skipped,
}

impl Verdict {
    /// As it stands in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Notice => "notice",
            Self::Bad => "bad",
            Self::Skipped => "skipped",
        }
    }
}

/// What one test found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Which test.
    pub name: &'static str,
    /// How it is to be taken.
    pub verdict: Verdict,
    /// What was found, in plain words that are fit for a terminal.
    pub found: String,
    /// What `remo` does about it.
    pub action: Option<String>,
    /// What its user can do about it.
    pub remedy: Option<String>,
    /// Members for programs, each with its unit in its name.
    pub facts: Map<String, Value>,
}

impl Finding {
    pub(super) fn new(name: &'static str, verdict: Verdict, found: impl AsRef<str>) -> Self {
        Self {
            name,
            verdict,
            found: escape(found.as_ref()),
            action: None,
            remedy: None,
            facts: Map::new(),
        }
    }

    pub(super) fn good(name: &'static str, found: impl AsRef<str>) -> Self {
        Self::new(name, Verdict::Good, found)
    }

    pub(super) fn notice(name: &'static str, found: impl AsRef<str>) -> Self {
        Self::new(name, Verdict::Notice, found)
    }

    pub(super) fn bad(name: &'static str, found: impl AsRef<str>) -> Self {
        Self::new(name, Verdict::Bad, found)
    }

    pub(super) fn skipped(name: &'static str, why: impl AsRef<str>) -> Self {
        Self::new(name, Verdict::Skipped, why)
    }

    /// The same with what `remo` does about it.
    #[must_use]
    pub(super) fn action(mut self, action: impl AsRef<str>) -> Self {
        self.action = Some(escape(action.as_ref()));
        self
    }

    /// The same with what its user can do about it.
    #[must_use]
    pub(super) fn remedy(mut self, remedy: impl AsRef<str>) -> Self {
        self.remedy = Some(escape(remedy.as_ref()));
        self
    }

    /// The same with a member for programs.
    #[must_use]
    pub(super) fn fact(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(name.to_owned(), value.into());
        self
    }

    /// One object for programs.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "verdict": self.verdict.name(),
            "found": self.found,
            "action": self.action,
            "remedy": self.remedy,
            "facts": self.facts,
        })
    }
}

/// All findings of one examination.
#[derive(Clone, Debug)]
pub struct Report {
    /// The address of the server.
    pub url: String,
    /// In the order in which they were found.
    pub findings: Vec<Finding>,
    /// The key by which the server has proved, in a log-in, that it speaks remo/2.
    pub proved: Option<PublicKey>,
}

impl Report {
    /// Whether `remo` works over this path, as far as it was tested.
    #[must_use]
    pub fn works(&self) -> bool {
        self.findings
            .iter()
            .all(|finding| finding.verdict != Verdict::Bad)
    }

    /// The finding of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.name == name)
    }

    /// A member of a finding.
    pub(super) fn fact(&self, name: &str, member: &str) -> Option<&Value> {
        self.find(name)?.facts.get(member)
    }

    /// One object for programs.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let findings: Vec<_> = self.findings.iter().map(Finding::to_json).collect();
        json!({
            "url": self.url,
            "works": self.works(),
            "summary": self.summary(),
            "findings": findings,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_path_says_cannot_command_the_terminal() {
        let finding = Finding::bad("server", "a page '\x1b[2J'").remedy("ask \u{202e}");
        assert!(!finding.found.contains('\x1b'), "{}", finding.found);
        assert_eq!(finding.remedy.unwrap(), "ask \\u{202e}");
    }

    #[test]
    fn one_bad_finding_means_that_it_does_not_work() {
        let mut report = Report {
            url: "http://example.org/".into(),
            findings: vec![Finding::notice("a", ""), Finding::skipped("b", "")],
            proved: None,
        };
        assert!(report.works());
        report.findings.push(Finding::bad("c", ""));
        assert!(!report.works());
        assert_eq!(report.to_json()["works"], false);
    }
}
