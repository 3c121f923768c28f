//! The command lines of what is done to files of a server where they stand.
//! Copies have their own.

use crate::args::WhoArgs;
use crate::spot::Spot;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum FilesCommand {
    /// List folders of a server
    #[command(after_help = AFTER, after_long_help = AFTER)]
    Ls(LsArgs),
    /// Tell what stands at a path of a server; of a link, the link itself
    Stat(PathsArgs),
    /// Make folders on a server
    Mkdir(MkdirArgs),
    /// Remove files, links and empty folders of a server
    Rm(RmArgs),
    /// Give something on a server another name there, in place of what has that name
    Mv(MvArgs),
    /// Set permission bits of files on a server
    Chmod(ChmodArgs),
    /// Write the content of files of a server to standard output
    Cat(CatArgs),
    /// Tell the SHA-256 of files of a server, which it reckons itself
    Hash(PathsArgs),
}

impl FilesCommand {
    /// Who we are there, and how long we try.
    pub(crate) fn who(&self) -> &WhoArgs {
        match self {
            Self::Ls(args) => &args.paths.who,
            Self::Stat(args) | Self::Hash(args) => &args.who,
            Self::Mkdir(args) => &args.paths.who,
            Self::Rm(args) => &args.paths.who,
            Self::Mv(args) => &args.who,
            Self::Chmod(args) => &args.paths.who,
            Self::Cat(args) => &args.who,
        }
    }

    /// Whether what is told is meant for programs.
    pub(crate) fn json(&self) -> bool {
        match self {
            Self::Ls(args) => args.paths.json,
            Self::Stat(args) | Self::Hash(args) => args.json,
            Self::Mkdir(args) => args.paths.json,
            Self::Rm(args) => args.paths.json,
            Self::Mv(args) => args.json,
            Self::Chmod(args) => args.paths.json,
            Self::Cat(_) => false,
        }
    }
}

/// Paths on servers.
#[derive(Debug, clap::Args)]
pub(crate) struct PathsArgs {
    /// A server and a path there; a relative one begins in the home of the server's user
    #[arg(value_name = "NAME:PATH", required = true)]
    pub(crate) spots: Vec<Spot>,

    /// One line of JSON for each
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) who: WhoArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CatArgs {
    /// A server and a file there
    #[arg(value_name = "NAME:PATH", required = true)]
    pub(crate) spots: Vec<Spot>,

    #[command(flatten)]
    pub(crate) who: WhoArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct LsArgs {
    /// Show mode, size and time of change too
    #[arg(short, long)]
    pub(crate) long: bool,

    #[command(flatten)]
    pub(crate) paths: PathsArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct MkdirArgs {
    /// Make those above it too; it is no error that it is there
    #[arg(short, long)]
    pub(crate) parents: bool,

    /// Permission bits, in octal digits [default: what the umask there leaves]
    #[arg(short, long, value_name = "MODE", value_parser = mode)]
    pub(crate) mode: Option<u32>,

    #[command(flatten)]
    pub(crate) paths: PathsArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RmArgs {
    /// Folders with all that is in them
    #[arg(short, long)]
    pub(crate) recursive: bool,

    /// That nothing is there is no error
    #[arg(short, long)]
    pub(crate) force: bool,

    #[command(flatten)]
    pub(crate) paths: PathsArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct MvArgs {
    /// What there is
    #[arg(value_name = "NAME:FROM")]
    pub(crate) from: Spot,

    /// Its new path, or a folder to put it into
    #[arg(value_name = "NAME:TO")]
    pub(crate) to: Spot,

    /// Tell a failure as one line of JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) who: WhoArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ChmodArgs {
    /// Permission bits, in octal digits
    #[arg(value_name = "MODE", value_parser = mode)]
    pub(crate) mode: u32,

    #[command(flatten)]
    pub(crate) paths: PathsArgs,
}

fn mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).ok();
    let mode = mode.filter(|mode| *mode <= 0o7777 && !text.starts_with('+'));
    mode.ok_or_else(|| "a mode is one to four octal digits, such as 644".into())
}

const AFTER: &str = "\
Example: remo ls -l box:/var/log

Names that are no UTF-8 are shown with U+FFFD, control characters as \\u{…};
with --json they are in name64, in URL-safe base64.

Exit codes of ls, stat, mkdir, rm, mv, chmod, cat and hash: 0 all is done,
1 something failed, 2 wrong usage, 255 remo itself failed: no server was reached.";
