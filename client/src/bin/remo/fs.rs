//! `remo ls`, `stat`, `mkdir`, `rm`, `mv`, `chmod`, `cat` and `hash`: files of a server, where they stand.
//! How they are asked for is the library's to know.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use remo_client::escape::{escape, escape_bytes};
use remo_client::hex;
use remo_client::remo2::{Change, Entry, Failure, Kind, Remote};
use serde_json::{Map, Value, json};

use crate::exec::OWN;
use crate::fs_args::{ChmodArgs, FilesCommand, LsArgs, MkdirArgs, MvArgs, RmArgs};
use crate::fs_show::{bytes, in_json, long, whole};
use crate::spot::{Servers, Spot};
use crate::{PROGRAM, log_to_stderr, runtime};

/// Carries out one of them; the exit code says whether all of it succeeded.
pub(crate) fn run(command: &FilesCommand) -> ExitCode {
    log_to_stderr(command.who().verbose);
    let mut session = Session {
        servers: Servers::new(command.who()),
        json: command.json(),
        failed: false,
    };
    let done = runtime()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(session.carry_out(command)));
    match done {
        Ok(()) => ExitCode::from(u8::from(session.failed)),
        Err(error) if is_broken_pipe(&*error) => ExitCode::from(BROKEN_PIPE),
        Err(error) => {
            session.complain(None, &*error);
            ExitCode::from(OWN)
        }
    }
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    let failure = error.downcast_ref::<Failure>();
    failure.is_some_and(Failure::is_broken_pipe)
}

type Done = Result<(), Box<dyn Error>>;

/// One command line on its way.
struct Session {
    servers: Servers,
    json: bool,
    /// Whether something failed that let the rest go on.
    failed: bool,
}

impl Session {
    async fn carry_out(&mut self, command: &FilesCommand) -> Done {
        match command {
            FilesCommand::Ls(args) => self.ls(args).await,
            FilesCommand::Stat(args) => {
                for spot in &args.spots {
                    self.stat(spot).await?;
                }
                Ok(())
            }
            FilesCommand::Hash(args) => {
                for spot in &args.spots {
                    self.hash(spot).await?;
                }
                Ok(())
            }
            FilesCommand::Cat(args) => {
                for spot in &args.spots {
                    self.cat(spot).await?;
                }
                Ok(())
            }
            FilesCommand::Mkdir(args) => self.mkdir(args).await,
            FilesCommand::Rm(args) => self.rm(args).await,
            FilesCommand::Chmod(args) => self.chmod(args).await,
            FilesCommand::Mv(args) => self.mv(args).await,
        }
    }

    /// What an act came to: one that failed by itself is told, and lets the others go on.
    fn settle<T>(
        &mut self,
        spot: &Spot,
        outcome: Result<T, Failure>,
    ) -> Result<Option<T>, Failure> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(failure) if failure.is_of_the_act() => {
                self.failed = true;
                self.complain(Some(spot), &failure);
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    fn complain(&self, spot: Option<&Spot>, error: &dyn Error) {
        let shown = spot.map(Spot::shown);
        if !self.json {
            let begin = shown.map_or_else(String::new, |shown| format!("{shown}: "));
            return remo_cli::report(PROGRAM, &format!("{begin}{error}"));
        }
        let mut line = json!({"error": escape(&error.to_string())});
        if let (Some(object), Some(shown)) = (line.as_object_mut(), shown) {
            object.insert("at".into(), shown.into());
        }
        let _ = writeln!(std::io::stderr(), "{line}");
    }

    async fn ls(&mut self, args: &LsArgs) -> Done {
        for spot in &args.paths.spots {
            let (remote, path) = self.servers.reach(spot).await?;
            let entry = remote.stat(&path).await;
            let Some(entry) = self.settle(spot, entry)? else {
                continue;
            };
            if !args.paths.json && args.paths.spots.len() > 1 {
                remo_cli::print(format!("{}:\n", spot.shown()))?;
            }
            let listed = list(&remote, &path, entry, args).await;
            self.settle(spot, listed)?;
        }
        Ok(())
    }

    async fn stat(&mut self, spot: &Spot) -> Done {
        let (remote, path) = self.servers.reach(spot).await?;
        let entry = remote.stat(&path).await;
        if let Some(entry) = self.settle(spot, entry)? {
            remo_cli::print(if self.json {
                line(named(in_json(&entry), &path))
            } else {
                whole(&spot.shown(), &entry)
            })?;
        }
        Ok(())
    }

    async fn hash(&mut self, spot: &Spot) -> Done {
        let (remote, path) = self.servers.reach(spot).await?;
        let hash = remote.hash(&path, None).await;
        if let Some(hash) = self.settle(spot, hash)? {
            let hash = hex::write(&hash);
            remo_cli::print(if self.json {
                let mut object = Map::new();
                object.insert("sha256".into(), hash.into());
                line(named(object, &path))
            } else {
                format!("{hash}  {}\n", escape_bytes(&path))
            })?;
        }
        Ok(())
    }

    async fn cat(&mut self, spot: &Spot) -> Done {
        let (remote, path) = self.servers.reach(spot).await?;
        let done = remote.cat(&path, &mut tokio::io::stdout()).await;
        self.settle(spot, done)?;
        Ok(())
    }

    async fn mkdir(&mut self, args: &MkdirArgs) -> Done {
        let change = Change::Mkdir {
            mode: args.mode,
            parents: args.parents,
        };
        for spot in &args.paths.spots {
            self.change(spot, change, false).await?;
        }
        Ok(())
    }

    async fn rm(&mut self, args: &RmArgs) -> Done {
        let change = Change::Rm {
            recursive: args.recursive,
        };
        for spot in &args.paths.spots {
            self.change(spot, change, args.force).await?;
        }
        Ok(())
    }

    async fn chmod(&mut self, args: &ChmodArgs) -> Done {
        let change = Change::Chmod { mode: args.mode };
        for spot in &args.paths.spots {
            self.change(spot, change, false).await?;
        }
        Ok(())
    }

    async fn mv(&mut self, args: &MvArgs) -> Done {
        let (from, to) = (&args.from, &args.to);
        let (Spot::There(one, path), Spot::There(other, target)) = (from, to) else {
            let here = if matches!(from, Spot::Here(_)) {
                from
            } else {
                to
            };
            return Err(format!(
                "'{}' names no server (remo cp copies between machines)",
                here.shown()
            )
            .into());
        };
        if one != other {
            return Err("the two are on different servers (remo cp copies between servers)".into());
        }
        let remote = self.servers.find(one).await?;
        let target = match remote.find(target).await {
            Ok(Some(entry)) if entry.kind == Kind::Folder => below(target, path),
            Ok(_) => target.clone(),
            Err(failure) => {
                self.settle::<()>(to, Err(failure))?;
                return Ok(());
            }
        };
        self.change(from, Change::Mv { to: &target }, false).await
    }

    async fn change(&mut self, spot: &Spot, change: Change<'_>, forgiving: bool) -> Done {
        let (remote, path) = self.servers.reach(spot).await?;
        match remote.change(&path, change).await {
            Err(failure) if forgiving && failure.is_not_found() => {}
            outcome => drop(self.settle(spot, outcome)?),
        }
        Ok(())
    }
}

/// The path of something in the folder `folder` that is called as `path` is.
fn below(folder: &[u8], path: &[u8]) -> Vec<u8> {
    let mut path = path;
    while let Some((b'/', rest)) = path.split_last() {
        path = rest;
    }
    let name = path.rsplit(|byte| *byte == b'/').next();
    [folder, b"/", name.unwrap_or_default()].concat()
}

/// Prints the entries of a folder, or what is no folder itself.
async fn list(
    remote: &Arc<Remote>,
    path: &[u8],
    entry: Entry,
    args: &LsArgs,
) -> Result<(), Failure> {
    if entry.kind != Kind::Folder {
        let name = path.to_vec();
        return print(&shown(&Entry { name, ..entry }, args));
    }
    let mut listing = remote.list(path).await?;
    let mut entries = Vec::new();
    while let Some(entry) = listing.next_entry()? {
        entries.push(entry);
        if entries.len() == SORTED {
            break;
        }
    }
    if entries.len() < SORTED {
        entries.sort_by(|one, other| one.name.cmp(&other.name));
    }
    let mut text = String::new();
    for entry in entries {
        text.push_str(&shown(&entry, args));
    }
    while let Some(entry) = listing.next_entry()? {
        text.push_str(&shown(&entry, args));
        if text.len() > AT_ONCE {
            print(&std::mem::take(&mut text))?;
        }
    }
    print(&text)
}

fn print(text: &str) -> Result<(), Failure> {
    remo_cli::print(text).map_err(Failure::Output)
}

fn shown(entry: &Entry, args: &LsArgs) -> String {
    if args.paths.json {
        line(in_json(entry))
    } else if args.long {
        long(entry) + "\n"
    } else {
        escape_bytes(&entry.name) + "\n"
    }
}

/// With the path that was asked for.
fn named(mut object: Map<String, Value>, path: &[u8]) -> Map<String, Value> {
    object.remove("name");
    bytes(&mut object, "path", path);
    object
}

fn line(object: Map<String, Value>) -> String {
    format!("{}\n", Value::Object(object))
}

/// A folder with fewer entries is shown in the order of their names, a larger one as it comes: memory stays bounded.
const SORTED: usize = 10_000;

/// Bytes of a listing that are printed together.
const AT_ONCE: usize = 64 * 1024;

const BROKEN_PIPE: u8 = 128 + 13;
