//! What a process of a channel finds around it: the home, the shell and the clean environment of the
//! server's user.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf, sync::OnceLock};

/// The user that the server runs as.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) home: PathBuf,
    pub(crate) shell: PathBuf,
}

impl Account {
    /// As the user database of the system has it when it is first asked; without an entry there, what is always right.
    pub(crate) fn own() -> Self {
        static OWN: OnceLock<Account> = OnceLock::new();
        if let Some(own) = OWN.get() {
            return own.clone();
        }
        let known = nix::unistd::User::from_uid(nix::unistd::Uid::effective())
            .ok()
            .flatten();
        match known {
            Some(user) => OWN
                .get_or_init(|| Self {
                    name: user.name,
                    home: user.dir,
                    shell: sound(user.shell),
                })
                .clone(),
            // Where the database could not be asked, it may be later.
            None => Self {
                name: "unknown".into(),
                home: "/".into(),
                shell: "/bin/sh".into(),
            },
        }
    }

    /// Who and where it is, what language and time zone the server has, and nothing else of the server's.
    pub(crate) fn environment(&self) -> BTreeMap<OsString, OsString> {
        let kept = |name: &str| {
            name.starts_with("LC_") || matches!(name, "LANG" | "LANGUAGE" | "TZ" | "PATH")
        };
        let mut all: BTreeMap<_, _> = std::env::vars_os()
            .filter(|(name, _)| name.to_str().is_some_and(kept))
            .collect();
        all.entry("PATH".into()).or_insert_with(|| PATH.into());
        all.insert("HOME".into(), self.home.clone().into());
        all.insert("SHELL".into(), self.shell.clone().into());
        all.insert("USER".into(), self.name.clone().into());
        all.insert("LOGNAME".into(), self.name.clone().into());
        all
    }
}

fn sound(shell: PathBuf) -> PathBuf {
    if shell.as_os_str().is_empty() {
        "/bin/sh".into()
    } else {
        shell
    }
}

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
