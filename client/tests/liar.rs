//! What a server that was trusted, and lies, can do to a machine that copies from it: nothing beyond the target.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs
)]

mod common;

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use common::liar::{Liar, Lie};
use common::{Ended, Home, bare};
use remo_protocol::remo2::json::Object;
use serde_json::{Value, json};

fn run(home: &Home, verb: &str, arguments: &[&str]) -> Ended {
    let mut command = bare(home.folder.path());
    command.args([verb, "-u", "zoe"]).args(arguments);
    Ended::from(command.output().unwrap())
}

fn ok(trailer: Value) -> Lie {
    (json!({"status": 200}), Vec::new(), trailer)
}

fn lines(entries: &[Value]) -> Lie {
    let text: String = entries.iter().map(|entry| format!("{entry}\n")).collect();
    (json!({"status": 200}), text.into_bytes(), json!({}))
}

fn entry(name: &str, kind: &str) -> Value {
    json!({"name": name, "type": kind, "size": 5, "mode": 0o644, "mtime": 1})
}

fn asked(head: &Object, name: &str) -> String {
    let text = head.get(name).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

/// As a server answers that knows of no requests for many files.
fn unknown() -> Lie {
    let head = json!({"status": 400, "error": "unknown_member", "message": "'files' is not known"});
    (head, Vec::new(), json!({}))
}

fn file(head: &Object, data: &[u8]) -> Lie {
    if head.contains_key("files") {
        return unknown();
    }
    let number = |name: &str| head[name].as_u64().unwrap() as usize;
    let rest = data.get(number("offset")..).unwrap_or_default();
    let rest = &rest[..rest.len().min(number("length"))];
    let told = json!({"status": 200, "size": data.len(), "mode": 0o666, "mtime": 1, "etag": "e"});
    (told, rest.to_vec(), json!({"etag": "e"}))
}

/// A folder `evil` with these entries, where every file says the same.
fn folder(entries: Vec<Value>) -> impl Fn(&Object) -> Lie {
    move |head| match (&asked(head, "verb")[..], &asked(head, "op")[..]) {
        ("get", _) => file(head, b"evil\n"),
        (_, "ls") if asked(head, "path").ends_with("evil") => lines(&entries),
        (_, "ls") => lines(&[entry("inner", "file")]),
        _ => ok(entry("evil", "dir")),
    }
}

#[test]
fn no_name_leads_out_of_the_target() {
    let home = Home::new();
    let slash = home.path("outside").display().to_string();
    let names = ["../outside", "..", ".", "a/b", &slash, "", "x\0y", "fine"];
    let mut entries: Vec<_> = names.iter().map(|name| entry(name, "file")).collect();
    entries.push(json!({"name64": "Li4vb3V0c2lkZQ==", "type": "dir"}));
    entries.push(json!({"type": "file"}));
    let liar = Liar::start(&home, folder(entries));
    let told = run(&home, "cp", &["-r", &format!("{}:evil", liar.url()), "to"]).failure();
    assert!(
        told.contains("which is no name") && told.contains("9 entries failed"),
        "{told}"
    );
    let mut names = home.names();
    names.retain(|name| !name.starts_with('.'));
    assert_eq!(names, ["to"]);
    let inside: Vec<_> = fs::read_dir(home.path("to")).unwrap().collect();
    assert_eq!(inside.len(), 1);
    assert_eq!(home.read("to/fine"), b"evil\n");
}

#[test]
fn a_link_that_came_is_not_gone_through() {
    let home = Home::new();
    fs::create_dir(home.path("outside")).unwrap();
    let link = json!({"name": "x", "type": "link", "size": 1, "mode": 0o777, "mtime": 1,
        "to": home.path("outside")});
    for second in ["dir", "file"] {
        let liar = Liar::start(&home, folder(vec![link.clone(), entry("x", second)]));
        let _ = run(&home, "cp", &["-r", &format!("{}:evil", liar.url()), "to"]);
        assert_eq!(
            fs::read_dir(home.path("outside")).unwrap().count(),
            0,
            "{second}"
        );
        fs::remove_dir_all(home.path("to")).unwrap();
    }
}

#[test]
fn sizes_reserve_nothing_and_what_is_too_much_is_refused() {
    let home = Home::new();
    let size = (1_u64 << 53) - 1;
    let huge = move |head: &Object| match &asked(head, "verb")[..] {
        "get" => {
            let told = json!({"status": 200, "size": size, "mode": 0o600, "mtime": 1, "etag": "e"});
            (told, Vec::new(), json!({"etag": "e"}))
        }
        _ => ok(json!({"type": "file", "size": size, "mode": 0o600, "mtime": 1})),
    };
    let liar = Liar::start(&home, huge);
    let told = run(&home, "cp", &[&format!("{}:f", liar.url()), "to"]).failure();
    assert!(told.contains("gives less than it says"), "{told}");
    assert!(!home.path("to").exists());
    let about = fs::metadata(home.path(".to.remo-partial")).unwrap();
    assert_eq!(about.len(), 0);
    let more = |head: &Object| match &asked(head, "verb")[..] {
        "get" => {
            let told = json!({"status": 200, "size": 5, "mode": 0o600, "mtime": 1, "etag": "e"});
            (told, vec![0; 600_000], json!({"etag": "e"}))
        }
        _ => ok(entry("f", "file")),
    };
    let liar = Liar::start(&home, more);
    let told = run(&home, "cp", &[&format!("{}:f", liar.url()), "to2"]).failure();
    assert!(told.contains("gives more than it was asked for"), "{told}");
    assert!(!home.path("to2").exists());
}

#[test]
fn a_file_that_never_rests_is_told_and_no_mix_of_versions_is_made() {
    let home = Home::new();
    let count = AtomicU64::new(0);
    let restless = move |head: &Object| match &asked(head, "verb")[..] {
        "get" => {
            let etag = count.fetch_add(1, Ordering::SeqCst).to_string();
            let (mut told, data, _) = file(head, &vec![1; 9 << 20]);
            told["etag"] = etag.clone().into();
            (told, data, json!({"etag": etag}))
        }
        _ => ok(json!({"type": "file", "size": 9 << 20, "mode": 0o600, "mtime": 1})),
    };
    let liar = Liar::start(&home, restless);
    let told = run(&home, "cp", &[&format!("{}:f", liar.url()), "to"]).failure();
    assert!(told.contains("it changed while it was read"), "{told}");
    assert!(!home.path("to").exists());
}

#[test]
fn what_is_false_of_many_files_is_not_taken_and_each_is_asked_for_alone() {
    let one = |size: u64, mode: u64| json!({"size": size, "mode": mode, "mtime": 1});
    for (said, data) in [
        (json!([one(3, 0o644), one(3, 0o644)]), b"abc".to_vec()),
        (
            json!([one(3, 0o644), one((1 << 53) - 1, 0o644)]),
            b"abcdef".to_vec(),
        ),
        (json!([one(1, 0o644), one(1, 0o644)]), b"abc".to_vec()),
        (json!([one(3, 0o644)]), b"abc".to_vec()),
        (json!([null, null, null]), Vec::new()),
        (json!("files"), Vec::new()),
        (json!([{"size": 0}, null]), Vec::new()),
        (json!([one(0, 0o644), null]), vec![0; 3 << 19]),
    ] {
        let home = Home::new();
        let (again, bytes) = (said.clone(), data.clone());
        let lie = move |head: &Object| match asked(head, "op").as_str() {
            "ls" => lines(&[entry("a", "file"), entry("b", "file")]),
            _ if head.contains_key("files") => (
                json!({"status": 200}),
                bytes.clone(),
                json!({"files": again}),
            ),
            _ if asked(head, "verb") == "get" => file(head, b"alone"),
            _ => ok(entry("evil", "dir")),
        };
        let liar = Liar::start(&home, lie);
        run(&home, "cp", &["-r", &format!("{}:evil", liar.url()), "to"]).success();
        for name in ["to/a", "to/b"] {
            assert_eq!(home.read(name), b"alone", "{said}");
        }
    }
}

#[test]
fn what_comes_with_others_lends_no_power_and_stays_in_its_place() {
    let home = Home::new();
    let lie = |head: &Object| match asked(head, "op").as_str() {
        "ls" => lines(&[entry("a", "file"), entry("b", "file")]),
        _ if head.contains_key("files") => {
            let one = json!({"size": 2, "mode": 0o106_755, "mtime": 1e300, "path": "../c"});
            (
                json!({"status": 200}),
                b"1111".to_vec(),
                json!({"files": [one, one]}),
            )
        }
        _ => ok(entry("evil", "dir")),
    };
    let liar = Liar::start(&home, lie);
    run(&home, "cp", &["-r", &format!("{}:evil", liar.url()), "to"]).success();
    use std::os::unix::fs::MetadataExt;
    for name in ["to/a", "to/b"] {
        assert_eq!(home.read(name), b"11");
        let about = fs::metadata(home.path(name)).unwrap();
        assert_eq!((about.mode() & 0o7777, about.mtime()), (0o755, 0));
    }
}

#[test]
fn folders_without_end_come_to_an_end() {
    let home = Home::new();
    let deep = |head: &Object| match &asked(head, "op")[..] {
        "ls" => lines(&[entry("d", "dir")]),
        _ => ok(entry("evil", "dir")),
    };
    let liar = Liar::start(&home, deep);
    let told = run(&home, "cp", &["-r", &format!("{}:evil", liar.url()), "to"]).failure();
    assert!(told.contains("more than 256 deep"), "{told}");
}

#[test]
fn bits_that_lend_power_do_not_come_along_and_names_command_no_terminal() {
    let home = Home::new();
    let bits = |head: &Object| match (&asked(head, "verb")[..], &asked(head, "op")[..]) {
        ("get", _) => {
            let (mut told, data, trailer) = file(head, b"x");
            told["mode"] = 0o6755.into();
            (told, data, trailer)
        }
        (_, "ls") => lines(&[
            json!({"name": "f", "type": "file", "size": 1, "mode": 0o6755, "mtime": 1}),
            json!({"name": "p\u{1b}[2J", "type": "other", "size": 0, "mode": 0, "mtime": 1}),
        ]),
        _ => ok(json!({"type": "dir", "size": 1, "mode": 0o7777, "mtime": 1})),
    };
    let liar = Liar::start(&home, bits);
    let told = run(&home, "cp", &["-r", &format!("{}:evil", liar.url()), "to"]).failure();
    assert!(
        told.contains("p\\u{1b}[2J: left out") && !told.contains('\x1b'),
        "{told}"
    );
    use std::os::unix::fs::MetadataExt;
    for (name, mode) in [("to/f", 0o755), ("to", 0o777)] {
        assert_eq!(fs::metadata(home.path(name)).unwrap().mode() & 0o7777, mode);
    }
    let listed = run(&home, "ls", &[&format!("{}:evil", liar.url())]).success();
    assert_eq!(listed, "f\np\\u{1b}[2J\n");
}
