use base64_simd::URL_SAFE;
use remo_protocol::{
    agreement::TransientKey,
    fernet::FernetKey,
    keys::{PrivateKey, UserKey},
    name::UserName,
    refusal::Refusal,
    remo2::{
        answer,
        handshake::{ClientHandshake, ClientSecrets, Encapsulated, LoginRequest},
        json::Object,
        numbers::Numbers,
        request,
        session_id::SessionId,
        token,
    },
};
use serde_json::Value;

fn vectors() -> Value {
    serde_json::from_str(include_str!("remo2.json")).unwrap()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("no text {name}"))
}

fn raw<const N: usize>(vectors: &Value, name: &str) -> [u8; N] {
    URL_SAFE
        .decode_to_vec(text(vectors, name))
        .unwrap()
        .try_into()
        .unwrap()
}

fn key(vectors: &Value, name: &str) -> FernetKey {
    FernetKey::from_bytes(&raw(vectors, name))
}

fn user(vectors: &Value) -> (UserName, PrivateKey) {
    (
        UserName::parse(text(vectors, "user")).unwrap(),
        PrivateKey::from_raw(&raw(vectors, "user_private_raw")),
    )
}

fn server(vectors: &Value) -> PrivateKey {
    PrivateKey::from_raw(&raw(vectors, "server_private_raw"))
}

fn client(vectors: &Value) -> (ClientHandshake, Vec<u8>) {
    let (name, key) = user(vectors);
    let x448 = TransientKey::from_raw(&raw(vectors, "x448_client_private_raw"));
    let secrets = ClientSecrets::new(x448, &raw(vectors, "mlkem_client_seed_d_z"));
    ClientHandshake::start(&name, &key, &server(vectors).public(), secrets)
}

fn lines(body: &str) -> Vec<&[u8]> {
    body.as_bytes()
        .split_inclusive(|&byte| byte == b'\n')
        .map(<[u8]>::trim_ascii_end)
        .collect()
}

/// Whether a key is the one of the vectors: it opens what that one sealed.
fn same(ours: &FernetKey, theirs: &FernetKey) -> bool {
    let mut out = remo_protocol::fernet::Sealed::default();
    theirs.seal(b"", b"x", 0, &mut out).unwrap();
    ours.open(&out.text).is_ok()
}

#[test]
fn the_handshake_gives_the_vectors_bytes_and_keys_on_both_sides() {
    let vectors = vectors();
    let (handshake, body) = client(&vectors);
    let ours: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(ours, vectors["request_json"]);
    let answer = vectors["response_json"].to_string();
    let on_client = handshake
        .finish(answer.as_bytes(), &server(&vectors).public())
        .unwrap();

    let request = LoginRequest::parse(vectors["request_json"].to_string().as_bytes()).unwrap();
    let proved = request
        .prove(
            &UserKey::from(user(&vectors).1.public()),
            &server(&vectors).public(),
        )
        .unwrap();
    assert!(proved.encapsulate().is_ok());
    let session = SessionId::parse(text(&vectors, "session")).unwrap();
    let transient = TransientKey::from_raw(&raw(&vectors, "x448_server_private_raw"));
    let encapsulated = Encapsulated::new(
        raw(&vectors, "mlkem_ciphertext"),
        raw(&vectors, "mlkem_secret"),
    );
    let (body, on_server) = proved
        .answer_with(&server(&vectors), session, transient, encapsulated)
        .unwrap();
    let ours: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(ours, vectors["response_json"]);

    for keys in [on_client, on_server] {
        assert_eq!(keys.session.as_str(), text(&vectors, "session"));
        assert!(
            same(&keys.up, &key(&vectors, "k_up")) && same(&keys.down, &key(&vectors, "k_down"))
        );
        assert!(!same(&keys.up, &keys.down));
    }
}

#[test]
fn a_handshake_with_fresh_secrets_agrees() {
    let vectors = vectors();
    let (name, user_key) = user(&vectors);
    let server = server(&vectors);
    let (client, body) = ClientHandshake::start(
        &name,
        &user_key,
        &server.public(),
        ClientSecrets::draw().unwrap(),
    );
    let proved = LoginRequest::parse(&body)
        .unwrap()
        .prove(&user_key.public().into(), &server.public())
        .unwrap();
    let session = remo_protocol::remo2::session_id::Run::draw()
        .unwrap()
        .session()
        .unwrap();
    let (answer, on_server) = proved.answer(&server, session).unwrap();
    let on_client = client.finish(&answer, &server.public()).unwrap();
    assert!(same(&on_client.up, &on_server.up) && same(&on_client.down, &on_server.down));
    assert_eq!(on_client.session, on_server.session);
}

#[test]
fn every_spoilt_log_in_is_refused_with_its_status() {
    let vectors = vectors();
    let (_, user_key) = user(&vectors);
    let server = server(&vectors);
    let log_in = |body: &[u8]| {
        let proved =
            LoginRequest::parse(body)?.prove(&user_key.public().into(), &server.public())?;
        proved
            .answer(
                &server,
                SessionId::parse(text(&vectors, "session")).unwrap(),
            )
            .map(|_| ())
    };
    for entry in vectors["rejected_auth_requests"].as_array().unwrap() {
        let refusal = log_in(entry["request"].to_string().as_bytes()).unwrap_err();
        let status = match refusal {
            Refusal::VersionUnknown | Refusal::LoginMalformed => 400,
            Refusal::ServerUnknown => 421,
            _ => 403,
        };
        assert_eq!(
            status,
            entry["status"].as_u64().unwrap(),
            "{}: {refusal:?}",
            entry["why"]
        );
    }
    assert_eq!(
        log_in(vectors["request_json"].to_string().as_bytes()),
        Ok(())
    );
}

#[test]
fn every_spoilt_answer_to_a_log_in_is_refused() {
    let vectors = vectors();
    for entry in vectors["rejected_auth_responses"].as_array().unwrap() {
        let body = match &entry["response_text"] {
            Value::String(text) => text.clone(),
            _ => entry["response"].to_string(),
        };
        let finished = client(&vectors)
            .0
            .finish(body.as_bytes(), &server(&vectors).public());
        assert!(finished.is_err(), "{}", entry["why"]);
    }
}

/// A token as the vectors write it: `["H", {…}]`, `["D", "data"]`.
fn parts_of(entry: &Value) -> Vec<(String, Value)> {
    let parts = entry["request_parts"].as_array().unwrap();
    parts
        .iter()
        .map(|part| (part[0].as_str().unwrap().to_owned(), part[1].clone()))
        .collect()
}

fn open_request(
    vectors: &Value,
    numbers: &Numbers,
    body: &str,
) -> Result<(Object, Vec<u8>, request::Whole), Refusal> {
    let lines = lines(body);
    let (first, rest) = lines.split_first().ok_or(Refusal::BodyMissing)?;
    let (mut opener, head) = request::Opener::begin(key(vectors, "k_up"), numbers, first)?;
    let mut data = Vec::new();
    for line in rest {
        data.extend(opener.open(line)?.into_iter().flatten());
    }
    Ok((head, data, opener.finish()?))
}

fn open_answer(
    vectors: &Value,
    number: u64,
    body: &str,
) -> Result<(Object, Vec<u8>, Vec<u8>, Object), Refusal> {
    let number = request::Number::for_vector(number);
    let mut opener = answer::Opener::new(key(vectors, "k_down"), &number);
    let (mut head, mut main, mut second) = (Object::new(), Vec::new(), Vec::new());
    for line in lines(body) {
        match opener.open(line)? {
            answer::Part::Head(object) => head = object,
            answer::Part::Data(answer::Stream::Main, data) => main.extend_from_slice(&data),
            answer::Part::Data(answer::Stream::Second, data) => second.extend_from_slice(&data),
            answer::Part::Nothing => {}
        }
    }
    Ok((head, main, second, opener.finish()?))
}

#[test]
fn every_exchange_opens_on_both_sides() {
    let vectors = vectors();
    let numbers = Numbers::default();
    for entry in vectors["exchanges"].as_array().unwrap() {
        let (head, data, whole) =
            open_request(&vectors, &numbers, text(entry, "request_body")).unwrap();
        assert_eq!(
            whole.taken.number(),
            entry["request_number"].as_u64().unwrap()
        );
        let parts = parts_of(entry);
        assert_eq!(Value::Object(head), parts[0].1);
        let wanted: Vec<u8> = parts
            .iter()
            .filter(|(kind, _)| kind == "D")
            .flat_map(|(_, data)| {
                data.as_str()
                    .unwrap()
                    .chars()
                    .map(|c| c as u8)
                    .collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(data, wanted);

        let number = entry["request_number"].as_u64().unwrap();
        let (head, main, second, trailer) =
            open_answer(&vectors, number, text(entry, "response_body")).unwrap();
        assert!(head.contains_key("status"), "{head:?}");
        if entry["route"] == "/cmd" {
            assert_eq!(main, wanted, "cat");
            assert_eq!(second, b"oops\n");
            assert_eq!(trailer["exit"], 3);
        }
    }
}

#[test]
fn every_token_of_the_vectors_is_taken_apart_and_made_again() {
    let vectors = vectors();
    for entry in vectors["exchanges"].as_array().unwrap() {
        for (name, key) in [
            ("request_body", key(&vectors, "k_up")),
            ("response_body", key(&vectors, "k_down")),
        ] {
            for line in lines(text(entry, name)) {
                let token = token::open(&key, line).unwrap();
                let mut out = remo_protocol::fernet::Sealed::default();
                token::seal(
                    &key,
                    token.kind,
                    token.request,
                    token.index,
                    &token.payload,
                    0,
                    &mut out,
                )
                .unwrap();
                assert!(out.text.ends_with(b"\r\n"));
                let ours = key.open(out.text.trim_ascii_end()).unwrap().plain;
                assert_eq!(ours, key.open(line).unwrap().plain);
            }
        }
    }
}

#[test]
fn every_spoilt_request_is_refused_and_takes_no_number() {
    let vectors = vectors();
    for entry in vectors["rejected_requests"].as_array().unwrap() {
        let numbers = Numbers::default();
        let opened = open_request(&vectors, &numbers, text(entry, "body"));
        let why = text(entry, "why");
        if why.starts_with("verb of another route") || entry["sealed"] == true {
            // What the head means is for the verbs to judge; the body itself is sound.
            let (head, _, _) = opened.unwrap();
            assert!(head["verb"] == "who", "{why}: {head:?}");
            continue;
        }
        assert!(opened.is_err(), "{why}");
        assert_eq!(numbers.count(), 0, "{why}");
    }
}

#[test]
fn a_request_that_is_sent_twice_is_refused_the_second_time() {
    let vectors = vectors();
    let numbers = Numbers::default();
    let body = text(&vectors["replay"], "body");
    open_request(&vectors, &numbers, body).unwrap();
    assert_eq!(
        open_request(&vectors, &numbers, body).unwrap_err(),
        Refusal::NumberUsed
    );
}

#[test]
fn every_spoilt_answer_is_refused() {
    let vectors = vectors();
    for entry in vectors["rejected_answers"].as_array().unwrap() {
        let number = entry["request_number"].as_u64().unwrap();
        assert!(
            open_answer(&vectors, number, text(entry, "body")).is_err(),
            "{}",
            entry["why"]
        );
    }
}
