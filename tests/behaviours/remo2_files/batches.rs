use super::*;

fn put_all(peer: &mut Peer2, id: &str, files: Value, data: &[u8]) -> Opened {
    peer.call("put", json!({"id": id, "files": files}), data)
}

fn get_all(peer: &mut Peer2, paths: &[&str]) -> Opened {
    let files: Vec<_> = paths.iter().map(|path| json!({"path": path})).collect();
    peer.call("get", json!({"files": files}), b"")
}

#[test]
fn many_small_files_are_put_and_got_by_one_request() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    fs::create_dir(server.path("folder")).unwrap();
    let path = |at: usize| server.path(["folder/", ""][at % 2]) + &format!("/{at}");
    let content = |at: usize| pattern(at * 150);
    let mode = |at: usize| [0o640, 0o4755][at % 2];
    let (mut files, mut data) = (Vec::new(), Vec::new());
    for at in 0..64 {
        files.push(
            json!({"path": path(at), "size": content(at).len(), "mode": mode(at), "mtime": 1e9 + 0.5,
            "sha256": sha256(&content(at))}),
        );
        data.extend(content(at));
    }
    let id = peer.id();
    let done = put_all(&mut peer, &id, files.into(), &data);
    assert_eq!(done.trailer["done"], true, "{:?}", done.trailer);
    assert!(!done.trailer.contains_key("failed"));
    for at in 0..64 {
        assert!(fs::read(path(at)).unwrap() == content(at), "{at}");
        let stat = fs::metadata(path(at)).unwrap();
        assert_eq!(stat.mode() & 0o7777, mode(at));
        assert_eq!(
            (stat.mtime(), stat.mtime_nsec()),
            (1_000_000_000, 500_000_000)
        );
    }
    let paths: Vec<_> = (0..64).map(path).collect();
    let paths: Vec<_> = paths.iter().map(String::as_str).collect();
    // What was changed a moment ago is asked for alone.
    eventually("all are given", || get_all(&mut peer, &paths).out == data);
    let got = get_all(&mut peer, &paths);
    let said = got.trailer["files"].as_array().unwrap();
    for (at, said) in said.iter().enumerate() {
        let expected = json!({"size": at * 150, "mode": mode(at), "mtime": 1e9 + 0.5});
        assert_eq!(*said, expected);
    }
}

#[test]
fn of_many_files_each_goes_by_itself() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    fs::create_dir(server.path("folder")).unwrap();
    fs::write(server.path("old"), "old").unwrap();
    std::os::unix::fs::symlink("old", server.path("link")).unwrap();
    let file = |name: &str, size: usize| json!({"path": server.path(name), "size": size});
    let mut false_hash = file("false", 1);
    merge(&mut false_hash, json!({"sha256": sha256(b"another")}));
    let files = json!([
        file("new", 1),
        file("folder", 2),
        file("missing/x", 3),
        file("link", 1),
        false_hash
    ]);
    let id = peer.id();
    let done = put_all(&mut peer, &id, files.clone(), b"nffxxxlF");
    assert_eq!(
        (&done.trailer["done"], &done.trailer["failed"]),
        (&json!(true), &json!([1, 2, 4]))
    );
    assert_eq!(fs::read(server.path("new")).unwrap(), b"n");
    assert_eq!(
        fs::read(server.path("link")).unwrap(),
        b"l",
        "a link is replaced"
    );
    assert_eq!(
        fs::read(server.path("old")).unwrap(),
        b"old",
        "and not followed"
    );
    let here = names(Path::new(&server.path(".")));
    assert!(
        !here
            .iter()
            .any(|name| name.starts_with(".remo") || name == "false"),
        "{here:?}"
    );

    // Once for its id, whatever became of the files meanwhile.
    fs::write(server.path("new"), "newer").unwrap();
    let again = put_all(&mut peer, &id, files, b"nffxxxlF");
    assert_eq!(again.trailer["failed"], json!([1, 2, 4]));
    assert_eq!(fs::read(server.path("new")).unwrap(), b"newer");
    let other = put_all(&mut peer, &id, json!([file("other", 0)]), b"");
    assert_eq!(other.error(), "id_used");
    assert_eq!(
        put(
            &mut peer,
            &id,
            &server.path("new"),
            json!({"last": true}),
            b"x"
        )
        .error(),
        "id_used"
    );

    let got = get_all(
        &mut peer,
        &[
            &server.path("old"),
            &server.path("folder"),
            "/dev/zero",
            "/nowhere",
        ],
    );
    assert_eq!(got.status(), 200);
    assert!(
        got.trailer["files"].as_array().unwrap()[1..]
            .iter()
            .all(Value::is_null)
    );
}

#[test]
fn requests_for_many_files_that_cannot_be_are_refused_and_do_nothing() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let path = server.path("file");
    let one = json!({"path": path, "size": 1});
    let many = Value::Array(vec![one.clone(); 65]);
    for (files, error) in [
        (json!([]), "bad_request"),
        (many, "bad_request"),
        (json!(one), "bad_request"),
        (json!([1]), "bad_request"),
        (json!([{"path": path}]), "bad_request"),
        (json!([{"size": 1}]), "bad_request"),
        (json!([{"path": "", "size": 1}]), "bad_request"),
        (json!([{"path": path, "size": 2}]), "bad_request"),
        (
            json!([{"path": path, "size": (1_u64 << 53) - 1}, one]),
            "bad_request",
        ),
        (
            json!([{"path": path, "size": 1, "owner": "root"}]),
            "unknown_member",
        ),
        (
            json!([{"path": path, "size": 1, "mode": 4096}]),
            "bad_request",
        ),
    ] {
        let id = peer.id();
        assert_eq!(
            put_all(&mut peer, &id, files.clone(), b"x").error(),
            error,
            "{files}"
        );
        // None of these uses the id.
        assert_eq!(
            put_all(&mut peer, &id, json!([]), b"").error(),
            "bad_request"
        );
    }
    let with_path = json!({"id": peer.id(), "files": [one], "path": path});
    assert_eq!(peer.call("put", with_path, b"x").error(), "unknown_member");
    assert_eq!(
        peer.call("get", json!({"files": [{"path": path, "offset": 1}]}), b"")
            .error(),
        "unknown_member"
    );
    assert_eq!(
        peer.call("get", json!({"files": []}), b"").error(),
        "bad_request"
    );
    assert!(!Path::new(&path).exists());
}

#[test]
fn an_answer_of_many_files_has_a_ceiling_and_what_is_beyond_it_is_left() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let paths: Vec<_> = (0..5).map(|at| server.path(&format!("{at}"))).collect();
    for path in &paths {
        fs::write(path, vec![7; 300_000]).unwrap();
    }
    let paths: Vec<_> = paths.iter().map(String::as_str).collect();
    eventually("three are given", || {
        get_all(&mut peer, &paths).out.len() == 900_000
    });
    let got = get_all(&mut peer, &paths);
    let said = got.trailer["files"].as_array().unwrap();
    assert!(!said[2].is_null() && said[3].is_null() && said[4].is_null());
}
