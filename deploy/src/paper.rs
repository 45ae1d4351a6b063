//! What the command line says of itself, for shells and for the manual.

use std::path::Path;

use amfj_sync_security::private_files::write_where_told;
use amfj_sync_security::screen::say;
use amfj_sync_service::worker::Exit;
use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::cli::Arguments;

/// Prints what a shell sources to complete the commands and options.
pub(crate) fn completions(shell: Shell) {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "amfj-sync", &mut script);
    let script = String::from_utf8_lossy(&script);
    // clap_complete 4.6 spells the hyphen of a program in two ways in its script for bash, so that no option of a command would
    // be completed.
    say(&if shell == Shell::Bash {
        script.replace("amfj__subcmd__sync", "amfj__sync")
    } else {
        script.into_owned()
    });
}

/// Writes the pages of the manual into a folder: one of the program, and one of each command.
pub(crate) fn manual(folder: &Path) -> Result<(), Exit> {
    let mut program = Arguments::command().disable_help_subcommand(true);
    program.build();
    write_pages(program, "amfj-sync", folder)
}

fn write_pages(command: Command, name: &str, folder: &Path) -> Result<(), Exit> {
    let failed = |error: std::io::Error| {
        Exit::Failed(format!("the pages of the manual cannot be written to {}: {error}", folder.display()))
    };
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        write_pages(inner.clone(), &format!("{name}-{}", inner.get_name()), folder)?;
    }
    let version = command.get_version().unwrap_or_default().to_owned();
    let mut page = Vec::new();
    // No date, so that two builds make the same page.
    let man = Man::new(command.display_name(name.to_owned()))
        .title(name.to_uppercase())
        .source(format!("amfj-sync {version}"))
        .manual("amfj-sync");
    man.render(&mut page).map_err(failed)?;
    write_where_told(&folder.join(format!("{name}.1")), page).map_err(failed)
}
