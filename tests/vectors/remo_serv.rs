use base64_simd::URL_SAFE;
use remo_protocol::{
    agreement::TransientKey,
    body::{Lineation, Opener, RequestNumber, Sealer, hash_path},
    dialect::Dialect,
    fernet::{FernetKey, Iv, Sealed},
    keys::{PrivateKey, PublicKey, UserKey},
    lines::Lines,
    login::{ClientLogin, LoginRequest},
    name::UserName,
    session::{Head, Session},
};
use serde_json::Value;

fn vectors() -> Value {
    serde_json::from_str(include_str!("remo_serv.json")).unwrap()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("no text {name}"))
}

fn raw(value: &Value, name: &str) -> Vec<u8> {
    URL_SAFE.decode_to_vec(text(value, name)).unwrap()
}

fn key(vectors: &Value) -> FernetKey {
    FernetKey::from_bytes(&raw(&vectors["auth"], "fernet_key").try_into().unwrap())
}

fn private(vectors: &Value, name: &str) -> PrivateKey {
    PrivateKey::from_raw(&raw(&vectors["keys"], name).try_into().unwrap())
}

fn transient(vectors: &Value, name: &str) -> TransientKey {
    TransientKey::from_raw(&raw(&vectors["keys"], name).try_into().unwrap())
}

fn lines(body: &[u8]) -> Vec<Vec<u8>> {
    let mut lines = Lines::default();
    lines.push(body);
    let mut found = Vec::new();
    while let Some(line) = lines.next().unwrap() {
        found.push(line.to_vec());
    }
    found.extend(lines.rest().map(|rest| rest.to_vec()));
    found
}

/// Seals the data of a line again, with its vector and its time.
fn again(key: &FernetKey, line: &[u8]) -> Vec<u8> {
    let token = URL_SAFE.decode_to_vec(line).unwrap();
    let iv: Iv = token[9..25].try_into().unwrap();
    let opened = key.open(line).unwrap();
    assert_eq!(opened.iv, iv);
    let mut out = Sealed::default();
    key.seal_with(&[], &opened.plain, opened.at, &iv, &mut out);
    out.text.to_vec()
}

/// What a session makes of a request: its argument and its data.
fn open(
    session: &mut Session,
    entry: &Value,
    floor: Dialect,
    now: u64,
) -> Result<(Option<Vec<u8>>, Vec<u8>), String> {
    let path = text(entry, "path");
    let argument = path
        .strip_prefix('/')
        .unwrap()
        .split_once('/')
        .map(|(_, token)| token);
    let body = lines(
        entry["request_body"]
            .as_str()
            .unwrap_or_default()
            .as_bytes(),
    );
    let head = Head {
        path,
        argument,
        first: body.first().map(Vec::as_slice),
    };
    let begun = session
        .begin(head, floor, now)
        .map_err(|rejected| format!("{rejected:?}"))?;
    let argument = begun
        .argument
        .transpose()
        .map_err(|refusal| refusal.to_string())?;
    let (mut data, mut opener) = (begun.data.to_vec(), begun.body);
    for line in body.iter().skip(1) {
        data.extend_from_slice(&opener.open(line).map_err(|refusal| refusal.to_string())?);
    }
    opener.finish().map_err(|refusal| refusal.to_string())?;
    Ok((argument.map(|argument| argument.to_vec()), data))
}

fn wanted_data(entry: &Value) -> Vec<u8> {
    match (&entry["stdin"], &entry["plain_b64"]) {
        (Value::String(stdin), _) => stdin.clone().into_bytes(),
        (_, Value::String(plain)) if entry["verb"] == "put" => URL_SAFE
            .decode_to_vec(plain)
            .or_else(|_| base64_simd::STANDARD.decode_to_vec(plain))
            .unwrap(),
        _ => Vec::new(),
    }
}

#[test]
fn the_log_in_agrees_on_the_vectors_key_on_both_sides() {
    let vectors = vectors();
    let auth = &vectors["auth"];
    let user = UserName::parse(text(&vectors["keys"], "user_name")).unwrap();
    let user_key = private(&vectors, "user_private_raw");
    let server_key = private(&vectors, "server_private_raw");

    let transient_key = transient(&vectors, "ephemeral_client_private_raw");
    let (login, body) = ClientLogin::start_with(&user, &user_key, transient_key);
    let ours: Value = serde_json::from_slice(&body).unwrap();
    let theirs: Value = serde_json::from_str(text(auth, "request_json")).unwrap();
    assert_eq!(ours, theirs);
    let server_public =
        PublicKey::from_pem(text(&vectors["keys"], "server_public_pem").as_bytes()).unwrap();
    let session_key = login
        .finish(text(auth, "response_text").as_bytes(), &server_public)
        .unwrap();

    let request = LoginRequest::parse(text(auth, "request_json").as_bytes()).unwrap();
    let proved = request.prove(&UserKey::from(user_key.public())).unwrap();
    let answer = proved
        .answer_with(
            &server_key,
            transient(&vectors, "ephemeral_server_private_raw"),
        )
        .unwrap();
    assert_eq!(answer.text, text(auth, "response_text"));

    let token = vectors["dialect_0_3"][0]["path"]
        .as_str()
        .unwrap()
        .strip_prefix("/cmd/")
        .unwrap();
    for key in [session_key, answer.key, key(&vectors)] {
        assert_eq!(
            key.open(token.as_bytes()).unwrap().plain,
            "echo hello world"
        );
    }
}

#[test]
fn an_answer_that_the_server_did_not_sign_is_refused() {
    let vectors = vectors();
    let user = UserName::parse("x").unwrap();
    let user_key = private(&vectors, "user_private_raw");
    let answer = text(&vectors["auth"], "response_text").as_bytes();
    let server = private(&vectors, "server_private_raw").public();
    let finish = |answer: &[u8], server: &PublicKey| {
        ClientLogin::start(&user, &user_key)
            .unwrap()
            .0
            .finish(answer, server)
    };
    assert!(finish(answer, &server).is_ok());
    assert!(
        finish(answer, &user_key.public()).is_err(),
        "another server"
    );
    for cut in 0..answer.len() {
        assert!(finish(&answer[..cut], &server).is_err());
    }
    for place in 0..answer.len() {
        let mut spoilt = answer.to_vec();
        spoilt[place] = if spoilt[place] == b'A' { b'B' } else { b'A' };
        assert!(finish(&spoilt, &server).is_err(), "character {place}");
    }
}

#[test]
fn an_rsa_signature_logs_in() {
    let vectors = vectors();
    let rsa = &vectors["rsa_auth_0_6"];
    let user_key = UserKey::from_pem(text(rsa, "public_pem").as_bytes()).unwrap();
    let mut request: Value = serde_json::from_str(text(&vectors["auth"], "request_json")).unwrap();
    request["sign"] = rsa["sign_pkcs1v15_sha512"].clone();
    let request = LoginRequest::parse(request.to_string().as_bytes()).unwrap();
    assert!(request.prove(&user_key).is_ok());
}

#[test]
fn every_request_of_0_3_opens_to_what_it_says() {
    let vectors = vectors();
    let now = vectors["clock_unix"].as_u64().unwrap();
    let mut session = Session::new(key(&vectors)).unwrap();
    for entry in vectors["dialect_0_3"].as_array().unwrap() {
        let (argument, data) = open(&mut session, entry, Dialect::V0_3, now).unwrap();
        assert_eq!(argument.unwrap(), text(entry, "argument").as_bytes());
        assert!(data == wanted_data(entry), "{}", entry["verb"]);
    }
    assert_eq!(session.dialect(), Some(Dialect::V0_3));
}

#[test]
fn every_request_of_0_6_opens_to_what_it_says() {
    let vectors = vectors();
    let now = vectors["clock_unix"].as_u64().unwrap();
    let mut session = Session::new(key(&vectors)).unwrap();
    for entry in vectors["dialect_0_6"].as_array().unwrap() {
        let (argument, data) = open(&mut session, entry, Dialect::V0_3, now).unwrap();
        assert_eq!(
            argument.as_deref(),
            entry["argument"].as_str().map(str::as_bytes)
        );
        assert!(data == wanted_data(entry), "{}", entry["verb"]);
    }
    assert_eq!(session.dialect(), Some(Dialect::V0_6));
}

#[test]
fn every_spoilt_request_of_0_6_is_refused_by_floor_and_in_the_midst_of_a_session() {
    let vectors = vectors();
    let now = vectors["clock_unix"].as_u64().unwrap();
    let rejected = vectors["dialect_0_6_rejected"].as_array().unwrap();
    assert_eq!(rejected.len(), 17);
    for entry in rejected {
        assert_eq!(entry["expected_request_number"], 1);
        let mut session = Session::new(key(&vectors)).unwrap();
        let opened = open(&mut session, entry, Dialect::V0_6, now);
        assert!(opened.is_err(), "{}", entry["why"]);
    }
}

#[test]
fn sealing_gives_the_vectors_bytes() {
    let vectors = vectors();
    let key = key(&vectors);
    for dialect in ["dialect_0_3", "dialect_0_6"] {
        for entry in vectors[dialect].as_array().unwrap() {
            for name in [
                "request_body",
                "response_body",
                "response_ours",
                "response_python_server",
            ] {
                let body = entry[name].as_str().unwrap_or_default();
                for line in lines(body.as_bytes()) {
                    assert_eq!(again(&key, &line), line, "{dialect} {name}");
                }
            }
        }
    }
}

/// The shape of a body: of each line the data, and whether a line end follows.
fn shape(key: &FernetKey, body: &[u8]) -> (Vec<Vec<u8>>, bool) {
    let plain = lines(body)
        .iter()
        .map(|line| key.open(line).unwrap().plain.to_vec())
        .collect();
    (plain, body.ends_with(b"\r\n"))
}

#[test]
fn the_bodies_that_we_make_are_built_as_the_vectors() {
    let vectors = vectors();
    let (key, now) = (key(&vectors), vectors["clock_unix"].as_u64().unwrap());
    let mut number = Some(RequestNumber::FIRST);
    for entry in vectors["dialect_0_6"].as_array().unwrap() {
        let data = wanted_data(entry);
        let request = number.unwrap();
        number = request.next();
        let path = hash_path(text(entry, "path"));
        let mut out = Sealed::default();
        let mut sealer = Sealer::v0_6(key.clone(), Lineation::Between, request, &path);
        if entry["verb"] == "put" {
            data.chunks(8192)
                .for_each(|piece| sealer.seal(piece, now, &mut out).unwrap());
            sealer.finish(now, &mut out).unwrap();
        } else {
            sealer.whole(&data, now, &mut out).unwrap();
        }
        assert_eq!(
            shape(&key, &out.text),
            shape(&key, text(entry, "request_body").as_bytes()),
            "{}",
            entry["verb"]
        );

        if let Some(wanted) = entry["response_ours"].as_str() {
            let output = entry["stdout_b64"].as_str().unwrap();
            let output = base64_simd::STANDARD
                .decode_to_vec(output)
                .or_else(|_| URL_SAFE.decode_to_vec(output))
                .unwrap();
            let mut out = Sealed::default();
            let mut sealer = Sealer::v0_6(key.clone(), Lineation::After, request, b"200");
            if !output.is_empty() {
                sealer.seal(&output, now, &mut out).unwrap();
            }
            sealer.finish(now, &mut out).unwrap();
            assert_eq!(shape(&key, &out.text), shape(&key, wanted.as_bytes()));

            let mut opener = Opener::answer_v0_6(key.clone(), request, 200);
            let opened: Vec<u8> = lines(wanted.as_bytes())
                .iter()
                .flat_map(|line| opener.open(line).unwrap())
                .collect();
            opener.finish().unwrap();
            assert_eq!(opened, output);
        }
    }
    for entry in vectors["dialect_0_3"].as_array().unwrap() {
        if let Some(wanted) = entry["response_body"].as_str() {
            let data = base64_simd::STANDARD
                .decode_to_vec(text(entry, "plain_b64"))
                .or_else(|_| URL_SAFE.decode_to_vec(text(entry, "plain_b64")))
                .unwrap();
            let mut out = Sealed::default();
            let mut sealer = Sealer::v0_3(key.clone(), Lineation::After);
            data.chunks(16_384)
                .for_each(|piece| sealer.seal(piece, now, &mut out).unwrap());
            sealer.finish(now, &mut out).unwrap();
            assert_eq!(shape(&key, &out.text), shape(&key, wanted.as_bytes()));
        }
    }
}

#[test]
fn the_python_servers_unended_answers_are_seen_to_be_cut() {
    let vectors = vectors();
    let entry = &vectors["dialect_0_6"][0];
    let mut opener = Opener::answer_v0_6(key(&vectors), RequestNumber::FIRST, 200);
    for line in lines(text(entry, "response_python_server").as_bytes()) {
        opener.open(&line).unwrap();
    }
    assert!(opener.finish().is_err());
}
