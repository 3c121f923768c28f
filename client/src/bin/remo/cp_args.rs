//! The command line of `remo cp`.
//! What is done on servers in place is in `fs_args`.

use crate::args::WhoArgs;
use crate::spot::Spot;

#[derive(Debug, clap::Args)]
pub(crate) struct CpArgs {
    /// What to copy: paths here, or NAME:PATH on a server, where PATH may be a pattern such as '*.log'
    #[arg(value_name = "SOURCE", required = true)]
    pub(crate) sources: Vec<Spot>,

    /// Where to: a folder, or for a single source a new name
    #[arg(value_name = "TARGET", required = true)]
    pub(crate) target: Spot,

    /// Folders with all that is in them; links stay links
    #[arg(short, long)]
    pub(crate) recursive: bool,

    /// Keep owners too, by their numbers, where root copies to root; and set-user, set-group and sticky bits
    #[arg(short = 'p', long)]
    pub(crate) owners: bool,

    /// Hash each file at both ends when it is copied
    #[arg(long)]
    pub(crate) verify: bool,

    /// Leave files as they are that have the same size and hash
    #[arg(long)]
    pub(crate) skip_identical: bool,

    /// Say nothing but what goes wrong
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Tell of each file in a line of JSON on standard output, and of the whole in the last one
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) who: WhoArgs,
}

pub(crate) const AFTER: &str = "\
Examples:
  remo cp -r site box:/srv/
  remo cp 'box:/var/log/*.log' logs/
  remo cp box:disk.img other:disk.img

Modes and times are kept. Each file is the old one or the new one, whenever
somebody looks. The same command again goes on where it was broken off: here
from .NAME.remo-partial beside the target, there from what the server keeps
for a week; what is already there is verified first. --skip-identical passes
over what is whole.

Exit codes: 0 all is copied, 1 something was left out or failed, 2 wrong usage,
255 remo itself failed; 128 and the number of the signal that ended it.

Files: ~/.local/state/remo/uploads notes uploads that are not done.";
