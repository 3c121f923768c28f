//! What a path asks for. The paths are those below the application's base.

use bytes::Bytes;

use crate::call::Op;

/// A path, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    /// Log in or out.
    Auth,
    /// A verb, with the sealed argument that it has in its path.
    Verb(Verb, Option<&'a str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Info,
    Get,
    Put,
    Cmd,
    Icm,
    Idt,
    Edt,
    Unknown,
}

/// Takes a path apart. The method does not count.
pub(crate) fn route(path: &str) -> Route<'_> {
    let verb = |verb, argument| Route::Verb(verb, Some(argument));
    match path {
        "/auth" => Route::Auth,
        "/info" => Route::Verb(Verb::Info, None),
        "/idt" => Route::Verb(Verb::Idt, None),
        "/edt" => Route::Verb(Verb::Edt, None),
        _ => match path.split_at_checked(5) {
            Some(("/get/", argument)) => verb(Verb::Get, argument),
            Some(("/put/", argument)) => verb(Verb::Put, argument),
            Some(("/cmd/", argument)) => verb(Verb::Cmd, argument),
            Some(("/icm/", argument)) => verb(Verb::Icm, argument),
            _ if path.starts_with("/info/") => Route::Verb(Verb::Info, None),
            _ => Route::Verb(Verb::Unknown, None),
        },
    }
}

impl Verb {
    /// What it asks for, with the argument that was sealed in its path.
    pub(crate) fn op(self, argument: Bytes) -> Op {
        match self {
            Self::Info => Op::Info,
            Self::Get => Op::Get(argument),
            Self::Put => Op::Put(argument),
            Self::Cmd => Op::Cmd(argument),
            Self::Icm => Op::Icm(argument),
            Self::Idt => Op::Idt,
            Self::Edt => Op::Edt,
            Self::Unknown => Op::Unknown,
        }
    }

    /// The status where the argument is no token of this session.
    pub(crate) fn false_argument(self) -> u16 {
        match self {
            Self::Cmd | Self::Icm => 403,
            Self::Info | Self::Get | Self::Put | Self::Idt | Self::Edt | Self::Unknown => 400,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_apart_as_the_specification_lists_them() {
        assert_eq!(route("/auth"), Route::Auth);
        assert_eq!(route("/cmd/T"), Route::Verb(Verb::Cmd, Some("T")));
        assert_eq!(route("/get/"), Route::Verb(Verb::Get, Some("")));
        assert_eq!(route("/info/below"), Route::Verb(Verb::Info, None));
        for unknown in [
            "",
            "/",
            "/cmd",
            "/idt/",
            "/Info",
            "/information",
            "/auth/",
            "/putty/x",
            "/gé/t",
        ] {
            assert_eq!(
                route(unknown),
                Route::Verb(Verb::Unknown, None),
                "{unknown}"
            );
        }
    }
}
