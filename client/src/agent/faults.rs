//! What an attempt came to, as the agent tells it and as its callers take it.
//! What follows from it is `remo2`'s.

use remo_protocol::agent::Fault as Told;

use crate::error::Error;
use crate::remo2::Failure;
use crate::remo2::failure::Fault;

/// For a caller.
pub(super) fn write(fault: &Fault) -> Told {
    match fault {
        Fault::AtFirst(Failure::OtherKey) => Told::OtherKey {},
        Fault::AtFirst(Failure::OtherDialect) => Told::OtherDialect {},
        Fault::AtFirst(Failure::First(Error::LoginRefused { user })) => {
            Told::LoginRefused { user: user.clone() }
        }
        Fault::AtFirst(failure) => Told::AtFirst {
            message: failure.to_string(),
        },
        Fault::Final(failure) => Told::Final {
            message: failure.to_string(),
        },
        Fault::Path(cause) => Told::Path {
            cause: cause.clone(),
        },
        Fault::Repeated => Told::Repeated {},
        Fault::SessionLost => Told::SessionLost {},
        Fault::TooLarge => Told::TooLarge {},
    }
}

/// From an agent.
pub(super) fn read(told: Told) -> Fault {
    let first = |message| Failure::First(Error::Agent(message));
    match told {
        Told::OtherKey {} => Fault::AtFirst(Failure::OtherKey),
        Told::OtherDialect {} => Fault::AtFirst(Failure::OtherDialect),
        Told::LoginRefused { user } => Fault::AtFirst(Failure::First(Error::LoginRefused { user })),
        Told::AtFirst { message } => Fault::AtFirst(first(message)),
        Told::Final { message } => Fault::Final(first(message)),
        Told::Path { cause } => Fault::Path(cause),
        Told::Repeated {} => Fault::Repeated,
        Told::SessionLost {} => Fault::SessionLost,
        Told::TooLarge {} => Fault::TooLarge,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_the_same_at_the_other_end() {
        for fault in [
            Fault::Path("cut".into()),
            Fault::AtFirst(Failure::OtherKey),
            Fault::AtFirst(Failure::OtherDialect),
            Fault::AtFirst(Failure::Gone),
            Fault::AtFirst(Failure::First(Error::LoginRefused { user: "zoe".into() })),
            Fault::Final(Failure::Unknown),
            Fault::Repeated,
            Fault::SessionLost,
            Fault::TooLarge,
        ] {
            let there = read(write(&fault));
            assert_eq!(there.cause(), fault.cause());
            assert_eq!(
                std::mem::discriminant(&there),
                std::mem::discriminant(&fault)
            );
        }
    }
}
