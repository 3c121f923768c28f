//! `remo prompt`: everything that can fail before the first command, and then the prompt, typed at or not.
//! What the commands do is the library's to know.

use std::error::Error;
use std::io::{IsTerminal, stdin};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use remo_client::address::{AddressError, ServerAddress};
use remo_client::prompt::{Prompt, Talk};
use remo_client::session::{Options, Session};
use remo_protocol::dialect::{AnyDialect, Dialect};

use crate::args::{PromptArgs, WhoArgs};
use crate::config::{Config, Server};
use crate::console::Screen;
use crate::{PROGRAM, batch, interactive, log_to_stderr, place, runtime, wrong_usage};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Holds a conversation; the exit code says how it went.
pub(crate) fn run(args: &PromptArgs) -> Outcome<ExitCode> {
    log_to_stderr(args.who.verbose);
    let server = match server(args)? {
        Ok(server) => server,
        Err(error) => return Ok(wrong_usage(&error)),
    };
    let Ok(commands) =
        batch::parse_all(&args.commands).map_err(|wrong| remo_cli::report(PROGRAM, &wrong))
    else {
        return Ok(ExitCode::from(2));
    };
    let dialect = args.dialect.unwrap_or(match args.accept_cut_answers {
        true => AnyDialect::V0_6,
        false => AnyDialect::V2,
    });
    if args.accept_cut_answers && dialect == AnyDialect::V2 {
        return Ok(wrong_usage(
            &"--accept-cut-answers goes with --dialect 0.6 (answers of remo/2 all mark their end)",
        ));
    }
    let runtime = runtime()?;
    let talk = runtime.block_on(begin(args, &server, dialect))?;
    let by_hand = args.commands.is_empty() && stdin().is_terminal();
    let screen = Screen::new(by_hand, args.who.verbose);
    let prompt = Prompt::new(talk, args.encoding, screen);
    let code = if by_hand {
        interactive::run(&runtime, prompt)
    } else {
        let script = args.commands.is_empty();
        runtime.block_on(batch::run(prompt, commands, script, args.keep_going))
    };
    // Half files are removed by the threads that write them.
    runtime.shutdown_timeout(Duration::from_secs(5));
    Ok(code)
}

/// What is known of the server: a name comes before a host, unless a port is there too.
fn server(args: &PromptArgs) -> Outcome<Result<Server, AddressError>> {
    if args.port.is_none()
        && let Some(server) = Config::read()?.servers.remove(&args.target)
    {
        return Ok(Ok(server));
    }
    let address = ServerAddress::parse(&args.target, args.port);
    Ok(address.map(|address| Server {
        url: address.to_string(),
        ..Server::default()
    }))
}

/// Finds out who talks with whom; nothing is logged in to yet.
async fn begin(args: &PromptArgs, server: &Server, dialect: AnyDialect) -> Outcome<Talk> {
    match dialect.older() {
        None => {
            let who = WhoArgs {
                give_up: args.time_out.unwrap_or(args.who.give_up),
                ..args.who.clone()
            };
            let remote = place::reach(server, &args.target, &who).await?;
            Ok(Arc::new(remote).into())
        }
        Some(dialect) => {
            let found = place::reach_older(server, &args.target, &args.who, dialect).await?;
            let (transport, identity) = found;
            Ok(Session::new(transport, identity, options(args, dialect)).into())
        }
    }
}

fn options(args: &PromptArgs, dialect: Dialect) -> Options {
    Options {
        dialect,
        accept_cut_answers: args.accept_cut_answers,
        time_out: args.time_out.map(Duration::from_secs),
    }
}
