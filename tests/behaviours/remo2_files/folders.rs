use super::*;

#[test]
fn folders_are_listed_with_all_kinds_of_names() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let folder = server.folder.path();
    let odd = std::ffi::OsStr::from_bytes(b"\xff\n");
    fs::write(folder.join(odd), "odd").unwrap();
    fs::write(folder.join("file \"\u{1b}"), "12345").unwrap();
    fs::create_dir(folder.join("dir")).unwrap();
    std::os::unix::fs::symlink(odd, folder.join("link")).unwrap();
    let listed = fs_op(&mut peer, "ls", &server.path(""), json!({}));
    assert_eq!(listed.status(), 200, "{:?}", listed.head);
    let lines = listed.out.split_inclusive(|&byte| byte == b'\n');
    let mut entries: Vec<Value> = lines
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    entries.sort_by_key(|entry| entry["name"].as_str().map(str::to_owned));
    assert_eq!(entries.len(), 4);
    let coded = URL_SAFE.encode_to_string(odd.as_bytes());
    assert_eq!(entries[0]["name64"], coded);
    assert_eq!(entries[1]["type"], "dir");
    assert_eq!(
        (&entries[2]["name"], &entries[2]["size"]),
        (&"file \"\u{1b}".into(), &5.into())
    );
    assert_eq!(
        (&entries[3]["type"], &entries[3]["to64"]),
        (&"link".into(), &coded.clone().into())
    );
    for member in ["size", "mode", "mtime"] {
        assert!(
            entries.iter().all(|entry| entry[member].is_number()),
            "{member}"
        );
    }
    let path64 = URL_SAFE.encode_to_string(folder.join(odd).as_os_str().as_bytes());
    let by_bytes = peer.call("get", json!({"path64": path64}), b"");
    assert_eq!(by_bytes.out, b"odd");
    let link = fs_op(&mut peer, "stat", &server.path("link"), json!({}));
    assert_eq!(
        (&link.trailer["type"], &link.trailer["to64"]),
        (&"link".into(), &coded.clone().into())
    );
    let to = fs_op(&mut peer, "readlink", &server.path("link"), json!({}));
    assert_eq!(Value::Object(to.trailer), json!({"to64": coded}));
    assert_eq!(
        fs_op(&mut peer, "readlink", &server.path("dir"), json!({})).error(),
        "not_link"
    );
    assert_eq!(
        fs_op(&mut peer, "ls", &server.path("file"), json!({})).error(),
        "not_found"
    );
    assert_eq!(
        fs_op(&mut peer, "stat", "/", json!({})).trailer["type"],
        "dir"
    );
}

#[test]
fn names_are_made_moved_changed_and_removed() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let path = |name: &str| server.path(name);
    let done = |opened: Opened| assert_eq!(opened.trailer["done"], true, "{:?}", opened.head);
    assert_eq!(
        change(&mut peer, "mkdir", &path("a/b/c"), json!({})).error(),
        "not_found"
    );
    done(change(
        &mut peer,
        "mkdir",
        &path("a/b/c/"),
        json!({"parents": true, "mode": 0o1750}),
    ));
    assert_eq!(fs::metadata(path("a/b/c")).unwrap().mode() & 0o7777, 0o1750);
    done(change(
        &mut peer,
        "mkdir",
        &path("a/b/c"),
        json!({"parents": true}),
    ));
    assert_eq!(
        change(&mut peer, "mkdir", &path("a"), json!({})).error(),
        "exists"
    );
    fs::write(path("a/file"), "x").unwrap();
    fs::write(path("old"), "old").unwrap();
    done(change(
        &mut peer,
        "mv",
        &path("a/file"),
        json!({"to": path("old")}),
    ));
    assert_eq!(fs::read(path("old")).unwrap(), b"x");
    assert_eq!(
        change(&mut peer, "mv", &path("old"), json!({"to": path("a")})).error(),
        "is_dir"
    );
    done(change(
        &mut peer,
        "chmod",
        &path("old"),
        json!({"mode": 0o604}),
    ));
    assert_eq!(fs::metadata(path("old")).unwrap().mode() & 0o7777, 0o604);
    done(change(
        &mut peer,
        "symlink",
        &path("link"),
        json!({"to": "a"}),
    ));
    assert_eq!(
        change(&mut peer, "symlink", &path("link"), json!({"to": "a"})).error(),
        "exists"
    );
    assert_eq!(fs::read_link(path("link")).unwrap(), Path::new("a"));
    assert_eq!(
        change(&mut peer, "rm", &path("a"), json!({})).error(),
        "not_empty"
    );
    assert_eq!(
        change(&mut peer, "rm", &path("link/"), json!({"recursive": true})).error(),
        "not_dir"
    );
    done(change(
        &mut peer,
        "rm",
        &path("link"),
        json!({"recursive": true}),
    ));
    assert!(Path::new(&path("a/b")).exists(), "no link is followed");
    done(change(&mut peer, "rm", &path("a/b/c"), json!({})));
    done(change(&mut peer, "rm", &path("old"), json!({})));
    assert_eq!(
        change(&mut peer, "rm", &path("old"), json!({})).error(),
        "not_found"
    );
    done(change(
        &mut peer,
        "rm",
        &path("a"),
        json!({"recursive": true}),
    ));
    assert_eq!(names(server.folder.path()), [""; 0]);
}

#[test]
fn a_deep_and_wide_folder_is_removed_and_nothing_that_its_links_name() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let keep = server.folder.path().join("keep");
    fs::create_dir(&keep).unwrap();
    fs::write(keep.join("file"), "x").unwrap();
    let mut deep = server.folder.path().join("tree");
    for level in 0..300 {
        fs::create_dir(&deep).unwrap();
        std::os::unix::fs::symlink(&keep, deep.join("link")).unwrap();
        fs::write(deep.join("file"), "x").unwrap();
        if level % 50 == 0 {
            (0..300).for_each(|at| fs::write(deep.join(format!("{at}")), "").unwrap());
        }
        deep.push("d");
    }
    let removed = change(
        &mut peer,
        "rm",
        &server.path("tree"),
        json!({"recursive": true}),
    );
    assert_eq!(removed.trailer["done"], true, "{:?}", removed.head);
    assert_eq!(names(server.folder.path()), ["keep"]);
    assert_eq!(names(&keep), ["file"]);
}

#[test]
fn a_change_is_carried_out_once_for_its_id() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let (path, id) = (server.path("folder"), peer.id());
    for _ in 0..2 {
        let made = fs_op(&mut peer, "mkdir", &path, json!({"id": id}));
        assert_eq!(made.trailer["done"], true);
        let _ = fs::remove_dir(&path);
    }
    assert!(!Path::new(&path).exists());
    let (missing, id) = (server.path("missing"), peer.id());
    assert_eq!(
        fs_op(&mut peer, "rm", &missing, json!({"id": id})).error(),
        "not_found"
    );
    fs::write(&missing, "there now").unwrap();
    assert_eq!(
        fs_op(&mut peer, "rm", &missing, json!({"id": id})).error(),
        "not_found"
    );
    assert!(Path::new(&missing).exists());
}

#[test]
fn what_is_asked_wrongly_changes_nothing_and_uses_no_id() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let (path, id) = (server.path("file"), peer.id());
    for (verb, members, error) in [
        ("get", json!({}), "bad_request"),
        ("get", json!({"path": ""}), "bad_request"),
        ("get", json!({"path": "a\0b"}), "bad_request"),
        ("get", json!({"path": "a", "path64": "YQ=="}), "bad_request"),
        ("get", json!({"path64": "YQ"}), "bad_request"),
        ("get", json!({"path": "a", "more": 1}), "unknown_member"),
        ("get", json!({"path": "a", "offset": null}), "bad_request"),
        ("put", json!({"path": path}), "bad_request"),
        (
            "put",
            json!({"id": id, "path": path, "size": 2}),
            "bad_request",
        ),
        (
            "put",
            json!({"id": id, "path": path, "mode": 4096}),
            "bad_request",
        ),
        (
            "put",
            json!({"id": id, "path": path, "sha256": "00"}),
            "bad_request",
        ),
        (
            "put",
            json!({"id": id, "path": path, "parents": true}),
            "unknown_member",
        ),
        ("fs", json!({"path": path}), "bad_request"),
        ("fs", json!({"op": "format", "path": path}), "bad_request"),
        ("fs", json!({"op": "mkdir", "path": path}), "bad_request"),
        (
            "fs",
            json!({"op": "mkdir", "path": path, "id": id, "recursive": true}),
            "unknown_member",
        ),
        (
            "fs",
            json!({"op": "ls", "path": path, "offset": 1}),
            "unknown_member",
        ),
    ] {
        let data: &[u8] = if verb == "put" { b"abc" } else { b"" };
        let refused = peer.call(verb, members.clone(), data);
        assert_eq!(
            (refused.status(), refused.error()),
            (400, error),
            "{verb} {members}"
        );
    }
    assert_eq!(
        peer.call("get", json!({"path": path}), b"x").error(),
        "bad_request"
    );
    assert_eq!(names(server.folder.path()), [""; 0]);
    assert_eq!(
        put(&mut peer, &id, &path, json!({"last": true}), b"x").status(),
        200
    );
}

#[test]
fn what_the_account_may_not_do_is_forbidden() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let (folder, file) = (server.path("closed"), server.path("closed/file"));
    fs::create_dir(&folder).unwrap();
    fs::write(&file, "secret").unwrap();
    let close = |mode| {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
    };
    close(0o000);
    if fs::read(&file).is_ok() {
        // Nothing is closed to root but what nobody may change.
        let (id, proc) = (peer.id(), "/proc/self/new");
        let refused = put(&mut peer, &id, proc, json!({"last": true}), b"x");
        assert!(
            matches!(refused.error(), "forbidden" | "not_found" | "failed"),
            "{refused:?}"
        );
        assert_eq!(
            change(&mut peer, "rm", "/proc/version", json!({})).error(),
            "forbidden"
        );
    } else {
        let id = peer.id();
        assert_eq!(get(&mut peer, &file, json!({})).error(), "forbidden");
        assert_eq!(
            fs_op(&mut peer, "ls", &folder, json!({})).error(),
            "forbidden"
        );
        assert_eq!(
            change(&mut peer, "rm", &file, json!({})).error(),
            "forbidden"
        );
        let new = server.path("closed/new");
        for _ in 0..2 {
            let refused = put(&mut peer, &id, &new, json!({"last": true}), b"x");
            assert_eq!((refused.status(), refused.error()), (403, "forbidden"));
        }
    }
    close(0o700);
}

#[test]
fn a_folder_of_many_entries_is_listed_whole() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let folder = server.folder.path();
    let wanted: Vec<_> = (0..5000)
        .map(|at| format!("{at:05}-{}", "n".repeat(at % 200)))
        .collect();
    wanted
        .iter()
        .for_each(|name| fs::write(folder.join(name), "").unwrap());
    let listed = fs_op(&mut peer, "ls", &server.path(""), json!({}));
    let lines = listed.out.split_inclusive(|&byte| byte == b'\n');
    let mut names: Vec<String> = lines
        .map(|line| {
            let entry: Value = serde_json::from_slice(line).unwrap();
            entry["name"].as_str().unwrap().to_owned()
        })
        .collect();
    names.sort();
    assert!(names == wanted);
    assert!(listed.trailer.is_empty(), "{:?}", listed.trailer);
}
