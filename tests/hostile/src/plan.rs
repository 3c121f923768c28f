//! The plan: what is done to which request, from the seed and the request's number alone.
//! Does not hold how it is done.

use crate::kind::Kind;

/// Numbers that follow from where they began (SplitMix64).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Those of one request, or of one deed.
    pub fn new(seed: u64, number: u64) -> Self {
        let mut dice = Self(seed ^ number.wrapping_mul(0xd134_2543_de82_ef95));
        dice.0 = dice.draw();
        dice
    }

    /// Any 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to one below the `end`; 0 for an `end` of 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.draw().checked_rem(end).unwrap_or(0)
    }

    /// Small as often as large: below 2 to the power of a number that is itself below `bits`.
    pub fn below_power(&mut self, bits: u64) -> u64 {
        let bits = self.below(bits);
        self.below(1 << bits.min(62))
    }

    /// True as often as the `rate`, of 0 to 1, says.
    pub fn chance(&mut self, rate: f64) -> bool {
        const STEPS: u32 = 1 << 24;
        let step = u32::try_from(self.below(u64::from(STEPS))).unwrap_or(0);
        f64::from(step) < rate * f64::from(STEPS)
    }

    /// One of them.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let index = self.below(from.len() as u64);
        from.get(usize::try_from(index).ok()?)
    }
}

/// What may be done, and how often.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Everything follows from it, and from the order of the requests.
    pub seed: u64,
    /// One of these is done to a request,
    pub only: Vec<Kind>,
    /// as often as this says, of 0 to 1.
    pub rate: f64,
    /// These are done to every request besides.
    pub always: Vec<Kind>,
}

impl Plan {
    /// What is done to the request of this number, counted from 1.
    pub fn misdeeds(&self, number: u64) -> Misdeeds {
        let mut dice = Dice::new(self.seed, number);
        let mut kinds = self.always.clone();
        if dice.chance(self.rate) {
            kinds.extend(dice.pick(&self.only));
        }
        let deeds = kinds.into_iter().map(|kind| (kind, Dice(dice.draw())));
        Misdeeds(deeds.collect())
    }

    /// Whether it is ever done.
    pub fn knows(&self, kind: Kind) -> bool {
        self.only.contains(&kind) || self.always.contains(&kind)
    }
}

/// What is done to one request.
#[derive(Clone, Debug)]
pub struct Misdeeds(Vec<(Kind, Dice)>);

impl Misdeeds {
    /// What decides the details, where this is done.
    pub fn dice(&self, kind: Kind) -> Option<Dice> {
        let of_kind = |deed: &&(Kind, Dice)| deed.0 == kind;
        self.0.iter().find(of_kind).map(|(_, dice)| dice.clone())
    }

    /// Whether this is done.
    pub fn has(&self, kind: Kind) -> bool {
        self.dice(kind).is_some()
    }

    /// All that is done.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> {
        self.0.iter().map(|(kind, _)| *kind)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn plan(seed: u64, rate: f64) -> Plan {
        Plan {
            seed,
            only: Kind::ALL.to_vec(),
            rate,
            always: vec![],
        }
    }

    fn first(plan: &Plan, count: u64) -> Vec<String> {
        (1..=count)
            .map(|number| format!("{:?}", plan.misdeeds(number)))
            .collect()
    }

    #[test]
    fn a_seed_gives_the_same_plan_each_time_and_another_seed_another() {
        assert_eq!(first(&plan(7, 0.5), 100), first(&plan(7, 0.5), 100));
        assert_ne!(first(&plan(7, 0.5), 100), first(&plan(8, 0.5), 100));
    }

    #[test]
    fn the_rate_is_kept_and_every_kind_comes() {
        let count = |rate| {
            let plan = plan(1, rate);
            (1..=4000)
                .filter(|&number| plan.misdeeds(number).kinds().next().is_some())
                .count()
        };
        assert_eq!((count(0.0), count(1.0)), (0, 4000));
        assert!((900..1100).contains(&count(0.25)), "{}", count(0.25));
        let plan = plan(1, 1.0);
        for &kind in Kind::ALL {
            assert!((1..=4000).any(|number| plan.misdeeds(number).has(kind)));
        }
    }

    #[test]
    fn every_name_is_read_as_what_it_names() {
        for kind in Kind::ALL {
            assert_eq!(kind.name().parse::<Kind>().unwrap(), *kind);
        }
        assert!("politeness".parse::<Kind>().is_err());
    }
}
