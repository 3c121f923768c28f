//! All that a peer can do wrong, as a closed list. Which status a server answers is decided where the
//! answer is made; logs and metrics count by [`Refusal::name`].

use thiserror::Error;

/// What a peer did wrong. The texts are for logs and for the peer's own user; they hold nothing secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum Refusal {
    /// A line is longer than [`LINE`](crate::limits::LINE).
    #[error("a line of the body is longer than a token may be")]
    LineTooLong,
    /// A line is not strict URL-safe base64 of the form of a Fernet token.
    #[error("a line of the body is not a token")]
    TokenMalformed,
    /// A token's HMAC is not of this session's key.
    #[error("a token was not sealed with this session's key")]
    TokenForged,
    /// A token of dialect 0.3 that this server made itself.
    #[error("a token of the server was sent back to it")]
    TokenReflected,
    /// A token carries more than [`TOKEN_PLAIN`](crate::limits::TOKEN_PLAIN).
    #[error("a token carries more than 4 MiB")]
    TokenTooLarge,
    /// A body that must hold a token is empty.
    #[error("the body holds no token")]
    BodyMissing,
    /// A token of dialect 0.6 is too short for its frame, or its marks are none.
    #[error("a token has no frame of dialect 0.6")]
    FrameMalformed,
    /// A first token that does not say `B`, or a later one that does.
    #[error("a token begins a body where it may not, or does not where it must")]
    BeginMisplaced,
    /// A token's number is not the next one, or its request is not the body's.
    #[error("a token is missing, repeated or of another body")]
    TokenOutOfStep,
    /// A request's number is not the next one.
    #[error("the number of the request is out of step")]
    RequestOutOfStep,
    /// A request's first token names another path.
    #[error("the body was sealed for another path")]
    PathMismatch,
    /// A first token is older than [`TOKEN_AGE`](crate::limits::TOKEN_AGE).
    #[error("the body is older than 10 s (do the clocks agree?)")]
    TokenStale,
    /// A first token is from more than [`CLOCK_SKEW`](crate::limits::CLOCK_SKEW) ahead.
    #[error("the body comes from more than 60 s in the future (do the clocks agree?)")]
    TokenFromFuture,
    /// Something follows the token that ends a body.
    #[error("a token follows the end of the body")]
    AfterEnd,
    /// A body stops before the token that ends it.
    #[error("the body was cut before its end")]
    EndMissing,
    /// An answer's first token does not hold the status of three digits, or not the one of HTTP.
    #[error("the answer carries another status than its head")]
    StatusMismatch,
    /// The numbers of dialect 0.6 are used up.
    #[error("the body is too long for the numbers of dialect 0.6")]
    NumbersExhausted,
    /// An argument is used a second time in a session of dialect 0.3.
    #[error("the argument was used before in this session")]
    ArgumentReplayed,
    /// An argument of dialect 0.3 is much older than the newest token of its session.
    #[error("the argument is more than 60 s older than the session's newest token")]
    ArgumentStale,
    /// More arguments in one minute than a session remembers.
    #[error("too many requests of dialect 0.3 in one minute")]
    ArgumentsExhausted,
    /// The session's dialect would be below the floor of the server or of the user.
    #[error("the dialect is below the floor of this server or user")]
    BelowFloor,
    /// A log-in that is no JSON object with the members that it must have.
    #[error("the log-in is no JSON object with the texts user, key and sign")]
    LoginMalformed,
    /// A log-in's key or signature is not base64 of the right length, or its name is no user name.
    #[error("the log-in's name, key or signature is of no known form")]
    LoginInvalid,
    /// A user that the server does not know, or whose key in the database is unusable.
    #[error("the user is unknown, or the user's key cannot be used")]
    UserUnknown,
    /// A signature that is not by the long-term key.
    #[error("the signature is not by the expected long-term key")]
    SignatureFalse,
    /// A transient key that was used before.
    #[error("the transient key was used before")]
    TransientKeyReused,
    /// A transient key that leads to a secret of zeros.
    #[error("the transient key leads to a secret of zeros")]
    SecretZero,
    /// A log-in of remo/2 with another version than 2.
    #[error("the log-in is of a version that this server does not speak")]
    VersionUnknown,
    /// A log-in to a server with another key.
    #[error("the log-in is meant for a server with another key")]
    ServerUnknown,
    /// A body of remo/2 whose tokens are not one `H`, then data, then one `T`.
    #[error("the tokens of the body are not of the order H, data, T")]
    OrderWrong,
    /// A JSON object of remo/2 that is none, is too long, names a member twice or holds a number out of range.
    #[error("a token holds no JSON object of the form that it must have")]
    JsonMalformed,
    /// A number of remo/2 that is held by another body, or taken.
    #[error("the number of the request is used")]
    NumberUsed,
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    RandomMissing,
}

impl Refusal {
    /// A stable name of one word, for logs and counters.
    pub fn name(self) -> &'static str {
        match self {
            Self::LineTooLong => "line_too_long",
            Self::TokenMalformed => "token_malformed",
            Self::TokenForged => "token_forged",
            Self::TokenReflected => "token_reflected",
            Self::TokenTooLarge => "token_too_large",
            Self::BodyMissing => "body_missing",
            Self::FrameMalformed => "frame_malformed",
            Self::BeginMisplaced => "begin_misplaced",
            Self::TokenOutOfStep => "token_out_of_step",
            Self::RequestOutOfStep => "request_out_of_step",
            Self::PathMismatch => "path_mismatch",
            Self::TokenStale => "token_stale",
            Self::TokenFromFuture => "token_from_future",
            Self::AfterEnd => "after_end",
            Self::EndMissing => "end_missing",
            Self::StatusMismatch => "status_mismatch",
            Self::NumbersExhausted => "numbers_exhausted",
            Self::ArgumentReplayed => "argument_replayed",
            Self::ArgumentStale => "argument_stale",
            Self::ArgumentsExhausted => "arguments_exhausted",
            Self::BelowFloor => "below_floor",
            Self::LoginMalformed => "login_malformed",
            Self::LoginInvalid => "login_invalid",
            Self::UserUnknown => "user_unknown",
            Self::SignatureFalse => "signature_false",
            Self::TransientKeyReused => "transient_key_reused",
            Self::SecretZero => "secret_zero",
            Self::VersionUnknown => "version_unknown",
            Self::ServerUnknown => "server_unknown",
            Self::OrderWrong => "order_wrong",
            Self::JsonMalformed => "json_malformed",
            Self::NumberUsed => "number_used",
            Self::RandomMissing => "random_missing",
        }
    }
}
