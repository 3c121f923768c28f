use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use remo_protocol::dialect::Dialect;

use crate::support::{
    Peer, Server, eventually,
    http::{chunk, head},
    program::Folder,
};

fn each(test: impl Fn(&Server, Peer)) {
    for dialect in Dialect::ALL {
        let server = Server::start();
        let peer = Peer::alice(&server, dialect);
        test(&server, peer);
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn files_of_every_size_come_back_as_they_went() {
    each(|server, mut peer| {
        for size in [0, 1, 65_535, 65_536, 65_537, 262_144, 5_000_000] {
            let data: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            let path = server.path(&format!("file-{size}"));
            assert_eq!(
                peer.call("put", Some(path.as_bytes()), &data),
                (200, Vec::new()),
                "{size} bytes"
            );
            assert!(fs::read(&path).unwrap() == data);
            let (status, back) = peer.call("get", Some(path.as_bytes()), b"");
            assert!(status == 200 && back == data, "{size} bytes");
        }
    });
}

#[test]
fn a_file_that_is_replaced_keeps_its_mode_and_links_stay_links() {
    each(|server, mut peer| {
        let (path, link) = (server.path("file"), server.path("link"));
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o751)).unwrap();
        symlink("file", &link).unwrap();
        assert_eq!(peer.call("put", Some(link.as_bytes()), b"new").0, 200);
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
            0o751
        );
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    });
}

#[test]
fn names_that_are_no_files_are_400_and_say_why() {
    each(|server, mut peer| {
        let folder = server.folder.path().to_str().unwrap().to_owned();
        let pipe = server.path("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
        let missing = format!("{folder}/missing/file");
        let long = format!("{folder}/{}", "x".repeat(300));
        let cases: [(&[u8], &str); 7] = [
            (b"", "empty"),
            (b"a\0b", "NUL"),
            (folder.as_bytes(), "directory"),
            (b"/dev/zero", "device"),
            (pipe.as_bytes(), "pipe"),
            (missing.as_bytes(), "missing/file"),
            (long.as_bytes(), "long"),
        ];
        for (name, message) in cases {
            for verb in ["get", "put"] {
                let (status, text) = peer.call(verb, Some(name), b"");
                let text = String::from_utf8_lossy(&text).into_owned();
                assert_eq!(status, 400, "{verb}: {text}");
                assert!(text.contains(message), "{verb}: {text}");
            }
        }
        assert_eq!(names(server.folder.path()), ["pipe"]);
    });
}

#[test]
fn a_file_that_opens_and_cannot_be_read_is_400_and_says_why() {
    each(|_, mut peer| {
        let (status, why) = peer.call("get", Some(b"/proc/self/mem"), b"");
        let why = String::from_utf8_lossy(&why);
        assert!(
            status == 400 && why.contains("cannot read '/proc/self/mem'"),
            "{status} {why}"
        );
    });
}

#[test]
fn a_full_disk_leaves_the_old_file_and_nothing_else() {
    for dialect in Dialect::ALL {
        let folder = Folder::new();
        let before = "mkdir full; mount -t tmpfs -o size=1m none full; echo old > full/file";
        let arguments = ["--interface", "127.0.0.1", "--port", "0"];
        let Some(server) = folder.start_apart(before, &arguments) else {
            eprintln!("nobody may mount here: nothing was tested");
            return;
        };
        let raw = |byte| remo_protocol::keys::PrivateKey::from_raw(&[byte; 57]);
        let mut peer = Peer::log_in_at(server.address(), &raw(3), "alice", &raw(1), dialect);
        let full = folder.0.path().join("full");
        let file = full.join("file").to_str().unwrap().to_owned();
        let data = vec![7; 3_000_000];
        assert_eq!(peer.call("put", Some(file.as_bytes()), &data).0, 500);
        assert_eq!(
            peer.call("get", Some(file.as_bytes()), b""),
            (200, b"old\n".to_vec())
        );
        let list = format!("ls -A {}", full.display());
        assert_eq!(
            peer.cmd(&list, b"").1,
            b"file\n",
            "nothing is left beside it"
        );
        assert_eq!(
            peer.call("put", Some(file.as_bytes()), b"new").0,
            200,
            "the room came back"
        );
        assert_eq!(peer.call("get", Some(file.as_bytes()), b"").1, b"new");
    }
}

#[test]
fn messages_hold_no_control_characters_of_a_name() {
    let server = Server::start();
    let mut peer = Peer::alice(&server, Dialect::V0_6);
    let (_, text) = peer.call("get", Some(b"/no\x1b[31m\r\nsuch"), b"");
    let text = String::from_utf8(text).unwrap();
    assert!(!text.trim_end().contains(char::is_control), "{text:?}");
}

#[test]
fn a_put_that_proves_false_leaves_the_old_file_and_nothing_else() {
    each(|server, mut peer| {
        let path = server.path("file");
        fs::write(&path, "old").unwrap();
        let mut request = peer.make("put", Some(path.as_bytes()), &vec![7; 1_000_000]);
        let last = request.lines.len() - 2;
        request.lines[last][50] ^= 1;
        assert_eq!(peer.send(&request).status, 400);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(server.folder.path()), ["file"]);
    });
}

#[test]
fn a_put_without_its_end_leaves_nothing_in_0_6() {
    let server = Server::start();
    let mut peer = Peer::alice(&server, Dialect::V0_6);
    let mut request = peer.make(
        "put",
        Some(server.path("file").as_bytes()),
        &vec![7; 1_000_000],
    );
    request.lines.pop();
    assert_eq!(peer.send(&request).status, 400);
    assert_eq!(names(server.folder.path()), [""; 0]);
}

#[test]
fn a_put_that_is_cut_leaves_nothing() {
    each(|server, mut peer| {
        let path = server.path("file");
        let request = peer.make("put", Some(path.as_bytes()), &vec![7; 1_000_000]);
        peer.connection.send(head(
            &request.path,
            &peer.cookie,
            "Transfer-Encoding: chunked\r\n",
        ));
        for line in &request.lines[..10] {
            peer.connection.send(chunk(&[&line[..], b"\r\n"].concat()));
        }
        eventually("the beginning", || has_open(server.folder.path()));
        peer.connection = crate::support::Connection::open(server.address);
        // The next request of the session begins when the cut one has ended.
        assert_eq!(peer.cmd("true", b"").0, 200);
        assert_eq!(names(server.folder.path()), [""; 0]);
    });
}

/// Whether this process, in which the server is, has a file of this folder open, be it one without a name.
fn has_open(folder: &Path) -> bool {
    let open = fs::read_dir("/proc/self/fd").unwrap();
    open.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
        .any(|to| to.starts_with(folder))
}

#[test]
fn a_put_is_seen_when_it_is_whole_and_not_before() {
    let server = Server::start();
    let mut peer = Peer::alice(&server, Dialect::V0_6);
    let path = server.path("file");
    let request = peer.make("put", Some(path.as_bytes()), &vec![7; 1_000_000]);
    peer.connection.send(head(
        &request.path,
        &peer.cookie,
        "Transfer-Encoding: chunked\r\n",
    ));
    for (i, line) in request.lines.iter().enumerate() {
        assert!(!Path::new(&path).exists(), "after {i} lines");
        peer.connection.send(chunk(&[&line[..], b"\r\n"].concat()));
    }
    peer.connection.send("0\r\n\r\n");
    assert_eq!(peer.connection.answer().unwrap().status, 200);
    assert_eq!(fs::metadata(&path).unwrap().len(), 1_000_000);
}

#[test]
fn a_file_without_permission_is_an_error_of_its_own() {
    if !rustix::process::geteuid().is_root() {
        let server = Server::start();
        let mut peer = Peer::alice(&server, Dialect::V0_6);
        let path = server.path("secret");
        fs::write(&path, "x").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
        let (status, text) = peer.call("get", Some(path.as_bytes()), b"");
        assert_eq!(status, 400);
        assert!(
            String::from_utf8(text)
                .unwrap()
                .to_lowercase()
                .contains("permission denied")
        );
        let folder = server.path("folder");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o500)).unwrap();
        assert_eq!(
            peer.call("put", Some(format!("{folder}/file").as_bytes()), b"x")
                .0,
            500
        );
        return;
    }
    // Root may do anything: the rest of this test is a process that is nobody.
    crate::support::as_nobody("files::a_file_without_permission_is_an_error_of_its_own");
}

#[test]
fn large_files_have_large_tokens() {
    let server = Server::start();
    let mut peer = Peer::alice(&server, Dialect::V0_6);
    let path = server.path("sparse");
    fs::File::create(&path).unwrap().set_len(40 << 30).unwrap();
    let request = peer.make("get", Some(path.as_bytes()), b"");
    let body = request.lines.concat();
    peer.connection.send(head(
        &request.path,
        &peer.cookie,
        &format!("Content-Length: {}\r\n", body.len()),
    ));
    peer.connection.send(body);
    assert_eq!(peer.connection.head().unwrap().0, 200);
    let mut text = Vec::new();
    while !text.contains(&b'\n') {
        text.extend(peer.connection.chunk().unwrap());
    }
    let line = text.split(|&byte| byte == b'\n').next().unwrap();
    let data = peer.key.open(line.trim_ascii_end()).unwrap().plain.len() as u64 - 9;
    assert!(
        (40_u64 << 30).div_ceil(data) < 32_767,
        "tokens of {data} bytes"
    );
    drop(peer);
    eventually("the end of the reading", || {
        Peer::alice(&server, Dialect::V0_6).cmd("true", b"").0 == 200
    });
}
