//! A listener and an application, put together by hyper: connections come in, are bounded in number and
//! in time, and end in good order.

use std::{
    future::pending,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use http::Request;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Sleep, sleep, timeout},
};
use tower::ServiceExt;

use crate::{
    Application,
    listener::{Accepted, Listener},
};

/// The ceilings of connections. Every field may be changed.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Connections at once; one more waits to be accepted.
    pub connections: usize,
    /// Bytes of a request's head; more: 431.
    pub head: usize,
    /// Time for a head to arrive, and between two requests of a connection; then it is closed.
    pub head_time: Duration,
    /// Time in which a client takes nothing of an answer; then the connection is closed.
    pub write_stall: Duration,
    /// Time that requests in flight have to finish when the server stops.
    pub grace: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 1024,
            head: 96 * 1024,
            head_time: Duration::from_secs(30),
            write_stall: Duration::from_secs(600),
            grace: Duration::from_secs(10),
        }
    }
}

/// How far the end of a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Serving,
    /// Requests in flight finish.
    Finishing,
    /// What has not finished is cut.
    Over,
}

/// Serves until `stop` is ready. Then no connection is accepted, requests in flight finish within the grace, what has not
/// finished by then is cut, and every process ends.
pub async fn serve(
    listener: Listener,
    application: Application,
    limits: ConnectionLimits,
    stop: impl Future<Output = ()>,
) {
    serve_until(listener, application, limits, stop, pending()).await;
}

/// As [`serve`]; once `hurry` is ready, the grace is over.
pub async fn serve_until(
    listener: Listener,
    application: Application,
    limits: ConnectionLimits,
    stop: impl Future<Output = ()>,
    hurry: impl Future<Output = ()>,
) {
    let (stage, stages) = watch::channel(Stage::Serving);
    let places = Arc::new(Semaphore::new(limits.connections));
    {
        let accepting = accept(&listener, &application, limits, &places, &stages);
        tokio::select! {
            () = accepting => {}
            () = stop => {}
        }
    }
    drop(listener);
    tracing::info!("stopping");
    stage.send_replace(Stage::Finishing);
    application.stop_waiting();
    let all = u32::try_from(limits.connections).unwrap_or(u32::MAX);
    // A connection gives its place back when it ends.
    let finished = tokio::select! {
        finished = timeout(limits.grace, places.acquire_many(all)) => finished.is_ok(),
        () = hurry => false,
    };
    if !finished {
        tracing::warn!("requests did not finish in time, and are cut");
    }
    // Whose connection is dropped, its request and what it started is, too.
    stage.send_replace(Stage::Over);
    application.shut_down().await;
}

async fn accept(
    listener: &Listener,
    application: &Application,
    limits: ConnectionLimits,
    places: &Arc<Semaphore>,
    stages: &watch::Receiver<Stage>,
) {
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok(Accepted::Tcp(stream)) => start(stream, application, limits, place, stages),
            Ok(Accepted::Unix(stream)) => start(stream, application, limits, place, stages),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                // Descriptors may be short: somebody must have time to give one back.
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn start(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    application: &Application,
    limits: ConnectionLimits,
    place: OwnedSemaphorePermit,
    stages: &watch::Receiver<Stage>,
) {
    let service = application
        .clone()
        .map_request(|request: Request<Incoming>| request.map(Body::new));
    let io = TokioIo::new(Impatient {
        stream,
        limit: limits.write_stall,
        waiting: None,
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_header_size(limits.head)
        .serve_connection(io, TowerToHyperService::new(service));
    let mut stages = stages.clone();
    tokio::spawn(async move {
        let _place = place;
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = reached(&mut stages, Stage::Finishing) => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection => ended,
                    () = reached(&mut stages, Stage::Over) => return,
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "connection ended early");
        }
    });
}

async fn reached(stages: &mut watch::Receiver<Stage>, stage: Stage) {
    let _ = stages.wait_for(|now| *now >= stage).await;
}

/// A stream that breaks when its peer takes nothing of what is written for too long.
struct Impatient<S> {
    stream: S,
    limit: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Impatient<S> {
    fn watch<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let limit = self.limit;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(limit)));
        waiting
            .as_mut()
            .poll(cx)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, to)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, from);
        self.watch(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, from);
        self.watch(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
