//! The user databases: what both Python versions made and read, changes under a running server, and
//! files that are read-only, missing, or something else.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, Instant};

use remo_protocol::keys::PrivateKey;
use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

use super::*;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../tests/vectors/remo_serv.json")).unwrap()
}

fn new_key() -> UserKey {
    UserKey::Ed448(PrivateKey::generate().unwrap().public())
}

fn name(text: &str) -> UserName {
    UserName::parse(text).unwrap()
}

/// A database that is not there yet, in a folder of its own.
fn place() -> (TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users_db.sqlite");
    (folder, path)
}

/// A database as a Python version makes it, with one user whose key is stored so.
fn made_by_python(path: &Path, stored: &[u8]) -> Connection {
    let python = Connection::open(path).unwrap();
    let schema = vectors()["users_db"]["schema"].as_str().unwrap().to_owned();
    python.execute(&schema, ()).unwrap();
    let add = "INSERT INTO users (user, pub) VALUES ('zoë', ?1)";
    python.execute(add, (stored,)).unwrap();
    python
}

fn found(users: &dyn UserService, user: &str) -> User {
    users.find(&name(user)).unwrap().unwrap()
}

#[test]
fn databases_of_both_python_versions_open_unchanged() {
    let v = vectors();
    let public = v["keys"]["user_public_pem"].as_str().unwrap();
    let expected = UserKey::from_pem(public.as_bytes()).unwrap();
    for form in ["pub_dialect_0_3", "pub_dialect_0_6"] {
        let (_folder, path) = place();
        drop(made_by_python(
            &path,
            v["users_db"][form].as_str().unwrap().as_bytes(),
        ));
        let before = fs::read(&path).unwrap();
        let users = SqliteUserService::open(&path).unwrap();
        let user = found(&users, "zoë");
        assert_eq!(user.key.unwrap(), expected);
        assert_eq!(user.floor, None);
        assert!(users.find(&name("zoe")).unwrap().is_none());
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}

#[test]
fn what_is_added_is_stored_as_the_python_versions_read_it() {
    let v = vectors();
    let public = v["keys"]["user_public_pem"].as_str().unwrap();
    let key = UserKey::from_pem(public.as_bytes()).unwrap();
    let (_folder, path) = place();
    let users = SqliteUserService::open_or_create(&path).unwrap();
    users
        .add(&name("old"), &key, StoredForm::V0_3, None)
        .unwrap();
    users
        .add(&name("new"), &key, StoredForm::V0_6, None)
        .unwrap();
    let python = Connection::open(&path).unwrap();
    for (user, form) in [("old", "pub_dialect_0_3"), ("new", "pub_dialect_0_6")] {
        let (stored, other): (Vec<u8>, Option<String>) = python
            .query_row(
                "SELECT pub, key FROM users WHERE user = ?1",
                (user,),
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .unwrap();
        assert_eq!(stored, v["users_db"][form].as_str().unwrap().as_bytes());
        assert_eq!(other, None);
    }
    let schema = "SELECT sql FROM sqlite_master WHERE name = 'users'";
    let schema: String = python.query_row(schema, (), |row| row.get(0)).unwrap();
    assert_eq!(
        schema.replace("CREATE TABLE ", "CREATE TABLE IF NOT EXISTS "),
        v["users_db"]["schema"]
    );
}

#[test]
fn a_new_database_is_its_owners_only_and_keeps_the_rollback_journal() {
    let (folder, path) = place();
    let users = SqliteUserService::open_or_create(&path).unwrap();
    users
        .add(&name("zoë"), &new_key(), StoredForm::V0_6, None)
        .unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    let mode: String = Connection::open(&path)
        .unwrap()
        .query_row("PRAGMA journal_mode", (), |row| row.get(0))
        .unwrap();
    assert_eq!(mode, "delete");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_running_server_sees_each_change_at_once() {
    let (_folder, path) = place();
    let admin = SqliteUserService::open_or_create(&path).unwrap();
    let server = SqliteUserService::open(&path).unwrap();
    assert!(server.find(&name("zoë")).unwrap().is_none());
    let (first, second) = (new_key(), new_key());
    admin
        .add(&name("zoë"), &first, StoredForm::V0_6, None)
        .unwrap();
    assert_eq!(found(&server, "zoë").key.unwrap(), first);
    admin
        .replace("zoë", &second, StoredForm::V0_3, None)
        .unwrap();
    assert_eq!(found(&server, "zoë").key.unwrap(), second);
    admin.set_floor("zoë", Some(AnyDialect::V0_6)).unwrap();
    assert_eq!(found(&server, "zoë").floor, Some(AnyDialect::V0_6));
    admin.set_floor("zoë", None).unwrap();
    assert_eq!(found(&server, "zoë").floor, None);
    let third = name("third");
    admin
        .add(&third, &first, StoredForm::V0_6, Some(AnyDialect::V0_6))
        .unwrap();
    assert_eq!(found(&server, "third").floor, Some(AnyDialect::V0_6));
    admin.remove("zoë").unwrap();
    assert!(server.find(&name("zoë")).unwrap().is_none());
}

#[test]
fn another_file_put_in_place_counts_from_the_next_lookup() {
    let (folder, path) = place();
    SqliteUserService::open_or_create(&path).unwrap();
    let server = SqliteUserService::open(&path).unwrap();
    let other = folder.path().join("other.sqlite");
    let users = SqliteUserService::open_or_create(&other).unwrap();
    users
        .add(&name("zoë"), &new_key(), StoredForm::V0_6, None)
        .unwrap();
    fs::rename(&other, &path).unwrap();
    assert!(server.find(&name("zoë")).unwrap().is_some());
    fs::remove_file(&path).unwrap();
    assert!(matches!(
        server.find(&name("zoë")),
        Err(UsersError::Missing { .. })
    ));
}

#[test]
fn taken_and_unknown_names_are_said_so() {
    let (_folder, path) = place();
    let users = SqliteUserService::open_or_create(&path).unwrap();
    let first = new_key();
    users
        .add(&name("zoë"), &first, StoredForm::V0_6, None)
        .unwrap();
    let taken = users.add(&name("zoë"), &new_key(), StoredForm::V0_6, None);
    assert!(matches!(taken, Err(UsersError::Taken { .. })));
    assert_eq!(found(&users, "zoë").key.unwrap(), first);
    let unknown = |result| matches!(result, Err(UsersError::Unknown { .. }));
    assert!(unknown(users.remove("bob")));
    assert!(unknown(users.replace(
        "bob",
        &new_key(),
        StoredForm::V0_6,
        Some(AnyDialect::V0_6)
    )));
    assert!(unknown(users.set_floor("bob", Some(AnyDialect::V0_6))));
    assert!(unknown(users.set_floor("bob", None)));
}

#[test]
fn a_floor_rises_for_good_and_never_falls_by_itself() {
    let (_folder, path) = place();
    let users = SqliteUserService::open_or_create(&path).unwrap();
    users
        .add(&name("zoë"), &new_key(), StoredForm::V0_6, None)
        .unwrap();
    for (raise, expected) in [
        (AnyDialect::V0_3, AnyDialect::V0_3),
        (AnyDialect::V0_6, AnyDialect::V0_6),
        (AnyDialect::V0_3, AnyDialect::V0_6),
        (AnyDialect::V2, AnyDialect::V2),
        (AnyDialect::V0_6, AnyDialect::V2),
    ] {
        users.raise_floor(&name("zoë"), raise).unwrap();
        assert_eq!(found(&users, "zoë").floor, Some(expected));
        let again = SqliteUserService::open(&path).unwrap();
        assert_eq!(found(&again, "zoë").floor, Some(expected));
    }
}

#[test]
fn a_floor_is_the_users_and_goes_with_it() {
    let (_folder, path) = place();
    let users = SqliteUserService::open_or_create(&path).unwrap();
    users.raise_floor(&name("zoë"), AnyDialect::V0_6).unwrap();
    users
        .add(&name("zoë"), &new_key(), StoredForm::V0_6, None)
        .unwrap();
    assert_eq!(found(&users, "zoë").floor, None);
    users.raise_floor(&name("zoë"), AnyDialect::V0_6).unwrap();
    users
        .replace("zoë", &new_key(), StoredForm::V0_6, None)
        .unwrap();
    assert_eq!(found(&users, "zoë").floor, Some(AnyDialect::V0_6));
    // A program that knows nothing of floors removes the user; another takes the name.
    let python = Connection::open(&path).unwrap();
    python.execute("DELETE FROM users", ()).unwrap();
    users
        .add(&name("zoë"), &new_key(), StoredForm::V0_6, None)
        .unwrap();
    assert_eq!(found(&users, "zoë").floor, None);
}

#[test]
fn a_floor_that_the_file_does_not_take_holds_in_memory() {
    let (_folder, path) = place();
    let admin = SqliteUserService::open_or_create(&path).unwrap();
    admin
        .add(&name("zoë"), &new_key(), StoredForm::V0_6, None)
        .unwrap();
    // No permissions are used to refuse writing: a superuser has them all.
    let python = Connection::open(&path).unwrap();
    python
        .execute_batch("CREATE VIEW remo_floors AS SELECT 'none' AS user, '0.3' AS floor")
        .unwrap();
    let users = SqliteUserService::open(&path).unwrap();
    assert_eq!(found(&users, "zoë").floor, None);
    users.raise_floor(&name("zoë"), AnyDialect::V0_6).unwrap();
    users.raise_floor(&name("zoë"), AnyDialect::V0_3).unwrap();
    assert_eq!(found(&users, "zoë").floor, Some(AnyDialect::V0_6));
}

#[test]
fn lookups_go_on_while_a_floor_waits_for_another_writer() {
    let (_folder, path) = place();
    let users = SqliteUserService::open_or_create(&path).unwrap();
    users
        .add(&name("zoë"), &new_key(), StoredForm::V0_6, None)
        .unwrap();
    let mut python = Connection::open(&path).unwrap();
    let writing = python
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .unwrap();
    std::thread::scope(|scope| {
        let raising = scope.spawn(|| users.raise_floor(&name("zoë"), AnyDialect::V0_6));
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(200) {
            assert_eq!(found(&users, "zoë").floor, None);
        }
        // Far less than the 5 seconds that the floor may wait.
        assert!(begun.elapsed() < Duration::from_secs(3));
        assert!(!raising.is_finished());
        writing.commit().unwrap();
        raising.join().unwrap().unwrap();
    });
    let again = SqliteUserService::open(&path).unwrap();
    assert_eq!(found(&again, "zoë").floor, Some(AnyDialect::V0_6));
}

#[test]
fn a_read_only_database_in_a_read_only_folder_still_logs_users_in() {
    let (folder, path) = place();
    let admin = SqliteUserService::open_or_create(&path).unwrap();
    admin
        .add(&name("zoë"), &new_key(), StoredForm::V0_6, None)
        .unwrap();
    drop(admin);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o500)).unwrap();
    let users = SqliteUserService::open(&path).unwrap();
    assert!(found(&users, "zoë").key.is_ok());
    users.raise_floor(&name("zoë"), AnyDialect::V0_6).unwrap();
    assert_eq!(found(&users, "zoë").floor, Some(AnyDialect::V0_6));
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_floor_of_a_later_version_is_refused_and_not_guessed() {
    let (_folder, path) = place();
    let users = SqliteUserService::open_or_create(&path).unwrap();
    users
        .add(&name("zoë"), &new_key(), StoredForm::V0_6, None)
        .unwrap();
    users.set_floor("zoë", Some(AnyDialect::V0_6)).unwrap();
    let later = Connection::open(&path).unwrap();
    later
        .execute("UPDATE remo_floors SET floor = '9'", ())
        .unwrap();
    assert!(users.has("zoë").unwrap());
    assert_eq!(users.list().unwrap()[0].floor.as_deref(), Some("9"));
    assert!(matches!(
        users.find(&name("zoë")),
        Err(UsersError::UnknownFloor { .. })
    ));
}

#[test]
fn a_key_in_neither_form_is_an_error_of_that_user_alone() {
    let (_folder, path) = place();
    let users = SqliteUserService::open_or_create(&path).unwrap();
    users
        .add(&name("good"), &new_key(), StoredForm::V0_6, None)
        .unwrap();
    let python = Connection::open(&path).unwrap();
    python
        .execute_batch(
            "INSERT INTO users (user, pub) VALUES ('none', NULL), ('number', 7), ('real', 7.5), \
             ('text', 'hello'), ('bytes', x'ff00'), ('empty', '');",
        )
        .unwrap();
    for user in ["none", "number", "real", "text", "bytes", "empty"] {
        assert!(found(&users, user).key.is_err(), "{user}");
    }
    let list = users.list().unwrap();
    assert_eq!(list.len(), 7);
    assert_eq!(list.iter().filter(|entry| entry.key.is_ok()).count(), 1);
}

#[test]
fn an_rsa_key_is_stored_as_pem_only() {
    let (_folder, path) = place();
    let users = SqliteUserService::open_or_create(&path).unwrap();
    let pem = vectors()["rsa_auth_0_6"]["public_pem"]
        .as_str()
        .unwrap()
        .to_owned();
    let key = UserKey::from_pem(pem.as_bytes()).unwrap();
    let old = users.add(&name("card"), &key, StoredForm::V0_3, None);
    assert!(matches!(old, Err(UsersError::NoForm)));
    users
        .add(&name("card"), &key, StoredForm::V0_6, None)
        .unwrap();
    assert_eq!(found(&users, "card").key.unwrap(), key);
}

#[test]
fn what_is_no_user_database_is_said_so_with_the_remedy() {
    let (folder, path) = place();
    let error = SqliteUserService::open(&path).unwrap_err();
    assert!(matches!(error, UsersError::Missing { .. }));
    assert!(error.to_string().contains("add-user -b"));
    assert!(!path.exists());
    for content in [&b""[..], &[b'x'; 4096]] {
        fs::write(&path, content).unwrap();
        let error = SqliteUserService::open(&path).unwrap_err();
        assert!(matches!(error, UsersError::Foreign { .. }), "{error}");
    }
    assert!(SqliteUserService::open(folder.path()).is_err());
    assert!(SqliteUserService::open_or_create(&folder.path().join("no/such")).is_err());
}

#[test]
fn the_option_names_the_service_and_its_file() {
    let (_folder, path) = place();
    SqliteUserService::open_or_create(&path).unwrap();
    assert!(open(&format!("SqliteUserService:{}", path.display())).is_ok());
    for option in [
        "",
        "SqliteUserService",
        "SqliteUserService:",
        "Ldap:x",
        "users_db.sqlite",
    ] {
        let refused = open(option).err().unwrap();
        assert!(
            matches!(refused, UsersError::UnknownService { .. }),
            "{option}"
        );
    }
}

#[test]
fn users_in_memory_behave_alike() {
    let users = MemoryUserService::new();
    let key = new_key();
    users.raise_floor(&name("zoë"), AnyDialect::V0_6).unwrap();
    assert!(users.find(&name("zoë")).unwrap().is_none());
    users.insert(name("zoë"), key.clone(), None);
    assert_eq!(found(&users, "zoë").key.unwrap(), key);
    users.raise_floor(&name("zoë"), AnyDialect::V0_6).unwrap();
    users.raise_floor(&name("zoë"), AnyDialect::V0_3).unwrap();
    assert_eq!(found(&users, "zoë").floor, Some(AnyDialect::V0_6));
    users.remove(&name("zoë"));
    assert!(users.find(&name("zoë")).unwrap().is_none());
}
