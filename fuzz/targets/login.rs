//! The log-in: nothing that the keys of the vectors did not sign is believed, by server or client, and what is
//! signed with them, whatever it is, leads to a key or to a refusal.
#![no_main]

use std::sync::LazyLock;

use base64_simd::URL_SAFE;
use libfuzzer_sys::fuzz_target;
use remo_fuzz::Input;
use remo_protocol::{
    agreement::TransientKey,
    keys::{PrivateKey, PublicKey, UserKey},
    login::{ClientLogin, LoginRequest},
    name::UserName,
    refusal::Refusal,
};
use serde_json::Value;

struct Vectors {
    server: PrivateKey,
    server_public: PublicKey,
    user: PrivateKey,
    user_key: UserKey,
    request: LoginOf,
    response: String,
}

/// The members of the request that the vectors' user signed.
struct LoginOf {
    user: String,
    key: String,
}

static VECTORS: LazyLock<Vectors> = LazyLock::new(|| {
    let all: Value =
        serde_json::from_str(include_str!("../../tests/vectors/remo_serv.json")).expect("JSON");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let key = |name: &str| {
        PrivateKey::from_pem(text(&all["keys"][name]).as_bytes(), None).expect("a key")
    };
    let request: Value = serde_json::from_str(&text(&all["auth"]["request_json"])).expect("JSON");
    let (server, user) = (key("server_private_pem"), key("user_private_pem"));
    Vectors {
        server_public: server.public(),
        user_key: user.public().into(),
        server,
        user,
        request: LoginOf {
            user: text(&request["user"]),
            key: text(&request["key"]),
        },
        response: text(&all["auth"]["response_text"]),
    }
});

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    match input.byte() % 4 {
        0 => server_believes_none(input.rest()),
        1 => client_believes_none(input.rest()),
        2 => signed_request(input),
        _ => signed_answer(input),
    }
});

fn transient() -> TransientKey {
    TransientKey::from_raw(&[9; 56])
}

fn server_believes_none(body: &[u8]) {
    let Ok(login) = LoginRequest::parse(body) else {
        return;
    };
    let signed = login.user.as_str() == VECTORS.request.user
        && URL_SAFE.encode_to_string(login.key) == VECTORS.request.key;
    assert!(
        login.prove(&VECTORS.user_key).is_err() || signed,
        "a signature was guessed"
    );
}

fn client_believes_none(answer: &[u8]) {
    let user = UserName::parse("zoë").expect("a name");
    let (client, _) = ClientLogin::start_with(&user, &VECTORS.user, transient());
    if client.finish(answer, &VECTORS.server_public).is_ok() {
        assert_eq!(answer, VECTORS.response.as_bytes(), "a second spelling");
    }
}

/// A name and a key of any kind, soundly signed.
fn signed_request(mut input: Input<'_>) {
    let key: [u8; 56] = std::array::from_fn(|_| input.byte());
    let name = String::from_utf8_lossy(input.rest()).into_owned();
    let sign = VECTORS.user.sign(&[name.as_bytes(), &key].concat());
    let body = serde_json::json!({
        "user": name,
        "key": URL_SAFE.encode_to_string(key),
        "sign": URL_SAFE.encode_to_string(sign),
    });
    let login = LoginRequest::parse(body.to_string().as_bytes());
    assert_eq!(login.is_ok(), UserName::parse(&name).is_ok());
    let Ok(login) = login else {
        return;
    };
    let proved = login.prove(&VECTORS.user_key).expect("a sound signature");
    match proved.answer_with(&VECTORS.server, transient()) {
        Ok(answer) => assert_eq!(answer.user.as_str(), name),
        Err(refusal) => assert!(matches!(
            refusal,
            Refusal::SecretZero | Refusal::LoginInvalid
        )),
    }
}

/// A key of any kind, soundly signed by the server.
fn signed_answer(mut input: Input<'_>) {
    let key: [u8; 56] = std::array::from_fn(|_| input.byte());
    let sign = VECTORS.server.sign(&key);
    let answer = [
        URL_SAFE.encode_to_string(key),
        URL_SAFE.encode_to_string(sign),
    ]
    .join("\r\n");
    let user = UserName::parse("zoë").expect("a name");
    let (client, _) = ClientLogin::start_with(&user, &VECTORS.user, transient());
    match client.finish(answer.as_bytes(), &VECTORS.server_public) {
        Ok(_) => {}
        Err(refusal) => assert!(matches!(
            refusal,
            Refusal::SecretZero | Refusal::LoginInvalid
        )),
    }
}
