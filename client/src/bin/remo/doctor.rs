//! `remo doctor`: what the path does, as lines for people or as JSON for programs.
//! How it is found out is the library's to know.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{IsTerminal, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use indicatif::ProgressBar;
use remo_client::address::ServerAddress;
use remo_client::doctor::{Bounds, Finding, Report, Subject, Verdict, examine};
use remo_client::escape::escape;
use remo_client::remo2::{Memory, Person};
use remo_protocol::keys::PublicKey;
use tokio::runtime::Runtime;

use crate::args::{DoctorArgs, WhoArgs};
use crate::config::Server;
use crate::{PROGRAM, config, exec, identity, known, place, runtime};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Examines the path; the exit code says whether `remo` works over it.
pub(crate) fn run(args: &DoctorArgs) -> ExitCode {
    match tell(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            remo_cli::report(PROGRAM, &error);
            ExitCode::from(exec::OWN)
        }
    }
}

fn tell(args: &DoctorArgs) -> Outcome<bool> {
    let runtime = runtime()?;
    let subject = runtime.block_on(subject(args))?;
    let report = examined(runtime, args, &subject)?;
    remember(&subject, &report);
    if args.json {
        remo_cli::print(format!("{}\n", report.to_json()))?;
    } else {
        let colours = stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        remo_cli::print(lines(&report, colours))?;
    }
    Ok(report.works())
}

fn examined(runtime: Runtime, args: &DoctorArgs, subject: &Subject) -> Outcome<Report> {
    // It is drawn on a terminal only.
    let spinner = ProgressBar::new_spinner();
    spinner.enable_steady_tick(Duration::from_millis(200));
    let progress = |what: &str| spinner.set_message(format!("testing: {what}"));
    let report = runtime.block_on(examine(subject, &bounds(args), &progress));
    runtime.shutdown_background();
    spinner.finish_and_clear();
    Ok(report?)
}

/// What was found serves the other commands; where it cannot be kept, they find out by themselves.
fn remember(subject: &Subject, report: &Report) {
    if let Some(server) = &report.proved {
        known::remember(server);
    }
    if let Some(folder) = config::cache() {
        let _ = report.keep(subject, &Memory::new(folder.join("paths.json")));
    }
}

fn bounds(args: &DoctorArgs) -> Bounds {
    let usual = if args.quick {
        Bounds::quick()
    } else {
        Bounds::usual()
    };
    Bounds {
        time: args.time.map_or(usual.time, Duration::from_secs),
        idle: args.idle.map_or(usual.idle, Duration::from_secs),
        ..usual
    }
}

async fn subject(args: &DoctorArgs) -> Outcome<Subject> {
    let mut entry = place::entry(&args.target)?;
    if args.ca_file.is_some() {
        entry.ca_file.clone_from(&args.ca_file);
    }
    if args.proxy.is_some() {
        entry.proxy.clone_from(&args.proxy);
    }
    let (servers, fingerprints) = trusted(args, &entry)?;
    Ok(Subject {
        address: ServerAddress::parse(&entry.url, None)?,
        way: place::way(&entry)?,
        proxy_named_by: if args.proxy.is_some() {
            "--proxy"
        } else {
            "the configuration"
        },
        person: person(args, &entry).await?,
        servers,
        fingerprints,
    })
}

/// Who we are, or why nobody: that no key is there is no failure, that one cannot be read is.
async fn person(args: &DoctorArgs, entry: &Server) -> Outcome<Result<Person, String>> {
    if args.no_key {
        return Ok(Err("--no-key says so".into()));
    }
    let who = WhoArgs {
        server: None,
        user: args.user.clone(),
        key: args.key.clone(),
        password_file: args.password_file.clone(),
        give_up: 30,
        verbose: false,
    };
    if args.key.is_none() && entry.key.is_none() {
        let named = args.user.clone().map(|user| user.to_string());
        let named = named.or_else(|| entry.user.clone());
        let usual = match named {
            Some(user) => PathBuf::from(format!("{user}_key.pem")),
            None => match identity::user_name(None) {
                Ok(user) => identity::usual_key(&user),
                Err(error) => return Ok(Err(error.to_string())),
            },
        };
        if !usual.exists() {
            let shown = escape(&usual.to_string_lossy());
            return Ok(Err(format!(
                "there is no key '{shown}' (--key FILE names one)"
            )));
        }
    }
    // It is the path that is looked at: no session of an agent stands before it.
    let (person, _) = place::person(&who, entry).await?;
    Ok(Ok(person))
}

/// The keys that are trusted, and the fingerprints of others.
fn trusted(args: &DoctorArgs, entry: &Server) -> Outcome<(Vec<PublicKey>, Vec<String>)> {
    if let Some(file) = &args.server {
        return Ok((vec![identity::read_server(file)?], Vec::new()));
    }
    let usual = Path::new("remo_serv.pem");
    if entry.server_keys.is_empty() && usual.exists() {
        return Ok((vec![identity::read_server(usual)?], Vec::new()));
    }
    let (mut keys, mut fingerprints) = (Vec::new(), Vec::new());
    for text in &entry.server_keys {
        if let Some(key) = place::from_base64(text) {
            keys.push(key);
        } else if text.starts_with("SHA256:") {
            fingerprints.push(text.clone());
        } else {
            keys.push(identity::read_server(Path::new(text))?);
        }
    }
    Ok((keys, fingerprints))
}

fn lines(report: &Report, colours: bool) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let _ = write!(text, "{}", line(finding, colours));
    }
    let _ = writeln!(text, "\n{}", report.summary());
    text
}

fn line(finding: &Finding, colours: bool) -> String {
    let (mark, colour) = match finding.verdict {
        Verdict::Good => ("ok  ", "32"),
        Verdict::Notice => ("note", "33"),
        Verdict::Bad => ("BAD ", "31"),
        Verdict::Skipped => ("--  ", "2"),
    };
    let mark = if colours {
        format!("\x1b[{colour}m{mark}\x1b[0m")
    } else {
        mark.to_owned()
    };
    let name = finding.name.replace('_', " ");
    let mut text = format!("{mark}  {name}: {}\n", finding.found);
    // What is as it should be needs no more words.
    if finding.verdict != Verdict::Good {
        let action = finding
            .action
            .iter()
            .map(|action| format!("remo: {action}"));
        let remedy = finding.remedy.iter().map(|remedy| format!("you: {remedy}"));
        for more in action.chain(remedy) {
            let _ = writeln!(text, "      {more}");
        }
    }
    text
}
