use std::time::Duration;

use remo_protocol::dialect::Dialect;

use crate::support::{
    Connection, Peer, Server, eventually, exists,
    http::{chunk, head},
};

fn each(test: impl Fn(&Server, Peer)) {
    for dialect in Dialect::ALL {
        let server = Server::start();
        let peer = Peer::alice(&server, dialect);
        test(&server, peer);
    }
}

#[test]
fn a_command_gets_its_input_and_gives_output_and_error_as_one_stream() {
    each(|_, mut peer| {
        assert_eq!(peer.cmd("cat", b"in"), (200, b"in".to_vec()));
        assert_eq!(peer.cmd("true", b""), (200, Vec::new()));
        assert_eq!(
            peer.cmd("sh -c 'echo out; echo err >&2; exit 3'", b""),
            (200, b"out\nerr\n".to_vec())
        );
        assert_eq!(
            peer.cmd("cat", b""),
            (200, Vec::new()),
            "no input is an end of input"
        );
    });
}

#[test]
fn input_and_output_of_any_length_pass_though_the_client_writes_all_before_it_reads() {
    each(|_, mut peer| {
        let data: Vec<u8> = (0..20_000_000_u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        let (status, back) = peer.cmd("cat", &data);
        assert_eq!(status, 200);
        assert!(back == data, "20 MB through cat");
        assert_eq!(peer.cmd("wc -c", &data).1.trim_ascii(), b"20000000");
    });
}

#[test]
fn input_that_the_command_does_not_take_is_read_all_the_same() {
    each(|_, mut peer| {
        let data = vec![0; 8_000_000];
        assert_eq!(peer.cmd("echo done", &data), (200, b"done\n".to_vec()));
        assert_eq!(peer.cmd("true", b"").0, 200, "on the same connection");
    });
}

#[test]
fn what_cannot_run_is_400_and_named() {
    each(|_, mut peer| {
        let cases: [(&[u8], &str); 6] = [
            (b"no-such-command x", "cannot run 'no-such-command'"),
            (b"/etc/passwd", "cannot run '/etc/passwd'"),
            (b"echo 'x", "quote"),
            (b"", "empty"),
            (b"echo \0", "NUL"),
            (b"echo \xff", "UTF-8"),
        ];
        for (line, message) in cases {
            for verb in ["cmd", "icm"] {
                let (status, text) = peer.call(verb, Some(line), b"");
                let text = String::from_utf8(text).unwrap();
                assert_eq!(status, 400, "{text}");
                assert!(text.contains(message), "{text}");
            }
        }
        assert_eq!(peer.cmd("echo on", b"").1, b"on\n");
    });
}

/// A command that says its own number and that of a child, and then writes now and then.
const FAMILY: &str = "sh -c 'sleep 1000 & echo $$ $!; while :; do echo tick; sleep 0.05; done'";

fn family(line: &[u8]) -> Vec<i32> {
    let line = line.split(|&byte| byte == b'\n').next().unwrap();
    String::from_utf8(line.to_vec())
        .unwrap()
        .split(' ')
        .map(|pid| pid.parse().unwrap())
        .collect()
}

#[test]
fn a_client_that_leaves_takes_the_whole_process_group_with_it() {
    each(|_, mut peer| {
        let request = peer.make("cmd", Some(FAMILY.as_bytes()), b"");
        let body = request.lines.concat();
        peer.connection.send(head(
            &request.path,
            &peer.cookie,
            &format!("Content-Length: {}\r\n", body.len()),
        ));
        peer.connection.send(body);
        let (status, _) = peer.connection.head().unwrap();
        assert_eq!(status, 200);
        let first = peer.connection.chunk().unwrap();
        let token = peer.key.open(first.trim_ascii_end()).unwrap().plain;
        let data = if peer.dialect == Dialect::V0_6 {
            token.slice(9..)
        } else {
            token
        };
        let pids = family(&data);
        assert!(pids.iter().all(|&pid| crate::support::runs(pid)));
        drop(peer);
        eventually("the end of both", || {
            !pids.iter().any(|&pid| crate::support::runs(pid))
        });
        eventually("no zombie", || !exists(pids[0]));
    });
}

#[test]
fn a_client_that_leaves_a_silent_command_takes_it_along() {
    each(|server, mut peer| {
        let pid_file = server.path("pid");
        let line = format!("sh -c 'echo $$ > {pid_file}; exec sleep 1000'");
        let request = peer.make("cmd", Some(line.as_bytes()), b"");
        let body = request.lines.concat();
        let length = format!("Content-Length: {}\r\n", body.len());
        peer.connection
            .send(head(&request.path, &peer.cookie, &length));
        peer.connection.send(body);
        let read = || {
            std::fs::read_to_string(&pid_file)
                .ok()?
                .trim()
                .parse::<i32>()
                .ok()
        };
        eventually("the start", || read().is_some());
        drop(peer);
        eventually("the end", || !exists(read().unwrap()));
    });
}

#[test]
fn a_client_that_leaves_in_the_midst_of_its_body_takes_the_process_with_it() {
    each(|server, mut peer| {
        let pid_file = server.path("pid");
        let line = format!("sh -c 'echo $$ > {pid_file}; exec cat'");
        // More than memory takes: the command starts before the input has ended.
        let request = peer.make("cmd", Some(line.as_bytes()), &vec![7; 3_000_000]);
        peer.connection.send(head(
            &request.path,
            &peer.cookie,
            "Transfer-Encoding: chunked\r\n",
        ));
        for line in &request.lines[..request.lines.len() - 5] {
            peer.connection.send(chunk(&[&line[..], b"\r\n"].concat()));
        }
        let read = || {
            std::fs::read_to_string(&pid_file)
                .ok()?
                .trim()
                .parse::<i32>()
                .ok()
        };
        eventually("the start", || read().is_some());
        let pid = read().unwrap();
        assert!(crate::support::runs(pid));
        drop(peer);
        eventually("the end", || !exists(pid));
    });
}

#[test]
fn of_a_body_that_proves_false_nothing_runs_where_it_fits_memory() {
    each(|server, mut peer| {
        let touched = server.path("touched");
        let request = peer.make(
            "cmd",
            Some(format!("touch {touched}").as_bytes()),
            &vec![7; 200_000],
        );
        let mut lines = request.lines.clone();
        let place = lines[1].len() / 2;
        lines[1][place] ^= 1;
        let answer =
            peer.connection
                .request(&request.path, &peer.cookie, &lines.join(&b"\r\n"[..]));
        assert_eq!(answer.status, 400);
        assert!(!std::path::Path::new(&touched).exists());
    });
}

#[test]
fn a_long_body_that_proves_false_kills_the_command_before_its_input_ends() {
    each(|server, mut peer| {
        let ended = server.path("ended");
        let line = format!("sh -c 'cat >/dev/null; touch {ended}'");
        let request = peer.make("cmd", Some(line.as_bytes()), &vec![7; 5_000_000]);
        let mut lines = request.lines.clone();
        let last = lines.len() - 2;
        lines[last][30] ^= 1;
        let answer =
            peer.connection
                .request(&request.path, &peer.cookie, &lines.join(&b"\r\n"[..]));
        assert_eq!(answer.status, 400);
        std::thread::sleep(Duration::from_millis(100));
        assert!(
            !std::path::Path::new(&ended).exists(),
            "the command did not see an end"
        );
    });
}

#[test]
fn a_daemon_that_a_command_leaves_behind_stays() {
    let server = Server::start();
    let mut peer = Peer::alice(&server, Dialect::V0_6);
    let line = "sh -c 'sleep 1000 >/dev/null 2>&1 </dev/null & echo $!'";
    let pid: i32 = String::from_utf8(peer.cmd(line, b"").1)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    drop(peer);
    drop(server);
    assert!(crate::support::runs(pid));
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
}

#[test]
fn no_command_has_a_descriptor_of_the_server() {
    each(|_, mut peer| {
        for verb in ["cmd", "icm"] {
            let (_, listing) = peer.call(verb, Some(b"sh -c 'ls /proc/$$/fd'"), b"");
            let listing = String::from_utf8(listing).unwrap();
            let own = listing
                .lines()
                .filter(|number| !is_inherited(number))
                .count();
            assert_eq!(own, 3, "standard input, output and error: {listing}");
        }
    });
}

/// Whether a descriptor came to this process from whoever started it, to be passed on.
fn is_inherited(number: &str) -> bool {
    let standard = matches!(number, "0" | "1" | "2");
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap_or_default();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    !standard && flags.is_some_and(|flags| flags & rustix::fs::OFlags::CLOEXEC.bits() == 0)
}

#[test]
fn a_body_is_taken_whatever_its_framing() {
    each(|server, mut peer| {
        for data in [&b"x"[..], &vec![7; 200_000]] {
            let request = peer.make("cmd", Some(b"wc -c"), data);
            let with_length = peer.send(&request);
            assert_eq!(
                peer.open(&with_length, request.number)
                    .unwrap()
                    .trim_ascii(),
                data.len().to_string().as_bytes()
            );

            let request = peer.make("cmd", Some(b"wc -c"), data);
            let body = [request.lines.join(&b"\r\n"[..]), b"\r\n".to_vec()].concat();
            let pieces: Vec<&[u8]> = body.chunks(1000).collect();
            let in_chunks =
                Connection::open(server.address).chunked(&request.path, &peer.cookie, &pieces);
            assert_eq!(
                peer.open(&in_chunks, request.number).unwrap().trim_ascii(),
                data.len().to_string().as_bytes()
            );
        }
    });
}
