//! Who may use the API: bearer tokens with a role, compared in constant time.
//!
//! With none configured, one is made at the first start and kept in `{data_dir}/admin.token`, readable by its owner only, so that the
//! command line on the same machine just works and nobody else's does.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use rand::TryRng as _;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

use crate::{
    plan::{self, Role},
    regular,
    secret::Secret,
};

/// The file of the generated token, under `data_dir`.
pub const FILE_NAME: &str = "admin.token";
/// Random bytes of a generated token.
const RANDOM_BYTES: usize = 32;
/// Bytes a token file may have; it is ours, and short.
const FILE_BYTES_MAX: usize = 4096;

/// The tokens that are taken, as digests: comparing those takes the same time whatever was sent.
#[derive(Debug)]
pub struct Tokens(Vec<([u8; 32], Holder)>);

/// Whose a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    /// Its name, for the audit.
    pub(super) name: Arc<str>,
    /// What it may do.
    pub(super) role: Role,
}

/// The token file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It cannot be read or written.
    #[error("cannot use the admin token file {path}: {source}; check the owner of `data_dir`, or set `admin.tokens`")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is there and holds nothing that could be a token.
    #[error("the admin token file {0} is empty or no token; remove it, and a new one is made at the next start")]
    Unfit(PathBuf),
}

impl Tokens {
    /// The configured tokens, or the one in the file, which is made when there is none.
    ///
    /// # Errors
    /// The file cannot be read, written or understood.
    pub fn of(configured: &[plan::AdminToken], data_dir: &Path) -> Result<Self, TokenError> {
        if configured.is_empty() {
            let path = data_dir.join(FILE_NAME);
            let token = read_or_make(&path)?;
            let holder = Holder { name: FILE_NAME.into(), role: Role::Admin };
            return Ok(Self(vec![(digest(token.reveal()), holder)]));
        }
        let holder = |one: &plan::AdminToken| Holder { name: one.name.as_str().into(), role: one.role };
        Ok(Self(configured.iter().map(|one| (digest(one.token.reveal()), holder(one))).collect()))
    }

    /// Whose this token is; `None` for nobody's. Every token is compared, whichever matches.
    #[must_use]
    pub(super) fn holder(&self, shown: &[u8]) -> Option<&Holder> {
        let shown = digest(shown);
        // 0 is nobody; the index of the match is selected without a branch.
        let mut found = 0_u64;
        for (place, (known, _)) in (1_u64..).zip(&self.0) {
            let same: Choice = known.ct_eq(&shown);
            found = u64::conditional_select(&found, &place, same);
        }
        let index = usize::try_from(found).ok()?.checked_sub(1)?;
        self.0.get(index).map(|(_, holder)| holder)
    }
}

fn digest(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

fn read_or_make(path: &Path) -> Result<Secret, TokenError> {
    let refused = |source| TokenError::File { path: path.to_owned(), source };
    match regular::read(path, FILE_BYTES_MAX) {
        Ok(bytes) => {
            let token = bytes.trim_ascii();
            if token.is_empty() || !token.is_ascii() {
                return Err(TokenError::Unfit(path.to_owned()));
            }
            // A token others can read is no secret: take the right away rather than only complain.
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(refused)?;
            Ok(Secret::new(token))
        }
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Err(TokenError::Unfit(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(path).map_err(refused),
        Err(error) => Err(refused(error)),
    }
}

/// Writes a new token beside its place and moves it there: a crash leaves either no file or a whole one.
fn make(path: &Path) -> io::Result<Secret> {
    let mut random = [0_u8; RANDOM_BYTES];
    rand::rngs::SysRng.try_fill_bytes(&mut random).map_err(io::Error::other)?;
    let token = Secret::new(format!("hga_{}", hex::encode(random)));
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let draft = path.with_extension("token.new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(token.reveal())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(tokens: &Tokens, shown: &[u8]) -> Option<Role> {
        tokens.holder(shown).map(|holder| holder.role)
    }

    #[test]
    fn the_generated_token_is_private_and_stays_the_same() {
        let dir = tempfile::tempdir().expect("a directory");
        let data = dir.path().join("data");
        let first = Tokens::of(&[], &data).expect("made");
        let path = data.join(FILE_NAME);
        let written = fs::read_to_string(&path).expect("written");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(role(&first, written.trim().as_bytes()), Some(Role::Admin));
        let again = Tokens::of(&[], &data).expect("read");
        assert_eq!(role(&again, written.trim().as_bytes()), Some(Role::Admin));
        assert_eq!(role(&again, b""), None);
        assert_eq!(role(&again, b"hga_"), None);
    }

    #[test]
    fn an_empty_token_file_lets_nobody_in() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join(FILE_NAME), " \n").expect("written");
        assert!(matches!(Tokens::of(&[], dir.path()), Err(TokenError::Unfit(_))));
    }

    #[test]
    fn each_token_has_its_role() {
        let token = |name: &str, role, token: &str| plan::AdminToken { name: name.into(), role, token: Secret::new(token) };
        let configured = [token("eye", Role::Read, "look"), token("ops", Role::Operate, "act")];
        let tokens = Tokens::of(&configured, Path::new("/nowhere")).expect("no file is needed");
        assert_eq!(role(&tokens, b"look"), Some(Role::Read));
        assert_eq!(role(&tokens, b"act"), Some(Role::Operate));
        assert_eq!(role(&tokens, b"acts"), None);
    }
}
