"""Checks of /get, /put and /fs: ranges, uploads in parts, folders and names, each act once for its id."""

import base64
import hashlib
import json
import os
import random
import stat
import threading
import time

from remo2_checks.suite import MIB, check, equal, expect, good, new_id, refused


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def noise(length, seed=1):
    return random.Random(seed).randbytes(length)


def content(path):
    with open(path, "rb") as file:
        return file.read()


def fill(path, data):
    with open(path, "wb") as file:
        file.write(data)
    return path


def get(client, path, **more):
    return good(client.call("get", {"path": path, **more}))


def put(client, path, data=b"", **more):
    more.setdefault("id", new_id())
    return client.call("put", {"path": path, **more}, data)


def fs(client, op, path, **more):
    return client.call("fs", {"op": op, "path": path, **more})


def change(client, op, path, **more):
    answer = fs(client, op, path, **{"id": new_id(), **more})
    equal(good(answer).tail.get("done"), True, op)
    return answer


def ranged(client, path, step):
    """A file joined of ranges of one etag, each as long as the server makes it."""
    whole, etag, size = b"", None, 1
    while len(whole) < size:
        answer = get(client, path, offset=len(whole), length=step)
        size, tags = answer.head["size"], {answer.head["etag"], answer.tail["etag"], etag or answer.tail["etag"]}
        expect(len(tags) == 1, "etags of one content: %s", tags)
        expect(answer.main or not size, "an answer without data before the end, at %d", len(whole))
        etag, whole = tags.pop(), whole + answer.main
    return whole


def entries(answer):
    expect(not answer.main or answer.main.endswith(b"\n"), "the last line has no end")
    return [json.loads(line) for line in answer.main.splitlines()]


def b64(data):
    return base64.urlsafe_b64encode(data).decode()


# --- /get ---


@check()
def get_gives_a_file_with_its_facts_and_hash(scene):
    data = noise(3 * MIB + 17)
    path = fill(scene.file("file"), data)
    os.chmod(path, 0o640)
    os.utime(path, (5, -7))
    with scene.login() as client:
        answer = get(client, path, hash=True)
        expect(answer.main == data, "the bytes differ")
        equal((answer.head["size"], answer.head["mode"], answer.head["mtime"]), (len(data), 0o640, -7), "facts")
        equal((answer.tail["sha256"], answer.tail["etag"]), (sha256(data), answer.head["etag"]), "sha256, etag")
        expect("sha256" not in get(client, path, length=1).tail, "a hash that nobody asked for")


@check()
def get_ranges_join_and_end_with_the_file(scene):
    data = noise(700_001)
    path = fill(scene.file("file"), data)
    with scene.login() as client:
        expect(ranged(client, path, 100_000) == data, "the joined ranges differ")
        for offset, length in ((0, 0), (1, 1), (700_000, 5), (700_001, 5), (2 ** 53 - 1, 2 ** 53 - 1)):
            answer = get(client, path, offset=offset, length=length, hash=True)
            expect(answer.main == data[offset:offset + length], "the range %d+%d differs", offset, length)
            equal(answer.tail["sha256"], sha256(answer.main), "hash of the range")
        empty = get(client, fill(scene.file("empty"), b""))
        equal((empty.head["size"], [kind for kind, _ in empty.parts if kind == "D"]), (0, []), "an empty file")


@check()
def get_has_another_etag_for_another_content(scene):
    path, seen = scene.file("file"), set()
    with scene.login() as client:
        for turn in range(20):
            fill(path, b"%02d" % turn)
            answer = get(client, path)
            equal(answer.main, b"%02d" % turn, "content")
            expect(answer.head["etag"] not in seen, "the etag of an earlier content")
            seen.add(answer.head["etag"])


@check()
def get_waits_for_no_pipe_and_reads_no_device(scene):
    pipe, link = scene.file("pipe"), scene.file("link")
    os.mkfifo(pipe)
    os.symlink(pipe, link)
    with scene.login() as client:
        for path in (pipe, link, "/dev/zero", scene.folder):
            answer = client.call("get", {"path": path})
            expect(answer.sealed and answer.status >= 400 and not answer.main, "%s: %s", path, answer)
        refused(client.call("get", {"path": scene.file("none")}), 404, "not_found")


# --- /put ---


@check()
def put_of_one_request_is_done_at_once(scene):
    path, data = scene.file("file"), noise(200_000)
    with scene.login() as client:
        answer = good(put(client, path, data, last=True, mode=0o604, mtime=1234.5, sha256=sha256(data)))
        equal((answer.tail["received"], answer.tail["done"]), (len(data), True), "received, done")
        expect(content(path) == data, "the bytes differ")
        facts = os.stat(path)
        equal((stat.S_IMODE(facts.st_mode), facts.st_mtime), (0o604, 1234.5), "mode, mtime")
        good(put(client, path, b"", last=True))
        equal(content(path), b"", "an empty file in its place")


@check()
def put_of_a_new_file_has_0666_less_the_umask(scene):
    with scene.login() as client:
        mask = int(good(client.call("cmd", {"id": new_id(), "line": "umask"})).main, 8)
        whole, parts, one = scene.file("whole"), scene.file("parts"), new_id()
        good(put(client, whole, b"x", last=True))
        good(put(client, parts, b"x", id=one))
        good(put(client, parts, b"y", id=one, offset=1, last=True))
        for path in (whole, parts):
            equal(stat.S_IMODE(os.stat(path).st_mode), 0o666 & ~mask, "mode")


@check()
def put_parts_come_in_any_order_and_twice(scene):
    path, data, one = scene.file("file"), noise(500_000), new_id()
    places = [(at, data[at:at + 30_000]) for at in range(0, len(data), 30_000)] * 2
    random.Random(2).shuffle(places)
    with scene.login() as client:
        there = set()
        for at, piece in places:
            answer = good(put(client, path, piece, id=one, offset=at, size=len(data)))
            there.update(range(at, at + len(piece)))
            gap = next(at for at in range(len(data) + 1) if at not in there)
            equal((answer.tail["received"], "done" in answer.tail), (gap, False), "received, done")
        expect(not os.path.exists(path), "the file is there before it is done")
        last = {"id": one, "offset": len(data), "last": True, "sha256": sha256(data)}
        for _ in range(2):
            equal(good(put(client, path, **last)).tail, {"received": len(data), "done": True}, "the last")
        expect(content(path) == data, "the bytes differ")


@check()
def put_parts_side_by_side_make_one_file(scene):
    path, data, one = scene.file("file"), noise(4 * MIB), new_id()
    with scene.login() as client:
        good(put(client, path, id=one))
        for begin in range(0, len(data), MIB):
            flights = [client.fly("put", {"id": one, "path": path, "offset": at}, data[at:at + 128 * 1024])
                       for at in range(begin, begin + MIB, 128 * 1024)]
            for flight in flights:
                good(flight.result())
        lasts = [client.fly("put", {"id": one, "path": path, "offset": len(data), "last": True}) for _ in range(3)]
        for flight in lasts:
            equal(good(flight.result()).tail.get("done"), True, "done")
        expect(content(path) == data, "the bytes differ")


@check()
def put_last_before_all_is_there_is_not_done(scene):
    path, one = scene.file("file"), new_id()
    with scene.login() as client:
        answer = good(put(client, path, b"56789", id=one, offset=5, last=True))
        equal(answer.tail, {"received": 0}, "the last first")
        equal(good(put(client, path, b"01234", id=one)).tail, {"received": 10}, "the gap is closed")
        expect(not os.path.exists(path), "it is there although nobody asked for its end")
        equal(good(put(client, path, id=one, offset=10, last=True)).tail["done"], True, "done")
        equal(content(path), b"0123456789", "content")


@check()
def put_with_a_false_hash_leaves_nothing(scene):
    folder = scene.file("folder")
    os.mkdir(folder)
    path, one, two = os.path.join(folder, "file"), new_id(), new_id()
    with scene.login() as client:
        good(put(client, path, b"ab", id=two))
        for _ in range(2):
            refused(put(client, path, b"abc", id=one, last=True, sha256=sha256(b"abd")), 422, "sha256")
            refused(put(client, path, b"c", id=two, offset=2, last=True, sha256=sha256(b"abd")), 422, "sha256")
        equal(os.listdir(folder), [], "what is left")
        good(put(client, path, b"abc", last=True, sha256=sha256(b"abc")))


@check()
def put_is_carried_out_once_for_its_id(scene):
    path, one = scene.file("file"), new_id()
    with scene.login() as client:
        good(put(client, path, b"mine", id=one, last=True))
        fill(path, b"of another since")
        equal(good(put(client, path, b"mine", id=one, last=True)).tail["done"], True, "again")
        equal(content(path), b"of another since", "content")
        refused(put(client, path + "2", b"mine", id=one, last=True), 409, "id_used")
        refused(fs(client, "rm", path, id=one), 409, "id_used")
        refused(client.call("cmd", {"id": one, "line": "true"}), 409, "id_used")
        with scene.login() as later:
            equal(good(put(later, path, b"mine", id=one, last=True)).tail["done"], True, "in a later session")


@check()
def put_of_many_files_is_done_once_and_names_what_did_not_go(scene):
    folder, one = scene.file("many"), new_id()
    os.mkdir(folder)
    os.mkdir(os.path.join(folder, "7"))
    files = [{"path": os.path.join(folder, str(at)), "size": at, "mode": 0o600, "mtime": 1e9} for at in range(64)]
    data = b"".join(noise(at, at) for at in range(64))
    with scene.login() as client:
        answer = good(client.call("put", {"id": one, "files": files}, data))
        equal((answer.tail["done"], answer.tail.get("failed")), (True, [7]), "the end")
        for at in set(range(64)) - {7}:
            equal(content(files[at]["path"]), noise(at, at), "file %d" % at)
        equal(stat.S_IMODE(os.stat(files[1]["path"]).st_mode), 0o600, "mode")
        fill(files[1]["path"], b"of another since")
        with scene.login() as later:
            equal(good(later.call("put", {"id": one, "files": files}, data)).tail["failed"], [7], "again")
        equal(content(files[1]["path"]), b"of another since", "content")
        refused(client.call("put", {"id": new_id(), "files": files}, data[1:]), 400, "bad_request")
        refused(client.call("put", {"id": new_id(), "files": files + files[:1]}, data), 400, "bad_request")


@check()
def get_of_many_files_gives_each_whole_or_not(scene):
    paths = [fill(scene.file("file%d" % at), noise(at * 100, at)) for at in range(20)]
    for path in paths:
        os.utime(path, (1e9, 1e9))
    time.sleep(0.05)  # what changed a moment ago is not given
    with scene.login() as client:
        files = [{"path": path} for path in paths + [scene.file("none"), "/dev/zero"]]
        answer = good(client.call("get", {"files": files}))
        said, at = answer.tail["files"], 0
        equal((len(said), said[20:]), (22, [None, None]), "what is said")
        for number, facts in enumerate(said[:20]):
            equal(facts["size"], number * 100, "size")
            equal(answer.main[at:at + facts["size"]], noise(number * 100, number), "file %d" % number)
            at += facts["size"]
        equal(len(answer.main), at, "bytes")


@check()
def put_goes_on_in_a_later_session_and_shows_its_prefix(scene):
    folder = scene.file("folder")
    os.mkdir(folder)
    path, data, one = os.path.join(folder, "file"), noise(300_000), new_id()
    with scene.login() as client:
        good(put(client, path, data[:100_000], id=one))
    with scene.login() as client:
        listed = [entry["name"] for entry in entries(good(fs(client, "ls", folder)))]
        equal(listed, [".remo-unfinished-" + one], "the folder")
        there = good(put(client, path, id=one)).tail["received"]
        answer = good(fs(client, "hash", os.path.join(folder, listed[0]), offset=0, length=there))
        equal((there, answer.tail["sha256"]), (100_000, sha256(data[:there])), "the prefix")
        equal(good(put(client, path, data[there:], id=one, offset=there, last=True)).tail["done"], True, "done")
    equal((os.listdir(folder), content(path) == data), (["file"], True), "the folder, the bytes")


@check()
def put_that_is_done_without_its_end_leaves_nothing(scene):
    folder = scene.file("folder")
    os.mkdir(folder)
    path, one = os.path.join(folder, "file"), new_id()
    with scene.login() as client:
        good(put(client, path, b"half", id=one))
        good(client.call("who", {"done": [one]}))
        equal(os.listdir(folder), [], "what is left")
        refused(put(client, path, b"half", id=one), 410, "gone")


@check()
def put_replaces_a_link_and_nothing_but_files(scene):
    link, real, folder, pipe = (scene.file(name) for name in ("link", "real", "folder", "pipe"))
    fill(real, b"real")
    os.symlink(real, link)
    os.mkdir(folder)
    os.mkfifo(pipe)
    with scene.login() as client:
        good(put(client, link, b"new", last=True))
        equal((os.path.islink(link), content(link), content(real)), (False, b"new", b"real"), "link and target")
        refused(put(client, folder, b"x", last=True), 409, "is_dir")
        refused(put(client, pipe, b"x", last=True), 409, "not_file")
        refused(put(client, os.path.join(folder, "none", "file"), b"x", last=True), 404, "not_found")


@check()
def put_shows_the_old_file_or_the_new_one(scene):
    path, ended = scene.file("file"), threading.Event()
    whole = [bytes([65 + turn]) * 150_000 for turn in range(8)]
    fill(path, whole[0])
    seen, wrong = set(), []

    def look():
        while not ended.is_set():
            data = content(path)
            (seen.add if data in whole else wrong.append)(data[:1] + data[-1:])
    watcher = threading.Thread(target=look)
    watcher.start()
    with scene.login() as client:
        for data in whole[1:]:
            good(put(client, path, data, last=True))
    ended.set()
    watcher.join()
    expect(not wrong and seen, "half a file was seen: %s", wrong[:3])


# --- /fs ---


@check()
def fs_lists_every_kind_of_entry(scene):
    folder = scene.file("folder").encode()
    os.mkdir(folder)
    odd = b"\xff\xfe \n"
    fill(os.path.join(folder, odd), b"123")
    fill(os.path.join(folder, "zoë".encode()), b"12345")
    os.mkdir(os.path.join(folder, b"dir"), 0o711)
    os.symlink(b"nowhere " + odd, os.path.join(folder, b"link"))
    os.mkfifo(os.path.join(folder, b"pipe"))
    with scene.login() as client:
        listed = {entry.get("name", entry.get("name64")): entry for entry in entries(good(fs(client, "ls", folder.decode())))}
        equal({name: entry["type"] for name, entry in listed.items()},
              {b64(odd): "file", "zoë": "file", "dir": "dir", "link": "link", "pipe": "other"}, "types")
        equal((listed["zoë"]["size"], listed["dir"]["mode"]), (5, 0o711), "size, mode")
        equal(listed["link"]["to64"], b64(b"nowhere " + odd), "where the link points")
        for name, entry in listed.items():
            path = {"path64": b64(os.path.join(folder, odd))} if "name64" in entry else \
                {"path": os.path.join(folder.decode(), name)}
            one = good(client.call("fs", {"op": "stat", **path})).tail
            equal({key: one.get(key) for key in entry}, entry, "stat beside ls")
        by_bytes = good(client.call("get", {"path64": b64(os.path.join(folder, odd))}))
        equal(by_bytes.main, b"123", "content by path64")
        link = good(fs(client, "readlink", os.path.join(folder.decode(), "link")))
        equal(link.tail, {"to64": b64(b"nowhere " + odd)}, "readlink")


@check()
def fs_relative_paths_start_at_home(scene):
    with scene.login() as client:
        home = good(client.call("cmd", {"id": new_id(), "line": "pwd -P"})).main.decode().rstrip("\n")
        one, other = good(fs(client, "stat", ".")).tail, os.stat(home)
        equal((one["type"], one["mode"]), ("dir", stat.S_IMODE(other.st_mode)), "the home")


@check()
def fs_changes_names(scene):
    base = scene.file("base")
    deep = os.path.join(base, "a", "b")
    with scene.login() as client:
        refused(fs(client, "mkdir", deep, id=new_id()), 404, "not_found")
        change(client, "mkdir", deep, parents=True, mode=0o2750)
        change(client, "mkdir", deep, parents=True)
        equal(stat.S_IMODE(os.stat(deep).st_mode), 0o2750, "mode")
        refused(fs(client, "mkdir", deep, id=new_id()), 409, "exists")
        old, new = fill(os.path.join(base, "old"), b"old"), fill(os.path.join(deep, "new"), b"new")
        change(client, "mv", new, to=old)
        equal((content(old), os.listdir(deep)), (b"new", []), "after mv")
        change(client, "chmod", old, mode=0o400)
        equal(stat.S_IMODE(os.stat(old).st_mode), 0o400, "after chmod")
        link = os.path.join(base, "link")
        change(client, "symlink", link, to="../base/a")
        equal(os.readlink(link), "../base/a", "link")
        refused(fs(client, "rm", os.path.join(base, "a"), id=new_id()), 409, "not_empty")
        change(client, "rm", link, recursive=True)
        expect(os.path.isdir(deep), "rm followed the link")
        change(client, "rm", base, recursive=True)
        expect(not os.path.exists(base), "it is still there")


@check()
def fs_changes_once_for_an_id(scene):
    path, one = scene.file("folder"), new_id()
    with scene.login() as client:
        flights = [client.fly("fs", {"op": "mkdir", "path": path, "id": one}) for _ in range(6)]
        for flight in flights:
            equal(good(flight.result()).tail.get("done"), True, "done")
        os.rmdir(path)
        good(fs(client, "mkdir", path, id=one))
        expect(not os.path.exists(path), "it was made twice")
        gone = new_id()
        refused(fs(client, "rm", path, id=gone), 404, "not_found")
        os.mkdir(path)
        refused(fs(client, "rm", path, id=gone), 404, "not_found")


@check()
def fs_removes_deep_trees_and_follows_no_link(scene):
    keep, tree = scene.file("keep"), scene.file("tree")
    os.mkdir(keep)
    fill(os.path.join(keep, "file"), b"x")
    deep = tree
    for _ in range(200):
        os.mkdir(deep)
        os.symlink(keep, os.path.join(deep, "link"))
        deep = os.path.join(deep, "d")
    with scene.login() as client:
        change(client, "rm", tree, recursive=True)
    equal((os.path.lexists(tree), os.listdir(keep)), (False, ["file"]), "tree and what its links name")


@check()
def fs_hashes_ranges(scene):
    data = noise(1_000_003)
    path = fill(scene.file("file"), data)
    with scene.login() as client:
        for offset, length in ((0, None), (0, 0), (5, 600_000), (1_000_000, 99), (2_000_000, 1)):
            more = {} if length is None else {"length": length}
            end = None if length is None else offset + length
            answer = good(fs(client, "hash", path, offset=offset, **more))
            equal((answer.tail["sha256"], answer.tail["length"]), (sha256(data[offset:end]), len(data[offset:end])),
                  "hash and length")


@check()
def files_refuse_what_they_do_not_know(scene):
    path = scene.file("file")
    with scene.login() as client:
        for verb, head in (("get", {"path": path, "to": "x"}), ("put", {"id": new_id(), "path": path, "length": 1}),
                           ("fs", {"op": "ls", "path": path, "recursive": True})):
            refused(client.call(verb, head), 400, "unknown_member")
        for verb, head in (("get", {}), ("get", {"path": ""}), ("get", {"path": "a\0"}), ("get", {"path": None}),
                           ("get", {"path": path, "path64": "YQ=="}), ("get", {"path64": "YQ"}),
                           ("put", {"path": path}), ("put", {"id": new_id(), "path": path, "offset": -0.5}),
                           ("fs", {"op": "ls"}), ("fs", {"op": "fly", "path": path}), ("fs", {"op": "rm", "path": path})):
            answer = client.call(verb, head)
            expect(answer.status == 400, "%s %s: %s", verb, head, answer)
        refused(client.call("get", {"path": path}, b"data"), 400, "bad_request")
    expect(not os.path.exists(path), "something was made")
