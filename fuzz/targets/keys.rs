//! Keys in every form: what is read is written, and read again as the same; the kinds are not mixed up.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pkcs8::{
    EncryptedPrivateKeyInfoRef,
    der::Decode,
    pkcs5::{EncryptionScheme, pbes2::Kdf},
};
use remo_fuzz::Input;
use remo_protocol::keys::{PrivateKey, PublicKey, UserKey, is_encrypted};

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    match input.byte() % 6 {
        0 => read_all(input.rest()),
        1 => read_all(block("PRIVATE KEY", input.rest()).as_bytes()),
        2 => read_all(block("PUBLIC KEY", input.rest()).as_bytes()),
        3 => open_sealed(input.rest()),
        4 => user_key(UserKey::from_stored(input.rest())),
        _ => raw_public(input),
    }
});

/// PEM around any DER: past the base64.
fn block(label: &str, der: &[u8]) -> String {
    let text = base64_simd::STANDARD.encode_to_string(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

fn read_all(pem: &[u8]) {
    let private = PrivateKey::from_pem(pem, None);
    let public = PublicKey::from_pem(pem);
    assert!(
        private.is_err() || public.is_err(),
        "private and public at once"
    );
    assert!(private.is_err() || !is_encrypted(pem), "encrypted and not");
    if let Ok(private) = private {
        let again = PrivateKey::from_pem(private.to_pem().expect("a key").as_bytes(), None);
        assert_eq!(again.expect("what was written").public(), private.public());
    }
    let user = UserKey::from_pem(pem);
    if let Ok(public) = public {
        assert_eq!(
            PublicKey::from_pem(public.to_pem().as_bytes()).expect("what was written"),
            public
        );
        assert_eq!(
            PublicKey::from_raw(&public.to_raw()).expect("what was written"),
            public
        );
        assert_eq!(user.as_ref().ok(), Some(&UserKey::from(public)));
    }
    user_key(user);
}

fn user_key<E>(key: Result<UserKey, E>) {
    let Ok(key) = key else {
        return;
    };
    assert_eq!(
        UserKey::from_stored(key.to_pem().as_bytes()).expect("what was written"),
        key
    );
    if let Some(stored) = key.to_stored_0_3() {
        assert_eq!(
            UserKey::from_stored(stored.as_bytes()).expect("what was written"),
            key
        );
    }
    assert!(key.fingerprint().to_string().starts_with("SHA256:"));
    assert!(
        !key.verify(b"anything", &[0; 114]),
        "a signature of zeros was taken"
    );
}

/// An encrypted key of any content. How long it takes is for the key's owner to choose, not for us to wait.
fn open_sealed(der: &[u8]) {
    let pem = block("ENCRYPTED PRIVATE KEY", der);
    assert!(
        PrivateKey::from_pem(pem.as_bytes(), None).is_err(),
        "opened without a password"
    );
    if is_cheap(der) {
        let _ = PrivateKey::from_pem(pem.as_bytes(), Some("pässword".as_bytes()));
    }
}

fn is_cheap(der: &[u8]) -> bool {
    let Ok(info) = EncryptedPrivateKeyInfoRef::from_der(der) else {
        return true;
    };
    match info.encryption_algorithm {
        EncryptionScheme::Pbes2(parameters) => match parameters.kdf {
            Kdf::Pbkdf2(kdf) => kdf.iteration_count <= 4096,
            _ => false,
        },
        _ => false,
    }
}

fn raw_public(mut input: Input<'_>) {
    let raw: [u8; 57] = std::array::from_fn(|_| input.byte());
    if let Ok(key) = PublicKey::from_raw(&raw) {
        assert_eq!(key.to_raw(), raw, "a second spelling");
        assert!(
            !key.verify(input.rest(), &[0; 114]),
            "a signature of zeros was taken"
        );
    }
}
