//! Folders and files that only the service's own user may read, whatever the umask.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

const FOLDER: u32 = 0o700;
const FILE: u32 = 0o600;

/// Makes `folder`, and those above it that are missing. One that is there and empty becomes private; one that holds
/// something else may be shared on purpose, and is left as it is.
pub(super) fn folder(folder: &Path) -> io::Result<()> {
    if !folder.exists() {
        DirBuilder::new().recursive(true).mode(FOLDER).create(folder)?;
    } else if fs::read_dir(folder)?.next().is_some() {
        return Ok(());
    }
    fs::set_permissions(folder, Permissions::from_mode(FOLDER))
}

/// Opens a file for writing, and makes it when it is missing. What it holds is left.
pub(super) fn file(path: &Path) -> io::Result<File> {
    let file = File::options().create(true).truncate(false).write(true).mode(FILE).open(path)?;
    file.set_permissions(Permissions::from_mode(FILE))?;
    Ok(file)
}

/// Makes what an earlier version left readable for others private. A path that does not exist is left alone.
pub(super) fn tighten(path: &Path) -> io::Result<()> {
    let mode = match fs::metadata(path) {
        Ok(found) if found.is_dir() => FOLDER,
        Ok(_) => FILE,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    fs::set_permissions(path, Permissions::from_mode(mode))
}
