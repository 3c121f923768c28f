use std::{sync::Arc, time::Duration};

use axum::body::Body;
use remo_protocol::{
    agreement::TransientKey,
    dialect::{AnyDialect, Dialect},
    keys::PrivateKey,
    name::UserName,
};
use remo_serv::{Application, Settings, limits::Limits, users::MemoryUserService};
use tokio::time::Instant;
use tower::ServiceExt;

use crate::support::{Connection, Peer, Server, peer::auth};

/// A log-in whose transient key is the point `u`, signed by the user.
fn with_key(user: &str, signer: &PrivateKey, u: &[u8; 56]) -> Vec<u8> {
    let b64 = |bytes: &[u8]| base64_simd::URL_SAFE.encode_to_string(bytes);
    let sign = signer.sign(&[user.as_bytes(), u].concat());
    serde_json::json!({"user": user, "key": b64(u), "sign": b64(&sign)})
        .to_string()
        .into_bytes()
}

/// Little-endian p plus `more` for Curve448, p = 2^448 - 2^224 - 1.
fn p_plus(more: i8) -> [u8; 56] {
    let mut p = [0xff; 56];
    p[28] = 0xfe;
    match more {
        -1 => p[0] = 0xfe,
        0 => {}
        1 => (0..28).for_each(|i| p[i] = 0),
        _ => unreachable!(),
    }
    if more == 1 {
        p[28] = 0xff;
    }
    p
}

fn status(server: &Server, body: &[u8]) -> u16 {
    Connection::open(server.address)
        .request("/auth", "", body)
        .status
}

#[test]
fn a_user_logs_in_and_each_transient_key_serves_once() {
    let server = Server::start();
    let (login, body) = auth("alice", &server.alice);
    let mut connection = Connection::open(server.address);
    let answer = connection.request("/auth", "", &body);
    assert_eq!(answer.status, 200);
    assert!(
        answer.header("content-length").is_some(),
        "what is not sealed has a length"
    );
    login.finish(&answer.body, &server.key.public()).unwrap();
    assert_eq!(status(&server, &body), 403, "the same again");
    assert_eq!(server.application.sessions(), 1);
}

#[test]
fn of_many_equal_log_ins_at_once_one_is_taken() {
    let server = Server::start();
    let (_, body) = auth("alice", &server.alice);
    let taken = std::thread::scope(|scope| {
        let all: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| status(&server, &body)))
            .collect();
        all.into_iter()
            .filter(|_| true)
            .map(|one| one.join().unwrap())
            .filter(|&status| status == 200)
            .count()
    });
    assert_eq!(taken, 1);
}

#[test]
fn keys_that_lead_to_zeros_are_refused() {
    let server = Server::start();
    let (zero, mut one) = ([0; 56], [0; 56]);
    one[0] = 1;
    for (name, key) in [
        ("0", zero),
        ("1", one),
        ("p-1", p_plus(-1)),
        ("p", p_plus(0)),
        ("p+1", p_plus(1)),
    ] {
        assert_eq!(
            status(&server, &with_key("alice", &server.alice, &key)),
            403,
            "{name}"
        );
    }
    let good = TransientKey::generate().unwrap().public();
    assert_eq!(
        status(&server, &with_key("alice", &server.alice, &good)),
        200
    );
}

#[test]
fn what_is_no_log_in_is_400() {
    let server = Server::start();
    for body in [
        &b"x"[..],
        b"[]",
        b"{}",
        b"{\"user\":1,\"key\":\"\",\"sign\":\"\"}",
        b"\xff",
        b"{\"user\":\"alice\"}",
    ] {
        assert_eq!(
            status(&server, body),
            400,
            "{}",
            String::from_utf8_lossy(body)
        );
    }
}

/// What every refusal must look like, and when it leaves.
async fn refusal(
    application: &Application,
    body: Vec<u8>,
) -> (u16, Vec<(String, String)>, Vec<u8>, Duration) {
    let begun = Instant::now();
    let request = http::Request::post("/auth").body(Body::from(body)).unwrap();
    let answer = application.clone().oneshot(request).await.unwrap();
    let took = begun.elapsed();
    let (head, body) = answer.into_parts();
    let mut headers: Vec<_> = head
        .headers
        .iter()
        .filter(|(name, _)| *name != "set-cookie")
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    let body = axum::body::to_bytes(body, 1000).await.unwrap().to_vec();
    (head.status.as_u16(), headers, body, took)
}

#[tokio::test(start_paused = true)]
async fn every_refusal_looks_the_same_and_takes_the_same_time() {
    let key = |byte| PrivateKey::from_raw(&[byte; 57]);
    let users = MemoryUserService::default();
    for (name, byte, floor) in [("alice", 1, None), ("carol", 4, Some(AnyDialect::V2))] {
        let name = UserName::parse(name).unwrap();
        users.insert(name, key(byte).public().into(), floor);
    }
    let mut settings = Settings::new(key(3), Arc::new(users));
    // Longer than any check takes: no real time may enter.
    let time = Duration::from_secs(30);
    settings.limits = Arc::new(Limits {
        refusal_time: time,
        ..Limits::default()
    });
    let application = Application::new(settings);

    let good = TransientKey::generate().unwrap().public();
    let used = auth("alice", &key(1)).1;
    let request = http::Request::post("/auth")
        .body(Body::from(used.clone()))
        .unwrap();
    assert_eq!(
        application.clone().oneshot(request).await.unwrap().status(),
        200
    );

    let mut short_sign: serde_json::Value =
        serde_json::from_slice(&auth("alice", &key(1)).1).unwrap();
    short_sign["sign"] = "AAAA".into();
    let mut no_base64 = short_sign.clone();
    no_base64["key"] = "!".repeat(76).into();
    let cases = [
        ("bad signature", with_key("alice", &key(9), &good)),
        ("short signature", short_sign.to_string().into_bytes()),
        ("no base64", no_base64.to_string().into_bytes()),
        ("unknown user", with_key("mallory", &key(1), &good)),
        ("no user name", with_key("", &key(1), &good)),
        (
            "a name with control characters",
            with_key("al\nice", &key(1), &good),
        ),
        ("an endless name", with_key(&"a".repeat(65), &key(1), &good)),
        ("a key of zeros", with_key("alice", &key(1), &[0; 56])),
        ("a used key", used),
        ("a floor of remo/2", auth("carol", &key(4)).1),
    ];
    let mut seen = Vec::new();
    for (name, body) in cases {
        let answer = refusal(&application, body).await;
        // Tokio's clock, which stands while the check runs, ticks in milliseconds.
        assert_eq!(answer.3.as_millis() / 2, time.as_millis() / 2, "{name}");
        seen.push((name, (answer.0, answer.1, answer.2)));
    }
    assert!(
        seen.iter().all(|(_, answer)| *answer == seen[0].1),
        "{seen:?}"
    );
    assert_eq!(seen[0].1.0, 403);
    assert_eq!(seen[0].1.2, b"");
}

#[test]
fn an_empty_auth_logs_out_by_the_cookie() {
    let server = Server::start();
    let mut peer = Peer::alice(&server, Dialect::V0_6);
    assert_eq!(peer.cmd("true", b"").0, 200);
    let answer = peer.connection.request("/auth", &peer.cookie, b"");
    assert_eq!(
        (answer.status, &answer.body[..]),
        (200, &b"Disconnected"[..])
    );
    let request = peer.make("cmd", Some(b"true"), b"");
    let refused = peer.send(&request);
    assert_eq!(
        (refused.status, refused.header("content-length")),
        (403, Some("0"))
    );
}
