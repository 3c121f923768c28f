mod batches;
mod folders;
mod ranges;
mod uploads;

use std::{
    fs,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
};

use base64_simd::URL_SAFE;
use serde_json::{Value, json};

use crate::support::{Connection, Peer2, Server, eventually, peer2::Opened, program::Folder};

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + at / 257) as u8).collect()
}

fn get(peer: &mut Peer2, path: &str, more: Value) -> Opened {
    let mut members = json!({"path": path});
    merge(&mut members, more);
    peer.call("get", members, b"")
}

fn put(peer: &mut Peer2, id: &str, path: &str, more: Value, data: &[u8]) -> Opened {
    let mut members = json!({"id": id, "path": path});
    merge(&mut members, more);
    peer.call("put", members, data)
}

fn fs_op(peer: &mut Peer2, op: &str, path: &str, more: Value) -> Opened {
    let mut members = json!({"op": op, "path": path});
    merge(&mut members, more);
    peer.call("fs", members, b"")
}

fn change(peer: &mut Peer2, op: &str, path: &str, mut more: Value) -> Opened {
    let id = peer.id();
    merge(&mut more, json!({"id": id}));
    fs_op(peer, op, path, more)
}

fn merge(members: &mut Value, more: Value) {
    let more = crate::support::peer2::object(more);
    members.as_object_mut().unwrap().extend(more);
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
