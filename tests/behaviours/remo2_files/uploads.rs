use super::*;

#[test]
fn a_small_file_is_put_by_one_request() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let (path, data) = (server.path("file"), pattern(300_000));
    let id = peer.id();
    let members = json!({"last": true, "mode": 0o640, "mtime": -1.5, "sha256": sha256(&data)});
    let done = put(&mut peer, &id, &path, members, &data);
    assert_eq!(done.status(), 200, "{:?}", done.head);
    assert_eq!(
        Value::Object(done.trailer),
        json!({"received": 300_000, "done": true})
    );
    assert!(fs::read(&path).unwrap() == data);
    let stat = fs::metadata(&path).unwrap();
    assert_eq!(stat.mode() & 0o7777, 0o640);
    assert_eq!((stat.mtime(), stat.mtime_nsec()), (-2, 500_000_000));
    assert_eq!(names(server.folder.path()), ["file"]);

    let id = peer.id();
    put(&mut peer, &id, &path, json!({"last": true}), b"new");
    assert_eq!(fs::read(&path).unwrap(), b"new");
    assert_eq!(
        fs::metadata(&path).unwrap().mode() & 0o7777,
        0o640,
        "the mode stays"
    );
    let (id, empty) = (peer.id(), server.path("empty"));
    put(&mut peer, &id, &empty, json!({"last": true}), b"");
    assert_eq!(fs::read(&empty).unwrap(), b"");
}

#[test]
fn a_put_is_done_once_and_answered_again() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let path = server.path("file");
    let id = peer.id();
    let first = put(&mut peer, &id, &path, json!({"last": true}), b"first");
    fs::write(&path, "changed since").unwrap();
    let again = put(&mut peer, &id, &path, json!({"last": true}), b"first");
    assert_eq!(again.trailer, first.trailer);
    assert_eq!(fs::read(&path).unwrap(), b"changed since");
    let other = server.path("other");
    assert_eq!(
        put(&mut peer, &id, &other, json!({"last": true}), b"x").error(),
        "id_used"
    );
    let verb = fs_op(&mut peer, "rm", &path, json!({"id": id}));
    assert_eq!((verb.status(), verb.error()), (409, "id_used"));
    let cmd = peer.call("cmd", json!({"id": id, "line": "true"}), b"");
    assert_eq!(cmd.error(), "id_used");
    let mut bob = Peer2::bob(&server);
    assert_eq!(
        put(&mut bob, &id, &other, json!({"last": true}), b"x").status(),
        200
    );
}

#[test]
fn parts_come_in_any_order_twice_and_the_last_before_the_others() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let (path, data) = (server.path("file"), pattern(900_000));
    let id = peer.id();
    let part = |peer: &mut Peer2, from: usize, to: usize, last: bool| {
        let members = json!({"offset": from, "size": data.len(), "last": last});
        let told = put(peer, &id, &path, members, &data[from..to]);
        assert_eq!(told.status(), 200, "{:?}", told.head);
        (
            told.trailer["received"].as_u64().unwrap(),
            told.trailer.contains_key("done"),
        )
    };
    assert_eq!(part(&mut peer, 600_000, 900_000, true), (0, false));
    assert_eq!(part(&mut peer, 0, 200_000, false), (200_000, false));
    assert_eq!(part(&mut peer, 0, 200_000, false), (200_000, false));
    assert_eq!(part(&mut peer, 250_000, 600_000, false), (200_000, false));
    assert!(!Path::new(&path).exists());
    assert_eq!(
        names(server.folder.path()),
        [format!(".remo-unfinished-{id}")]
    );
    let unfinished = fs::metadata(server.path(&format!(".remo-unfinished-{id}"))).unwrap();
    assert_eq!(unfinished.mode() & 0o777, 0o600);
    assert_eq!(part(&mut peer, 150_000, 260_000, false), (900_000, false));
    assert_eq!(part(&mut peer, 900_000, 900_000, true), (900_000, true));
    assert!(fs::read(&path).unwrap() == data);
    assert_eq!(names(server.folder.path()), ["file"]);
    fs::write(&path, "other").unwrap();
    assert_eq!(
        part(&mut peer, 0, 200_000, false),
        (900_000, true),
        "a late repeat"
    );
    assert_eq!(fs::read(&path).unwrap(), b"other");
}

#[test]
fn parts_in_parallel_make_the_file() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let (path, data) = (server.path("file"), pattern(4_000_000));
    let id = peer.id();
    let requests: Vec<_> = data
        .chunks(100_000)
        .enumerate()
        .map(|(at, piece)| {
            let members = json!({"id": id, "path": path, "offset": at * 100_000});
            peer.make("put", members, piece)
        })
        .collect();
    let open: Vec<_> = requests
        .iter()
        .rev()
        .map(|request| peer.begin(request))
        .collect();
    for (mut connection, request) in open.into_iter().zip(requests.iter().rev()) {
        let answer = connection.answer().unwrap();
        assert_eq!(peer.open(&answer, &request.number).unwrap().status(), 200);
    }
    let members = json!({"offset": data.len(), "last": true, "sha256": sha256(&data)});
    let lasts: Vec<_> = (0..4)
        .map(|_| {
            let mut all = json!({"id": id, "path": path});
            merge(&mut all, members.clone());
            peer.make("put", all, b"")
        })
        .collect();
    let open: Vec<_> = lasts.iter().map(|request| peer.begin(request)).collect();
    for (mut connection, request) in open.into_iter().zip(&lasts) {
        let answer = connection.answer().unwrap();
        let told = peer.open(&answer, &request.number).unwrap().trailer;
        assert_eq!(
            Value::Object(told),
            json!({"received": data.len(), "done": true})
        );
    }
    assert!(fs::read(&path).unwrap() == data);
}

#[test]
fn a_false_hash_leaves_nothing_and_is_answered_so_again() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let path = server.path("file");
    let (one, two) = (peer.id(), peer.id());
    let wrong = json!({"last": true, "sha256": sha256(b"what was meant")});
    put(&mut peer, &two, &path, json!({}), b"what ");
    for _ in 0..2 {
        let refused = put(&mut peer, &one, &path, wrong.clone(), b"what came");
        assert_eq!((refused.status(), refused.error()), (422, "sha256"));
        let mut rest = wrong.clone();
        merge(&mut rest, json!({"offset": 5}));
        let refused = put(&mut peer, &two, &path, rest, b"came");
        assert_eq!((refused.status(), refused.error()), (422, "sha256"));
    }
    assert_eq!(names(server.folder.path()), [""; 0]);
}

#[test]
fn what_is_put_replaces_a_link_and_no_folder() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let (link, real) = (server.path("link"), server.path("real"));
    fs::write(&real, "real").unwrap();
    for parts in [false, true] {
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink("real", &link).unwrap();
        let id = peer.id();
        if parts {
            put(&mut peer, &id, &link, json!({}), b"ne");
        }
        let offset = if parts { 2 } else { 0 };
        let last = json!({"last": true, "offset": offset});
        let done = put(&mut peer, &id, &link, last, &b"new"[offset..]);
        assert_eq!(done.trailer["done"], true);
        assert!(fs::symlink_metadata(&link).unwrap().is_file());
        assert_eq!(fs::read(&real).unwrap(), b"real");
    }
    fs::create_dir(server.path("folder")).unwrap();
    for name in ["folder", "folder/", "new/", ".", ".."] {
        let id = peer.id();
        let refused = put(
            &mut peer,
            &id,
            &server.path(name),
            json!({"last": true}),
            b"x",
        );
        assert_eq!(refused.error(), "is_dir", "{name}");
    }
    let id = peer.id();
    let nowhere = server.path("none/file");
    for _ in 0..2 {
        let refused = put(&mut peer, &id, &nowhere, json!({"offset": 1}), b"x");
        assert_eq!((refused.status(), refused.error()), (404, "not_found"));
        let _ = fs::create_dir(server.path("none"));
    }
}

#[test]
fn an_upload_goes_on_after_the_server_was_started_anew() {
    let state = tempfile::tempdir().unwrap();
    let target = tempfile::tempdir().unwrap();
    let start =
        || Server::start_with(|wanted| wanted.limits.state_folder = Some(state.path().to_owned()));
    let path = target.path().join("file").to_str().unwrap().to_owned();
    let data = pattern(500_000);
    let mut server = start();
    let mut peer = Peer2::alice(&server);
    let id = peer.id();
    let part = |peer: &mut Peer2, from: usize, to: usize, last: bool| {
        let members = json!({"offset": from, "last": last});
        put(peer, &id, &path, members, &data[from..to]).trailer
    };
    part(&mut peer, 0, 200_000, false);
    part(&mut peer, 400_000, 500_000, false);
    server.stop();
    let unfinished = format!(".remo-unfinished-{id}");
    assert_eq!(names(target.path()), [unfinished.as_str()]);

    let server = start();
    let mut bob = Peer2::bob(&server);
    let stranger = put(&mut bob, &id, &path, json!({}), b"");
    assert_eq!(
        stranger.error(),
        "exists",
        "another user's id is another id"
    );
    let mut peer = Peer2::alice(&server);
    let other = target.path().join("other").to_str().unwrap().to_owned();
    assert_eq!(
        put(&mut peer, &id, &other, json!({}), b"").error(),
        "id_used"
    );
    let there = part(&mut peer, 0, 0, false);
    assert_eq!(
        there["received"], 200_000,
        "what came behind the gap is dropped"
    );
    let hash = fs_op(
        &mut peer,
        "hash",
        target.path().join(&unfinished).to_str().unwrap(),
        json!({"offset": 0, "length": 200_000}),
    );
    assert_eq!(hash.trailer["sha256"], sha256(&data[..200_000]));
    let done = part(&mut peer, 200_000, 500_000, true);
    assert_eq!(done["done"], true);
    assert!(fs::read(&path).unwrap() == data);
    assert_eq!(names(target.path()), ["file"]);
    assert_eq!(names(&state.path().join("uploads")), [""; 0]);
}

#[test]
fn an_upload_that_is_no_longer_wanted_leaves_nothing() {
    let state = tempfile::tempdir().unwrap();
    let target = tempfile::tempdir().unwrap();
    let start =
        || Server::start_with(|wanted| wanted.limits.state_folder = Some(state.path().to_owned()));
    let path = target.path().join("file").to_str().unwrap().to_owned();
    let mut server = start();
    let mut peer = Peer2::alice(&server);
    let (one, two) = (peer.id(), peer.id());
    put(&mut peer, &one, &path, json!({}), b"half");
    put(&mut peer, &two, &path, json!({}), b"half");
    assert_eq!(names(target.path()).len(), 2);
    peer.call("who", json!({"done": [one]}), b"");
    assert_eq!(names(target.path()).len(), 1);
    assert_eq!(
        put(&mut peer, &one, &path, json!({}), b"half").error(),
        "gone"
    );
    server.stop();
    let server = start();
    let mut peer = Peer2::alice(&server);
    peer.call("who", json!({"done": [two]}), b"");
    assert_eq!(names(target.path()), [""; 0]);
    assert_eq!(names(&state.path().join("uploads")), [""; 0]);
}

#[test]
fn a_full_disk_leaves_only_what_can_be_gone_on_with() {
    let folder = Folder::new();
    let before = "mkdir full; mount -t tmpfs -o size=1m none full";
    let arguments = ["--interface", "127.0.0.1", "--port", "0"];
    let Some(server) = folder.start_apart(before, &arguments) else {
        eprintln!("nobody may mount here: nothing was tested");
        return;
    };
    let raw = |byte| remo_protocol::keys::PrivateKey::from_raw(&[byte; 57]);
    let mut peer = Peer2::log_in_at(server.address(), &raw(3), "alice", &raw(1));
    let full = folder.0.path().join("full");
    let path = |name: &str| full.join(name).to_str().unwrap().to_owned();
    let listed = |peer: &mut Peer2| fs_op(peer, "ls", &path(""), json!({})).out;

    let (id, data) = (peer.id(), pattern(1_500_000));
    let file = path("file");
    let refused = put(&mut peer, &id, &file, json!({"last": true}), &data);
    assert_eq!((refused.status(), refused.error()), (507, "no_space"));
    assert_eq!(listed(&mut peer), b"", "nothing is left");
    let fits = put(&mut peer, &id, &file, json!({"last": true}), &data[..1000]);
    assert_eq!(fits.trailer["done"], true, "the id was not used");

    let (id, filler) = (peer.id(), path("filler"));
    put(
        &mut peer,
        &id,
        &filler,
        json!({"last": true}),
        &data[..500_000],
    );
    let (id, large) = (peer.id(), path("large"));
    let part = |peer: &mut Peer2, at: usize, last: bool| {
        let piece = &data[at..at + 500_000];
        put(
            peer,
            &id,
            &large,
            json!({"offset": at, "last": last}),
            piece,
        )
    };
    assert_eq!(part(&mut peer, 0, false).trailer["received"], 500_000);
    let refused = part(&mut peer, 500_000, true);
    assert_eq!((refused.status(), refused.error()), (507, "no_space"));
    assert!(!String::from_utf8_lossy(&listed(&mut peer)).contains("large"));
    let room = change(&mut peer, "rm", &path("filler"), json!({}));
    assert_eq!(room.trailer["done"], true, "{:?}", room.head);
    let done = part(&mut peer, 500_000, true);
    assert_eq!(done.trailer["done"], true, "{:?}", done.head);
    let size = fs_op(&mut peer, "stat", &path("large"), json!({})).trailer["size"].clone();
    assert_eq!(size, 1_000_000);
    let (status, log) = server.stop();
    assert!(status.success(), "{log}");
    assert_eq!(
        names(&folder.0.path().join("remo_serv_state/uploads")),
        [""; 0]
    );
}

#[test]
fn a_cut_body_changes_nothing() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let (id, path) = (peer.id(), server.path("file"));
    let request = peer.make(
        "put",
        json!({"id": id, "path": path, "last": true}),
        &pattern(300_000),
    );
    let cut = request.body.len() / 2;
    let mut connection = Connection::open(server.address);
    let cookie = peer.cookie.clone();
    let end = request.body[..cut]
        .iter()
        .rposition(|&byte| byte == b'\n')
        .unwrap()
        + 1;
    for to in [cut, end] {
        let answer = connection.request("/put", &cookie, &request.body[..to]);
        assert_eq!((answer.status, answer.body.as_slice()), (400, &b""[..]));
        connection = Connection::open(server.address);
    }
    assert_eq!(names(server.folder.path()), [""; 0]);
    let answer = peer.send(&request);
    let done = peer.open(&answer, &request.number).unwrap();
    assert_eq!(done.trailer["done"], true, "its number is still free");
}

#[test]
fn an_upload_survives_a_server_that_is_killed_and_is_swept_after_a_week() {
    let folder = Folder::new();
    let arguments = ["--interface", "127.0.0.1", "--port", "0"];
    let raw = |byte| remo_protocol::keys::PrivateKey::from_raw(&[byte; 57]);
    let target = tempfile::tempdir().unwrap();
    let path = target.path().join("file").to_str().unwrap().to_owned();
    let data = pattern(300_000);
    let mut ids = Vec::new();
    {
        let mut server = folder.start(&arguments);
        let mut peer = Peer2::log_in_at(server.address(), &raw(3), "alice", &raw(1));
        for _ in 0..2 {
            let id = peer.id();
            let part = put(&mut peer, &id, &path, json!({}), &data[..100_000]);
            assert_eq!(part.trailer["received"], 100_000);
            ids.push(id);
        }
        server.child.kill().unwrap();
    }
    let records = folder.0.path().join("remo_serv_state/uploads");
    assert_eq!(fs::metadata(&records).unwrap().mode() & 0o777, 0o700);
    let record = names(&records)
        .into_iter()
        .find(|name| name.starts_with(&ids[1]));
    let record = fs::OpenOptions::new()
        .write(true)
        .open(records.join(record.unwrap()))
        .unwrap();
    let week = std::time::Duration::from_secs(7 * 24 * 3600 + 60);
    record
        .set_modified(std::time::SystemTime::now() - week)
        .unwrap();

    let server = folder.start(&arguments);
    let mut peer = Peer2::log_in_at(server.address(), &raw(3), "alice", &raw(1));
    let part = put(&mut peer, &ids[0], &path, json!({}), b"");
    assert_eq!(part.trailer["received"], 100_000);
    eventually("the sweep", || {
        names(target.path()) == [format!(".remo-unfinished-{}", ids[0])]
    });
    let last = json!({"offset": 100_000, "last": true});
    let done = put(&mut peer, &ids[0], &path, last, &data[100_000..]);
    assert_eq!(done.trailer["done"], true);
    assert!(fs::read(&path).unwrap() == data);
    assert_eq!(names(&records), [""; 0]);
}

#[test]
fn an_unfinished_file_that_is_not_the_servers_own_is_not_taken_up() {
    let state = tempfile::tempdir().unwrap();
    let target = tempfile::tempdir().unwrap();
    let start =
        || Server::start_with(|wanted| wanted.limits.state_folder = Some(state.path().to_owned()));
    let path = target.path().join("file").to_str().unwrap().to_owned();
    let victim = target.path().join("victim");
    fs::write(&victim, "untouched").unwrap();
    let mut server = start();
    let mut peer = Peer2::alice(&server);
    let ids = [peer.id(), peer.id(), peer.id()];
    for id in &ids {
        put(&mut peer, id, &path, json!({}), b"half");
    }
    server.stop();
    let part = |id: &str| target.path().join(format!(".remo-unfinished-{id}"));
    for id in &ids {
        fs::remove_file(part(id)).unwrap();
    }
    std::os::unix::fs::symlink(&victim, part(&ids[0])).unwrap();
    fs::hard_link(&victim, part(&ids[1])).unwrap();
    nix::unistd::mkfifo(&part(&ids[2]), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let server = start();
    let mut peer = Peer2::alice(&server);
    for id in &ids {
        let refused = put(
            &mut peer,
            id,
            &path,
            json!({"last": true, "offset": 1}),
            b"x",
        );
        assert_ne!(refused.status(), 200, "{refused:?}");
    }
    assert_eq!(fs::read(&victim).unwrap(), b"untouched");
    assert!(!Path::new(&path).exists());
}

#[test]
fn holes_stay_holes_in_what_is_put() {
    let server = Server::start();
    let mut peer = Peer2::alice(&server);
    let path = server.path("file");
    let mut data = vec![0; 2_000_000];
    data[1_500_000] = 1;
    let id = peer.id();
    let done = put(&mut peer, &id, &path, json!({"last": true}), &data);
    assert_eq!(done.trailer["received"], data.len());
    assert!(fs::read(&path).unwrap() == data);
    let id = peer.id();
    put(&mut peer, &id, &path, json!({}), &data[..1_000_000]);
    let last = json!({"last": true, "offset": 1_000_000, "sha256": sha256(&data)});
    let done = put(&mut peer, &id, &path, last, &data[1_000_000..]);
    assert_eq!(done.trailer["done"], true, "{:?}", done.head);
    assert!(fs::read(&path).unwrap() == data);
}
