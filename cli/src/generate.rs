//! The arguments of a program, and the man page and completions that are made from their definition.
//! What the arguments mean is each program's own affair.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, Parser, ValueEnum};
use clap_complete::Shell;

/// What `--generate` can print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// The man page, followed by those of the subcommands.
    Man,
    /// Completions for bash.
    Bash,
    /// Completions for zsh.
    Zsh,
    /// Completions for fish.
    Fish,
}

/// Reads this program's arguments, to which `--generate KIND` is added.
///
/// # Errors
/// The code to exit with, after all that there was to say has been said: 0 for help, version and
/// generated texts, 2 for a wrong usage.
pub fn parse<P: Parser>() -> Result<P, ExitCode> {
    parse_from(std::env::args_os())
}

fn parse_from<P: Parser>(arguments: impl IntoIterator<Item = OsString>) -> Result<P, ExitCode> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let wanted = wants_generated(&arguments);
    let command = if wanted {
        generator::<P>()
    } else {
        full::<P>()
    };
    let matches = command.try_get_matches_from(arguments).map_err(say)?;
    match matches.get_one::<Kind>(OPTION) {
        Some(kind) => Err(crate::report::printed(
            P::command().get_name(),
            &generate(full::<P>(), *kind),
        )),
        None => read::<P>(&matches).map_err(say),
    }
}

/// The text that `kind` stands for, made from `command`.
fn generate(command: Command, kind: Kind) -> Vec<u8> {
    match kind {
        Kind::Man => pages(command),
        Kind::Bash => completions(command, Shell::Bash),
        Kind::Zsh => completions(command, Shell::Zsh),
        Kind::Fish => completions(command, Shell::Fish),
    }
}

fn pages(command: Command) -> Vec<u8> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let mut text = Vec::new();
    add_pages(&command, &mut text);
    text
}

fn add_pages(command: &Command, text: &mut Vec<u8>) {
    // Writing to memory does not fail.
    let _ = clap_mangen::Man::new(command.clone()).render(text);
    for below in command.get_subcommands().filter(|c| !c.is_hide_set()) {
        add_pages(below, text);
    }
}

fn completions(mut command: Command, shell: Shell) -> Vec<u8> {
    let name = command.get_name().to_owned();
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut text);
    text
}

/// The program's own command line and `--generate`.
fn full<P: Parser>() -> Command {
    P::command().arg(option())
}

/// The same, where `--generate` asks: what the program otherwise requires is not needed. (Required
/// arguments are waived by an exclusive one, a required subcommand is not.)
fn generator<P: Parser>() -> Command {
    full::<P>().subcommand_required(false)
}

fn option() -> Arg {
    Arg::new(OPTION)
        .long(OPTION)
        .value_name("KIND")
        .value_parser(clap::value_parser!(Kind))
        .exclusive(true)
        .hide_possible_values(true)
        .display_order(1000)
        .help("Print the man page or completions (man, bash, zsh, fish) and exit")
}

fn wants_generated(arguments: &[OsString]) -> bool {
    let first = arguments.get(1).and_then(|a| a.to_str());
    first.is_some_and(|a| a == "--generate" || a.starts_with("--generate="))
}

fn read<P: Parser>(matches: &ArgMatches) -> Result<P, clap::Error> {
    P::from_arg_matches(matches).map_err(|error| error.format(&mut full::<P>()))
}

/// Prints what clap has to say, a broken pipe being no reason to fail.
fn say(error: clap::Error) -> ExitCode {
    let _ = error.print();
    match error.use_stderr() {
        true => ExitCode::from(2),
        false => ExitCode::SUCCESS,
    }
}

const OPTION: &str = "generate";

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Parser)]
    #[command(name = "demo", version = "1", about = "shows things")]
    struct Demo {
        /// Who is shown.
        who: String,
        #[command(subcommand)]
        act: Act,
    }

    #[derive(Debug, clap::Subcommand)]
    enum Act {
        /// Waves a hand.
        Wave,
    }

    fn arguments(list: &[&str]) -> Vec<OsString> {
        list.iter().map(OsString::from).collect()
    }

    fn text(kind: Kind) -> String {
        String::from_utf8(generate(full::<Demo>(), kind)).unwrap()
    }

    #[test]
    fn the_definition_itself_is_sound() {
        full::<Demo>().debug_assert();
        generator::<Demo>().debug_assert();
    }

    #[test]
    fn arguments_are_read_as_the_program_defines_them() {
        let demo: Demo = parse_from(arguments(&["demo", "zoe", "wave"])).unwrap();
        assert_eq!(demo.who, "zoe");
        assert!(matches!(demo.act, Act::Wave));
    }

    #[test]
    fn a_wrong_usage_exits_with_2() {
        let code = parse_from::<Demo>(arguments(&["demo"])).unwrap_err();
        assert_eq!(code, ExitCode::from(2));
    }

    #[test]
    fn generating_needs_no_required_argument_and_succeeds() {
        let code = parse_from::<Demo>(arguments(&["demo", "--generate", "man"])).unwrap_err();
        assert_eq!(code, ExitCode::SUCCESS);
        let code = parse_from::<Demo>(arguments(&["demo", "--generate=bash"])).unwrap_err();
        assert_eq!(code, ExitCode::SUCCESS);
    }

    #[test]
    fn an_unknown_kind_is_a_wrong_usage() {
        let code = parse_from::<Demo>(arguments(&["demo", "--generate", "tea"])).unwrap_err();
        assert_eq!(code, ExitCode::from(2));
    }

    #[test]
    fn the_man_page_holds_the_subcommands_pages_too() {
        let page = text(Kind::Man);
        assert!(page.contains("shows things"));
        assert!(page.contains("Waves a hand"));
        assert_eq!(page.matches(".TH ").count(), 2);
    }

    #[test]
    fn completions_name_the_program_and_its_subcommand() {
        for kind in [Kind::Bash, Kind::Zsh, Kind::Fish] {
            let script = text(kind);
            assert!(
                script.contains("demo") && script.contains("wave"),
                "{kind:?}"
            );
        }
    }
}
