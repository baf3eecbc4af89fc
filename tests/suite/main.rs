//! Behaviour through public interfaces, over real sockets.

mod door;
