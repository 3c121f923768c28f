//! The keys against the vectors, against files of OpenSSL and Python, and against what is no key.

use serde_json::Value;

use super::*;

/// A file beside this one.
macro_rules! sample {
    ($name:literal) => {
        include_bytes!(concat!("samples/", $name))
    };
}

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../tests/vectors/remo_serv.json")).unwrap()
}

fn text<'a>(vectors: &'a Value, part: &str, name: &str) -> &'a str {
    vectors[part][name].as_str().unwrap()
}

fn bytes(vectors: &Value, part: &str, name: &str) -> Vec<u8> {
    base64_simd::URL_SAFE
        .decode_to_vec(text(vectors, part, name))
        .unwrap()
}

fn raw(vectors: &Value, name: &str) -> [u8; 57] {
    bytes(vectors, "keys", name).try_into().unwrap()
}

fn user_key() -> PrivateKey {
    PrivateKey::from_raw(&raw(&vectors(), "user_private_raw"))
}

#[test]
fn the_vectors_keys_are_read_and_written_byte_by_byte() {
    let v = vectors();
    for who in ["server", "user"] {
        let private_pem = text(&v, "keys", &format!("{who}_private_pem"));
        let public_pem = text(&v, "keys", &format!("{who}_public_pem"));
        let key = PrivateKey::from_pem(private_pem.as_bytes(), None).unwrap();
        assert_eq!(*key.to_pem().unwrap(), private_pem);
        assert_eq!(key.public().to_pem(), public_pem);
        assert_eq!(key.public().to_raw(), raw(&v, &format!("{who}_public_raw")));
        assert_eq!(
            PublicKey::from_pem(public_pem.as_bytes()).unwrap(),
            key.public()
        );
        let from_raw = PrivateKey::from_raw(&raw(&v, &format!("{who}_private_raw")));
        assert_eq!(from_raw.public(), key.public());
    }
}

#[test]
fn the_vectors_encrypted_key_opens_with_its_password_only() {
    let v = vectors();
    let pem = text(&v, "keys", "user_private_pem_encrypted").as_bytes();
    let password = text(&v, "keys", "user_private_pem_password").as_bytes();
    assert!(is_encrypted(pem));
    let key = PrivateKey::from_pem(pem, Some(password)).unwrap();
    assert_eq!(key.public().to_raw(), raw(&v, "user_public_raw"));
    let refused = |password| PrivateKey::from_pem(pem, password).unwrap_err();
    assert_eq!(refused(None), KeyError::NeedsPassword);
    assert_eq!(refused(Some(b"")), KeyError::WrongPassword);
}

#[test]
fn a_wrong_password_is_called_so_whatever_rubbish_it_leaves() {
    let v = vectors();
    let pem = text(&v, "keys", "user_private_pem_encrypted").as_bytes();
    // One in 256 leaves what looks like padding, and fails further down.
    for attempt in 0..1500_u32 {
        let wrong = PrivateKey::from_pem(pem, Some(&attempt.to_be_bytes()));
        assert_eq!(wrong.unwrap_err(), KeyError::WrongPassword);
    }
}

#[test]
fn encrypted_keys_of_openssl_and_python_open() {
    let expected = user_key().public();
    for pem in [
        &sample!("pyca-best.pem")[..],
        sample!("openssl-aes128.pem"),
        sample!("openssl-aes192.pem"),
        sample!("openssl-aes256-sha1.pem"),
        sample!("openssl-aes256-sha224.pem"),
        sample!("openssl-aes256-sha384.pem"),
        sample!("openssl-aes256-sha512.pem"),
        sample!("openssl-des3.pem"),
        sample!("openssl-scrypt.pem"),
    ] {
        let key = PrivateKey::from_pem(pem, Some("pässword".as_bytes())).unwrap();
        assert_eq!(key.public(), expected);
    }
}

#[test]
fn outdated_encryption_is_named_with_its_remedy() {
    for pem in [
        &sample!("openssl-pbes1.pem")[..],
        sample!("openssl-camellia.pem"),
    ] {
        let error = PrivateKey::from_pem(pem, Some("pässword".as_bytes())).unwrap_err();
        assert_eq!(error, KeyError::UnknownEncryption);
        assert!(error.to_string().contains("openssl pkcs8 -topk8"));
    }
}

#[test]
fn what_is_written_encrypted_opens_again_and_has_600_000_rounds() {
    let key = user_key();
    let pem = key.to_encrypted_pem("pässword".as_bytes()).unwrap();
    assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
    let again = PrivateKey::from_pem(pem.as_bytes(), Some("pässword".as_bytes())).unwrap();
    assert_eq!(again.public(), key.public());
    let der = pem::Block::find(pem.as_bytes()).unwrap().decode().unwrap();
    let rounds = [0x02, 0x03, 0x09, 0x27, 0xc0]; // INTEGER 600000
    assert!(der.windows(rounds.len()).any(|window| window == rounds));
    let other = key.to_encrypted_pem(b"x").unwrap();
    assert_ne!(*other, *pem);
}

#[test]
fn a_short_start_vector_is_refused_and_not_sliced() {
    let sealed_with = |vector: &[u8]| {
        let derivation = tlv(
            0x30,
            &[&tlv(0x04, b"saltsalt")[..], &tlv(0x02, &[1])].concat(),
        );
        let derivation = [&tlv(0x06, PBKDF2)[..], &derivation].concat();
        let cipher = [&tlv(0x06, DES_EDE3_CBC)[..], &tlv(0x04, vector)].concat();
        let both = [tlv(0x30, &derivation), tlv(0x30, &cipher)].concat();
        let scheme = [tlv(0x06, PBES2), tlv(0x30, &both)].concat();
        tlv(0x30, &[tlv(0x30, &scheme), tlv(0x04, &[0; 16])].concat())
    };
    let refused = |vector| seal::open(&sealed_with(vector), b"x").unwrap_err();
    assert_eq!(refused(&[0; 8]), KeyError::WrongPassword);
    for length in 0..8 {
        assert!(matches!(
            refused(&[0; 8][..length]),
            KeyError::Malformed { .. }
        ));
    }
}

fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    [&[tag, u8::try_from(value.len()).unwrap()][..], value].concat()
}

const PBES2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d];
const PBKDF2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0c];
const DES_EDE3_CBC: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x03, 0x07];

#[test]
fn pem_is_read_as_peoples_files_are() {
    let pem = user_key().public().to_pem();
    let key = UserKey::from_pem(pem.as_bytes()).unwrap();
    for variant in [
        format!("{pem}\n\n \n"),
        format!("\n\n{pem}"),
        format!("\u{feff}{pem}"),
        format!("Bag Attributes\n    friendlyName: x\n{pem}"),
        pem.replace('\n', "\r\n"),
        pem.trim_end().to_owned(),
        pem.replacen("\n-----END", "\n\n-----END", 1),
        pem.replacen("zoA", "zo\nA", 1),
        format!("{pem}{pem}"),
    ] {
        assert_eq!(
            UserKey::from_pem(variant.as_bytes()).unwrap(),
            key,
            "{variant:?}"
        );
    }
}

#[test]
fn what_is_damaged_says_where() {
    let pem = user_key().public().to_pem();
    let refused = |text: &str| UserKey::from_pem(text.as_bytes()).unwrap_err();
    assert!(matches!(
        refused(&pem.replace("-----END", "")),
        KeyError::Malformed { .. }
    ));
    assert!(matches!(
        refused(&pem.replace("MEMw", "M!Mw")),
        KeyError::Malformed { .. }
    ));
    assert!(matches!(
        refused(&pem.replace("MEMw", "MEQw")),
        KeyError::Malformed { .. }
    ));
    assert_eq!(refused(""), KeyError::NotPem);
    assert_eq!(refused("hello"), KeyError::NotPem);
    assert_eq!(
        UserKey::from_pem(b"\xff\xfe").unwrap_err(),
        KeyError::NotPem
    );
    assert_eq!(
        UserKey::from_pem(&vec![b' '; MAX_PEM_BYTES + 1]).unwrap_err(),
        KeyError::TooLarge
    );
}

#[test]
fn the_wrong_half_of_a_pair_is_recognised() {
    let v = vectors();
    let private = text(&v, "keys", "user_private_pem").as_bytes();
    let sealed = text(&v, "keys", "user_private_pem_encrypted").as_bytes();
    let public = text(&v, "keys", "user_public_pem").as_bytes();
    for pem in [private, sealed] {
        assert_eq!(UserKey::from_pem(pem).unwrap_err(), KeyError::PrivateGiven);
        assert_eq!(
            PublicKey::from_pem(pem).unwrap_err(),
            KeyError::PrivateGiven
        );
    }
    assert_eq!(
        PrivateKey::from_pem(public, None).unwrap_err(),
        KeyError::PublicGiven
    );
}

#[test]
fn other_kinds_are_named() {
    for (pem, name) in [
        (&sample!("ed25519.pem")[..], "an Ed25519 key"),
        (sample!("x448.pem"), "an X448 key"),
        (sample!("ec.pem"), "an elliptic-curve (ECDSA) key"),
        (sample!("certificate.pem"), "a certificate"),
        (sample!("rsa-pkcs1.pem"), "an RSA key in PKCS#1 form"),
        (
            b"ssh-ed25519 AAAAC3Nz zoe@host\n",
            "a key in OpenSSH's form",
        ),
    ] {
        let error = UserKey::from_pem(pem).unwrap_err().to_string();
        assert!(error.starts_with(&format!("this is {name}")), "{error}");
        assert!(error.contains("not an Ed448 or RSA key"), "{error}");
    }
    let error = PrivateKey::from_pem(sample!("ed25519-private.pem"), None).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("this is an Ed25519 key, not an Ed448 key")
    );
    let error = PublicKey::from_pem(sample!("rsa-2048.pem")).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("this is an RSA key, not an Ed448 key")
    );
}

#[test]
fn rsa_keys_have_2048_to_8192_bits() {
    for (pem, bits) in [
        (&sample!("rsa-2048.pem")[..], 2048),
        (sample!("rsa-3072.pem"), 3072),
        (sample!("rsa-8192.pem"), 8192),
    ] {
        let key = UserKey::from_pem(pem).unwrap();
        assert_eq!(key.kind(), format!("RSA {bits}"));
        assert_eq!(key.to_pem().as_bytes(), pem);
    }
    for (pem, bits) in [
        (&sample!("rsa-1024.pem")[..], 1024),
        (sample!("rsa-9216.pem"), 9216),
    ] {
        assert_eq!(
            UserKey::from_pem(pem).unwrap_err(),
            KeyError::RsaSize { bits }
        );
    }
}

#[test]
fn the_vectors_rsa_signature_is_verified_and_no_other() {
    let v = vectors();
    let key = UserKey::from_pem(text(&v, "rsa_auth_0_6", "public_pem").as_bytes()).unwrap();
    let message = bytes(&v, "rsa_auth_0_6", "signed_bytes");
    let mut signature = bytes(&v, "rsa_auth_0_6", "sign_pkcs1v15_sha512");
    assert!(key.verify(&message, &signature));
    assert!(!key.verify(b"another", &signature));
    assert!(!key.verify(&message, &[&[0], &signature[..]].concat()));
    assert!(!key.verify(&message, &signature[1..]));
    assert!(!key.verify(&message, b""));
    signature[100] ^= 1;
    assert!(!key.verify(&message, &signature));
}

#[test]
fn an_ed448_signature_is_verified_and_no_other() {
    let key = user_key();
    let mut signature = key.sign(b"message");
    let public = UserKey::Ed448(key.public());
    assert!(public.verify(b"message", &signature));
    assert!(!public.verify(b"massage", &signature));
    assert!(!public.verify(b"message", &signature[1..]));
    assert!(!public.verify(b"message", b""));
    signature[0] ^= 1;
    assert!(!public.verify(b"message", &signature));
}

#[test]
fn points_under_which_anybody_signs_are_no_keys() {
    // (0, 1), (0, -1) and the two of order 4, by their y; then y = p + 1, another spelling of 1.
    let mut minus_one = [0xff; 57];
    (minus_one[0], minus_one[28], minus_one[56]) = (0xfe, 0xfe, 0);
    let (mut one, mut zero_signed) = ([0; 57], [0; 57]);
    (one[0], zero_signed[56]) = (1, 0x80);
    let mut high = [0xff; 57];
    (high[0], high[56]) = (0, 0);
    high[..28].fill(0);
    high[28] = 0xff;
    for raw in [one, minus_one, [0; 57], zero_signed, high, [0xff; 57]] {
        assert!(
            matches!(PublicKey::from_raw(&raw), Err(KeyError::Malformed { .. })),
            "{raw:?}"
        );
    }
}

#[test]
fn both_stored_forms_are_read_and_written() {
    let v = vectors();
    let old = text(&v, "users_db", "pub_dialect_0_3");
    let new = text(&v, "users_db", "pub_dialect_0_6");
    let key = UserKey::from_stored(old.as_bytes()).unwrap();
    assert_eq!(UserKey::from_stored(new.as_bytes()).unwrap(), key);
    assert_eq!(key.to_stored_0_3().unwrap(), old);
    assert_eq!(key.to_pem(), new);
    let rsa = UserKey::from_stored(sample!("rsa-2048.pem")).unwrap();
    assert_eq!(rsa.to_stored_0_3(), None);
}

#[test]
fn what_is_in_neither_stored_form_is_an_error() {
    let v = vectors();
    let old = text(&v, "users_db", "pub_dialect_0_3");
    for stored in ["", "x", &old[1..], &old.replace('-', "!"), &"A".repeat(76)] {
        assert!(
            UserKey::from_stored(stored.as_bytes()).is_err(),
            "{stored:?}"
        );
    }
}

#[test]
fn a_fingerprint_is_sha256_of_the_public_key_in_base64() {
    let key = user_key().public();
    let shown = key.fingerprint().to_string();
    assert_eq!(shown, USER_FINGERPRINT);
    assert_eq!(UserKey::Ed448(key).fingerprint().to_string(), shown);
}

#[test]
fn new_keys_differ_and_no_private_key_is_shown() {
    let (one, two) = (
        PrivateKey::generate().unwrap(),
        PrivateKey::generate().unwrap(),
    );
    assert_ne!(one.public(), two.public());
    assert_eq!(format!("{one:?}"), "PrivateKey(hidden)");
}

/// Python: `base64.b64encode(hashlib.sha256(raw).digest())` of the vectors' user.
const USER_FINGERPRINT: &str = "SHA256:IQJ4/Ij0J5z88Vj2Q+ORab5hytb0bPBwv3h6unPPb5Q";
