//! A task whose end is waited for, and which ends when nobody waits any more.
//! What it does is not known here.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::task::JoinHandle;

use super::error::CopyError;

/// Runs `work` beside all else, on whichever core is free.
pub(super) fn spawned<T: Send + 'static>(
    work: impl Future<Output = Result<T, CopyError>> + Send + 'static,
) -> Spawned<T> {
    Spawned(tokio::spawn(work))
}

pub(super) struct Spawned<T>(JoinHandle<Result<T, CopyError>>);

impl<T> Future for Spawned<T> {
    type Output = Result<T, CopyError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|done| {
            done.unwrap_or_else(|_| {
                Err(CopyError::Refused(
                    "a task of this program broke off".into(),
                ))
            })
        })
    }
}

impl<T> Drop for Spawned<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
