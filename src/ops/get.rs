//! `/get`: streams a file.

use bytes::Bytes;
use remo_protocol::limits;

use crate::{
    call::{Output, Reply},
    files::{self, FileError},
};

pub(crate) async fn get(name: &Bytes) -> Reply {
    let name = name.clone();
    let opened = tokio::task::spawn_blocking(move || open(&name)).await;
    match opened {
        Ok(Ok(output)) => Reply {
            status: 200,
            output,
        },
        Ok(Err(error)) => Reply::failed(400, error),
        Err(_) => Reply::failed(500, "reading the file failed"),
    }
}

fn open(name: &Bytes) -> Result<Output, FileError> {
    let path = files::path(name)?;
    let (file, size) = files::open(path)?;
    let piece =
        limits::token_data(size).ok_or_else(|| FileError::TooLarge(path.display().to_string()))?;
    Ok(Output::File {
        file: Box::new(file),
        piece,
    })
}
