//! The program `remo`, and the files of a user of a server.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use remo_protocol::keys::PrivateKey;

use super::server::Server;

/// The program, which stands beside that of this package; built where it is not there yet.
pub static REMO: LazyLock<PathBuf> = LazyLock::new(|| {
    let beside = PathBuf::from(env!("CARGO_BIN_EXE_hostile-proxy")).with_file_name("remo");
    if !beside.exists() {
        let status = Command::new(env!("CARGO"))
            .args([
                "build",
                "--quiet",
                "--package",
                "remo-client",
                "--bin",
                "remo",
            ])
            .args(
                beside
                    .to_str()
                    .filter(|path| path.contains("/release/"))
                    .map(|_| "--release"),
            )
            .status();
        assert!(
            status.unwrap().success() && beside.exists(),
            "no program at {beside:?}"
        );
    }
    beside
});

/// The files of a user, and the server.
pub struct Place {
    pub server: Server,
    pub home: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        let server = Server::start();
        let home = tempfile::tempdir().unwrap();
        let key = PrivateKey::from_raw(&[1; 57]).to_pem().unwrap();
        let private = home.path().join("alice_key.pem");
        std::fs::write(&private, key.as_bytes()).unwrap();
        std::fs::set_permissions(&private, Permissions::from_mode(0o600)).unwrap();
        let server_key = server.key.public().to_pem();
        std::fs::write(home.path().join("remo_serv.pem"), server_key).unwrap();
        Self { server, home }
    }
}

/// The program in `home`, with nothing of this machine's environment.
pub fn command(home: &Path) -> Command {
    let mut command = Command::new(&*REMO);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", home)
        .current_dir(home);
    command
}
