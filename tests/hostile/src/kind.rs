//! The names of the misdeeds.
//! Does not hold how they are done.

use std::{fmt, str::FromStr};

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $name:literal,)*) => {
        /// A misdeed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind { $($(#[$doc])* $kind,)* }

        impl Kind {
            /// All there are.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// As it is written on the command line and in the log.
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }
        }
    };
}

kinds! {
    /// A request goes on when all of it is there.
    BufferRequest "buffer-request",
    /// An answer goes on when all of it is there.
    BufferAnswer "buffer-answer",
    /// The connection ends at any byte of the request, on both sides.
    CutRequest "cut-request",
    /// The connection ends at any byte of the answer.
    CutAnswer "cut-answer",
    /// An answer that is silent for a while is 504, or is cut.
    IdleOut "idle-out",
    /// The request is sent twice.
    Repeat "repeat",
    /// The request goes on after a while.
    Delay "delay",
    /// The request goes on after another was answered.
    Reorder "reorder",
    /// The request is kept, and sent much later, when nobody waits for it.
    HoldBack "hold-back",
    /// Nothing but HTTP/1.0, on both sides.
    Http10 "http10",
    /// A chunked request gets 411.
    NoChunked "no-chunked",
    /// A body over the ceiling gets 413.
    Ceiling "ceiling",
    /// Header lines that are not of every day are left out, both ways.
    StripHeaders "strip-headers",
    /// The body of an error is a page of the proxy.
    ErrorPage "error-page",
    /// The answer is an old one of the same address.
    Cache "cache",
    /// No other request is under way meanwhile.
    OneAtATime "one-at-a-time",
    /// Bits of the request are flipped.
    FlipRequest "flip-request",
    /// Bits of the answer are flipped.
    FlipAnswer "flip-answer",
    /// The body of the request ends early, and is well framed.
    TruncateRequest "truncate-request",
    /// The body of the answer ends early, and is well framed.
    TruncateAnswer "truncate-answer",
    /// An old request is sent again, and sometimes its answer is given.
    Replay "replay",
    /// The request goes to another route.
    ChangeRoute "change-route",
    /// The answer has another status.
    ChangeStatus "change-status",
    /// Header lines are changed, added and left out, the cookie too.
    ChangeHeaders "change-headers",
    /// The request is carried out, and the answer is a page of the proxy.
    SwallowAnswer "swallow-answer",
}

impl Kind {
    /// Whether it can be done only to a request that is there as a whole.
    pub fn needs_whole_request(self) -> bool {
        use Kind::{
            BufferRequest, CutRequest, FlipRequest, HoldBack, Http10, Repeat, Replay,
            TruncateRequest,
        };
        matches!(
            self,
            BufferRequest
                | CutRequest
                | FlipRequest
                | HoldBack
                | Http10
                | Repeat
                | Replay
                | TruncateRequest
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = |kind: &&Self| kind.name() == text;
        Self::ALL.iter().find(named).copied().ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|kind| kind.name()).collect();
            format!("no misdeed '{text}' (there are {})", names.join(", "))
        })
    }
}
