//! The kinds of keys, by object identifier and by PEM label, and how they are named to people.
//! Only two of them serve here: Ed448 and, for users, RSA.

use pkcs8::ObjectIdentifier;

use super::KeyError;

/// RFC 8410.
pub(super) const ED448: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.113");
/// RFC 8017.
pub(super) const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// Where an Ed448 key is needed.
pub(super) const WANT_ED448: &str = "an Ed448 key (build-key-pair makes one)";
/// Where a user's key is needed.
pub(super) const WANT_USER: &str = "an Ed448 or RSA key (build-key-pair makes an Ed448 one)";

/// The error for a key of an algorithm that does not serve.
pub(super) fn other(oid: ObjectIdentifier, wanted: &'static str) -> KeyError {
    KeyError::OtherKind {
        found: name(oid),
        wanted,
    }
}

/// The error for a PEM block that is no PKCS#8 or SubjectPublicKeyInfo.
pub(super) fn other_block(label: &str, wanted: &'static str) -> KeyError {
    KeyError::OtherKind {
        found: block_name(label),
        wanted,
    }
}

/// The error for a text that has no PEM block at all.
pub(super) fn no_block(text: &[u8], wanted: &'static str) -> KeyError {
    let ssh = ["ssh-", "ecdsa-sha2-", "sk-", "---- BEGIN SSH2 "];
    match ssh.iter().any(|start| text.starts_with(start.as_bytes())) {
        true => KeyError::OtherKind {
            found: "a key in OpenSSH's form".to_owned(),
            wanted,
        },
        false => KeyError::NotPem,
    }
}

fn name(oid: ObjectIdentifier) -> String {
    let oid = oid.to_string();
    let known = NAMES.iter().find(|(number, _)| *number == oid);
    match known {
        Some((_, name)) => (*name).to_owned(),
        None => format!("a key of algorithm {oid}"),
    }
}

fn block_name(label: &str) -> String {
    let known = BLOCKS.iter().find(|(start, _)| *start == label);
    match known {
        Some((_, name)) => (*name).to_owned(),
        None => format!("a PEM file of '{}'", label.escape_debug()),
    }
}

const NAMES: &[(&str, &str)] = &[
    ("1.3.101.110", "an X25519 key"),
    ("1.3.101.111", "an X448 key"),
    ("1.3.101.112", "an Ed25519 key"),
    ("1.3.101.113", "an Ed448 key"),
    ("1.2.840.10045.2.1", "an elliptic-curve (ECDSA) key"),
    ("1.2.840.113549.1.1.1", "an RSA key"),
    ("1.2.840.113549.1.1.10", "an RSA-PSS key"),
    ("1.2.840.10040.4.1", "a DSA key"),
    ("1.2.840.113549.1.3.1", "a Diffie-Hellman key"),
];

const BLOCKS: &[(&str, &str)] = &[
    ("CERTIFICATE", "a certificate"),
    ("CERTIFICATE REQUEST", "a certificate request"),
    (
        "RSA PUBLIC KEY",
        "an RSA key in PKCS#1 form (openssl rsa -RSAPublicKey_in -in OLD -pubout -out NEW mends that)",
    ),
    ("RSA PRIVATE KEY", "an RSA key"),
    ("EC PRIVATE KEY", "an elliptic-curve (ECDSA) key"),
    ("DSA PRIVATE KEY", "a DSA key"),
    ("OPENSSH PRIVATE KEY", "a key in OpenSSH's form"),
    ("SSH2 PUBLIC KEY", "a key in OpenSSH's form"),
];
