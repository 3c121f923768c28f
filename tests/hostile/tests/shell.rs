//! What `remo shell` shows through a path that misbehaves: what is printed there, each byte once, and nothing else.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use std::io::Write;

use remo_hostile::{
    Kind,
    plan::{Dice, Plan},
};
use support::{Proxied, each, place::Place, place::command, plan, seeds, terminal::Terminal};

/// A terminal there on which a program gives back `length` bytes, counts as far as it is told, and ends with 7.
fn program(place: &Place, proxy: &Proxied, length: usize) -> Terminal {
    let mut remo = command(place.home.path());
    remo.args([
        "shell",
        "-u",
        "alice",
        &format!("http://{}/", proxy.address),
    ]);
    let mut terminal = Terminal::start(&remo);
    let script = format!(
        "stty raw -echo; printf 'beg''in'; dd bs=1 count={length} status=none; \
         while read -r n && test $n -gt 0; do seq $n; done; exit 7"
    );
    // What is typed is shown too, until the program says otherwise.
    terminal.type_in(&format!(
        "unset HISTFILE; exec sh -c \"{}\"\r",
        script.replace('$', "\\$")
    ));
    terminal.expect("begin");
    terminal
}

/// Waits until all that is wanted is shown, and looks at each byte as it comes.
fn see(terminal: &mut Terminal, wanted: &[u8], seed: u64) {
    let mut seen = 0;
    while seen < wanted.len() {
        let Some(piece) = terminal.shown() else {
            panic!("seed {seed}: it ended {} bytes early", wanted.len() - seen);
        };
        assert!(
            wanted[seen..].starts_with(&piece),
            "seed {seed}: {:?} after {seen} of {} bytes",
            String::from_utf8_lossy(&piece),
            wanted.len()
        );
        seen += piece.len();
    }
}

/// Types it in pieces of any length, of which some wait for what the one before brings, and some do not.
fn typed_comes_back(terminal: &mut Terminal, data: &[u8], dice: &mut Dice, seed: u64) {
    let mut rest = data;
    let mut unseen = 0;
    while !rest.is_empty() {
        let length = usize::try_from(1 + dice.below_power(10)).unwrap();
        let (piece, later) = rest.split_at(length.min(rest.len()));
        terminal.keys.write_all(piece).unwrap();
        unseen += piece.len();
        if dice.chance(0.7) || later.is_empty() {
            let shown = data.len() - later.len();
            see(terminal, &data[shown - unseen..shown], seed);
            unseen = 0;
        }
        rest = later;
    }
}

fn is_shown_as_it_is(place: &Place, plan: Plan) {
    let seed = plan.seed;
    let mut dice = Dice::new(seed, 0);
    // A tilde may be a word to this end.
    let data: Vec<u8> = (0..TYPED)
        .map(|_| dice.draw() as u8)
        .map(|byte| if byte == b'~' { b'-' } else { byte })
        .collect();
    let proxy = Proxied::start(place.server.address, plan, |_| {});
    let mut terminal = program(place, &proxy, data.len());
    typed_comes_back(&mut terminal, &data, &mut dice, seed);
    for count in [1, 3, 30_000, 7] {
        let wanted: String = (1..=count).map(|number| format!("{number}\n")).collect();
        terminal.type_in(&format!("{count}\n"));
        see(&mut terminal, wanted.as_bytes(), seed);
    }
    terminal.type_in("0\n");
    assert_eq!(terminal.shown(), None, "seed {seed}: that was all");
    assert_eq!(terminal.expect_end(), Some(7), "seed {seed}");
}

#[test]
fn a_shell_shows_what_is_printed_there_and_nothing_else() {
    let place = Place::new();
    each(seeds(70_000, 8), |seed| {
        is_shown_as_it_is(&place, plan(seed, Kind::ALL, 0.3));
    });
}

#[test]
fn a_shell_is_the_same_through_an_old_proxy_that_fails_besides() {
    let place = Place::new();
    each(seeds(80_000, 4), |seed| {
        let mut plan = plan(seed, Kind::ALL, 0.2);
        plan.always = vec![
            Kind::Http10,
            Kind::BufferAnswer,
            Kind::StripHeaders,
            Kind::ErrorPage,
            Kind::OneAtATime,
        ];
        is_shown_as_it_is(&place, plan);
    });
}

/// What a request that waits for all others does to a terminal, whose answer stays open for good.
#[test]
fn keys_come_through_where_a_request_now_and_then_wants_the_path_for_itself() {
    let place = Place::new();
    each(110_000..110_002, |seed| {
        is_shown_as_it_is(&place, plan(seed, &[Kind::OneAtATime], 0.1));
    });
}

/// Bytes that are typed and come back.
const TYPED: usize = 3000;
