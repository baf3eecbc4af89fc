//! Each kind of mistake is made on a request of our own signing, and is named again.
