//! A connection behind a channel: made to where the user asked, each direction ended by itself. Whatever ends
//! it otherwise resets it, so that nothing but a whole `/edt` looks like an end to the other side.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
    time::Duration,
};

use remo_protocol::remo2::session_id::SessionId;
use rustix::net::sockopt;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::watch,
    time::timeout,
};

use super::{
    Refused, Stream,
    channel::Channel,
    far::{Exit, Far, Left},
    input::Input,
    state::{Beginning, Opening},
    target::Target,
    window::Window,
};
use crate::exec::Counted;

/// Where a connection goes, and for how long it is kept when nobody asks for it.
#[derive(Clone, Debug)]
pub(crate) struct Connect {
    pub(crate) to: Target,
    pub(crate) keep: Duration,
}

/// Begins to connect. [`Channel::opened`] tells what comes of it.
pub(super) fn open(
    connect: &Connect,
    session: SessionId,
    window: usize,
    counted: Counted,
) -> Arc<Channel> {
    let mut second = Window::new(window, 0);
    second.close();
    let (giving, given) = watch::channel(());
    let beginning = Beginning {
        main: Window::new(window, 0),
        second,
        input: Input::default(),
        opening: Opening::UnderWay,
        far: Box::new(Connection { given }),
        session,
        keep: connect.keep,
    };
    let channel = Channel::new("fwd", Some(connect.to.to_string()), beginning);
    let (here, to) = (channel.clone(), connect.to.clone());
    channel.spawn(async move {
        let _counted = counted;
        match to.connect().await {
            Ok(stream) => converse(&here, stream, giving).await,
            Err(error) => here.settle(Opening::Refused(refused(&to, &error))),
        }
    });
    channel
}

fn refused(to: &Target, error: &io::Error) -> Refused {
    let reason = match error.kind() {
        io::ErrorKind::TimedOut => "nothing answers there".into(),
        _ => remo_cli::reason(error),
    };
    Refused::new(
        502,
        "connect",
        format!("cannot connect to '{to}': {reason}"),
    )
}

/// Moves bytes both ways until both directions have ended, or the connection is broken.
async fn converse(channel: &Channel, stream: TcpStream, giving: watch::Sender<()>) {
    if let Err(error) = resets_unless_ended(&stream) {
        let message = format!("cannot set up the connection: {}", remo_cli::reason(&error));
        return channel.settle(Opening::Refused(Refused::new(500, "failed", message)));
    }
    channel.settle(Opening::Done);
    let stream = Arc::new(stream);
    let (from, to) = (Half(stream.clone()), Half(stream));
    let broken = OnceLock::new();
    let reading = async {
        let end = channel.take_output(from, Stream::Main).await;
        let why = end.as_ref().err().map(io::Error::kind);
        let why = broken.get().copied().or(why);
        channel.ends(Some(why.map_or(Exit::Closed, Exit::Broken)));
        why.map_or(Ok(()), Err)
    };
    let writing = async {
        if let Err(error) = channel.give_input(to).await {
            // Reading tells it, after what had come before.
            let _ = broken.set(error.kind());
        }
        drop(giving);
        Ok(())
    };
    let _ = tokio::try_join!(reading, writing);
}

fn resets_unless_ended(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_socket_linger(stream, Some(Duration::ZERO))?;
    Ok(())
}

/// One direction of a connection.
struct Half(Arc<TcpStream>);

impl AsyncRead for Half {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(context))?;
            match self.0.try_read(buffer.initialize_unfilled()) {
                Ok(read) => {
                    buffer.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Half {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(context))?;
            match self.0.try_write(data) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The end of the input, as the other side sees it. From now on closing is no reset.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = sockopt::set_socket_linger(&self.0, None)
            .and_then(|()| rustix::net::shutdown(&self.0, rustix::net::Shutdown::Write));
        Poll::Ready(ended.map_err(Into::into))
    }
}

/// What there is to a connection beside its bytes. Its task holds it.
struct Connection {
    /// Closed once there is no more input to give.
    given: watch::Receiver<()>,
}

impl Far for Connection {
    fn signal(&self, _: i32) -> Result<(), Refused> {
        Err(Refused::new(
            400,
            "bad_request",
            "a connection takes no signals",
        ))
    }

    /// What was sent as a whole is given as a whole, if it is taken in time.
    fn hang_up(mut self: Box<Self>, left: Left) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let time = match left {
            Left { ended: false, .. } => Duration::ZERO,
            Left { stopping: true, .. } => GIVE_WHEN_STOPPING,
            Left { ended: true, .. } => GIVE,
        };
        Box::pin(async move {
            let all_given = async { while self.given.changed().await.is_ok() {} };
            let _ = timeout(time, all_given).await;
        })
    }
}

/// How long the far end may take for input that was ended, when nobody wants its output any more.
const GIVE: Duration = Duration::from_secs(60);

/// The same when the server stops.
const GIVE_WHEN_STOPPING: Duration = Duration::from_secs(3);
