use super::*;

#[test]
fn a_file_is_got_whole_and_by_ranges() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let (path, data) = (server.path("file"), pattern(700_000));
    fs::write(&path, &data).unwrap();
    let whole = get(&mut peer, &path, json!({"hash": true}));
    assert_eq!(whole.status(), 200, "{:?}", whole.head);
    assert!(whole.out == data);
    let stat = fs::metadata(&path).unwrap();
    assert_eq!(whole.head["size"], data.len());
    assert_eq!(whole.head["mode"], stat.mode() & 0o7777);
    let mtime = stat.mtime() as f64 + stat.mtime_nsec() as f64 / 1e9;
    assert!((whole.head["mtime"].as_f64().unwrap() - mtime).abs() < 1e-6);
    assert_eq!(whole.trailer["sha256"], sha256(&data));
    assert_eq!(whole.trailer["etag"], whole.head["etag"]);
    for (offset, length) in [(0, 1), (1, 262_144), (262_143, 300_000), (699_999, 5)] {
        let range = get(
            &mut peer,
            &path,
            json!({"offset": offset, "length": length}),
        );
        let end = (offset + length).min(data.len());
        assert!(range.out == data[offset..end], "{offset} {length}");
        assert_eq!(range.head["etag"], whole.head["etag"]);
        assert!(!range.trailer.contains_key("sha256"));
    }
    for offset in [700_000_u64, 700_001, (1 << 53) - 1] {
        let beyond = get(&mut peer, &path, json!({"offset": offset, "hash": true}));
        assert_eq!((beyond.status(), beyond.out.len()), (200, 0));
        assert_eq!(beyond.trailer["sha256"], sha256(b""));
    }
}

#[test]
fn forty_gib_without_content_are_got_by_ranges() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let path = server.path("sparse");
    let size = 40_u64 << 30;
    fs::File::create(&path).unwrap().set_len(size).unwrap();
    use std::os::unix::fs::FileExt;
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(b"the end", size - 7).unwrap();
    let end = get(
        &mut peer,
        &path,
        json!({"offset": size - 10, "length": 100}),
    );
    assert_eq!(end.out, b"\0\0\0the end");
    assert_eq!(end.head["size"], size);
    let hash = fs_op(&mut peer, "hash", &path, json!({"offset": size - 7}));
    assert_eq!(hash.trailer["sha256"], sha256(b"the end"));
    assert_eq!(hash.trailer["length"], 7);
}

#[test]
fn another_content_has_another_etag() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let path = server.path("file");
    let mut seen = Vec::new();
    for content in ["one", "two", "two", "six"] {
        fs::write(&path, content).unwrap();
        let one = get(&mut peer, &path, json!({}));
        assert_eq!(one.out, content.as_bytes());
        let etag = one.head["etag"].as_str().unwrap().to_owned();
        assert!(!seen.contains(&etag), "however fast it is changed");
        assert_eq!(get(&mut peer, &path, json!({})).head["etag"], etag.as_str());
        seen.push(etag);
    }
}

#[test]
fn only_regular_files_are_read_and_nothing_waits_for_a_pipe() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let pipe = server.path("pipe");
    nix::unistd::mkfifo(Path::new(&pipe), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let folder = server.path(".");
    for (path, error) in [
        (pipe.as_str(), "not_file"),
        ("/dev/zero", "not_file"),
        ("/dev/tty", "not_file"),
        (folder.as_str(), "is_dir"),
        ("/nowhere/at/all", "not_found"),
        ("/etc/passwd/x", "not_dir"),
    ] {
        assert_eq!(get(&mut peer, path, json!({})).error(), error, "{path}");
        assert_eq!(
            fs_op(&mut peer, "hash", path, json!({})).error(),
            error,
            "{path}"
        );
        let id = peer.id();
        let refused = put(&mut peer, &id, path, json!({"last": true}), b"x");
        assert_eq!(refused.error(), error, "{path}");
    }
}
