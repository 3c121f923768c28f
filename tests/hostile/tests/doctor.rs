//! What `remo doctor` finds on a path that does just that: one test a finding.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use remo_hostile::{Kind, Settings, plan::Plan, shape::Shape};
use serde_json::Value;
use support::{
    Proxied, each,
    place::{Place, REMO, command},
    plan, seeds,
};

/// What it said, and how it ended.
#[derive(Debug)]
struct Told {
    code: Option<i32>,
    report: Value,
}

impl Told {
    /// The finding of this name.
    fn finding(&self, name: &str) -> &Value {
        let all = self.report["findings"].as_array().unwrap();
        let found = all.iter().find(|finding| finding["name"] == name);
        found.unwrap_or_else(|| panic!("no finding '{name}' in {}", self.report))
    }

    fn verdict(&self, name: &str) -> &str {
        self.finding(name)["verdict"].as_str().unwrap()
    }

    fn fact(&self, name: &str, member: &str) -> &Value {
        &self.finding(name)["facts"][member]
    }

    fn number(&self, name: &str, member: &str) -> u64 {
        let fact = self.fact(name, member);
        fact.as_u64()
            .unwrap_or_else(|| panic!("{name} {member}: {}", self.report))
    }
}

fn doctor(place: &Place, url: &str, proxy: Option<String>, arguments: &[&str]) -> Told {
    let mut remo = command(place.home.path());
    if let Some(proxy) = proxy {
        remo.env("http_proxy", &proxy).env("https_proxy", &proxy);
    }
    let output = remo
        .args(["doctor", "-u", "alice", "--quick", "--json", url])
        .args(["--time", "60"])
        .args(arguments)
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    let report = serde_json::from_slice(&output.stdout);
    Told {
        code: output.status.code(),
        report: report.unwrap_or_else(|_| panic!("{REMO:?}: {output:?} {err}")),
    }
}

fn through(place: &Place, path: SocketAddr, arguments: &[&str]) -> Told {
    doctor(place, &format!("http://{path}/"), None, arguments)
}

/// What is told of a path that does this to every request.
fn of(kind: Kind, change: impl FnOnce(&mut Settings)) -> Told {
    let place = Place::new();
    let proxy = Proxied::start(place.server.address, always(kind), change);
    through(&place, proxy.address, &[])
}

fn always(kind: Kind) -> Plan {
    Plan {
        seed: 1,
        only: vec![],
        rate: 0.0,
        always: vec![kind],
    }
}

fn nothing() -> Plan {
    plan(1, &[], 0.0)
}

#[test]
fn a_path_that_does_nothing_is_good_in_everything() {
    let place = Place::new();
    let proxy = Proxied::start(place.server.address, nothing(), |_| {});
    let told = through(&place, proxy.address, &[]);
    assert_eq!(told.code, Some(0), "{}", told.report);
    assert_eq!(told.report["works"], true);
    for finding in told.report["findings"].as_array().unwrap() {
        assert_eq!(finding["verdict"], "good", "{finding}");
    }
    assert_eq!(told.fact("side_by_side", "at_once"), true);
    assert_eq!(told.fact("request_buffering", "buffers"), false);
    assert_eq!(told.fact("answer_buffering", "buffers"), false);
    assert_eq!(told.fact("server", "trusted"), true);
    assert_eq!(told.fact("clock", "sealed"), true);
    assert!(told.fact("clock", "ahead_s").as_i64().unwrap().abs() <= 2);
    assert_eq!(
        told.number("losses", "asked"),
        told.number("losses", "answered")
    );
}

#[test]
fn without_a_key_it_tests_what_it_can_and_says_what_it_left_out() {
    let place = Place::new();
    let proxy = Proxied::start(place.server.address, always(Kind::OneAtATime), |settings| {
        settings.plan.always.push(Kind::Ceiling);
        settings.ceiling = 300_000;
    });
    let told = through(&place, proxy.address, &["--no-key"]);
    assert_eq!(told.code, Some(0), "{}", told.report);
    for name in [
        "log_in",
        "answer_buffering",
        "answer_size",
        "idle",
        "repeats",
        "losses",
    ] {
        assert_eq!(told.verdict(name), "skipped", "{}", told.report);
        assert_ne!(told.finding(name)["found"], "");
    }
    assert_eq!(told.fact("side_by_side", "at_once"), false);
    let passes = told.number("request_size", "passes");
    assert!((200_000..=300_000).contains(&passes), "{passes}");
    assert_eq!(told.number("request_size", "status"), 413);
    assert_eq!(told.fact("clock", "sealed"), false);
}

#[test]
fn the_largest_request_is_found() {
    let told = of(Kind::Ceiling, |settings| settings.ceiling = 200_000);
    let passes = told.number("request_size", "passes");
    assert!((150_000..=200_000).contains(&passes), "{passes}");
    assert_eq!(told.number("request_size", "status"), 413);
    assert_eq!(told.verdict("request_size"), "notice");
    assert_eq!(told.code, Some(0), "{}", told.report);
}

#[test]
fn where_hardly_a_log_in_passes_remo_does_not_work() {
    let told = of(Kind::Ceiling, |settings| settings.ceiling = 5_000);
    assert_eq!(told.verdict("request_size"), "bad", "{}", told.report);
    assert_eq!(told.code, Some(1));
}

#[test]
fn the_largest_answer_is_found() {
    let place = Place::new();
    let proxy = Proxied::start(place.server.address, nothing(), |settings| {
        settings.answer_ceiling = Some(500_000);
    });
    let told = through(&place, proxy.address, &[]);
    let passes = told.number("answer_size", "passes");
    assert!((350_000..=500_000).contains(&passes), "{passes}");
    assert_eq!(told.number("answer_size", "status"), 502);
    assert_eq!(told.verdict("answer_size"), "notice");
}

#[test]
fn buffering_is_seen_each_way_by_itself() {
    let requests = of(Kind::BufferRequest, |_| {});
    assert_eq!(requests.fact("request_buffering", "buffers"), true);
    assert_eq!(requests.fact("answer_buffering", "buffers"), false);
    let answers = of(Kind::BufferAnswer, |_| {});
    assert_eq!(answers.fact("request_buffering", "buffers"), false);
    assert_eq!(answers.fact("answer_buffering", "buffers"), true);
    assert_eq!(answers.code, Some(0), "{}", answers.report);
}

#[test]
fn the_silence_after_which_an_answer_is_lost_is_found() {
    let told = of(Kind::IdleOut, |settings| {
        settings.idle = Duration::from_millis(1200)
    });
    let cut = told.number("idle", "cut_after_ms");
    assert!((1000..=2000).contains(&cut), "{}", told.report);
    let bears = told.number("idle", "bears_ms");
    assert!((300..1200).contains(&bears), "{}", told.report);
    assert_eq!(told.verdict("idle"), "notice");
}

#[test]
fn one_request_at_a_time_is_noticed() {
    let told = of(Kind::OneAtATime, |_| {});
    assert_eq!(told.fact("side_by_side", "at_once"), false);
    assert_eq!(told.verdict("side_by_side"), "notice");
    // What is looked at meanwhile is not blamed for waiting.
    assert!(
        told.number("keep_alive", "kept_ms") >= 2000,
        "{}",
        told.report
    );
    assert_eq!(told.code, Some(0), "{}", told.report);
}

#[test]
fn requests_that_are_sent_twice_are_counted() {
    let told = of(Kind::Repeat, |_| {});
    assert!(told.number("repeats", "repeated") > 0, "{}", told.report);
    assert_eq!(told.verdict("repeats"), "notice");
}

#[test]
fn a_connection_for_each_request_and_http_1_0_are_told() {
    let told = of(Kind::Http10, |_| {});
    assert_eq!(told.number("keep_alive", "kept_ms"), 0);
    assert_eq!(told.fact("round_trip", "kept_ms"), &Value::Null);
    assert_eq!(told.fact("changes", "http_1_0"), true);
    assert_eq!(told.code, Some(0), "{}", told.report);
}

#[test]
fn pages_in_place_of_errors_are_told_and_harm_nothing() {
    let told = of(Kind::ErrorPage, |_| {});
    assert_eq!(told.fact("changes", "own_error_pages"), true);
    assert_eq!(told.verdict("changes"), "good");
}

#[test]
fn answers_of_a_cache_are_noticed() {
    let place = Place::new();
    let half = plan(3, &[Kind::Cache], 0.5);
    let proxy = Proxied::start(place.server.address, half, |_| {});
    let told = through(&place, proxy.address, &[]);
    assert!(told.number("changes", "stale") > 0, "{}", told.report);
    assert_eq!(told.verdict("changes"), "notice");
}

#[test]
fn changed_bytes_are_noticed() {
    let place = Place::new();
    let some = plan(5, &[Kind::FlipAnswer], 0.5);
    let proxy = Proxied::start(place.server.address, some, |_| {});
    let told = through(&place, proxy.address, &[]);
    let lost = told.number("losses", "asked") - told.number("losses", "answered");
    assert!(told.number("changes", "changed") > 0, "{}", told.report);
    assert!(lost > 0, "{}", told.report);
}

#[test]
fn losses_are_counted_and_are_no_reason_not_to_work() {
    let place = Place::new();
    let some = plan(2, &[Kind::CutAnswer, Kind::CutRequest], 0.3);
    let proxy = Proxied::start(place.server.address, some, |_| {});
    let told = through(&place, proxy.address, &[]);
    assert_eq!(told.verdict("losses"), "notice", "{}", told.report);
    assert!(told.number("losses", "answered") > 0);
}

#[test]
fn what_answers_in_place_of_the_server_is_not_taken_for_it() {
    let place = Place::new();
    for (status, words) in [
        (200, "web page"),
        (302, "portal.example"),
        (403, "403"),
        (503, "503"),
    ] {
        let proxy = Proxied::start(place.server.address, nothing(), |settings| {
            settings.portal = Some(status);
        });
        let told = through(&place, proxy.address, &[]);
        assert_eq!(told.code, Some(1), "{}", told.report);
        assert_eq!(told.fact("server", "answers"), "path");
        assert_eq!(told.number("server", "status"), u64::from(status));
        assert!(
            told.finding("server").to_string().contains(words),
            "{}",
            told.report
        );
    }
}

#[test]
fn a_proxy_that_wants_a_log_in_is_told_by_its_ways() {
    let place = Place::new();
    let server = format!("http://{}/", place.server.address);
    let asking = |ways: &[&str]| {
        let ways = ways.iter().map(|way| (*way).to_owned()).collect();
        Proxied::start(place.server.address, nothing(), |settings| {
            settings.log_in = ways
        })
    };
    let basic = asking(&["Negotiate", "Basic realm=\"x\""]);
    let (bare, full) = (
        basic.address.to_string(),
        format!("me:p%40ss@{}", basic.address),
    );
    let told = doctor(&place, &server, Some(format!("http://{bare}")), &[]);
    assert_eq!(told.code, Some(1), "{}", told.report);
    assert_eq!(told.verdict("proxy"), "bad");
    assert_eq!(
        told.fact("proxy", "schemes"),
        &serde_json::json!(["Negotiate", "Basic"])
    );
    assert_eq!(told.fact("proxy", "named_by"), "http_proxy");
    assert!(
        told.finding("proxy")["remedy"]
            .as_str()
            .unwrap()
            .contains("USER:PASSWORD")
    );
    let told = doctor(&place, &server, Some(format!("http://{full}")), &[]);
    assert_eq!(told.code, Some(0), "{}", told.report);
    assert_eq!(told.fact("proxy", "has_login"), true);
    assert!(
        !told.report.to_string().contains("p@ss") && !told.report.to_string().contains("p%40ss")
    );

    let others = asking(&["Negotiate", "NTLM"]);
    for url in [&server, "https://127.0.0.1:9/"] {
        let told = doctor(
            &place,
            url,
            None,
            &["--proxy", &format!("http://{}", others.address)],
        );
        assert_eq!(told.code, Some(1), "{}", told.report);
        assert_eq!(told.fact("proxy", "named_by"), "--proxy");
        let remedy = told.finding("proxy")["remedy"].as_str().unwrap();
        assert!(
            remedy.contains("px") && remedy.contains("cntlm"),
            "{remedy}"
        );
    }
}

#[test]
fn a_proxy_that_makes_no_tunnel_is_told_with_the_way_around() {
    let place = Place::new();
    let proxy = Proxied::start(place.server.address, nothing(), |_| {});
    let told = doctor(
        &place,
        "https://127.0.0.1:9/",
        Some(format!("http://{}", proxy.address)),
        &[],
    );
    assert_eq!(told.code, Some(1), "{}", told.report);
    assert_eq!(told.number("proxy", "status"), 405);
    assert!(
        told.finding("proxy")["remedy"]
            .as_str()
            .unwrap()
            .contains("http://")
    );
}

#[test]
fn the_round_trip_is_that_of_the_path() {
    let place = Place::new();
    let proxy = Proxied::start(place.server.address, nothing(), |settings| {
        settings.shape = Shape {
            latency: Duration::from_millis(40),
            ..Shape::default()
        };
    });
    let told = through(&place, proxy.address, &[]);
    assert!(
        told.number("round_trip", "kept_ms") >= 80,
        "{}",
        told.report
    );
}

#[test]
fn what_was_found_is_kept_for_the_other_commands() {
    let place = Place::new();
    let proxy = Proxied::start(
        place.server.address,
        always(Kind::BufferAnswer),
        |settings| {
            settings
                .plan
                .always
                .extend([Kind::OneAtATime, Kind::Ceiling, Kind::IdleOut]);
            settings.ceiling = 200_000;
            settings.idle = Duration::from_millis(1800);
        },
    );
    let told = through(&place, proxy.address, &[]);
    assert_eq!(told.code, Some(0), "{}", told.report);
    let kept = std::fs::read(place.home.path().join(".cache/remo/paths.json")).unwrap();
    let kept: Value = serde_json::from_slice(&kept).unwrap();
    let paths = kept["paths"].as_object().unwrap();
    let path = paths.values().next().unwrap();
    assert_eq!(
        (paths.len(), &path["streams"], &path["alone"]),
        (1, &false.into(), &true.into())
    );
    assert_eq!(path["body"], told.number("request_size", "passes"));
    let wait = path["wait"].as_u64().unwrap();
    assert!((800..1800).contains(&wait), "{path}");
    let dialects = std::fs::read_to_string(place.home.path().join(".config/remo/dialects"));
    let fingerprint = place.server.key.public().fingerprint().to_string();
    assert!(dialects.unwrap().contains(&fingerprint));
}

#[test]
fn whatever_a_path_does_there_is_an_end_and_a_report() {
    let place = Place::new();
    each(seeds(40_000, 6), |seed| {
        let proxy = Proxied::start(place.server.address, plan(seed, Kind::ALL, 0.5), |_| {});
        let begun = Instant::now();
        let told = through(&place, proxy.address, &[]);
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "seed {seed}: {}",
            told.report
        );
        let works = told.report["works"] == true;
        assert_eq!(told.code, Some(i32::from(!works)), "seed {seed}");
    });
}
