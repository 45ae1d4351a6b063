//! What is written at the end: the tokens, then the file that names them. All of it or nothing.

use std::path::{Path, PathBuf};

use amfj_sync_config::Secret;
use amfj_sync_security::private_files::{Readers, make_folder, replace_file};
use amfj_sync_service::worker::Exit;

use super::document::TokenPlace;
use super::reaching::{Access, Service};

/// A token that was typed, and where it goes.
#[derive(Debug)]
pub(crate) struct NewToken {
    path: PathBuf,
    token: Secret,
}

/// Where a token stands: where it stood, or in a file beside the configuration, which is then to be written. One that was typed in
/// place of one in a file goes into that file.
pub(crate) fn place_of(
    service: Service,
    access: &Access,
    before: Option<&TokenPlace>,
    config: &Path,
    id: &str,
) -> (TokenPlace, Option<NewToken>) {
    if let Some(place) = &access.place {
        return (place.clone(), None);
    }
    let path = match before {
        Some(TokenPlace::File(path)) => path.clone(),
        _ => folder_of(config).join("tokens").join(service.section()).join(id),
    };
    (TokenPlace::File(path.clone()), Some(NewToken { path, token: access.token.clone() }))
}

/// The folder that a file is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

/// Writes the tokens and the file, and takes back what it made where that fails.
pub(crate) fn write(path: &Path, text: &str, tokens: &[NewToken]) -> Result<(), Exit> {
    let mut made = Vec::new();
    let done = write_all(path, text, tokens, &mut made);
    if done.is_err() {
        for file in made {
            // Nobody knows of it: the file that would name it is not there.
            drop(std::fs::remove_file(file));
        }
    }
    done
}

fn write_all(path: &Path, text: &str, tokens: &[NewToken], made: &mut Vec<PathBuf>) -> Result<(), Exit> {
    let failed = |path: &Path, error: &std::io::Error| {
        Exit::Failed(format!("{} cannot be written: {error}; nothing was changed", path.display()))
    };
    for NewToken { path, token } in tokens {
        let is_new = !path.exists();
        if !folder_of(path).is_dir() {
            make_folder(folder_of(path)).map_err(|error| failed(path, &error))?;
        }
        replace_file(path, format!("{}\n", token.expose()), Readers::Owner)
            .map_err(|error| failed(path, &error))?;
        if is_new {
            made.push(path.clone());
        }
    }
    replace_file(path, text, Readers::OfTheFolder).map_err(|error| failed(path, &error))
}
