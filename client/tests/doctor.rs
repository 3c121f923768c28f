//! `remo doctor`: its words, its exit codes, and what it finds about https, clocks and who answers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs
)]

mod common;

use std::net::SocketAddr;
use std::sync::Arc;

use common::real::{Path, Real};
use common::{Ended, Home, bare};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

fn doctor(home: &Home, arguments: &[&str]) -> Ended {
    doctor_with(home, &[], arguments)
}

fn doctor_with(home: &Home, environment: &[(&str, &str)], arguments: &[&str]) -> Ended {
    let mut command = bare(home.folder.path());
    command.args(["doctor", "--quick", "--time", "60"]);
    let environment = environment.iter().copied();
    Ended::from(command.envs(environment).args(arguments).output().unwrap())
}

/// The finding of this name, of what was told as JSON.
fn finding(ended: &Ended, name: &str) -> Value {
    let report: Value = serde_json::from_slice(&ended.out).unwrap_or_else(|_| panic!("{ended:?}"));
    let all = report["findings"].as_array().unwrap();
    let found = all.iter().find(|finding| finding["name"] == name);
    found
        .unwrap_or_else(|| panic!("no '{name}' in {report}"))
        .clone()
}

#[test]
fn a_good_path_is_told_in_lines_with_a_summary() {
    let home = Home::new();
    let server = Real::start(&home);
    let ended = doctor(&home, &["-u", "zoe", &server.url()]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let text = String::from_utf8(ended.out).unwrap();
    assert!(text.contains("ok    log in: 'zoe' is logged in"), "{text}");
    assert!(text.contains("\nremo works over this path: "), "{text}");
    assert!(
        !text.contains('\x1b'),
        "no colours where there is no terminal: {text}"
    );
    assert_eq!(ended.err, "");
}

#[test]
fn a_name_of_the_configuration_brings_its_keys_even_as_a_fingerprint() {
    let home = Home::new();
    let server = Real::start(&home);
    let fingerprint = home.server_key.public().fingerprint().to_string();
    std::fs::create_dir_all(home.path(".config/remo")).unwrap();
    std::fs::remove_file(home.path("remo_serv.pem")).unwrap();
    let entry = format!(
        "[servers.box]\nurl = '{}'\nuser = 'zoe'\nkey = 'zoe_key.pem'\nserver_keys = ['{fingerprint}']\n",
        server.url()
    );
    home.write(".config/remo/config.toml", entry);
    let ended = doctor(&home, &["box", "--json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(finding(&ended, "log_in")["verdict"], "good");
    assert_eq!(finding(&ended, "server")["facts"]["trusted"], true);
}

#[test]
fn who_is_refused_and_what_is_another_s_is_told_so() {
    let home = Home::new();
    let server = Real::start(&home);
    let unknown = doctor(
        &home,
        &["-u", "eve", "-k", "zoe_key.pem", &server.url(), "--json"],
    );
    assert_eq!(unknown.code, 1, "{unknown:?}");
    assert_eq!(finding(&unknown, "log_in")["facts"]["status"], 403);
    let other = Home::new();
    home.write("remo_serv.pem", other.server_key.public().to_pem());
    let changed = doctor(&home, &["-u", "zoe", &server.url(), "--json"]);
    assert_eq!(changed.code, 1, "{changed:?}");
    assert_eq!(finding(&changed, "server")["verdict"], "bad");
    assert_eq!(finding(&changed, "log_in")["facts"]["status"], 421);
}

#[test]
fn exit_codes_tell_a_path_that_does_not_work_from_own_failures_and_wrong_usage() {
    let home = Home::new();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", closed.local_addr().unwrap());
    drop(closed);
    let dead = doctor(&home, &["-u", "zoe", &url]);
    assert_eq!(dead.code, 1, "{dead:?}");
    assert!(
        String::from_utf8_lossy(&dead.out).contains("BAD   server: no server answers"),
        "{dead:?}"
    );
    assert_eq!(doctor(&home, &["nobody"]).code, 255);
    assert_eq!(
        doctor(&home, &["-u", "zoe", "-k", "missing.pem", &url]).code,
        255
    );
    assert_eq!(doctor(&home, &["--idle", "1000", &url]).code, 2);
    let proxied = doctor_with(
        &home,
        &[("ALL_PROXY", &url)],
        &["--json", "--no-key", "http://192.0.2.1/"],
    );
    assert_eq!(proxied.code, 1, "{proxied:?}");
    let proxy = finding(&proxied, "proxy");
    assert_eq!(
        (&proxy["verdict"], &proxy["facts"]["named_by"]),
        (&"bad".into(), &"ALL_PROXY".into())
    );
}

#[test]
fn a_page_cannot_command_the_terminal() {
    let home = Home::new();
    let server = Real::start(&home);
    let path = Path::to(server.address, |_, _, _| {
        b"HTTP/1.0 302 Found\r\nLocation: http://evil/\xc2\x9b2J\r\nContent-Length: 9\r\n\r\n<html>\x1b[2".to_vec()
    });
    let ended = doctor(&home, &["-u", "zoe", &path.url()]);
    assert_eq!(ended.code, 1);
    let text = String::from_utf8(ended.out).unwrap();
    assert!(text.contains("302") && text.contains("evil"), "{text}");
    assert!(!text.contains(['\x1b', '\u{9b}']), "{text:?}");
}

#[test]
fn clocks_that_are_apart_are_noticed_even_without_a_key() {
    let home = Home::new();
    let server = Real::start(&home);
    for (date, verdict) in [
        ("Sat, 01 Jan 2000 00:00:00 GMT", "notice"),
        ("Fri, 01 Jan 2100 00:00:00 GMT", "notice"),
    ] {
        let path = Path::to(server.address, move |_, _, answer| with_date(&answer, date));
        let ended = doctor(&home, &["--no-key", "--json", &path.url()]);
        let clock = finding(&ended, "clock");
        assert_eq!(clock["verdict"], verdict, "{clock}");
        assert!(
            clock["facts"]["ahead_s"].as_i64().unwrap().abs() > 3600 * 24 * 365,
            "{clock}"
        );
        assert!(clock["remedy"].as_str().unwrap().contains("0.6"), "{clock}");
        assert_eq!(ended.code, 0, "remo/2 looks at no clock: {ended:?}");
    }
}

/// The answer with another line `Date`.
fn with_date(answer: &[u8], date: &str) -> Vec<u8> {
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let (head, rest) = answer.split_at(end);
    let head = String::from_utf8_lossy(head);
    let kept = head
        .split("\r\n")
        .filter(|line| !line.to_ascii_lowercase().starts_with("date:"));
    let mut lines: Vec<_> = kept.map(str::to_owned).collect();
    lines.push(format!("Date: {date}"));
    [lines.join("\r\n").as_bytes(), rest].concat()
}

/// An end of TLS before a server; it ends with the value.
struct Tls {
    port: u16,
    _runtime: tokio::runtime::Runtime,
}

fn data(name: &str) -> String {
    format!("{}/tests/data/tls/{name}", env!("CARGO_MANIFEST_DIR"))
}

impl Tls {
    fn before(server: SocketAddr, certificate: &str) -> Self {
        Self::at("127.0.0.1", server, certificate)
    }

    /// Listens there, and shows this certificate.
    fn at(host: &str, server: SocketAddr, certificate: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let chain = vec![CertificateDer::from_pem_file(data(certificate)).unwrap()];
        let key = PrivateKeyDer::from_pem_file(data("leaf_key.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = runtime.block_on(TcpListener::bind((host, 0))).unwrap();
        let port = listener.local_addr().unwrap().port();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut stream = acceptor.accept(stream).await.ok()?;
                    let mut to = TcpStream::connect(server).await.ok()?;
                    tokio::io::copy_bidirectional(&mut stream, &mut to)
                        .await
                        .ok()
                });
            }
        });
        Self {
            port,
            _runtime: runtime,
        }
    }

    fn url(&self, host: &str) -> String {
        format!("https://{host}:{}/", self.port)
    }
}

#[test]
fn who_signed_the_certificate_is_told_and_whether_that_is_trusted() {
    let home = Home::new();
    let server = Real::start(&home);
    let tls = Tls::before(server.address, "leaf.pem");
    let (ca, other) = (data("ca.pem"), data("inspecting_ca.pem"));
    let url = tls.url("localhost");

    let trusted = doctor_with(
        &home,
        &[("SSL_CERT_FILE", &ca)],
        &["-u", "zoe", &url, "--json"],
    );
    assert_eq!(trusted.code, 0, "{trusted:?}");
    let certificate = finding(&trusted, "certificate");
    let facts = &certificate["facts"];
    assert_eq!(certificate["verdict"], "good");
    assert!(
        facts["issuer"]
            .as_str()
            .unwrap()
            .contains("an authority for tests"),
        "{facts}"
    );
    assert!(
        facts["subject"].as_str().unwrap().contains("localhost"),
        "{facts}"
    );
    assert!(
        facts["not_after"].as_str().unwrap().starts_with("2126-"),
        "{facts}"
    );
    assert_eq!(facts["trusted_by_machine"], true);
    assert_eq!(finding(&trusted, "log_in")["verdict"], "good");

    let given = doctor_with(
        &home,
        &[("SSL_CERT_FILE", &other)],
        &["-u", "zoe", &url, "--json", "--ca-file", &ca],
    );
    assert_eq!(given.code, 0, "{given:?}");
    let facts = &finding(&given, "certificate")["facts"];
    assert_eq!(
        (&facts["trusted"], &facts["trusted_by_machine"]),
        (&true.into(), &false.into())
    );

    let unknown = doctor_with(
        &home,
        &[("SSL_CERT_FILE", &other)],
        &["-u", "zoe", &url, "--json"],
    );
    assert_eq!(unknown.code, 1, "{unknown:?}");
    let certificate = finding(&unknown, "certificate");
    assert_eq!(certificate["verdict"], "bad");
    assert!(
        certificate["remedy"]
            .as_str()
            .unwrap()
            .contains("--ca-file"),
        "{certificate}"
    );
    // What else the path does is found out all the same.
    assert_eq!(finding(&unknown, "answer_buffering")["verdict"], "good");

    let tls = Tls::at("127.0.0.2", server.address, "leaf.pem");
    let misnamed = tls.url("127.0.0.2");
    let misnamed = doctor_with(
        &home,
        &[("SSL_CERT_FILE", &ca)],
        &["--no-key", &misnamed, "--json"],
    );
    assert!(
        finding(&misnamed, "certificate")["found"]
            .as_str()
            .unwrap()
            .contains("another name"),
        "{misnamed:?}"
    );
}

#[test]
fn a_proxy_that_opens_tls_is_told_by_the_name_of_its_authority() {
    let home = Home::new();
    let server = Real::start(&home);
    let tls = Tls::before(server.address, "inspecting_leaf.pem");
    let ca = data("inspecting_ca.pem");
    let ended = doctor_with(
        &home,
        &[("SSL_CERT_FILE", &ca)],
        &["--no-key", &tls.url("127.0.0.1"), "--json"],
    );
    let certificate = finding(&ended, "certificate");
    assert_eq!(certificate["verdict"], "notice", "{certificate}");
    assert_eq!(certificate["facts"]["inspecting"], true);
    assert_eq!(ended.code, 0, "{ended:?}");
}

#[test]
fn https_where_http_answers_is_told_as_no_tls() {
    let home = Home::new();
    let server = Real::start(&home);
    let url = server.url().replace("http:", "https:");
    let ended = doctor(&home, &["--no-key", &url, "--json"]);
    assert_eq!(ended.code, 1);
    let certificate = finding(&ended, "certificate");
    assert_eq!(certificate["verdict"], "bad", "{certificate}");
    assert!(certificate["remedy"].as_str().unwrap().contains("http://"));
}
